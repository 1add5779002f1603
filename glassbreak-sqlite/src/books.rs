//! What one write transaction works on.

use std::sync::Arc;

use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::{Lock, LockSet};
use glassbreak_core::store::Position;
use rusqlite::{Connection, params};

use crate::error::Fault;
use crate::meta::Meta;
use crate::time::{Line, Reading};

/// The most ops, requests and grants that one transaction forgets: the work is spread over all of them.
const FORGOTTEN_AT_ONCE: i64 = 64;

/// The locks in force as they were read, and at which change.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    generation: [u8; 16],
    locked: i64,
    pub(crate) set: Arc<LockSet>,
}

/// A write transaction, its row of `meta`, and what it changed that somebody waits for.
#[derive(Debug)]
pub(crate) struct Books<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) meta: Meta,
    pub(crate) line: &'a mut Line,
    known: &'a mut Option<Known>,
    /// Whether locks, requests or grants changed.
    pub(crate) news: bool,
    begun: Meta,
}

impl<'a> Books<'a> {
    pub(crate) fn new(db: &'a Connection, meta: Meta, line: &'a mut Line, known: &'a mut Option<Known>) -> Self {
        let begun = meta.clone();
        Self {
            db,
            meta,
            line,
            known,
            news: false,
            begun,
        }
    }

    /// Does one request's work. What fails leaves no trace, and nothing of it in the others' way.
    pub(crate) fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.run("SAVEPOINT request")?;
        let before = self.meta.clone();
        let done = work(self);
        if done.is_err() {
            self.meta = before;
            self.forget_locks();
            // Some failures end the whole transaction; the savepoint went with it.
            if !self.db.is_autocommit() {
                self.run("ROLLBACK TO request")?;
            }
        }
        if !self.db.is_autocommit() {
            self.run("RELEASE request")?;
        }
        done
    }

    fn run(&self, sql: &str) -> Result<(), Fault> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Writes what every change writes. Whether there is anything to commit.
    pub(crate) fn close(&mut self) -> Result<bool, Fault> {
        if self.meta == self.begun {
            return Ok(false);
        }
        self.tidy()?;
        self.meta.store(self.db)?;
        Ok(true)
    }

    /// The locks in force.
    pub(crate) fn locks(&mut self) -> Result<Arc<LockSet>, Fault> {
        let (generation, locked) = (self.meta.generation, self.meta.locked);
        if let Some(known) = self
            .known
            .as_ref()
            .filter(|known| (known.generation, known.locked) == (generation, locked))
        {
            return Ok(Arc::clone(&known.set));
        }
        let set = Arc::new(locks(self.db)?);
        *self.known = Some(Known {
            generation,
            locked,
            set: Arc::clone(&set),
        });
        Ok(set)
    }

    /// After a rollback: the same change may come again as another one.
    pub(crate) fn forget_locks(&mut self) {
        *self.known = None;
    }

    /// Takes a given time.
    pub(crate) fn read(&mut self, given: Timestamp) -> Reading {
        self.line.read(&mut self.meta, given)
    }

    /// Takes a given time, or the store's where it is not believed: for what must not wait for a clock to be put right.
    pub(crate) fn read_or_newest(&mut self, given: Timestamp) -> Timestamp {
        match self.read(given) {
            Reading::Now(now) => now,
            Reading::Not { .. } => self.meta.newest(),
        }
    }

    /// Raises the epoch: there was a change.
    pub(crate) fn moved(&mut self) -> Position {
        self.meta.epoch += 1;
        self.position()
    }

    pub(crate) fn position(&self) -> Position {
        self.meta.position()
    }

    /// Forgets some of what no window, no lease and nobody needs any more.
    fn tidy(&mut self) -> Result<(), Fault> {
        let now = self.meta.newest().as_millis();
        let mut due = self
            .db
            .prepare_cached("SELECT id FROM ops WHERE due < ? ORDER BY due LIMIT ?")?;
        let ids = due.query_map(params![now, FORGOTTEN_AT_ONCE], |row| row.get::<_, [u8; 16]>(0))?;
        for id in ids.collect::<Result<Vec<_>, _>>()? {
            // Its charges go with it.
            self.db.prepare_cached("DELETE FROM ops WHERE id = ?")?.execute([id])?;
            let minted = glassbreak_core::store::OpId::from_bytes(id).minted_at().as_millis();
            self.meta.forgotten = self.meta.forgotten.max(Some(minted));
        }
        crate::counts::tidy(self.db, now, FORGOTTEN_AT_ONCE)?;
        crate::requests::tidy(self.db, now, FORGOTTEN_AT_ONCE)
    }
}

/// The locks in force, read.
pub(crate) fn locks(db: &Connection) -> Result<LockSet, Fault> {
    let mut all = db.prepare_cached("SELECT body FROM locks")?;
    let bodies = all.query_map([], |row| row.get::<_, String>(0))?;
    let mut set = LockSet::default();
    for body in bodies {
        set.insert(serde_json::from_str::<Lock>(&body?)?);
    }
    Ok(set)
}
