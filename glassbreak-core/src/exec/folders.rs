//! Follows a path as the kernel would, and looks at everyone who could make it lead elsewhere.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::ExecError;
use crate::error::shown;

/// The most links followed, as in the kernel.
const MOST_LINKS: u32 = 40;
const WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Where `path` really lies, links followed one by one; `None` when nothing is there.
///
/// Every folder passed, and every link, must belong to root or to this process's user. A folder that others may write
/// to is passed only if it is sticky and what is taken from it is itself a folder: in a sticky folder nobody may move
/// what is ours, but anybody may put something new, so neither a program nor a link is taken from one.
///
/// # Errors
/// `path.writable`, `path.owner`, `path.links`, `path.unreadable`.
pub(super) fn follow(path: &Path) -> Result<Option<(PathBuf, Metadata)>, ExecError> {
    let mut left = Left::of(path);
    let mut real = PathBuf::with_capacity(path.as_os_str().len() + 1);
    real.push("/");
    let Some(mut here) = look(&real)? else { return Ok(None) };
    let mut links = 0;
    while let Some(part) = left.next() {
        if part == ".." {
            real.pop();
            here = look(&real)?.ok_or_else(|| gone(&real))?;
            continue;
        }
        if !here.is_dir() {
            return Ok(None);
        }
        real.push(part);
        let Some(found) = look(&real)? else { return Ok(None) };
        if !is_trusted(here.uid()) {
            check_owner(above(&real), here.uid())?;
        }
        let open = here.mode() & WRITABLE != 0;
        if open && !(here.mode() & STICKY != 0 && found.is_dir()) {
            return Err(ExecError::not_run(
                "path.writable",
                format!(
                    "others may write to `{}`, so what `{}` is could change at any time",
                    place(above(&real)),
                    place(&real)
                ),
                "take the right to write from group and others (chmod go-w)",
            ));
        }
        if found.is_symlink() {
            check_owner(&real, found.uid())?;
            links += 1;
            if links > MOST_LINKS {
                return Err(ExecError::not_run(
                    "path.links",
                    format!("`{}` leads through more than 40 links", place(path)),
                    "name the program by a shorter way",
                ));
            }
            let target = fs::read_link(&real).map_err(|error| unreadable(&real, error))?;
            if target.is_absolute() {
                real.clear();
                real.push("/");
                here = look(&real)?.ok_or_else(|| gone(&real))?;
            } else {
                real.pop();
            }
            left.lead(target);
            continue;
        }
        here = found;
    }
    check_owner(&real, here.uid())?;
    Ok(Some((real, here)))
}

/// The folder that `path` was taken from.
fn above(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The parts of a path that are still to be gone, without a text for each.
struct Left<'a> {
    path: Cow<'a, [u8]>,
    at: usize,
}

impl<'a> Left<'a> {
    fn of(path: &'a Path) -> Self {
        let path = Cow::Borrowed(path.as_os_str().as_bytes());
        Self { path, at: 0 }
    }

    /// The next part: a name, or `..`.
    fn next(&mut self) -> Option<&OsStr> {
        loop {
            let rest = self.path.get(self.at..)?;
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let part = rest.get(..end)?;
            self.at += end + 1;
            if !part.is_empty() && part != b"." {
                return Some(OsStr::from_bytes(part));
            }
        }
    }

    /// Goes by `target` first, then by what is left.
    fn lead(&mut self, target: PathBuf) {
        let mut path = target.into_os_string().into_vec();
        if let Some(rest) = self.path.get(self.at..) {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
        *self = Self {
            path: Cow::Owned(path),
            at: 0,
        };
    }
}

/// Whether root or this process's own user is meant.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Root and this process's own user may own what is run, and the folders on the way to it.
pub(super) fn check_owner(path: &Path, uid: u32) -> Result<(), ExecError> {
    if is_trusted(uid) {
        return Ok(());
    }
    Err(ExecError::not_run(
        "path.owner",
        format!(
            "`{}` belongs to user {uid}, who could change it at any time",
            place(path)
        ),
        "give it to root, or to the user of this process",
    ))
}

fn look(path: &Path) -> Result<Option<Metadata>, ExecError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn gone(path: &Path) -> ExecError {
    ExecError::not_run(
        "path.unreadable",
        format!("`{}` vanished while it was looked at", place(path)),
        "",
    )
}

fn unreadable(path: &Path, error: std::io::Error) -> ExecError {
    ExecError::not_run("path.unreadable", format!("cannot look at `{}`", place(path)), "").because(error)
}

/// A path as a person may see it.
pub(super) fn place(path: &Path) -> String {
    shown(&path.to_string_lossy())
}
