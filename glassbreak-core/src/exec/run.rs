//! Runs a plan to its end.

use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::pin::{Pin as Pinned, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWrite;
use tokio::net::unix::pipe;
use tokio::time::Sleep;

use super::environment;
use super::error::ExecError;
use super::file::by_descriptor;
use super::ground::WorkspaceDir;
use super::group::{Group, Pipes, Unstarted};
use super::limits::{Cancelled, EndedBy, Exit, Limits, Ran};
use super::output::{Flow, OutputSink, Stream, Tap};
use super::pin::{Pin, Ready};
use crate::argv::ExecPlan;
use crate::clock::Timestamp;
use crate::error::shown;

/// How long a killed process may take to be gone before that is an error: it hangs in the kernel.
const DEATH: Duration = Duration::from_secs(5);
/// A longer grace is cut to this: a day.
const MOST_GRACE: Duration = Duration::from_secs(86_400);
/// How long output may still come once the program has ended and its group was killed: only a process that left the
/// group can then hold the pipe.
const DRAIN: Duration = Duration::from_millis(250);
const BUFFER: usize = 64 * 1024;

/// Runs plans: see the [module](super) for what it holds to.
#[derive(Debug, Clone, Default)]
pub struct Runner {
    home: Option<Box<str>>,
}

impl Runner {
    /// A runner whose programs have the workspace for their home.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this folder as the programs' home. It should be empty and belong to nobody else: many programs read
    /// settings, and through them code, from it. That is up to the host, and not looked at.
    ///
    /// # Errors
    /// `home.relative` when the path is not absolute.
    pub fn home(mut self, path: &str) -> Result<Self, ExecError> {
        if !path.starts_with('/') || path.contains('\0') {
            return Err(ExecError::not_run(
                "home.relative",
                format!("the home `{}` is not absolute", shown(path)),
                "name it from the root",
            ));
        }
        self.home = Some(path.into());
        Ok(self)
    }

    /// Runs `plan` as the program that `pin` says, and waits for its end.
    ///
    /// Everything is checked again first: the pin, the workspace, the working folder. Then the very files and folders
    /// that were checked are used, by their descriptors. `cancel` is polled before the start (then nothing runs) and
    /// all along; a future that never completes never cancels. Dropping the returned future kills the process group
    /// with SIGKILL.
    ///
    /// # Errors
    /// [`Effect::NotRun`](super::Effect::NotRun): `plan.program` when the pin is of another program, `cancelled`,
    /// `env.loader`, `pin.changed` and whatever [`Pin::take`] refuses, `workspace.*`, `cwd.*`, `spawn` when the
    /// operating system refused, `runtime` outside of tokio. [`Effect::Unknown`](super::Effect::Unknown):
    /// `pin.swapped` when the file was written while it was being started (it was killed), `lost` when the process
    /// could not be followed, `undead` when it did not die within 5 seconds of SIGKILL: it hangs in the kernel, or has
    /// become another user.
    ///
    /// # Panics
    /// On a tokio runtime without I/O or time, before anything runs.
    pub async fn run(
        &self,
        plan: &ExecPlan,
        pin: &Pin,
        ground: &WorkspaceDir,
        limits: Limits,
        cancel: impl Future<Output = Cancelled> + Send,
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, ExecError> {
        self.run_handed(plan, pin, ground, limits, None, cancel, sink).await
    }

    /// As [`run`](Self::run), with one more variable, name and value, which is in no plan: a credential.
    #[expect(
        clippy::too_many_arguments,
        reason = "one more than `run`, of which each is said where it is called"
    )]
    pub(crate) async fn run_handed(
        &self,
        plan: &ExecPlan,
        pin: &Pin,
        ground: &WorkspaceDir,
        limits: Limits,
        handed: Option<(&str, &str)>,
        cancel: impl Future<Output = Cancelled> + Send,
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, ExecError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ExecError::not_run("runtime", "there is no tokio runtime here", ""));
        }
        if pin.name() != plan.program() || plan.argv().next() != Some(plan.program()) {
            return Err(ExecError::not_run(
                "plan.program",
                format!(
                    "the plan runs `{}`, and the pin is of `{}`",
                    shown(plan.program()),
                    shown(pin.name())
                ),
                "this is a fault of the guard; report it",
            ));
        }
        let mut cancel = pin!(cancel);
        let workspace = match ground.workspace().as_str() {
            "" => "/",
            path => path,
        };
        let env = environment::build(self.home.as_deref().unwrap_or(workspace), plan.env().chain(handed))?;
        let ready = open_again(pin).await?;
        ground.check_in_place()?;
        let folder = ground.folder(plan.cwd())?;
        let mut timer = pin!(tokio::time::sleep(limits.timeout));

        let mut command = Command::new(by_descriptor(&ready.program));
        match pin.script() {
            None => command.arg0(plan.program()),
            Some(script) => {
                command.arg0(script.interpreter());
                command.args(script.word());
                command.arg(script.file().path())
            }
        };
        command
            .args(plan.argv().skip(1))
            .env_clear()
            .envs(env)
            .current_dir(by_descriptor(&folder))
            .stdin(if plan.stdin().is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());

        // The last look before the start.
        if let Some(order) = poll_fn(|cx| Poll::Ready(now(cancel.as_mut().poll(cx)))).await {
            return Err(ExecError::not_run(
                "cancelled",
                format!("ended before it began: {}", order.reason()),
                "",
            ));
        }
        let started = Timestamp::now();
        let clock = Instant::now();
        let (group, pipes) = Group::spawn(command).map_err(|unstarted| match unstarted {
            Unstarted::NotRun(error) => ExecError::not_run(
                "spawn",
                format!("`{}` could not be executed", shown(pin.program().path())),
                "",
            )
            .because(error),
            Unstarted::Lost(error) => {
                ExecError::unknown("lost", "the process could not be followed, and was killed", "").because(error)
            }
        })?;
        // Written between the check and the start? From here on the kernel keeps a running program from being written.
        if !pin.still(&ready) {
            return Err(swapped(group, pin).await);
        }
        drop((ready, folder));

        let Pipes { stdin, stdout, stderr } = pipes;
        let mut watch = Watch {
            group,
            feed: stdin.zip(plan.stdin()),
            stdout: Tap::new(Stream::Stdout, stdout, limits.output),
            stderr: Tap::new(Stream::Stderr, stderr, limits.output),
            buffer: vec![0; BUFFER],
            sink,
        };
        let (status, ended_by) = watch.see_out(limits.grace, cancel, timer.as_mut()).await?;
        Ok(Ran {
            exit: exit(status),
            stdout: watch.stdout.record(),
            stderr: watch.stderr.record(),
            started,
            duration: clock.elapsed(),
            ended_by,
        })
    }
}

