//! The way of one command: judged, perhaps asked about, run.

use std::future::poll_fn;
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::mpsc;
use std::task::Poll;

use async_trait::async_trait;
use glassbreak_core::audit::{AuditLog, AuditOptions};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Word};
use glassbreak_core::credential::{BrokerError, CredentialBroker, CredentialId, Issued, Order, TakenBack};
use glassbreak_core::error::{shown_once, shown_whole};
use glassbreak_core::exec::{EndedBy, Exit, OutputSink, Ran, Stream};
use glassbreak_core::gate::{AnyPermit, Gate, Session, Verdict};
use glassbreak_core::notify::Tty;
use glassbreak_core::store::MemoryStore;
use glassbreak_sqlite::SqliteStore;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::tell::{UNAVAILABLE, tell_broken, tell_denial};
use super::{Options, ask};
use crate::Failure;

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let actor = actor(options)?;
    let bundle = crate::open(&options.policy)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(unavailable)?;
    let audit = AuditOptions::new().bundle(bundle.digest()).open(&options.audit);
    let audit = audit.map_err(unavailable)?;
    let code = runtime.block_on(until_told(guarded(options, actor, bundle, audit.clone())));
    // What comes after the last record is told by the log's own end; without it the log reads as cut.
    if let Err(error) = audit.close() {
        eprintln!("glassbreak: the audit log was not closed: {error}");
    }
    code.map(ExitCode::from)
}

fn actor(options: &Options) -> Result<Actor, Failure> {
    let word = |option: &str, text: &str| {
        Word::new(text).map_err(|bad| Failure::usage(format!("glassbreak: {option} {}: {bad}", shown_whole(text))))
    };
    let mut actor = Actor::new(word("--role", &options.role)?, word("--session", &options.session)?);
    let principal = options.on_behalf_of.as_deref();
    actor.on_behalf_of = principal.map(|text| word("--on-behalf-of", text)).transpose()?;
    Ok(actor)
}

/// Ends the work when this process is told to end: dropping it ends the program's whole process group.
async fn until_told(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let mut signals: Vec<(u8, Signal)> = Vec::new();
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
        signals.push((128_u8.saturating_add(number), signal(kind).map_err(unavailable)?));
    }
    let mut work = pin!(work);
    poll_fn(|context| {
        for (code, signal) in &mut signals {
            if signal.poll_recv(context).is_ready() {
                eprintln!(
                    "glassbreak: told to end; the command, if it had begun, was ended, and nobody knows how far it came"
                );
                return Poll::Ready(Ok(*code));
            }
        }
        work.as_mut().poll(context)
    })
    .await
}

/// This command makes no credentials: what `credentials.toml` hands one is refused, and all else goes on.
#[derive(Debug)]
struct Unhanded;

#[async_trait]
impl CredentialBroker for Unhanded {
    fn kind(&self) -> &str {
        "none"
    }

    async fn issue(&self, _: &Order) -> Result<Issued, BrokerError> {
        Err(BrokerError::new(
            "`glassbreak exec` makes no credentials; run it from a host that has a broker",
        ))
    }

    async fn revoke(&self, _: CredentialId) -> Result<TakenBack, BrokerError> {
        Ok(TakenBack::Gone)
    }
}

