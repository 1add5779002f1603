//! The one row that every change reads and writes, and what a process remembers of it.

use std::sync::Arc;

use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::Position;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fault;

/// How many transactions are remembered one by one.
const MARKS: i64 = 4_096;
/// So many marks stand with the row until all of them go to their table at once: most changes write one page less.
const RECENT: usize = 64;

/// The row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) generation: [u8; 16],
    pub(crate) before: Option<[u8; 16]>,
    pub(crate) epoch: i64,
    pub(crate) hw: Option<i64>,
    pub(crate) shown: i64,
    pub(crate) clock: Arc<str>,
    pub(crate) adopted: i64,
    pub(crate) locked: i64,
    pub(crate) forgotten: Option<i64>,
    pub(crate) batch: i64,
    pub(crate) mark: [u8; 16],
    recent: Recent,
}

/// The marks of the last transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Recent {
    /// The transaction of the first of them.
    first: i64,
    marks: Arc<[u8]>,
}

impl Recent {
    /// From what the database holds; none where that is something else.
    fn read(kept: &[u8]) -> Self {
        match kept.split_first_chunk() {
            Some((first, marks)) => Self {
                first: i64::from_be_bytes(*first),
                marks: marks.into(),
            },
            None => Self::default(),
        }
    }

    fn kept(&self) -> Vec<u8> {
        [&self.first.to_be_bytes(), &*self.marks].concat()
    }

    fn iter(&self) -> impl Iterator<Item = (i64, [u8; 16])> {
        let marks = self.marks.as_chunks().0.iter().copied();
        (0..).zip(marks).map(|(n, mark)| (self.first.saturating_add(n), mark))
    }

    /// With one more. Where it does not follow on the others, alone.
    fn and(&self, batch: i64, mark: [u8; 16]) -> Self {
        let last = self.iter().last();
        if last.is_some_and(|(last, _)| last.checked_add(1) == Some(batch)) {
            return Self {
                first: self.first,
                marks: [&*self.marks, &mark].concat().into(),
            };
        }
        Self {
            first: batch,
            marks: mark.as_slice().into(),
        }
    }
}

impl Meta {
    /// Of a new store.
    pub(crate) fn new() -> Self {
        Self {
            generation: uuid::Uuid::new_v4().into_bytes(),
            before: None,
            epoch: 0,
            hw: None,
            shown: 0,
            clock: "".into(),
            adopted: 0,
            locked: 0,
            forgotten: None,
            batch: 0,
            mark: [0; 16],
            recent: Recent::default(),
        }
    }

    pub(crate) fn insert(&self, db: &Connection) -> Result<(), Fault> {
        db.execute(
            "INSERT INTO meta VALUES (1, ?, NULL, 0, NULL, 0, '', 0, 0, NULL, 0, ?, x'')",
            params![self.generation, self.mark],
        )?;
        Ok(())
    }

    pub(crate) fn load(db: &Connection) -> Result<Self, Fault> {
        let mut all = db.prepare_cached(
            "SELECT generation, before, epoch, hw, shown, clock, adopted, locked, forgotten, batch, mark,
             recent FROM meta",
        )?;
        Ok(all.query_row([], |row| {
            Ok(Self {
                generation: row.get(0)?,
                before: row.get(1)?,
                epoch: row.get(2)?,
                hw: row.get(3)?,
                shown: row.get(4)?,
                clock: row.get::<_, String>(5)?.into(),
                adopted: row.get(6)?,
                locked: row.get(7)?,
                forgotten: row.get(8)?,
                batch: row.get(9)?,
                mark: row.get(10)?,
                recent: Recent::read(row.get_ref(11)?.as_blob()?),
            })
        })?)
    }

    /// Writes the row at the end of a transaction, which gets a mark.
    pub(crate) fn store(&mut self, db: &Connection) -> Result<(), Fault> {
        self.batch += 1;
        self.mark = uuid::Uuid::new_v4().into_bytes();
        self.recent = self.recent.and(self.batch, self.mark);
        if self.recent.iter().count() >= RECENT {
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)")?;
            for (batch, mark) in self.recent.iter() {
                insert.execute(params![batch % MARKS, batch, mark])?;
            }
            self.recent = Recent::default();
        }
        let mut update = db.prepare_cached(
            "UPDATE meta SET generation = ?, before = ?, epoch = ?, hw = ?, shown = ?, clock = ?, adopted = ?,
             locked = ?, forgotten = ?, batch = ?, mark = ?, recent = ?",
        )?;
        update.execute(params![
            self.generation,
            self.before,
            self.epoch,
            self.hw,
            self.shown,
            &*self.clock,
            self.adopted,
            self.locked,
            self.forgotten,
            self.batch,
            self.mark,
            self.recent.kept(),
        ])?;
        Ok(())
    }

    pub(crate) fn position(&self) -> Position {
        self.at(self.epoch)
    }

    pub(crate) fn at(&self, epoch: i64) -> Position {
        Position {
            generation: self.generation,
            epoch: u64::try_from(epoch).unwrap_or(0),
        }
    }

    /// The store's time; the beginning of time where none was given.
    pub(crate) fn newest(&self) -> Timestamp {
        Timestamp::from_millis(self.hw.unwrap_or(i64::MIN))
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            generation: self.generation,
            epoch: self.epoch,
            batch: self.batch,
            mark: self.mark,
        }
    }
}

/// The latest transaction that somebody knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) generation: [u8; 16],
    pub(crate) epoch: i64,
    pub(crate) batch: i64,
    pub(crate) mark: [u8; 16],
}

impl Seen {
    /// Whether the database still holds that transaction, as far as can be told: an older state that others have
    /// written on is caught for some thousand transactions.
    pub(crate) fn check(&self, db: &Connection, meta: &Meta) -> Result<(), Fault> {
        let gone = |what: String| Err(Fault::RolledBack(what));
        if self.generation != meta.generation {
            return gone("the database is another store than the one that was known".to_owned());
        }
        if meta.epoch < self.epoch || meta.batch < self.batch {
            return gone(format!(
                "the database is an older state: it stands at change {}, and was at {}",
                meta.epoch, self.epoch
            ));
        }
        if self.batch == 0 || (self.batch == meta.batch && self.mark == meta.mark) {
            return Ok(());
        }
        let found = match meta.recent.iter().find(|(batch, _)| *batch == self.batch) {
            Some(found) => Some(found),
            None => {
                let mut find = db.prepare_cached("SELECT batch, mark FROM marks WHERE slot = ?")?;
                let found = find.query_row([self.batch % MARKS], |row| Ok((row.get(0)?, row.get(1)?)));
                found.optional()?
            }
        };
        match found {
            Some((batch, _)) if batch > self.batch => Ok(()),
            Some((batch, mark)) if batch == self.batch && mark == self.mark => Ok(()),
            _ => gone(format!(
                "the database is an older state that others have written on: what was change {} is not in it",
                self.epoch
            )),
        }
    }

    /// The later of two.
    pub(crate) fn later(self, other: Self) -> Self {
        if self.generation == other.generation && self.batch >= other.batch {
            self
        } else {
            other
        }
    }
}
