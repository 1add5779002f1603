//! One pinned file: what it was when somebody looked.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, Stat, fstat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::ExecError;
use super::folders::{check_owner, follow, place};
use super::ground::open_no_links;
use super::sum::Sum;
use crate::clock::Timestamp;
use crate::error::shown;

/// The identity of one file.
///
/// `changed_ns` is the inode's change time: it cannot be set back, so a write that restores size and modification time
/// still shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePin {
    pub(super) path: Box<str>,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    pub(super) mtime_ns: i64,
    pub(super) changed_ns: i64,
    pub(super) mode: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Sum>,
}

/// A file that was opened and looked at: what it is, and how it begins.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) pin: FilePin,
    head: [u8; HEAD],
    /// How much of it the file has.
    has: usize,
}

/// How much of a file is read to tell what it is.
const HEAD: usize = 256;

impl Opened {
    /// How the file begins.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(..self.has).unwrap_or_default()
    }
}

impl FilePin {
    /// The real path, links followed.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The device and the inode number.
    pub const fn inode(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// The length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// When it was last written, in nanoseconds since 1970.
    pub const fn mtime_ns(&self) -> i64 {
        self.mtime_ns
    }

    /// When anything about it last changed, in nanoseconds since 1970; no program can set it.
    pub const fn changed_ns(&self) -> i64 {
        self.changed_ns
    }

    /// File type and permission bits, as in `stat(2)`.
    pub const fn mode(&self) -> u32 {
        self.mode
    }

    /// The SHA-256 of its content, where it was asked for.
    pub const fn sha256(&self) -> Option<Sum> {
        self.sha256
    }

    /// Opens what is at `path` now, checks that it is safe to run, and says what it is.
    ///
    /// `path` must be the real path of a regular executable file of root or this process's user, that nobody else may
    /// write to, in folders of which the same holds; not set-user-id or set-group-id (such a program could not be
    /// ended by us).
    pub(super) fn open(path: &Path, with_hash: bool) -> Result<Opened, ExecError> {
        let Some((real, _)) = follow(path)? else {
            return Err(ExecError::not_run(
                "program.missing",
                format!("`{}` is gone", place(path)),
                "ask again",
            ));
        };
        if real != path {
            return Err(ExecError::not_run(
                "pin.changed",
                format!("`{}` is now a link to `{}`", place(path), place(&real)),
                "ask again",
            ));
        }
        Self::open_real(path, with_hash)
    }

    /// The same for a path that was followed just now, to this end.
    pub(super) fn open_real(path: &Path, with_hash: bool) -> Result<Opened, ExecError> {
        let text = path
            .to_str()
            .filter(|text| crate::text::check(text).is_ok() && !text.contains(['\n', '\t']))
            .ok_or_else(|| {
                ExecError::not_run(
                    "program.path",
                    format!("the path `{}` cannot be shown to a person", place(path)),
                    "rename the file: printable UTF-8",
                )
            })?;
        // First without opening it for anything: opening a pipe or a device can block or do something.
        let seen = open_no_links(path, OFlags::PATH).map_err(|error| unopened(path, error))?;
        let stat = fstat(&seen).map_err(|error| unopened(path, error))?;
        check_file(path, &stat)?;
        let file = rustix::fs::open(by_descriptor(&seen), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| unopened(path, error))?;
        let mut file = File::from(above_stdio(file).map_err(|error| unopened(path, error))?);
        let mut head = [0; HEAD];
        let has = read_head(&mut file, &mut head).map_err(|error| unopened(path, error))?;
        let sha256 = if with_hash {
            Some(hash(&file).map_err(|error| unopened(path, error))?)
        } else {
            None
        };
        // Taken last: a write while the content was read shows in it.
        let stat_after = fstat(&file).map_err(|error| unopened(path, error))?;
        let pin = Self::of(text, &stat_after, sha256);
        if !pin.is(&stat) {
            Self::of(text, &stat, sha256).expect(&pin)?;
        }
        Ok(Opened { file, pin, head, has })
    }

    /// Opens the file again and refuses unless it is just what was pinned.
    pub(super) fn open_again(&self) -> Result<Opened, ExecError> {
        let opened = Self::open(Path::new(&*self.path), self.sha256.is_some())?;
        self.expect(&opened.pin)?;
        Ok(opened)
    }

    /// Whether the open file still is what was pinned, its content not read again.
    pub(super) fn still(&self, file: impl AsFd) -> bool {
        fstat(file).is_ok_and(|stat| self.is(&stat))
    }

    /// Whether `stat` is of this file, and of nothing that has changed since; the content is not looked at.
    fn is(&self, stat: &Stat) -> bool {
        // No `..` here: a new part must be compared.
        let Self {
            path: _,
            dev,
            ino,
            size,
            mtime_ns,
            changed_ns,
            mode,
            sha256: _,
        } = self;
        let now = Self::of("", stat, None);
        (*dev, *ino, *size, *mode) == (now.dev, now.ino, now.size, now.mode)
            && (*mtime_ns, *changed_ns) == (now.mtime_ns, now.changed_ns)
    }

    fn of(path: &str, stat: &Stat, sha256: Option<Sum>) -> Self {
        Self {
            path: path.into(),
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanos(i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed_ns: nanos(i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
            mode: stat.st_mode,
            sha256,
        }
    }

    /// Refuses, naming what differs, unless `now` is the same file.
    fn expect(&self, now: &Self) -> Result<(), ExecError> {
        if self == now {
            return Ok(());
        }
        // No `..` here: a new part must be compared.
        let Self {
            path,
            dev,
            ino,
            size,
            mtime_ns,
            changed_ns,
            mode,
            sha256,
        } = self;
        let mut differs: Vec<String> = Vec::new();
        let mut note = |same: bool, what: String| {
            if !same {
                differs.push(what);
            }
        };
        note(*path == now.path, format!("path, now `{}`", shown(&now.path)));
        note(
            (*dev, *ino) == (now.dev, now.ino),
            format!("inode {dev}:{ino}, now {}:{}", now.dev, now.ino),
        );
        note(*size == now.size, format!("size {size}, now {}", now.size));
        note(
            *mtime_ns == now.mtime_ns,
            format!("written {}, now {}", moment(*mtime_ns), moment(now.mtime_ns)),
        );
        note(
            *changed_ns == now.changed_ns,
            format!("changed {}, now {}", moment(*changed_ns), moment(now.changed_ns)),
        );
        note(*mode == now.mode, format!("mode {mode:o}, now {:o}", now.mode));
        note(*sha256 == now.sha256, "SHA-256".to_owned());
        Err(ExecError::not_run(
            "pin.changed",
            format!(
                "`{}` is not the file that was pinned: {}",
                shown(path),
                differs.join("; ")
            ),
            "ask again",
        ))
    }
}

impl fmt::Display for FilePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (inode {}:{}, {} bytes, mode {:o}, written {}",
            shown(&self.path),
            self.dev,
            self.ino,
            self.size,
            self.mode & 0o7777,
            moment(self.mtime_ns)
        )?;
        match self.sha256 {
            Some(sum) => write!(f, ", sha256 {sum})"),
            None => f.write_str(")"),
        }
    }
}

fn check_file(path: &Path, stat: &Stat) -> Result<(), ExecError> {
    let refuse = |code, what: &str, help| Err(ExecError::not_run(code, format!("`{}` {what}", place(path)), help));
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return refuse("program.kind", "is not a regular file", "");
    }
    check_owner(path, stat.st_uid)?;
    if stat.st_mode & 0o6000 != 0 {
        return refuse(
            "program.setuid",
            "runs as another user or group than this process, which then could not end it",
            "leave such programs to people",
        );
    }
    if stat.st_mode & 0o022 != 0 {
        return refuse(
            "path.writable",
            "can be written by others",
            "take the right to write from group and others (chmod go-w)",
        );
    }
    if stat.st_mode & 0o111 == 0 {
        return refuse("program.mode", "is not executable", "");
    }
    Ok(())
}

