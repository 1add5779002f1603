//! A temporary folder for one run of an example.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that only its owner can enter; removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty one.
    ///
    /// # Errors
    /// When the folder for temporary files takes no more.
    pub fn new(name: &str) -> io::Result<Self> {
        // Without links on the way: a workspace is not reached through one.
        let temp = fs::canonicalize(std::env::temp_dir())?;
        let process = std::process::id();
        // A run that was killed has left its folder, and its process id may come again.
        let free = (0..100).find_map(|n: u32| {
            let path = temp.join(format!("glassbreak-{name}-{process}-{n}"));
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                made => Some(made.map(|()| Self(path))),
            }
        });
        free.unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves it where it is, for whoever wants to look into it.
    pub fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// When it is there, or cannot be made.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Programs are run, and logs written, only where nobody else may write.
fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Copies a folder with everything in it.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    make(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