/// The files again; on a thread of its own where all of them must be read.
async fn open_again(pin: &Pin) -> Result<Ready, ExecError> {
    if pin.program().sha256().is_none() {
        return pin.open_again();
    }
    let pin = pin.clone();
    tokio::task::spawn_blocking(move || pin.open_again())
        .await
        .unwrap_or_else(|_| Err(ExecError::not_run("pin.unread", "the check of the pin broke off", "")))
}

async fn swapped(mut group: Group, pin: &Pin) -> ExecError {
    group.signal(Signal::KILL);
    let gone = async {
        poll_fn(|cx| group.poll_end(cx)).await?;
        group.reap()
    };
    // Whether it is gone or not, the answer is the same.
    let _ = tokio::time::timeout(DEATH, gone).await;
    ExecError::unknown(
        "pin.swapped",
        format!(
            "`{}` was changed while it was being started; it was killed",
            shown(pin.program().path())
        ),
        "find out who writes to it before anything else",
    )
}

/// A running program and all that is watched of it.
struct Watch<'a> {
    group: Group,
    feed: Option<(pipe::Sender, &'a [u8])>,
    stdout: Tap<pipe::Receiver>,
    stderr: Tap<pipe::Receiver>,
    buffer: Vec<u8>,
    sink: &'a mut dyn OutputSink,
}

enum Event {
    Ended,
    Cancelled(Cancelled),
    Timer,
    Over,
    Moved,
}

/// How far the ending of a program has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Asked,
    Killed,
}

