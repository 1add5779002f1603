//! Follows a path as the kernel would, and looks at everyone who could make it lead elsewhere.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

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
    let mut left: Vec<OsString> = Vec::new();
    push(&mut left, path);
    let mut real = PathBuf::from("/");
    let Some(mut here) = look(&real)? else { return Ok(None) };
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == "/" {
            real = PathBuf::from("/");
            here = look(&real)?.ok_or_else(|| gone(&real))?;
            continue;
        }
        if part == ".." {
            real.pop();
            here = look(&real)?.ok_or_else(|| gone(&real))?;
            continue;
        }
        if !here.is_dir() {
            return Ok(None);
        }
        let next = real.join(&part);
        let Some(found) = look(&next)? else { return Ok(None) };
        check_owner(&real, here.uid())?;
        let open = here.mode() & WRITABLE != 0;
        if open && !(here.mode() & STICKY != 0 && found.is_dir()) {
            return Err(ExecError::not_run(
                "path.writable",
                format!(
                    "others may write to `{}`, so what `{}` is could change at any time",
                    place(&real),
                    place(&next)
                ),
                "take the right to write from group and others (chmod go-w)",
            ));
        }
        if found.is_symlink() {
            check_owner(&next, found.uid())?;
            links += 1;
            if links > MOST_LINKS {
                return Err(ExecError::not_run(
                    "path.links",
                    format!("`{}` leads through more than 40 links", place(path)),
                    "name the program by a shorter way",
                ));
            }
            let target = fs::read_link(&next).map_err(|error| unreadable(&next, error))?;
            push(&mut left, &target);
            continue;
        }
        real = next;
        here = found;
    }
    check_owner(&real, here.uid())?;
    Ok(Some((real, here)))
}

/// Puts the parts of `path` on the stack, the first on top.
fn push(left: &mut Vec<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(part) => left.push(part.to_owned()),
            Component::ParentDir => left.push("..".into()),
            Component::RootDir => left.push("/".into()),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// Root and this process's own user may own what is run, and the folders on the way to it.
pub(super) fn check_owner(path: &Path, uid: u32) -> Result<(), ExecError> {
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
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
