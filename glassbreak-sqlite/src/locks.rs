//! The kill switch: to the letter of [`Locks`](glassbreak_core::store::Locks).

use glassbreak_core::lock::{Lock, Target};
use glassbreak_core::store::{Ended, Position, Unlock, Unlocked, Which};
use rusqlite::params;

use crate::books::Books;
use crate::error::Fault;
use crate::requests;

pub(crate) fn lock(books: &mut Books<'_>, lock: &Lock) -> Result<Ended, Fault> {
    if books.locks()?.get(&lock.target).is_some() {
        return Ok(Ended {
            grants: Vec::new(),
            requests: Vec::new(),
            position: books.position(),
        });
    }
    let why = format!("{} was locked by {}", lock.target, lock.by);
    let now = books.meta.newest();
    let (grants, requests) = requests::end(books, &Which::Under(lock.target.clone()), &lock.by, &why, now)?;
    let position = put(books, lock)?;
    Ok(Ended {
        grants,
        requests,
        position,
    })
}

/// Puts it in force, whatever else is so.
pub(crate) fn put(books: &mut Books<'_>, lock: &Lock) -> Result<Position, Fault> {
    let position = books.moved();
    let mut insert = books.db.prepare_cached("INSERT INTO locks VALUES (?, ?, ?)")?;
    insert.execute(params![
        name(&lock.target)?,
        books.meta.epoch,
        serde_json::to_string(lock)?
    ])?;
    books.meta.locked = books.meta.epoch;
    books.news = true;
    Ok(position)
}

pub(crate) fn unlock(books: &mut Books<'_>, unlock: &Unlock) -> Result<Unlocked, Fault> {
    let position = books.position();
    let Some(lock) = books.locks()?.get(&unlock.target).cloned() else {
        return Ok(Unlocked::NotLocked { position });
    };
    let target = name(&unlock.target)?;
    let mut since = books.db.prepare_cached("SELECT since FROM locks WHERE target = ?")?;
    let since = books.meta.at(since.query_row([&target], |row| row.get(0))?);
    if unlock.seen.generation != since.generation || since.epoch > unlock.seen.epoch {
        return Ok(Unlocked::Newer { lock, position });
    }
    books
        .db
        .prepare_cached("DELETE FROM locks WHERE target = ?")?
        .execute([&target])?;
    let position = books.moved();
    books.meta.locked = books.meta.epoch;
    books.news = true;
    Ok(Unlocked::Lifted { lock, position })
}

/// How a target is kept.
fn name(target: &Target) -> Result<String, Fault> {
    Ok(serde_json::to_string(target)?)
}
