//! `glassbreak`: the guard for people, scripts and other languages.
//!
//! It judges calls, explains verdicts, runs one command under the guard (`glassbreak exec`), lets people answer what agents
//! ask (`pending`, `approve`, `deny`) and stop them (`lock`, `revoke`), and reads the audit log. Only `exec` runs a
//! program; no program needs to be installed.

/// `println!`, but ends quietly when nobody reads any more, as in `glassbreak schema cedar | head`.
macro_rules! say {
    ($($words:tt)*) => { crate::style::say(format_args!($($words)*)) };
}

mod audit;
mod check;
#[cfg(target_os = "linux")]
mod desk;
mod exec;
mod explain;
mod learn;
mod lint;
mod new;
mod schema;
mod snippet;
mod stats;
mod style;
mod test;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::Workspace;

use crate::style::Style;

/// Judge, explain, test and run the calls of AI agents against a policy folder.
#[derive(Debug, Parser)]
#[command(name = "glassbreak", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge calls: JSON Lines in, one verdict per line out, in order.
    Check(check::Options),
    /// Show how one call is read, what each rule says of it, and what would be allowed.
    Explain(explain::Options),
    /// Run one command under the guard: judged, recorded, and only then started.
    Exec(exec::Options),
    #[cfg(target_os = "linux")]
    Pending(desk::Pending),
    #[cfg(target_os = "linux")]
    Show(desk::Show),
    #[cfg(target_os = "linux")]
    Approve(desk::Approve),
    #[cfg(target_os = "linux")]
    Deny(desk::Deny),
    #[cfg(target_os = "linux")]
    Revoke(desk::Revoke),
    #[cfg(target_os = "linux")]
    Lock(desk::Lock),
    #[cfg(target_os = "linux")]
    Unlock(desk::Unlock),
    #[cfg(target_os = "linux")]
    Locks(desk::Locks),
    /// Check a policy folder and run its tests.
    Test(test::Options),
    /// Make a policy folder to start from.
    New(new::Options),
    /// Print the schema of calls, verdicts, profiles, budgets, or of a folder's Cedar policies and tools.
    Schema(schema::Options),
    /// Verify the audit log, or tell what is in it.
    Audit(audit::Options),
    /// Look for holes in the profiles and tools of a policy folder.
    Lint(lint::Options),
    /// Propose limits from what rules that are only observed have counted, or profiles from calls that were made.
    Learn(learn::Options),
    /// Tell how people answer: how long they take, how often they agree.
    Stats(stats::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(options) => check::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Exec(options) => exec::run(&options),
        #[cfg(target_os = "linux")]
        Command::Pending(options) => desk::pending(&options),
        #[cfg(target_os = "linux")]
        Command::Show(options) => desk::show(&options),
        #[cfg(target_os = "linux")]
        Command::Approve(options) => desk::approve(&options),
        #[cfg(target_os = "linux")]
        Command::Deny(options) => desk::deny(&options),
        #[cfg(target_os = "linux")]
        Command::Revoke(options) => desk::revoke(&options),
        #[cfg(target_os = "linux")]
        Command::Lock(options) => desk::lock(&options),
        #[cfg(target_os = "linux")]
        Command::Unlock(options) => desk::unlock(&options),
        #[cfg(target_os = "linux")]
        Command::Locks(options) => desk::locks(&options),
        Command::Test(options) => test::run(&options),
        Command::New(options) => new::run(&options),
        Command::Schema(options) => schema::run(&options),
        Command::Audit(options) => audit::run(&options),
        Command::Lint(options) => lint::run(&options),
        Command::Learn(options) => learn::run(&options),
        Command::Stats(options) => stats::run(&options),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("{}", failure.message);
        ExitCode::from(failure.code)
    })
}

/// Why a command could not do its work: 1 for input and output, 2 for wrong usage or a folder that does not load, and
/// what `exec` says.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            message: format!("glassbreak: {error}"),
            code: 1,
        }
    }
}

/// Loads a policy folder, or says everything that is wrong with it, and shows where.
fn open(policy: &Path) -> Result<Bundle, Failure> {
    let style = Style::of_stderr();
    Bundle::open(policy).map_err(|problems| {
        let told: Vec<String> = problems
            .iter()
            .map(|problem| snippet::of(problem, policy, style))
            .collect();
        unread(&told, policy)
    })
}

/// As [`open`]; where a program reads the answer (`json`), problems are told as they are, without colour or lines of the
/// files.
fn open_for(policy: &Path, json: bool) -> Result<Bundle, Failure> {
    if !json {
        return open(policy);
    }
    Bundle::open(policy).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        unread(&told, policy)
    })
}

fn unread(problems: &[String], policy: &Path) -> Failure {
    let count = problems.len();
    let many = if count == 1 { "problem" } else { "problems" };
    Failure::usage(format!(
        "{}\n{}: {count} {many}; nothing was judged",
        problems.join("\n"),
        policy.display()
    ))
}

/// The workspace: the folder given, or the current one.
fn workspace(given: Option<&PathBuf>) -> Result<Workspace, Failure> {
    let path = match given {
        Some(path) => std::path::absolute(path)?,
        None => std::env::current_dir()?,
    };
    let text = path
        .to_str()
        .ok_or_else(|| Failure::usage("the workspace's path is not UTF-8"))?;
    Workspace::new(text).map_err(|bad| Failure::usage(format!("--workspace {text}: {bad}")))
}
