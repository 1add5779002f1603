//! What really happens to real files and processes.

mod ending;
mod grounds;
mod pinning;
mod running;
mod scripts;
mod whole_process;

use std::fs;
use std::future::{Future, pending};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::argv::ExecPlan;
use crate::call::{Argv, Exec, Workspace};

/// A scratch folder with a folder of programs and a workspace; removed when dropped.
struct Scratch {
    root: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("glassbreak-exec-{}-{n}", std::process::id()));
        let root = {
            fs::create_dir(&root).unwrap();
            fs::canonicalize(&root).unwrap()
        };
        for folder in [root.clone(), root.join("bin"), root.join("work")] {
            let _ = fs::create_dir(&folder);
            mode(&folder, 0o755);
        }
        Self { root }
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    fn work(&self, name: &str) -> PathBuf {
        self.root.join("work").join(name)
    }

    /// The folder of programs, and the system's.
    fn dirs(&self) -> ProgramDirs {
        ProgramDirs::new().program_dir(self.root.join("bin")).unwrap()
    }

    /// A copy of a system program. Copied by `cp`: were this process to write it, a child forked meanwhile by another
    /// test would hold it open for writing, and the kernel would not execute it.
    fn copy(&self, program: &str, name: &str) -> PathBuf {
        let from = fs::canonicalize(Path::new("/bin").join(program)).unwrap();
        let to = self.bin(name);
        sh(&format!(
            "cp {} {} && chmod 755 {}",
            from.display(),
            to.display(),
            to.display()
        ));
        to
    }

    fn ground(&self) -> WorkspaceDir {
        WorkspaceDir::open(&self.workspace()).unwrap()
    }

    fn workspace(&self) -> Workspace {
        Workspace::new(self.root.join("work").to_str().unwrap()).unwrap()
    }

    async fn run(&self, words: &[&str]) -> (Ran, Collected) {
        self.run_with(plan(words), Limits::default(), pending()).await
    }

    async fn run_with(
        &self,
        plan: ExecPlan,
        limits: Limits,
        cancel: impl Future<Output = Cancelled> + Send,
    ) -> (Ran, Collected) {
        let pin = Pin::take(&self.dirs(), plan.program(), false).unwrap();
        let mut sink = Collected::default();
        let ran = Runner::new()
            .run(&plan, &pin, &self.ground(), limits, cancel, &mut sink)
            .await
            .unwrap();
        (ran, sink)
    }

    /// What a pinned program's run is refused with.
    async fn refusal(&self, plan: ExecPlan, pin: &Pin, ground: &WorkspaceDir) -> ExecError {
        Runner::new()
            .run(&plan, pin, ground, Limits::default(), pending(), &mut Discard)
            .await
            .unwrap_err()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn plan(words: &[&str]) -> ExecPlan {
    ExecPlan::as_it_came(&exec(words), "", None)
}

fn exec(words: &[&str]) -> Exec {
    Exec::new(Argv::new(words.iter().copied()).unwrap())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn sh(script: &str) {
    let status = Command::new("/bin/sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The processes of a group that still run (the dead that nobody has reaped do not count).
fn living(group: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let (state, pgrp) = (fields.next().unwrap(), fields.nth(1).unwrap());
        if pgrp == group.to_string() && !matches!(state, "Z" | "X") {
            found.push(pid);
        }
    }
    found
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A test that cannot run here says so.
fn not_run(test: &str, why: &str) {
    eprintln!("NOT RUN: {test}: {why}");
}
