//! Where a database may lie: out of the reach of others, and on a disk of this machine.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Fault, file};

/// Others than the owner may write.
const WRITABLE: u32 = 0o022;
/// In such a folder nobody may move what is another's.
const STICKY: u32 = 0o1000;

/// The files of a store.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    /// Of the log, in memory that processes share.
    pub(crate) index: PathBuf,
    pub(crate) anchor: PathBuf,
}

/// Which files they are, whatever their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    database: (u64, u64),
    wal: Option<(u64, u64)>,
}

impl Place {
    /// Checks a path, and makes the folder if there is none.
    pub(crate) fn new(path: &Path) -> Result<Self, Fault> {
        let folder = folder_of(path);
        if fs::symlink_metadata(folder).is_err() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| file(format_args!("cannot make the folder {}", folder.display()), &error))?;
        }
        Self::of(path)
    }

    /// Checks a path where a database is, and makes nothing.
    pub(crate) fn existing(path: &Path) -> Result<Self, Fault> {
        if fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            let what = "is not there, and looking makes no store; name the file that the gate was given";
            return Err(Fault::Place(format!("{} {what}", path.display())));
        }
        Self::of(path)
    }

    fn of(path: &Path) -> Result<Self, Fault> {
        let name = path
            .file_name()
            .ok_or_else(|| Fault::Place(format!("{} does not name a file; name the database", path.display())))?;
        let folder = folder_of(path);
        let found = look(folder)?;
        if !found.is_dir() {
            let what = "is a link, or no folder; name the folder itself";
            return Err(Fault::Place(format!("{} {what}", folder.display())));
        }
        let folder = fs::canonicalize(folder).map_err(|error| file(folder.display(), &error))?;
        mine(&folder, &found)?;
        above(&folder)?;
        local(&folder)?;
        let beside = |suffix: &str| {
            let mut beside = name.to_owned();
            beside.push(suffix);
            folder.join(beside)
        };
        let place = Self {
            database: folder.join(name),
            wal: beside("-wal"),
            index: beside("-shm"),
            anchor: beside(".anchor"),
            folder,
        };
        place.check_file()?;
        Ok(place)
    }

    /// Checks the file, if there is one.
    fn check_file(&self) -> Result<(), Fault> {
        let path = &self.database;
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(file(path.display(), &error)),
        };
        if !found.is_file() {
            let what = "is a link, or no file; name the database itself";
            return Err(Fault::Place(format!("{} {what}", path.display())));
        }
        if found.nlink() > 1 {
            let what = "has another name beside this one; copy it, for two names are two write-ahead logs";
            return Err(Fault::Place(format!("{} {what}", path.display())));
        }
        mine(path, &found)
    }

    /// Takes the file from all others. By its path: to open and close it would drop SQLite's locks on it.
    pub(crate) fn close_to_others(&self) -> Result<(), Fault> {
        fs::set_permissions(&self.database, Permissions::from_mode(0o600)).map_err(|error| {
            file(
                format_args!("cannot set mode 0600 on {}", self.database.display()),
                &error,
            )
        })
    }

    /// Which files lie there now.
    pub(crate) fn identity(&self) -> Result<Identity, Fault> {
        let gone = || {
            Fault::Broken(format!(
                "{} is gone, and what is written now would be too",
                self.database.display()
            ))
        };
        Ok(Identity {
            database: number(&self.database).ok_or_else(gone)?,
            wal: number(&self.wal),
        })
    }

    /// Whether those are still the files that were opened. The log is only ever there once, while it is open.
    pub(crate) fn check_identity(&self, opened: &mut Identity) -> Result<(), Fault> {
        let now = self.identity()?;
        opened.wal = opened.wal.or(now.wal);
        if *opened == now {
            return Ok(());
        }
        Err(Fault::Broken(format!(
            "{} or its log was replaced by another file while it was open",
            self.database.display()
        )))
    }
}

/// The device and number of the file at a path, and of it nothing else: a kernel that is asked when a file was last
/// written (Linux from 6.13, multigrain timestamps) writes that time down exactly at the next write, and the sync after it
/// waits for one write to the disk more.
#[cfg(target_os = "linux")]
fn number(path: &Path) -> Option<(u64, u64)> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO).ok()?;
    Some((makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
}

#[cfg(not(target_os = "linux"))]
fn number(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).ok()
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn look(path: &Path) -> Result<Metadata, Fault> {
    fs::symlink_metadata(path).map_err(|error| file(path.display(), &error))
}

fn mine(path: &Path, found: &Metadata) -> Result<(), Fault> {
    if found.uid() != rustix::process::geteuid().as_raw() {
        let what = "belongs to another user, who could change what is counted; give it to the user that runs this";
        return Err(Fault::Place(format!("{} {what}", path.display())));
    }
    if found.mode() & WRITABLE != 0 {
        let what = "can be written by others, who could change what is counted; take it from them (chmod go-w)";
        return Err(Fault::Place(format!("{} {what}", path.display())));
    }
    Ok(())
}

/// Whoever may rename a folder above may put another store in the place of this one.
fn above(folder: &Path) -> Result<(), Fault> {
    let me = rustix::process::geteuid().as_raw();
    for folder in folder.ancestors().skip(1) {
        let found = look(folder)?;
        let foreign = found.uid() != me && found.uid() != 0;
        if foreign || (found.mode() & WRITABLE != 0 && found.mode() & STICKY == 0) {
            let what = "lies above the database, and others could put another one in its place; take it from them (chmod go-w)";
            return Err(Fault::Place(format!("{} {what}", folder.display())));
        }
    }
    Ok(())
}

/// The kinds of file systems that are not of this machine alone. Its log needs memory that all processes share.
#[cfg(target_os = "linux")]
const FAR: [(u64, &str); 14] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x7375_7245, "coda"),
    (0x564c, "ncp"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x7461_636f, "ocfs2"),
    (0x0116_1970, "gfs2"),
];

#[cfg(target_os = "linux")]
fn local(folder: &Path) -> Result<(), Fault> {
    let of = rustix::fs::statfs(folder).map_err(|error| file(folder.display(), &error.into()))?;
    // The number is 32 bits on every kernel; wider types carry its sign.
    let kind = u64::try_from(i128::from(of.f_type) & 0xffff_ffff).unwrap_or_default();
    match FAR.iter().find(|(far, _)| *far == kind) {
        None => Ok(()),
        Some((_, name)) => Err(Fault::Place(format!(
            "{} is on {name}, where processes do not share memory and locks reliably; use a disk of this machine",
            folder.display()
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn local(_: &Path) -> Result<(), Fault> {
    Ok(())
}
