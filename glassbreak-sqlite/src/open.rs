//! Opening: the settings, whose database it is, whether it is whole, and whether it is the newest state known.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::anchor::{self, Turn};
use crate::error::Fault;
use crate::meta::{Meta, Seen};
use crate::place::{Identity, Place};
use crate::schema::{self, Found};
use crate::time::{Elapsed, Line};

/// Up to this size a database is checked whole, indexes too.
const CHECKED_WHOLE: u64 = 32 << 20;
/// Up to this size each of its pages is; above, only the small tables are.
const CHECKED_BY_PAGE: u64 = 512 << 20;
/// The log is cut back to this.
const LOG: i64 = 16 << 20;

/// What a store is opened with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    pub(crate) elapsed: Elapsed,
    pub(crate) busy: Duration,
    pub(crate) most_pages: Option<u32>,
}

/// A store, opened.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) writer: Connection,
    pub(crate) reader: Connection,
    /// Of the writer.
    pub(crate) patience: Patience,
    /// Of the reader.
    pub(crate) reading: Patience,
    pub(crate) place: Place,
    pub(crate) identity: Identity,
    pub(crate) line: Line,
    pub(crate) seen: Seen,
    /// Why it denies everything, if it does.
    pub(crate) fault: Option<Fault>,
}

/// Until when a connection waits for others.
#[derive(Debug, Clone)]
pub(crate) struct Patience(Arc<Mutex<Instant>>);

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Instant::now() + limit)))
    }

    pub(crate) fn until(&self, end: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn is_over(&self) -> bool {
        Instant::now() >= *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Naps of 0.2 to 1 ms: SQLite's own handler naps longer and longer, and then whoever has waited longest waits on.
    fn nap(&self) -> bool {
        if self.is_over() {
            return false;
        }
        let jitter = RandomState::new().hash_one(0) % 800;
        thread::sleep(Duration::from_micros(200 + jitter));
        true
    }
}

pub(crate) fn open(settings: &Settings) -> Result<Ready, Fault> {
    let place = Place::new(&settings.path)?;
    let patience = Patience::new(settings.busy);
    let damaged = |fault| damaged(&place, fault);
    let writer = write(&place, &patience, settings).map_err(damaged)?;
    let identity = place.identity()?;
    let (meta, seen, fault) = recognise(&place, &writer, Told::Written).map_err(damaged)?;
    let reading = Patience::new(settings.busy);
    let reader = connect(&place, OpenFlags::SQLITE_OPEN_READ_ONLY, &reading)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(Ready {
        line: Line::new(settings.elapsed.clone(), &meta),
        writer,
        reader,
        patience,
        reading,
        place,
        identity,
        seen,
        fault,
    })
}

/// What breaks while a database is opened is the database.
pub(crate) fn damaged(place: &Place, fault: Fault) -> Fault {
    match fault {
        Fault::Broken(what) | Fault::Damaged(what) => Fault::Damaged(format!(
            "{} is damaged or no database: {what}",
            place.database.display()
        )),
        other => other,
    }
}

fn connect(place: &Place, how: OpenFlags, patience: &Patience) -> Result<Connection, Fault> {
    connect_to(&place.database, how, patience)
}

/// The same, by whatever name SQLite knows the file.
pub(crate) fn connect_to(name: &Path, how: OpenFlags, patience: &Patience) -> Result<Connection, Fault> {
    let flags = how | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(name, flags)?;
    let patience = patience.clone();
    db.busy_handler(Some(move |_| patience.nap()))?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Else a statement that compares with a parameter is prepared anew for each value of it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn write(place: &Place, patience: &Patience, settings: &Settings) -> Result<Connection, Fault> {
    let how = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let db = connect(place, how, patience)?;
    // Whose it is, before anything of it is changed.
    let found = schema::find(&db)?;
    place.close_to_others()?;
    check(&db, place, found)?;
    let mode = loop {
        // This one is not waited for by handlers.
        match db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) => break mode,
            Err(error) => match Fault::from(error) {
                Fault::Busy if patience.nap() => {}
                fault => return Err(fault),
            },
        }
    };
    if mode != "wal" {
        let what = format!(
            "{} cannot have a write-ahead log; use a disk of this machine",
            place.database.display()
        );
        return Err(Fault::Place(what));
    }
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    db.pragma_update(None, "journal_size_limit", LOG)?;
    // The writer does it, and looks at what comes of it.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    if let Some(most) = settings.most_pages {
        db.pragma_update(None, "max_page_count", most)?;
    }
    db.execute_batch("BEGIN IMMEDIATE")?;
    // Another process may have been first.
    let found = schema::find(&db)?;
    schema::migrate(&db, found)?;
    if found == Found::Empty {
        Meta::new().insert(&db)?;
    }
    db.execute_batch("COMMIT")?;
    Ok(db)
}

/// Whether the database is whole, as far as that can be told in a second or so.
pub(crate) fn check(db: &Connection, place: &Place, found: Found) -> Result<(), Fault> {
    if found == Found::Empty {
        return Ok(());
    }
    let size = std::fs::symlink_metadata(&place.database).map_or(u64::MAX, |found| found.len());
    let all = |sql: &str| -> Result<Vec<String>, Fault> {
        let mut check = db.prepare(sql)?;
        let lines = check.query_map([], |row| row.get::<_, String>(0))?;
        Ok(lines.collect::<Result<_, _>>()?)
    };
    let lines = if size <= CHECKED_WHOLE {
        all("PRAGMA integrity_check(3)")?
    } else if size <= CHECKED_BY_PAGE {
        all("PRAGMA quick_check(3)")?
    } else {
        let small = ["meta", "marks", "locks", "grants", "requests"];
        let mut lines = Vec::new();
        for table in small {
            lines.extend(all(&format!("PRAGMA integrity_check({table})"))?);
        }
        lines
    };
    let problems: Vec<&String> = lines.iter().filter(|line| *line != "ok").collect();
    match problems.first() {
        None => Ok(()),
        Some(first) => Err(Fault::Damaged((*first).clone())),
    }
}

/// What becomes of the anchor of a store in which nothing was ever changed, if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Written,
    /// It is left to whoever opens the store to write.
    Left,
}

/// Whether the database is the one that the anchor knows, and not an older state of it.
pub(crate) fn recognise(place: &Place, db: &Connection, told: Told) -> Result<(Meta, Seen, Option<Fault>), Fault> {
    let mut again = true;
    loop {
        // In this order: what the anchor says was on disk before.
        let said = anchor::read(place);
        let meta = Meta::load(db)?;
        let (seen, fault) = match said {
            Ok(Some(said)) => (said, said.check(db, &meta).err()),
            Ok(None) if meta.epoch == 0 => {
                if told == Told::Written {
                    anchor::write(place, &meta.seen(), Turn::Wait)?;
                }
                (meta.seen(), None)
            }
            Ok(None) => {
                let what = format!(
                    "{} is missing, and nothing else tells how far the store had come",
                    place.anchor.display()
                );
                (nothing(), Some(Fault::RolledBack(what)))
            }
            Err(fault @ Fault::RolledBack(_)) => (nothing(), Some(fault)),
            Err(fault) => return Err(fault),
        };
        match fault {
            None => return Ok((meta.clone(), meta.seen(), None)),
            // Another process may have written both in between.
            Some(_) if again => again = false,
            Some(fault) => return Ok((meta, seen, Some(fault))),
        }
    }
}

fn nothing() -> Seen {
    Seen {
        generation: [0; 16],
        epoch: 0,
        batch: 0,
        mark: [0; 16],
    }
}
