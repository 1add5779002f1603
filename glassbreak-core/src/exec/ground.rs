//! The workspace on disk: opened once, and everything else looked up beneath it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat, statat};
use rustix::io::Errno;

use super::error::ExecError;
use super::file::{above_stdio, by_descriptor};
use super::folders::place;
use crate::call::Workspace;
use crate::error::shown;

/// A workspace that was opened: a descriptor, which keeps meaning the same folder whatever happens to its name.
///
/// Sharing a workspace with an agent that may write there means that names beneath it can change at any time. What is
/// opened through this value is safe from that; a path that a *program* opens later is not, see
/// [`check_path`](Self::check_path).
#[derive(Debug)]
pub struct WorkspaceDir {
    fd: OwnedFd,
    workspace: Workspace,
    id: (u64, u64),
}

/// Where a path leads, beneath the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The real place relative to the workspace, links followed; empty for the workspace itself. For something that
    /// does not exist yet, where it would come to lie.
    pub path: String,
    /// Whether something is there.
    pub exists: bool,
    /// Whether a link was followed: then `path` is not what the words said, and must be judged itself.
    pub linked: bool,
}

impl WorkspaceDir {
    /// Opens the workspace.
    ///
    /// # Errors
    /// `workspace.link` when a part of its path is a symbolic link, `workspace.unreadable` when it cannot be opened as
    /// a folder.
    pub fn open(workspace: &Workspace) -> Result<Self, ExecError> {
        let path = rooted(workspace);
        let fd = open_no_links(Path::new(path), OFlags::PATH | OFlags::DIRECTORY).map_err(|error| {
            if error == Errno::LOOP {
                ExecError::not_run(
                    "workspace.link",
                    format!("a part of the workspace's path `{}` is a link", shown(path)),
                    "name the workspace by its real path",
                )
            } else {
                ExecError::not_run(
                    "workspace.unreadable",
                    format!("cannot open the workspace `{}`", shown(path)),
                    "",
                )
                .because(error)
            }
        })?;
        let id = identity(&fd, path)?;
        Ok(Self {
            fd,
            workspace: workspace.clone(),
            id,
        })
    }

    /// The path it was opened by.
    pub const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Refuses unless the workspace's path still leads to the folder that was opened, by no link.
    ///
    /// # Errors
    /// `workspace.moved`, or as for [`open`](Self::open).
    pub fn check_in_place(&self) -> Result<(), ExecError> {
        let now = Self::open(&self.workspace)?;
        if now.id == self.id {
            return Ok(());
        }
        Err(ExecError::not_run(
            "workspace.moved",
            format!(
                "`{}` is no longer the folder that was opened",
                shown(rooted(&self.workspace))
            ),
            "open the session anew",
        ))
    }

    /// Opens the folder `cwd` (relative to the workspace, `""` for itself) beneath the workspace, by no link.
    pub(super) fn folder(&self, cwd: &str) -> Result<OwnedFd, ExecError> {
        let path = plain(cwd);
        let fd = open_beneath(self.fd.as_fd(), path, OFlags::PATH | OFlags::DIRECTORY, Links::Refused)
            .map_err(|error| refusal("cwd", cwd, error))?;
        above_stdio(fd).map_err(|error| refusal("cwd", cwd, error))
    }

    /// Where `word`, taken from the folder `cwd` (relative to the workspace), leads now, resolved by the kernel and
    /// never past the workspace. `/dev/null` is taken for itself.
    ///
    /// Call it when judging and again right before running: a link put there between is found. What it cannot close
    /// is the moment after, since the program opens the path itself; only a sandbox, or a workspace that nothing else
    /// writes to, closes that. Hard links are not seen: they look like any file.
    ///
    /// # Errors
    /// `path.outside` when it leads out of the workspace, by a link or otherwise; `path.dangling` when it is a link to
    /// nothing; `path.unreadable` when it cannot be told.
    pub fn check_path(&self, cwd: &str, word: &str) -> Result<Place, ExecError> {
        if word == "/dev/null" {
            return Ok(Place {
                path: word.to_owned(),
                exists: true,
                linked: false,
            });
        }
        let outside = || refusal("path", word, Errno::XDEV);
        let joined = match word.strip_prefix('/') {
            _ if word.is_empty() || word.contains('\0') => return Err(refusal("path", word, Errno::INVAL)),
            None if cwd.is_empty() => word.to_owned(),
            None => format!("{cwd}/{word}"),
            Some(_) => {
                self.check_in_place()?;
                let rest = word.strip_prefix(self.workspace.as_str()).ok_or_else(outside)?;
                if !rest.is_empty() && !rest.starts_with('/') {
                    return Err(outside());
                }
                rest.trim_start_matches('/').to_owned()
            }
        };
        let folder = self.folder(cwd)?;
        drop(folder); // a `cwd` that is a link is refused even where the path would be fine
        self.lead(&joined).map_err(|error| match error {
            Errno::EXIST => ExecError::not_run(
                "path.dangling",
                format!("`{}` is a link to nothing, or goes through one", shown(word)),
                "name the file itself",
            ),
            error => refusal("path", word, error),
        })
    }

