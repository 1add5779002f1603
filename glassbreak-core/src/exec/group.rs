//! A started program with its process group, and how both are ended.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::task::{Context, Poll, ready};

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

/// The leader of a session and process group of its own, and whoever it started that stayed in the group.
///
/// INVARIANT: the group is signalled only while its leader has not been reaped. Until then no other process can get
/// the leader's number, so a signal never meets strangers. The leader's end is therefore watched through a pidfd,
/// which does not reap.
///
/// Dropped before [`reap`](Self::reap), it kills the group.
pub(super) struct Group {
    id: Pid,
    leader: Box<dyn ChildWrapper>,
    end: AsyncFd<OwnedFd>,
    reaped: bool,
}

/// The parent's ends of a program's pipes.
pub(super) struct Pipes {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

/// Why there is no group.
pub(super) enum Unstarted {
    /// Nothing was executed.
    NotRun(io::Error),
    /// It was executed, could not be watched, and was killed.
    Lost(io::Error),
}

impl Group {
    /// Executes `command` in a new session.
    pub(super) fn spawn(command: Command) -> Result<(Self, Pipes), Unstarted> {
        // Without pidfds (Linux before 5.3, some sandboxes), or on a runtime without I/O, the end of a program cannot be
        // awaited. Find out before anything runs.
        let watch = |id| pidfd_open(id, PidfdFlags::NONBLOCK).or_else(|_| pidfd_open(id, PidfdFlags::empty()));
        let probe = watch(rustix::process::getpid())
            .map_err(io::Error::from)
            .and_then(awaitable);
        drop(probe.map_err(Unstarted::NotRun)?);
        let wrapped = CommandWrap::from(command)
            .wrap(ProcessSession)
            .spawn()
            .map_err(Unstarted::NotRun)?;
        // The wrapper has done its work: a session. Its own way of waiting reaps before the group can be killed.
        let mut leader = wrapped.into_inner();
        let id = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let Some(id) = id else {
            let _ = leader.start_kill();
            return Err(Unstarted::Lost(io::Error::other("the process has no number")));
        };
        let end = watch(id).map_err(io::Error::from).and_then(awaitable);
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                let _ = kill_process_group(id, Signal::KILL);
                return Err(Unstarted::Lost(error));
            }
        };
        let pipes = Pipes {
            stdin: leader.stdin().take(),
            stdout: leader.stdout().take(),
            stderr: leader.stderr().take(),
        };
        let group = Self {
            id,
            leader,
            end,
            reaped: false,
        };
        Ok((group, pipes))
    }

    /// Sends `signal` to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            // Nobody left to signal is what was wanted.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Ready once the leader has ended.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.end.poll_read_ready(cx))?.retain_ready();
        Poll::Ready(Ok(()))
    }

    /// Kills whoever is left in the group, then takes the leader's exit status. To be called once the leader has ended.
    pub(super) async fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.reaped = true;
        self.leader.wait().await
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The descriptor, registered with the runtime.
#[expect(
    deprecated,
    reason = "what replaces it is `unsafe`, for types whose descriptor may be closed under it; an `OwnedFd` keeps its own open"
)]
fn awaitable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
