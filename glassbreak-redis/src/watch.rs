//! Hearing of changes: pushed within moments, and asked for where nothing is pushed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use glassbreak_core::clock::Timestamp;
use tokio::time::{Instant, timeout};

use crate::asks;
use crate::engine::{Call, Engine};
use crate::error::Fault;
use crate::realm::Key;
use crate::reply;
use crate::script::{self, Args};

/// How often the server is asked when it says nothing by itself.
const POLL: Duration = Duration::from_millis(250);
/// How often the server's settings are looked at again.
const LOOK: Duration = Duration::from_secs(30);
/// How often what nobody needs is forgotten, and how much of it at once: a script stops everybody while it runs.
const TIDY: Duration = Duration::from_secs(5);
const AT_ONCE: u64 = 200;
/// How often it is said how far it has come.
const SAY: Duration = Duration::from_secs(1);

/// What waiters wait for: which store it is, and when locks and requests last changed.
type Stands = ([u8; 16], u64, u64);

/// Wakes whoever waits, as long as the store is open.
pub(crate) async fn watch(engine: Arc<Engine>) {
    let mut listening = None;
    let mut stands = None;
    // Whoever opens a store begins with it.
    let (mut looked, mut said, mut tidied) = (Instant::now(), Instant::now(), None);
    loop {
        if listening.is_none() {
            let pushes = engine.line.listen(&engine.realm.channel()).await;
            listening = pushes.ok().map(|pushes| pushes.into_on_message());
        }
        // Asked also after each push: what changed while nobody listened is not pushed again.
        match position(&engine).await {
            Ok(now) if stands != Some(now) => {
                stands = Some(now);
                engine.tell();
            }
            Ok(_) => {}
            // Whoever waits asks by themselves, and is told why there is no answer.
            Err(_) => engine.tell(),
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            let engine = Arc::clone(&engine);
            // Where it cannot be written, less is noticed later; nothing depends on it now.
            let _ = tokio::task::spawn_blocking(move || engine.say()).await;
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let _ = engine.line.look().await;
        }
        if tidied.is_none_or(|tidied: Instant| tidied.elapsed() >= TIDY) {
            tidied = Some(Instant::now());
            let _ = tidy(&engine, AT_ONCE).await;
        }
        match &mut listening {
            Some(pushes) => match timeout(POLL, pushes.next()).await {
                Ok(Some(_)) => engine.tell(),
                // The connection is gone, and may take some time to come back.
                Ok(None) => {
                    listening = None;
                    tokio::time::sleep(POLL / 10).await;
                }
                Err(_) => {}
            },
            None => tokio::time::sleep(POLL).await,
        }
    }
}

async fn position(engine: &Engine) -> Result<Stands, Fault> {
    let call = asks::looking(engine, "position", &[0; 16]);
    let (mut reply, seen) = engine.ask_anyway(&call).await?;
    if reply.word() != "LOOKED" {
        return Err(reply.unknown());
    }
    Ok((seen.generation, reply.number()?, reply.number()?))
}

/// Forgets some of what nobody may ask for any more.
async fn tidy(engine: &Engine, most: u64) -> Result<(), Fault> {
    let realm = &engine.realm;
    let keys = [
        Key::Meta,
        Key::Ops,
        Key::Due,
        Key::Requests,
        Key::RequestBodies,
        Key::Grants,
        Key::GrantBodies,
        Key::Live,
        Key::Last,
        Key::No,
        Key::Ends,
        Key::Groups,
        Key::Pending,
    ];
    let call = Call {
        script: &script::TIDY,
        keys: realm.keys(&keys),
        at: Timestamp::from_millis(0),
        args: Args::default().number(most),
    };
    let (mut reply, _) = engine.ask(&call).await?;
    if reply.word() != "TIDIED" {
        return Err(reply.unknown());
    }
    let _: u64 = reply.number()?;
    let groups = reply.all(reply::text)?;
    if groups.is_empty() {
        return Ok(());
    }
    // By a second message, because a script may only touch the keys that it was given.
    let mut keys = realm.keys(&[Key::Meta, Key::Groups]);
    keys.extend(groups.iter().flat_map(|group| realm.group(group)));
    let call = Call {
        script: &script::DROP,
        keys,
        at: Timestamp::from_millis(0),
        args: Args::default().list(&groups),
    };
    let (reply, _) = engine.ask(&call).await?;
    match reply.word() {
        "DROPPED" => Ok(()),
        _ => Err(reply.unknown()),
    }
}
