//! What one write transaction works on.

use std::sync::Arc;

use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::{Lock, LockSet};
use glassbreak_core::store::{OpId, Position};
use rusqlite::{Connection, params};

use crate::counts::{self, Charge};
use crate::error::Fault;
use crate::meta::Meta;
use crate::time::{Line, Reading};

/// One transaction in so many requests forgets, so that most of them need not look.
const ROUND: usize = 16;
/// It looks at so many ops, and for each request since the last time at so many more.
const LOOKED_AT: usize = 64;
const MORE: usize = 8;
/// No op may be forgotten sooner.
pub(crate) const KEPT: u64 = 86_400_000;

/// The locks in force as they were read, and at which change.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    generation: [u8; 16],
    locked: i64,
    pub(crate) set: Arc<LockSet>,
}

/// How far the forgetting of ops has come: it goes round, a few at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    after: [u8; 16],
    requests: usize,
}

impl Default for Round {
    fn default() -> Self {
        Self {
            after: [0; 16],
            // Whoever opens a store begins with it.
            requests: ROUND,
        }
    }
}

/// A write transaction, its row of `meta`, and what it changed that somebody waits for.
#[derive(Debug)]
pub(crate) struct Books<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) meta: Meta,
    pub(crate) line: &'a mut Line,
    known: &'a mut Option<Known>,
    round: &'a mut Round,
    /// Whether locks, requests or grants changed.
    pub(crate) news: bool,
    begun: Meta,
}

impl<'a> Books<'a> {
    pub(crate) fn new(
        db: &'a Connection,
        meta: Meta,
        line: &'a mut Line,
        known: &'a mut Option<Known>,
        round: &'a mut Round,
    ) -> Self {
        let begun = meta.clone();
        Self {
            db,
            meta,
            line,
            known,
            round,
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

    /// Writes what every change writes, after so many requests, if there was one.
    pub(crate) fn close(&mut self, requests: usize) -> Result<(), Fault> {
        if self.meta == self.begun {
            return Ok(());
        }
        self.round.requests = self.round.requests.saturating_add(requests);
        if self.round.requests >= ROUND {
            self.tidy()?;
        }
        self.meta.store(self.db)
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
    ///
    /// Ops are looked at in the order of their ids, which is about that in which they came: an index by when they may be
    /// forgotten would be one more page to write for each of them.
    fn tidy(&mut self) -> Result<(), Fault> {
        let now = self.meta.newest().as_millis();
        let most = LOOKED_AT.saturating_add(MORE.saturating_mul(self.round.requests));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut next = self
            .db
            .prepare_cached("SELECT id, due, charges FROM ops WHERE id > ? ORDER BY id LIMIT ?")?;
        let mut ops = next.query(params![self.round.after, most])?;
        let mut after = [0; 16];
        let mut due = Vec::new();
        while let Some(op) = ops.next()? {
            let id = OpId::from_bytes(op.get(0)?);
            if op.get::<_, i64>(1)? < now {
                due.push((id, Charge::read(op.get_ref(2)?.as_str()?)?));
            } else if id.minted_at().as_millis() > now.saturating_sub_unsigned(KEPT) {
                // Those after it are younger.
                after = [0; 16];
                break;
            }
            after = *id.as_bytes();
        }
        drop(ops);
        for (id, charges) in due {
            counts::forget_rows(self.db, &id, &charges)?;
            self.db
                .prepare_cached("DELETE FROM ops WHERE id = ?")?
                .execute([id.as_bytes()])?;
            self.meta.forgotten = self.meta.forgotten.max(Some(id.minted_at().as_millis()));
        }
        counts::tidy(self.db, now, most)?;
        crate::requests::tidy(self.db, now, most)?;
        *self.round = Round { after, requests: 0 };
        Ok(())
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
