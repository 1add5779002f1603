//! What these tests share.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A new folder that only we may use, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

#[allow(
    dead_code,
    clippy::allow_attributes,
    reason = "not every test binary needs all of it"
)]
impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "glassbreak-sqlite-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("store.db")
    }

    /// A folder that stays until the process that made it is gone, and another test runs.
    pub(crate) fn kept() -> PathBuf {
        for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
            let name = entry.file_name();
            let of = name
                .to_str()
                .and_then(|name| name.strip_prefix("glassbreak-sqlite-")?.split('-').next()?.parse().ok());
            if of.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let scratch = Self::new();
        let path = scratch.0.clone();
        let _ = std::mem::ManuallyDrop::new(scratch);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
