//! Looking at a store without changing anything of it: no file is made, nothing is written, no schema led on.
//!
//! Each look has a connection of its own. While a log lies beside the database, a writer has it open or was killed, and
//! the log is read through its index without writing there. Where there is none, nobody has it open and all is in the
//! database itself: SQLite is told that it does not change, because it would make a log otherwise, and after the look it
//! is seen whether that was so.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glassbreak_core::store::StoreErrorKind;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Fault, file};
use crate::meta::Meta;
use crate::open::{self, Patience, Settings, Told};
use crate::place::Place;
use crate::reader::View;
use crate::schema::{self, Found};

/// A database that is only looked at.
#[derive(Debug)]
pub(crate) struct Looked {
    place: Place,
    busy: Duration,
}

/// What a database that nobody has open looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Still {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

/// A connection for one look.
#[derive(Debug)]
pub(crate) struct Once {
    db: Connection,
    /// What must hold until the look is over.
    still: Option<Still>,
}

impl Looked {
    /// Looks whether it is a store, whole, and of this version.
    pub(crate) fn open(settings: &Settings) -> Result<(Self, Meta), Fault> {
        let place = Place::existing(&settings.path)?;
        let looked = Self {
            place,
            busy: settings.busy,
        };
        let damaged = |fault| open::damaged(&looked.place, fault);
        let once = looked.connect().map_err(damaged)?;
        open::check(&once.db, &looked.place, Found::Store(schema::VERSION)).map_err(damaged)?;
        let meta = Meta::load(&once.db).map_err(damaged)?;
        looked.end(&once)?;
        drop(once);
        Ok((looked, meta))
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Shows the database as it is at one moment, if it is the store that was known.
    pub(crate) fn view<'a>(&'a self, once: &'a Once) -> Result<View<'a>, Fault> {
        // Before the snapshot is taken, which may only be later than what the anchor says.
        let (_, _, fault) = open::recognise(&self.place, &once.db, Told::Left)?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        once.db.execute_batch("BEGIN")?;
        let meta = Meta::load(&once.db)?;
        Ok(View {
            db: &once.db,
            meta,
            look: Some((self, once)),
        })
    }

    pub(crate) fn connect(&self) -> Result<Once, Fault> {
        let still = self.still()?;
        let how = match still {
            Some(_) => "immutable=1",
            None if self.place.index.exists() => "readonly_shm=1",
            None => {
                let what = "is a log that was left without its index; a gate that opens the store mends that";
                return Err(Fault::Place(format!("{} {what}", self.place.wal.display())));
            }
        };
        let name = uri(&self.place.database, how);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let db = open::connect_to(&name, flags, &Patience::new(self.busy))?;
        db.pragma_update(None, "query_only", true)?;
        match schema::find(&db)? {
            Found::Store(schema::VERSION) => Ok(Once { db, still }),
            Found::Store(version) => Err(Fault::answer(
                StoreErrorKind::OtherVersion,
                format!(
                    "the database has schema {version}, and this version of glassbreak reads {}; a gate of this version \
                     that opens the store leads it on",
                    schema::VERSION
                ),
            )),
            Found::Empty => Err(Fault::Place(format!(
                "{} is empty, and no store yet; name the file that the gate was given",
                self.place.database.display()
            ))),
        }
    }

    /// What the database is like if nobody has it open.
    fn still(&self) -> Result<Option<Still>, Fault> {
        let path = &self.place.database;
        let found = fs::symlink_metadata(path).map_err(|error| file(path.display(), &error))?;
        Ok((!self.place.wal.exists()).then(|| Still {
            file: (found.dev(), found.ino()),
            size: found.size(),
            changed: (found.ctime(), found.ctime_nsec()),
        }))
    }

    /// What was seen while a gate opened the store may be of two moments.
    pub(crate) fn end(&self, once: &Once) -> Result<(), Fault> {
        if once.still.is_none() || once.still == self.still()? {
            return Ok(());
        }
        Err(Fault::Busy)
    }
}

/// SQLite's name for a file, with an option.
fn uri(path: &Path, option: &str) -> PathBuf {
    let mut name = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => name.extend(format!("%{byte:02X}").bytes()),
            _ => name.push(*byte),
        }
    }
    name.extend(b"?");
    name.extend(option.bytes());
    OsString::from_vec(name).into()
}