/// Reads the first bytes of a file; how many there are.
fn read_head(file: &mut File, head: &mut [u8]) -> std::io::Result<usize> {
    let mut has = 0;
    while let Some(room) = head.get_mut(has..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(n) => has += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(has)
}

/// The path under which the kernel finds an open file or folder again, whatever its name leads to by now.
pub(super) fn by_descriptor(fd: &impl AsRawFd) -> String {
    let mut path = String::with_capacity(32);
    // Memory takes whatever is written to it.
    let _ = write!(path, "/proc/self/fd/{}", fd.as_raw_fd());
    path
}

/// The same open file under a number that the child's own input and output will not take.
pub(super) fn above_stdio(fd: std::os::fd::OwnedFd) -> rustix::io::Result<std::os::fd::OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

fn hash(file: &File) -> std::io::Result<Sum> {
    use std::os::unix::fs::FileExt;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let n = match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(Sum::new(hasher.finalize().into())),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..n).unwrap_or_default());
        at += n as u64;
    }
}

fn unopened(path: &Path, error: impl Into<std::io::Error>) -> ExecError {
    ExecError::not_run("path.unreadable", format!("cannot read `{}`", place(path)), "").because(error)
}

fn nanos(seconds: i128, nanos: i128) -> i64 {
    i64::try_from(seconds * 1_000_000_000 + nanos).unwrap_or(i64::MAX)
}

fn moment(nanos: i64) -> Timestamp {
    Timestamp::from_millis(nanos.div_euclid(1_000_000))
}
