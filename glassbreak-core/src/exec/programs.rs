//! Where programs are found.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::error::ExecError;
use super::folders::{follow, place};
use crate::error::shown;

/// The system's folders, fixed here: `$PATH` belongs to whoever started the process, and is never read.
pub const SYSTEM_DIRS: [&str; 6] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
];

/// The folders that programs are looked for in: those the host adds, in order, then [`SYSTEM_DIRS`].
///
/// The host's come first because adding one is a decision in code, made to be followed: a stand-in must win over the
/// program it stands in for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramDirs {
    added: Vec<PathBuf>,
}

impl ProgramDirs {
    /// The system's folders alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more folder, looked at before the system's.
    ///
    /// # Errors
    /// `dir.relative` when the path is not absolute. Whether the folder is safe to take programs from is found out
    /// whenever one is taken.
    pub fn program_dir(mut self, path: impl Into<PathBuf>) -> Result<Self, ExecError> {
        let path = path.into();
        if !path.is_absolute() {
            return Err(ExecError::not_run(
                "dir.relative",
                format!("the folder `{}` is not absolute", place(&path)),
                "name folders of programs from the root",
            ));
        }
        self.added.push(path);
        Ok(self)
    }

    /// The folders, in the order they are looked at.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.added
            .iter()
            .map(PathBuf::as_path)
            .chain(SYSTEM_DIRS.iter().map(Path::new))
    }

    /// The file that `name` stands for: that of the first folder that has one, links followed.
    ///
    /// A folder that has the name and is not safe ends the search with a refusal; the next one is not tried.
    pub(super) fn find(&self, name: &str) -> Result<(PathBuf, Metadata), ExecError> {
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(ExecError::not_run(
                "program.name",
                format!("`{}` is not the bare name of a program", shown(name)),
                "name the program without a path",
            ));
        }
        for folder in self.iter() {
            if let Some(found) = follow(&folder.join(name))? {
                return Ok(found);
            }
            // A link to nothing is there, and is not passed over.
            if follow(folder)?.is_some_and(|(real, _)| real.join(name).is_symlink()) {
                return Err(ExecError::not_run(
                    "program.missing",
                    format!("`{}` is a link to nothing", place(&folder.join(name))),
                    "install the program, or remove the link",
                ));
            }
        }
        let folders: Vec<String> = self.iter().map(place).collect();
        Err(ExecError::not_run(
            "program.missing",
            format!("there is no `{}` in {}", shown(name), folders.join(", ")),
            "install it, or add its folder in code with `program_dir`",
        ))
    }
}
