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
    /// The program's bare name and its words. No shell reads them.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

const EXIT: &str = "\
The command runs in the workspace, with an empty input and an environment built from nothing. Its output comes as it is
written; why it was refused goes to standard error. After 5 minutes, or 8 MiB on one stream, it is ended.

Exit status: the command's own, or 128+n when signal n ended it; otherwise
    2  wrong usage, or a policy folder that does not load
  120  refused, also where a person would have to agree: asking people is not built yet
  121  the permit expired before the command was started
  122  the guard could not do its work: no audit log, no such program, a store that is silent
A command may itself end with one of these; a line that begins with `glassbreak:` on standard error tells them apart.

Counts, loops and locks live in memory, so each run begins with none: a budget does not add up over several runs.";

#[cfg(not(target_os = "linux"))]
pub(crate) fn run(_options: &Options) -> Result<std::process::ExitCode, crate::Failure> {
    Err(crate::Failure::usage(
        "glassbreak: running programs is built for Linux only",
    ))
}

#[cfg(target_os = "linux")]
pub(crate) use linux::run;

#[cfg(target_os = "linux")]
mod linux {
    use std::future::poll_fn;
    use std::io::{self, Write};
    use std::pin::pin;
    use std::process::ExitCode;
    use std::sync::mpsc;
    use std::task::Poll;

    use glassbreak_core::audit::{AuditLog, AuditOptions};
    use glassbreak_core::bundle::Bundle;
    use glassbreak_core::call::{Actor, Word};
    use glassbreak_core::error::{shown_once, shown_whole};
    use glassbreak_core::exec::{EndedBy, Exit, OutputSink, Ran, Stream};
    use glassbreak_core::finding::{Denial, DenialKind, Requirement, RuleId};
    use glassbreak_core::gate::{AnyPermit, Escalation, Failure as Broken, Gate, Session, Verdict};
    use glassbreak_core::store::MemoryStore;
    use tokio::signal::unix::{Signal, SignalKind, signal};
    use tokio::sync::oneshot;

    use super::Options;
    use crate::Failure;