impl Watch<'_> {
    async fn see_out<C: Future<Output = Cancelled>>(
        &mut self,
        grace: Duration,
        cancel: Pinned<&mut C>,
        mut timer: Pinned<&mut Sleep>,
    ) -> Result<(ExitStatus, EndedBy), ExecError> {
        let mut cancel = Some(cancel);
        let mut phase = Phase::Running;
        let mut why = None;
        loop {
            let event = poll_fn(|cx| self.poll(cx, &mut cancel, timer.as_mut())).await;
            let (reason, to) = match event.map_err(lost)? {
                Event::Moved => continue,
                Event::Ended => break,
                Event::Over => (EndedBy::OutputLimit, Phase::Asked),
                Event::Cancelled(order) => {
                    cancel = None;
                    let to = if order.at_once() { Phase::Killed } else { Phase::Asked };
                    (EndedBy::Cancelled(order), to)
                }
                Event::Timer => match phase {
                    Phase::Running => (EndedBy::TimedOut, Phase::Asked),
                    Phase::Asked => (EndedBy::TimedOut, Phase::Killed),
                    Phase::Killed => {
                        return Err(ExecError::unknown(
                            "undead",
                            "the process did not die within 5 seconds of being killed",
                            "it hangs in the kernel (look at its disks and mounts), or has become another user",
                        ));
                    }
                },
            };
            why.get_or_insert(reason);
            // What is asked to end is not asked again, and not given more time.
            if phase == Phase::Running && to == Phase::Asked {
                self.group.signal(Signal::TERM);
                // A stopped process gets its signals when it goes on.
                self.group.signal(Signal::CONT);
                timer
                    .as_mut()
                    .reset(tokio::time::Instant::now() + grace.min(MOST_GRACE));
                phase = Phase::Asked;
            } else if to == Phase::Killed && phase != Phase::Killed {
                self.group.signal(Signal::KILL);
                timer.as_mut().reset(tokio::time::Instant::now() + DEATH);
                phase = Phase::Killed;
            }
        }
        let status = self.group.reap().map_err(lost)?;
        self.feed = None;
        timer.as_mut().reset(tokio::time::Instant::now() + DRAIN);
        while !(self.stdout.is_done() && self.stderr.is_done()) {
            match poll_fn(|cx| self.poll_rest(cx, timer.as_mut())).await {
                Event::Timer => break,
                Event::Over => drop(why.get_or_insert(EndedBy::OutputLimit)),
                _ => {}
            }
        }
        Ok((status, why.unwrap_or(EndedBy::Finished)))
    }

    /// The end comes first, so that a program that ended by itself finished, whatever else happened in the same
    /// moment; then the orders to end it, so that no flood of output holds them up.
    fn poll<C: Future<Output = Cancelled>>(
        &mut self,
        cx: &mut Context<'_>,
        cancel: &mut Option<Pinned<&mut C>>,
        timer: Pinned<&mut Sleep>,
    ) -> Poll<io::Result<Event>> {
        if let Poll::Ready(end) = self.group.poll_end(cx) {
            return Poll::Ready(end.map(|()| Event::Ended));
        }
        if let Some(order) = cancel.as_mut().and_then(|cancel| now(cancel.as_mut().poll(cx))) {
            return Poll::Ready(Ok(Event::Cancelled(order)));
        }
        if let Some(event) = now(self.poll_rest(cx, timer)) {
            return Poll::Ready(Ok(event));
        }
        self.poll_feed(cx).map(|()| Ok(Event::Moved))
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>, timer: Pinned<&mut Sleep>) -> Poll<Event> {
        if timer.poll(cx).is_ready() {
            return Poll::Ready(Event::Timer);
        }
        let out = now(self.stdout.poll(cx, &mut self.buffer, self.sink));
        let err = now(self.stderr.poll(cx, &mut self.buffer, self.sink));
        match (out, err) {
            (None, None) => Poll::Pending,
            (Some(Flow::Over), _) | (_, Some(Flow::Over)) => Poll::Ready(Event::Over),
            _ => Poll::Ready(Event::Moved),
        }
    }

    /// Writes what is left of the input, and closes the pipe behind it. A program that does not want it all is free
    /// not to read it.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((pipe, left)) = &mut self.feed else {
            return Poll::Pending;
        };
        if !left.is_empty() {
            match Pinned::new(pipe).poll_write(cx, left) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {
                    *left = left.get(n..).unwrap_or_default();
                    return Poll::Ready(());
                }
                Poll::Ready(_) => {}
            }
        }
        self.feed = None;
        Poll::Ready(())
    }
}

fn now<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn lost(error: io::Error) -> ExecError {
    ExecError::unknown("lost", "the process could not be followed, and was killed", "").because(error)
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        // Only stopped or continued processes have neither, and those are not reported as ended.
        (None, None) => Exit::Code(-1),
    }
}
