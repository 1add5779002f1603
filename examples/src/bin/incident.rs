//! An incident at night, under the guard of `policies/incident`: see `glassbreak_examples::incident`.
//!
//! An agent loops on a crashing pod. It looks, which is free; it deletes, which asks, and then passes for five minutes;
//! the shared budget stops it; a person tells it what to do instead; a command that hangs is ended by the kill switch;
//! and the audit log tells it all again.
//!
//! `kubectl` is a stand-in: this very program under another name, on a cluster that is a folder.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use glassbreak_examples::kubectl;

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    if called.as_deref().map(Path::new).and_then(Path::file_name) == Some(OsStr::new("kubectl")) {
        return kubectl::main();
    }
    told()
}

#[cfg(target_os = "linux")]
fn told() -> ExitCode {
    glassbreak_examples::incident::main()
}

#[cfg(not(target_os = "linux"))]
fn told() -> ExitCode {
    eprintln!("incident: running programs is built for Linux only");
    ExitCode::from(2)
}
