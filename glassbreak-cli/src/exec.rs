//! `glassbreak exec`: one real command, under the guard.

use std::path::PathBuf;

/// Judges one command and, where nothing objects, runs it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "running programs is built for Linux only")
)]
pub(crate) struct Options {
    /// The policy folder to judge by.
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,
    /// The folder of the audit log; made when it is not there.
    #[arg(long, value_name = "DIR")]
    audit: PathBuf,
    /// The folder that the command runs in and must stay beneath.
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// A folder to look for programs in, before the system's own. $PATH is never read.
    #[arg(long, value_name = "DIR")]
    program_dir: Vec<PathBuf>,
    /// The agent's role, as the policy folder names it.
    #[arg(long, value_name = "R")]
    role: String,
    /// The session that the call belongs to.
    #[arg(long, value_name = "S")]
    session: String,
    /// Whom the agent acts for.
    #[arg(long, value_name = "P")]
    on_behalf_of: Option<String>,
    /// The agent's own words for why: recorded as unverified, never judged.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// The file of the store that counts, requests, grants and locks live in, shared with other processes; made when it is
    /// not there. Without it they live in memory and end with this run.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Where people must agree, ask them and wait: at this terminal, where there is one, and through the store.
    #[arg(long)]
    ask: bool,
    /// Come back to a call that waits for people, by the ticket that --ask printed, as the same agent and session.
    #[arg(long, value_name = "TICKET", requires = "store", conflicts_with = "command")]
    resume: Option<String>,
    /// The program's bare name and its words. No shell reads them.
    #[arg(last = true, required_unless_present = "resume", value_name = "COMMAND")]
    command: Vec<String>,
}

const EXIT: &str = "\
The command runs in the workspace, with an empty input and an environment built from nothing. Its output comes as it is
written; why it was refused goes to standard error. After 5 minutes, or 8 MiB on one stream, it is ended.

Exit status: the command's own, or 128+n when signal n ended it; otherwise
    2  wrong usage, or a policy folder that does not load
  120  refused; also where people must agree and were not asked (--ask), said no, or did not answer in time
  121  the permit expired before the command was started
  122  the guard could not do its work: no audit log, no such program, a store that is silent
A command may itself end with one of these; a line that begins with `glassbreak:` on standard error tells them apart.

Without --store counts, loops and locks live in memory, so each run begins with none: a budget does not add up over
several runs, and only this terminal can answer. With it, `glassbreak approve` answers from another terminal; this run
waits until the deadline, and may be ended meanwhile: the request stays open, and --resume comes back to it.";

#[cfg(not(target_os = "linux"))]
pub(crate) fn run(_options: &Options) -> Result<std::process::ExitCode, crate::Failure> {
    Err(crate::Failure::usage(
        "glassbreak: running programs is built for Linux only",
    ))
}

#[cfg(target_os = "linux")]
mod ask;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod tell;

#[cfg(target_os = "linux")]
pub(crate) use self::run::run;
