//! `glassbreak audit`: verifies the audit log, and tells what is in it.

mod show;
mod verify;

use std::io;
use std::process::ExitCode;

use clap::Subcommand;
use glassbreak_core::audit::AuditError;

use crate::Failure;

/// Verify the audit log, or read it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that nothing in an audit log was changed, removed, moved or put in.
    Verify(verify::Options),
    /// Tell what happened, by time, over all chains of a log.
    Show(show::Show),
    /// Tell what happened last, and what happens now.
    Tail(show::Tail),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.command {
        Command::Verify(options) => verify::run(options),
        Command::Show(options) => quiet(show::show(options)),
        Command::Tail(options) => quiet(show::tail(options)),
    }
}

/// Something was tampered with.
const TAMPERED: u8 = 1;
/// A chain was cut.
const CUT: u8 = 3;

/// A folder that cannot be read says nothing of tampering: it is wrong usage.
fn unreadable(error: &AuditError) -> Failure {
    Failure::usage(format!("glassbreak: {error}"))
}

/// Whoever reads our output may stop when they have seen enough.
fn quiet(result: Result<ExitCode, Stop>) -> Result<ExitCode, Failure> {
    match result {
        Ok(code) => Ok(code),
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(Stop::Output(error)) => Err(Failure::usage(format!("glassbreak: {error}"))),
        Err(Stop::Failure(failure)) => Err(failure),
    }
}

/// Why telling ended early.
enum Stop {
    Output(io::Error),
    Failure(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<AuditError> for Stop {
    fn from(error: AuditError) -> Self {
        Self::Failure(unreadable(&error))
    }
}
