//! Taking an older state, or another store, for the present one, on an operator's word.

use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Position, Which};

use crate::books::{Books, Known};
use crate::error::Fault;
use crate::meta::Seen;
use crate::{locks, requests};

/// An operator's word.
#[derive(Debug)]
pub(crate) struct Adopt {
    pub(crate) by: Word,
    pub(crate) reason: Text,
    pub(crate) at: Timestamp,
}

/// Makes what is there a store of its own. What may have happened since it was written is taken to have happened: every
/// op minted until now is spent, every grant used, every question answered, every lock known set.
pub(crate) fn adopt(
    books: &mut Books<'_>,
    adopt: &Adopt,
    seen: &Seen,
    known: Option<&Known>,
) -> Result<Position, Fault> {
    let why = format!(
        "the store was adopted by {}: {}",
        adopt.by,
        shown(adopt.reason.as_str())
    );
    books.line.adopt(&mut books.meta, adopt.at);
    let now = books.meta.newest();
    requests::end(books, &Which::Under(Target::All), &adopt.by, &why, now)?;
    books.meta.before = Some(seen.generation);
    books.meta.generation = uuid::Uuid::new_v4().into_bytes();
    books.meta.epoch = books.meta.epoch.max(seen.epoch);
    books.meta.forgotten = books.meta.forgotten.max(Some(now.as_millis()));
    // Waiters for locks look again.
    books.moved();
    books.meta.locked = books.meta.epoch;
    books.news = true;
    if let Some(known) = known {
        for lock in known.set.iter() {
            if books.locks()?.get(&lock.target).is_none() {
                locks::put(books, lock)?;
            }
        }
    }
    Ok(books.position())
}
