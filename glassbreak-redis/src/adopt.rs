//! Taking an older state, or another store, for the present one, on an operator's word.

use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown;
use glassbreak_core::store::Position;

use crate::asks;
use crate::engine::{Call, Engine, hex};
use crate::error::Fault;
use crate::known::Seen;
use crate::realm::Key;
use crate::script::{self, Args};

/// Makes what is there a store of its own. What may have happened since it was written is taken to have happened: every
/// op minted until now is spent, every grant used, every question answered, every lock known set.
pub(crate) async fn adopt(engine: &Engine, by: &Word, reason: &Text, at: Timestamp) -> Result<Position, Fault> {
    if let Some(position) = stands(engine).await? {
        return Ok(position);
    }
    let before = engine.known.seen();
    let generation = uuid::Uuid::new_v4().into_bytes();
    let why = format!("the store was adopted by {by}: {}", shown(reason.as_str()));
    let keys = [
        Key::Meta,
        Key::Reigns,
        Key::Locks,
        Key::Requests,
        Key::Pending,
        Key::Grants,
        Key::Live,
    ];
    let mut args = Args::default()
        .text(&hex(&generation))
        .text(&hex(&before.generation))
        .signed(at.as_millis())
        .number(before.epoch)
        .text(by.as_str())
        .text(&why);
    for lock in engine.known.locks().iter() {
        args = args.text(&lock.target.to_string()).bytes(&serde_json::to_vec(&**lock)?);
    }
    let mut reply = engine.plain(&script::ADOPT, &engine.realm.keys(&keys), &args).await?;
    if reply.word() != "ADOPTED" {
        return Err(reply.unknown());
    }
    let seen = Seen {
        generation,
        reign: reply.number()?,
        run: reply.text()?.into(),
        epoch: reply.number()?,
    };
    let position = seen.at(seen.epoch);
    engine.known.adopted(seen);
    engine.tell();
    Ok(position)
}

/// Takes a time for the store's.
pub(crate) async fn adopt_time(engine: &Engine, at: Timestamp) -> Result<Position, Fault> {
    let call = Call {
        script: &script::TIME,
        keys: engine.realm.keys(&[Key::Meta]),
        at,
        args: Args::default(),
    };
    let (reply, seen) = engine.ask(&call).await?;
    match reply.word() {
        "TAKEN" => Ok(seen.at(seen.epoch)),
        _ => Err(reply.unknown()),
    }
}

/// Where the store stands, if there is nothing to adopt.
async fn stands(engine: &Engine) -> Result<Option<Position>, Fault> {
    if engine.known.fault().is_some() {
        return Ok(None);
    }
    match engine.ask(&asks::looking(engine, "position", &[0; 16])).await {
        Ok((_, seen)) => Ok(Some(seen.at(seen.epoch))),
        Err(Fault::RolledBack(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}
