//! Runs what was judged: just that file, with just those words, in a place and an environment made for it.
//!
//! # What holds
//! - **The program** is found by its bare name in fixed folders ([`ProgramDirs`]), never by `$PATH`, and pinned
//!   ([`Pin`]): path, device, inode, size, times, mode, and its SHA-256 where asked for. It and every folder on the way
//!   belong to root or to this process's user, and nobody else may write there. Right before the start all of this is
//!   checked again on the opened file, and that opened file is executed (`/proc/self/fd/N`), so a swap in between is
//!   refused and a file put in its place at the last moment is not run. Whatever happens to the old file in that last
//!   moment shows in its change time, which is looked at once more after the start: then it is killed.
//! - **ELF only.** A script's first line would start a program that nobody judged. [`Pin::take_script`] pins both.
//! - **The working folder** is opened beneath the workspace by no symbolic link, and entered by its descriptor
//!   ([`WorkspaceDir`]). Paths among the words are for the gate to check ([`WorkspaceDir::check_path`]).
//! - **The environment** is built from nothing: `PATH` (the system's folders), `HOME`, `LANG=C.UTF-8`, `TERM=dumb`,
//!   `NO_COLOR=1` and what the plan says. Its input is null or the plan's bytes; its output goes to the host as it
//!   comes ([`OutputSink`]) and is recorded by length and SHA-256. None of our descriptors above 2 reaches it.
//! - **Its end is ours.** It leads a session and process group of its own, without a terminal. Whoever is in that group
//!   is ended with it: on its own end, on a limit, when cancelled, when the future is dropped.
//!
//! # What does not
//! - A process that leaves the group (`setsid`, a daemon, a shell's job control) lives on, and so does one that became
//!   another user; so does the group when this process is itself killed with SIGKILL. Only a cgroup, a pid namespace or a
//!   parent-death signal closes that, and none of them is built: put them around this process.
//! - A script is given to its interpreter by path: whoever may write to its folder (root and this user) can swap it
//!   between the check and the moment the interpreter opens it.
//! - Without a home of its own ([`Runner::home`]) a program's home is the workspace: settings that an agent writes
//!   there (`.gitconfig`, `.jq`) are then the program's settings. Name an empty folder; a `Gate` names one that does not
//!   exist, unless its builder is given another.
//! - Mounts beneath the workspace are crossed, and hard links look like any file.
//! - Whoever runs as this process's user can write to that user's own programs, and to this process itself: run tools
//!   as another user, and let root own the programs.
//! - Shared libraries, configuration and plugins that a program loads are not pinned.
//! - Descriptors that the host itself left inheritable reach the child: see [`inheritable`].
//! - Limits on memory, processor and number of processes, and the umask, are this process's own.
//! - The kernel shows the process by its descriptor's number in `/proc/<pid>/comm`; `cmdline` and `exe` are right.
//!
//! # Where the rules come from
//! Fixed folders, ownership and permission of the whole path: sudo's `secure_path` and OpenSSH's `StrictModes`.
//! Running the descriptor: `fexecve(3)`. Beneath, by no link: `openat2(2)`. New session: `setsid(2)`. Environment from
//! nothing: sudo's `env_reset`. Both path and name in the pin: programs of many names in one file.
//!
//! # Codes of refusal
//! [`ExecError::code`] is one of `cancelled`, `cwd.link`, `cwd.outside`, `cwd.unreadable`, `dir.relative`,
//! `env.loader`, `home.relative`, `lost`, `path.dangling`, `path.links`, `path.outside`, `path.owner`,
//! `path.unreadable`, `path.writable`, `pin.changed`, `pin.swapped`, `pin.unread`, `plan.program`,
//! `program.elsewhere`, `program.format`, `program.kind`, `program.missing`, `program.mode`, `program.name`,
//! `program.path`, `program.script`, `program.setuid`, `runtime`, `script.interpreter`, `script.line`, `script.none`,
//! `spawn`, `undead`, `workspace.link`, `workspace.moved`, `workspace.unreadable`.

mod descriptors;
mod elf;
mod environment;
mod error;
mod file;
mod folders;
mod ground;
mod group;
mod limits;
mod output;
mod pin;
mod programs;
mod run;
mod script;
mod sum;
#[cfg(test)]
mod tests;

pub use self::descriptors::{Inheritable, inheritable};
pub use self::error::{Effect, ExecError};
pub use self::file::FilePin;
pub use self::ground::{Place, WorkspaceDir};
pub use self::limits::{Cancelled, EndedBy, Exit, Limits, Ran, StreamRecord};
pub use self::output::{Collected, Discard, OutputSink, Stream};
pub use self::pin::{Pin, ScriptPin};
pub use self::programs::{ProgramDirs, SYSTEM_DIRS};
pub use self::run::Runner;
pub use self::sum::Sum;