async fn guarded(options: &Options, actor: Actor, bundle: Bundle, audit: AuditLog) -> Result<u8, Failure> {
    let names: Vec<Word> = bundle.credentials().names().cloned().collect();
    // Whoever shares the store answers by `glassbreak approve`; without one it is said, where somebody should be asked.
    let mut builder = Gate::builder(bundle).audit(audit).answered_elsewhere();
    builder = match &options.store {
        Some(path) => {
            out_of_reach(path, &options.workspace)?;
            builder.store(SqliteStore::open(path).await.map_err(unavailable)?)
        }
        None => builder.store(MemoryStore::new()),
    };
    for name in names {
        builder = builder.broker(name, Unhanded);
    }
    for folder in &options.program_dir {
        builder = builder.program_dir(std::path::absolute(folder)?);
    }
    let here = (options.ask || options.resume.is_some()) && Tty::open().is_ok();
    if here {
        builder = builder.notifier(ask::Here::of(&actor));
    }
    let gate = builder.build().await.map_err(unavailable)?;
    let session = gate.session(actor).workspace(&options.workspace);
    let session = session.map_err(|error| Failure::usage(format!("glassbreak: --workspace: {error}")))?;
    let permit = match &options.resume {
        Some(ticket) => ask::resume(&session, ticket).await?,
        None => match judge(options, &session).await {
            Verdict::Allow(permit) => Ok(permit),
            Verdict::Ask(escalation) => ask::ask(options, *escalation, here).await,
            Verdict::Deny(denial) => Err(tell_denial(&denial)),
        },
    };
    let permit = match permit {
        Ok(AnyPermit::Exec(permit)) => permit,
        Ok(AnyPermit::Tool(permit)) => {
            permit.forgo().await;
            return Err(unavailable("the permit is of another kind than the call"));
        }
        Err(code) => return Ok(code),
    };
    let (mut sink, written) = Writer::start();
    let ended = permit.exec_into(&mut sink).await;
    drop(sink);
    let _ = written.await;
    Ok(match ended {
        Ok(ran) => code_of(&ran),
        Err(broken) => tell_broken(&broken),
    })
}

/// A store in the workspace could be changed by the agent whose calls it counts.
fn out_of_reach(store: &Path, workspace: &Path) -> Result<(), Failure> {
    let store = std::path::absolute(store)?;
    let folder = store.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    let workspace = std::fs::canonicalize(workspace).ok();
    // What is not there is told by whoever opens it.
    if let (Some(folder), Some(workspace)) = (folder, workspace)
        && folder.starts_with(workspace)
    {
        let why = "glassbreak: --store: it lies in the workspace, where the agent could change it";
        return Err(Failure::usage(why));
    }
    Ok(())
}

async fn judge(options: &Options, session: &Session) -> Verdict {
    let words = options.command.iter().map(String::as_str);
    match &options.because {
        Some(reason) => session.because(reason).exec(words).check().await,
        None => session.exec(words).check().await,
    }
}

pub(super) fn unavailable(why: impl std::fmt::Display) -> Failure {
    Failure {
        message: format!("glassbreak: not run: {}", shown_once(&why.to_string())),
        code: UNAVAILABLE,
    }
}

/// The command's own end; one that the guard brought about is told.
fn code_of(ran: &Ran) -> u8 {
    let why = match &ran.ended_by {
        EndedBy::Finished => None,
        EndedBy::TimedOut => Some("it ran too long".to_owned()),
        EndedBy::OutputLimit => Some("it wrote too much".to_owned()),
        EndedBy::Cancelled(cancelled) => Some(shown_once(cancelled.reason())),
    };
    if let Some(why) = why {
        eprintln!("glassbreak: the command was ended: {why}");
    }
    match ran.exit {
        Exit::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Exit::Signal(signal) => u8::try_from(signal).unwrap_or_default().saturating_add(128),
    }
}

/// Hands the command's output to a thread that writes it, so that whoever reads slowly, or not at all, holds up
/// neither limits nor locks. The limit on output bounds what waits.
struct Writer(mpsc::Sender<(Stream, Vec<u8>)>);

impl Writer {
    /// The sink, and what is ready when all was written.
    fn start() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = mpsc::channel();
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || {
            write(&receiver);
            let _ = done.send(());
        });
        (Self(sender), written)
    }
}

impl OutputSink for Writer {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let _ = self.0.send((stream, bytes.to_owned()));
    }
}

/// A stream whose reader has gone is dropped; the command goes on, since it may be in the midst of its work.
fn write(chunks: &mpsc::Receiver<(Stream, Vec<u8>)>) {
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    for (stream, bytes) in chunks {
        let out: &mut dyn Write = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        if let Err(error) = out.write_all(&bytes).and_then(|()| out.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            eprintln!("glassbreak: output of the command was lost: {error}");
        }
    }
}