    /// `EXIST` stands for a link to nothing.
    fn lead(&self, path: &str) -> Result<Place, Errno> {
        let whole = plain(path);
        let mut upper = whole;
        let mut rest: Vec<&str> = Vec::new();
        loop {
            let linked = match open_beneath(self.fd.as_fd(), upper, OFlags::PATH, Links::Refused) {
                Ok(fd) => return self.placed(&fd, &rest, false),
                Err(Errno::LOOP) => true,
                Err(Errno::NOENT) => false,
                Err(error) => return Err(error),
            };
            if linked {
                match open_beneath(self.fd.as_fd(), upper, OFlags::PATH, Links::Followed) {
                    Ok(fd) => return self.placed(&fd, &rest, true),
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
            // Nothing there: go up to what is, and make sure that the missing name is not a link to nothing.
            let trimmed = upper.trim_end_matches('/');
            let (above, name) = trimmed.rsplit_once('/').unwrap_or((".", trimmed));
            if name.is_empty() || name == "." || name == ".." {
                return Err(Errno::NOENT);
            }
            if let Ok(parent) = open_beneath(self.fd.as_fd(), plain(above), OFlags::PATH, Links::Followed)
                && statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
            {
                return Err(Errno::EXIST);
            }
            rest.push(name);
            upper = plain(above);
        }
    }

    fn placed(&self, fd: &OwnedFd, rest: &[&str], linked: bool) -> Result<Place, Errno> {
        let name = |fd: &OwnedFd| {
            let bytes = readlinkat(CWD, by_descriptor(fd), Vec::new())?;
            bytes.into_string().map_err(|_| Errno::ILSEQ)
        };
        let (root, real) = (name(&self.fd)?, name(fd)?);
        let beneath = if root == "/" {
            Some(&*real)
        } else {
            real.strip_prefix(&*root)
        };
        let mut path = beneath.ok_or(Errno::XDEV)?.trim_start_matches('/').to_owned();
        for part in rest.iter().rev() {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
        }
        Ok(Place {
            path,
            exists: rest.is_empty(),
            linked,
        })
    }
}

/// What to do with symbolic links on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Refused,
    /// As long as they do not lead out.
    Followed,
}

/// Opens a path from the root by no link.
pub(super) fn open_no_links(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    match openat2(
        CWD,
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    ) {
        Err(Errno::NOSYS | Errno::PERM) => {
            let root = openat(
                CWD,
                "/",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let rest = path.strip_prefix("/").map_err(|_| Errno::INVAL)?;
            walk(root, rest, flags)
        }
        other => other,
    }
}

fn open_beneath(root: BorrowedFd<'_>, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        Links::Followed => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    };
    for _ in 0..8 {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename elsewhere met a `..` here: the kernel cannot tell, and asks to be asked again.
            Err(Errno::AGAIN) => {}
            // Before Linux 5.6, or where a sandbox hides the call: by hand, and by no link at all.
            Err(Errno::NOSYS | Errno::PERM) => {
                return walk(
                    root.try_clone_to_owned().map_err(|error| errno(&error))?,
                    path.as_ref(),
                    flags,
                );
            }
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// One part after the other, never through a link and never upwards.
pub(super) fn walk(root: OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut here = root;
    for part in path.components() {
        let Component::Normal(part) = part else {
            match part {
                Component::CurDir => continue,
                _ => return Err(Errno::XDEV),
            }
        };
        here = openat(
            &here,
            part,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if FileType::from_raw_mode(fstat(&here)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    // `here` is what was asked for, opened as `PATH`; only the demand for a folder is left to make.
    if flags.contains(OFlags::DIRECTORY) && FileType::from_raw_mode(fstat(&here)?.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(here)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn plain(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn rooted(workspace: &Workspace) -> &str {
    match workspace.as_str() {
        "" => "/",
        path => path,
    }
}

fn identity(fd: &OwnedFd, path: &str) -> Result<(u64, u64), ExecError> {
    let stat = fstat(fd).map_err(|error| {
        ExecError::not_run("workspace.unreadable", format!("cannot look at `{}`", shown(path)), "").because(error)
    })?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Why a folder or a path is refused; `what` is `cwd` or `path`.
fn refusal(what: &'static str, path: &str, error: Errno) -> ExecError {
    let (outside, link, unreadable) = if what == "cwd" {
        ("cwd.outside", "cwd.link", "cwd.unreadable")
    } else {
        ("path.outside", "path.links", "path.unreadable")
    };
    let path = place(path.as_ref());
    match error {
        Errno::XDEV => ExecError::not_run(
            outside,
            format!("`{path}` leads out of the workspace"),
            "name a place beneath the workspace",
        ),
        Errno::LOOP => ExecError::not_run(
            link,
            format!("`{path}` goes through a symbolic link"),
            "name the place itself",
        ),
        error => ExecError::not_run(unreadable, format!("cannot open `{path}`"), "").because(error),
    }
}