    const REFUSED: u8 = 120;
    const EXPIRED: u8 = 121;
    const UNAVAILABLE: u8 = 122;

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
                    eprintln!("glassbreak: told to end; the command was ended, nobody knows how far it came");
                    return Poll::Ready(Ok(*code));
                }
            }
            work.as_mut().poll(context)
        })
        .await
    }

    async fn guarded(options: &Options, actor: Actor, bundle: Bundle, audit: AuditLog) -> Result<u8, Failure> {
        let mut builder = Gate::builder(bundle).store(MemoryStore::new()).audit(audit);
        for folder in &options.program_dir {
            builder = builder.program_dir(std::path::absolute(folder)?);
        }
        let gate = builder.build().await.map_err(unavailable)?;
        let session = gate.session(actor).workspace(&options.workspace);
        let session = session.map_err(|error| Failure::usage(format!("glassbreak: --workspace: {error}")))?;
        Ok(match judge(options, &session).await {
            Verdict::Allow(AnyPermit::Exec(permit)) => {
                let (mut sink, written) = Writer::start();
                let ended = permit.exec_into(&mut sink).await;
                drop(sink);
                let _ = written.await;
                match ended {
                    Ok(ran) => code_of(&ran),
                    Err(broken) => tell_broken(&broken),
                }
            }
            Verdict::Allow(AnyPermit::Tool(permit)) => {
                permit.forgo().await;
                return Err(unavailable("the permit is of another kind than the call"));
            }
            Verdict::Ask(escalation) => tell_ask(*escalation),
            Verdict::Deny(denial) => tell_denial(&denial),
        })
    }

    async fn judge(options: &Options, session: &Session) -> Verdict {
        let words = options.command.iter().map(String::as_str);
        match &options.because {
            Some(reason) => session.because(reason).exec(words).check().await,
            None => session.exec(words).check().await,
        }
    }

    fn unavailable(why: impl std::fmt::Display) -> Failure {
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

    fn tell_ask(escalation: Escalation) -> u8 {
        let who: Vec<String> = escalation
            .requirements()
            .map(|(_, requirement)| people(requirement))
            .collect();
        let denial = escalation.into_denial();
        eprintln!(
            "glassbreak: not run: a person would have to agree, by {}",
            rules(&denial)
        );
        eprintln!("  why:  {}", shown_once(denial.why()));
        for who in who {
            eprintln!("  who:  {who}");
        }
        eprintln!("  help: asking people is not built yet, so this counts as a refusal");
        hint(&denial);
        REFUSED
    }

    fn people(requirement: &Requirement) -> String {
        let count = requirement.quorum;
        let many = if count == 1 { "person" } else { "persons" };
        match &requirement.group {
            Some(group) => format!("{count} {many} of {group}"),
            None => "nobody is named, so nobody could".to_owned(),
        }
    }

    fn tell_denial(denial: &Denial) -> u8 {
        let (what, code) = meaning(denial);
        eprintln!("glassbreak: {what}, by {}", rules(denial));
        eprintln!("  why:  {}", shown_once(denial.why()));
        hint(denial);
        code
    }

    /// What a refusal comes to, in words and as an exit code.
    fn meaning(denial: &Denial) -> (&'static str, u8) {
        if denial.rules().iter().any(|rule| rule.as_str() == "lock.permit-expired") {
            ("not run: the permit expired", EXPIRED)
        } else if denial.kind() == DenialKind::Unavailable {
            ("not run: something it needs is missing or broke", UNAVAILABLE)
        } else if denial.rules().iter().any(|rule| rule.as_str() == "lock.came") {
            ("ended: a lock came", REFUSED)
        } else {
            ("not run: refused", REFUSED)
        }
    }

    fn tell_broken(broken: &Broken) -> u8 {
        match broken {
            Broken::Denied(denied) => tell_denial(denied.denial()),
            Broken::Exec(error) => {
                let code = error.code();
                let swapped = [
                    "pin.changed",
                    "pin.swapped",
                    "cwd.link",
                    "cwd.outside",
                    "workspace.moved",
                ];
                eprintln!("glassbreak: not run to its end, by exec.{code}");
                eprintln!("  why:  {}", shown_once(error.why()));
                if !error.help().is_empty() {
                    eprintln!("  help: {}", error.help());
                }
                if swapped.contains(&code) { REFUSED } else { UNAVAILABLE }
            }
            other => {
                eprintln!("glassbreak: not run to its end: {}", shown_once(&other.to_string()));
                UNAVAILABLE
            }
        }
    }

    fn rules(denial: &Denial) -> String {
        let rules: Vec<&str> = denial.rules().iter().map(RuleId::as_str).collect();
        rules.join(", ")
    }

    fn hint(denial: &Denial) {
        if !denial.hint().is_empty() {
            eprintln!("  help: {}", shown_once(denial.hint()));
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

    #[cfg(test)]
    mod tests {
        use glassbreak_core::finding::{Finding, Findings, Layer, Ruling};

        use super::*;

        fn denied(finding: Finding) -> u8 {
            let lock = vec![finding];
            let ruling = Ruling::combine(Findings {
                lock,
                ..Findings::default()
            });
            meaning(&Denial::from_ruling(&ruling, None).unwrap()).1
        }

        #[test]
        fn each_kind_of_refusal_has_its_code() {
            let rule = |layer, id| RuleId::new(layer, id).unwrap();
            assert_eq!(denied(Finding::deny(rule(Layer::Lock, "session"), "", "")), REFUSED);
            assert_eq!(denied(Finding::deny(rule(Layer::Lock, "came"), "", "")), REFUSED);
            assert_eq!(
                denied(Finding::deny(rule(Layer::Lock, "permit-expired"), "", "")),
                EXPIRED
            );
            assert_eq!(
                denied(Finding::unavailable(rule(Layer::Lock, "unknown"), "")),
                UNAVAILABLE
            );
            assert_eq!(
                denied(Finding::unavailable(rule(Layer::Store, "audit"), "")),
                UNAVAILABLE
            );
            let file = rule(Layer::Argv, "kubectl.program-file");
            assert_eq!(denied(Finding::unavailable(file, "")), UNAVAILABLE);
        }
    }
}
