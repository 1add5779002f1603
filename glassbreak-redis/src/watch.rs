//! Hearing of changes: pushed within moments, and asked for where nothing is pushed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use crate::asks;
use crate::engine::{Call, Engine};
use crate::error::Fault;
use crate::realm::Key;
use crate::script::{self, Args};
use glassbreak_core::clock::Timestamp;

/// How often the server is asked when it says nothing by itself.
const POLL: Duration = Duration::from_millis(250);
/// How often the server's settings are looked at again.
const LOOK: Duration = Duration::from_secs(30);
/// How often what nobody needs is forgotten, and how much of it at once: a script stops everybody while it runs.
const TIDY: Duration = Duration::from_secs(5);
const AT_ONCE: u64 = 200;

/// What waiters wait for: which store it is, and when locks and requests last changed.
type Stands = ([u8; 16], u64, u64);

/// Wakes whoever waits, as long as the store is open.
pub(crate) async fn watch(engine: Arc<Engine>) {
    let mut listening = None;
    let mut stands = None;
    let (mut looked, mut tidied) = (Instant::now(), Instant::now());
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
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let _ = engine.line.look().await;
        }
        if tidied.elapsed() >= TIDY {
            tidied = Instant::now();
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

/// Forgets some ops that nobody may ask for any more. Returns how many.
pub(crate) async fn tidy(engine: &Engine, most: u64) -> Result<u64, Fault> {
    let call = Call {
        script: &script::TIDY,
        keys: engine.realm.keys(&[Key::Meta, Key::Ops, Key::Due]),
        at: Timestamp::from_millis(0),
        args: Args::default().number(most),
    };
    let (mut reply, _) = engine.ask(&call).await?;
    match reply.word() {
        "TIDIED" => reply.number(),
        _ => Err(reply.unknown()),
    }
}
