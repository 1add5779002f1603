//! A started program with its process group, and how both are ended.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus};
use std::task::{Context, Poll, ready};

use process_wrap::std::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

/// The leader of a session and process group of its own, and whoever it started that stayed in the group.
///
/// INVARIANT: the group is signalled only while its leader has not been reaped. Until then no other process can get
/// the leader's number, so a signal never meets strangers. The leader's end is therefore watched through a pidfd,
/// which does not reap.
///
/// Dropped before [`reap`](Self::reap), it kills the group.
pub(super) struct Group {
    id: Pid,
    /// `None` once it is reaped.
    leader: Option<Box<dyn ChildWrapper>>,
    end: Option<AsyncFd<OwnedFd>>,
}

/// The parent's ends of a program's pipes.
pub(super) struct Pipes {
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: Option<pipe::Receiver>,
    pub(super) stderr: Option<pipe::Receiver>,
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
    ///
    /// The standard library's `spawn` fails only when nothing was executed. (tokio's also fails when it cannot register
    /// what it has started, and then leaves it running: a failure would prove nothing.)
    pub(super) fn spawn(command: Command) -> Result<(Self, Pipes), Unstarted> {
        // Without pidfds (Linux before 5.3, some sandboxes), or on a runtime without I/O, the end of a program cannot be
        // awaited. Find out before anything runs.
        let probe = watch(rustix::process::getpid());
        drop(probe.map_err(Unstarted::NotRun)?);
        let started = CommandWrap::from(command)
            .wrap(ProcessSession)
            .spawn()
            .map_err(Unstarted::NotRun)?;
        // The wrapper has done its work: a session. Its own way of waiting reaps before the group can be killed.
        let mut leader = started.into_inner();
        let id = i32::try_from(leader.id()).ok().and_then(Pid::from_raw);
        let Some(id) = id else {
            let _ = leader.start_kill();
            return Err(Unstarted::Lost(io::Error::other("the process has no number")));
        };
        let (stdin, stdout, stderr) = (leader.stdin().take(), leader.stdout().take(), leader.stderr().take());
        // From here on a failure drops the group, which kills it.
        let mut group = Self {
            id,
            leader: Some(leader),
            end: None,
        };
        let taken = || -> io::Result<_> {
            let pipes = Pipes {
                stdin: stdin.map(|pipe| pipe::Sender::from_owned_fd(pipe.into())).transpose()?,
                stdout: stdout
                    .map(|pipe| pipe::Receiver::from_owned_fd(pipe.into()))
                    .transpose()?,
                stderr: stderr
                    .map(|pipe| pipe::Receiver::from_owned_fd(pipe.into()))
                    .transpose()?,
            };
            Ok((watch(id)?, pipes))
        };
        let (end, pipes) = taken().map_err(Unstarted::Lost)?;
        group.end = Some(end);
        Ok((group, pipes))
    }

    /// Sends `signal` to every process of the group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.leader.is_some() {
            // Nobody left to signal is what was wanted.
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Ready once the leader has ended.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &self.end {
            ready!(end.poll_read_ready(cx))?.retain_ready();
        }
        Poll::Ready(Ok(()))
    }

    /// Kills whoever is left in the group, then takes the leader's exit status. To be called once the leader has ended;
    /// before, it would block.
    pub(super) fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        match self.leader.take() {
            Some(mut leader) => leader.wait(),
            None => Err(io::Error::other("reaped twice")),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let Some(mut leader) = self.leader.take() else { return };
        if matches!(leader.try_wait(), Ok(None)) {
            // It is about to die, or hangs in the kernel: whoever drops must not wait for that. Without a thread to do
            // so it stays a zombie until this process ends.
            let reaper = std::thread::Builder::new().name("glassbreak-reaper".to_owned());
            drop(reaper.spawn(move || leader.wait()));
        }
    }
}

/// A descriptor that becomes readable when the process ends, registered with the runtime.
#[expect(
    deprecated,
    reason = "what replaces it is `unsafe`, for types whose descriptor may be closed under it; an `OwnedFd` keeps its own open"
)]
fn watch(id: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd_open(id, PidfdFlags::empty())?, Interest::READABLE)
}
