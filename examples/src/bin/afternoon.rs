//! Puts the calls of a recorded afternoon through a gate with the ops policy, and prints a readable page of verdicts.
//!
//! An agent looks into a crashing service. Looking is free, and really runs; what changes the cluster asks; what hides,
//! goes through a shell, borrows another identity or destroys too much is refused, and says why. Every call is in the
//! audit log, which is verified at the end; lines that are no call never reach the gate.
//!
//! `kubectl` is a stand-in: this very program under another name, on a cluster that is a folder.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::wire::{self, Id, Line};
use glassbreak_core::call::{Call, Exec, Malformed, Operation};
use glassbreak_core::error::shown;
use glassbreak_core::finding::{Denial, Outcome, Requirement, RuleId};
use glassbreak_core::judge::refused;
use glassbreak_examples::kubectl;

/// What became of one line.
struct Answer {
    /// The refusal, where it is one.
    denial: Option<Denial>,
    /// Who would have to agree, where anyone could.
    who: Vec<Requirement>,
    /// What the program wrote, where one ran.
    output: Option<String>,
}

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    if called.as_deref().map(Path::new).and_then(Path::file_name) == Some(OsStr::new("kubectl")) {
        return kubectl::main();
    }
    match story() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("afternoon: {error}");
            ExitCode::FAILURE
        }
    }
}

fn story() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = Bundle::open(here.join("policies/ops"))?;
    let recorded = fs::read_to_string(here.join("afternoon.jsonl"))?;
    println!("An afternoon of an ops agent, under the guard of examples/policies/ops");
    println!("bundle {}\n", bundle.digest());
    guard::afternoon(here, bundle, &recorded)
}

#[cfg(target_os = "linux")]
mod guard {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use glassbreak_core::audit::{AuditLog, State, VerifyOptions, verify};
    use glassbreak_core::gate::{AnyPermit, Gate, Session, Verdict};
    use glassbreak_core::guard::Guard;
    use glassbreak_core::store::MemoryStore;
    use glassbreak_examples::scratch::{Scratch, copy_folder};

    use super::{Answer, Bundle, Call, Denial, Error, Line, Path, Tally, fs, print_call, print_no_call, wire};

    pub(super) fn afternoon(here: &Path, bundle: Bundle, recorded: &str) -> Result<(), Box<dyn Error>> {
        let scratch = Scratch::new("afternoon")?;
        let work = scratch.folder("work")?;
        copy_folder(&here.join("cluster"), &work.join("cluster"))?;
        let programs = stand_in(&scratch)?;
        let audit = AuditLog::open(scratch.path().join("audit"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = runtime.block_on(async {
            let gate = Gate::builder(bundle)
                .store(MemoryStore::new())
                .audit(audit.clone())
                .program_dir(programs)
                .answered_elsewhere()
                .build()
                .await?;
            calls(&gate, &work, recorded).await
        })?;
        audit.close()?;
        tally.print("allowed and run");
        let report = verify(scratch.path().join("audit"), &VerifyOptions::default())?;
        let records: u64 = report.chains.iter().map(|chain| chain.records).sum();
        println!("audit log: {records} records, verified: {}", report.state().as_str());
        if report.state() != State::Intact {
            return Err("the audit log is not as it was written".into());
        }
        Ok(())
    }

    /// This program once more, as `kubectl`, in a folder that nobody else may write to.
    fn stand_in(scratch: &Scratch) -> Result<PathBuf, Box<dyn Error>> {
        let programs = scratch.folder("bin")?;
        let kubectl = programs.join("kubectl");
        fs::copy(std::env::current_exe()?, &kubectl)?;
        fs::set_permissions(&kubectl, PermissionsExt::from_mode(0o755))?;
        Ok(programs)
    }

    async fn calls(gate: &Gate, work: &Path, recorded: &str) -> Result<Tally, Box<dyn Error>> {
        let mut sessions: Vec<Session> = Vec::new();
        let mut tally = Tally::default();
        for line in recorded.lines() {
            match wire::read(line.as_bytes()) {
                Ok(Line { call, .. }) => {
                    let known = sessions.iter().find(|session| *session.actor() == call.actor);
                    let session = match known {
                        Some(session) => session.clone(),
                        None => {
                            let session = gate.session(call.actor.clone()).workspace(work)?;
                            sessions.push(session.clone());
                            session
                        }
                    };
                    let answer = perform(&session, &call).await?;
                    print_call(&call, line, &answer);
                    tally.count(&answer);
                }
                // What is not a call is refused like one, with the place that is wrong.
                Err(malformed) => tally.count(&print_no_call(&gate.bundle(), line, &malformed)),
            }
        }
        Ok(tally)
    }

    async fn perform(session: &Session, call: &Call) -> Result<Answer, Box<dyn Error>> {
        let call = session.call(call.operation.clone(), call.reason.clone());
        let refused = |denial: Denial| Answer {
            denial: Some(denial),
            who: Vec::new(),
            output: None,
        };
        Ok(match session.gate().check(call).await {
            Verdict::Allow(AnyPermit::Exec(permit)) => {
                let (ran, output) = permit.exec().await?;
                let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.push_str(&String::from_utf8_lossy(&output.stderr));
                if !ran.exit.is_success() {
                    return Err(format!("the stand-in for kubectl failed: {}: {text}", ran.exit).into());
                }
                Answer {
                    denial: None,
                    who: Vec::new(),
                    output: Some(text),
                }
            }
            Verdict::Allow(AnyPermit::Tool(permit)) => {
                permit.forgo().await;
                return Err("there is no tool in this story".into());
            }
            Verdict::Ask(escalation) => {
                let who = escalation.requirements().map(|(_, who)| who.clone()).collect();
                let denial = escalation.into_denial();
                Answer { who, ..refused(denial) }
            }
            Verdict::Deny(denial) => refused(denial),
        })
    }
}

/// Where running is not built, the calls are judged all the same.
#[cfg(not(target_os = "linux"))]
mod guard {
    use std::collections::HashMap;

    use glassbreak_core::call::Workspace;
    use glassbreak_core::clock::Timestamp;
    use glassbreak_core::judge::{SessionState, judge};

    use super::{Answer, Bundle, Error, Line, Outcome, Path, Tally, print_call, print_no_call, wire};

    pub(super) fn afternoon(_here: &Path, bundle: Bundle, recorded: &str) -> Result<(), Box<dyn Error>> {
        println!("(running programs is built for Linux only: the calls are judged, and nothing runs)\n");
        let workspace = Workspace::new("/srv/ops")?;
        let mut sessions = HashMap::new();
        let mut tally = Tally::default();
        for line in recorded.lines() {
            match wire::read(line.as_bytes()) {
                Ok(Line { call, at, .. }) => {
                    let at = at.unwrap_or_else(Timestamp::now);
                    let fresh = || SessionState::new(workspace.clone());
                    let state = sessions.entry(call.actor.session.clone()).or_insert_with(fresh);
                    let judgement = judge(&bundle, state, &call, at);
                    let performed = judgement.ruling.outcome() == Outcome::Allow;
                    state.advance(&bundle, &call, &judgement, at, performed);
                    let answer = Answer {
                        denial: judgement.denial(),
                        who: judgement
                            .requirements()
                            .into_iter()
                            .map(|(_, who)| who.clone())
                            .collect(),
                        output: None,
                    };
                    print_call(&call, line, &answer);
                    tally.count(&answer);
                }
                Err(malformed) => tally.count(&print_no_call(&bundle, line, &malformed)),
            }
        }
        tally.print("allowed");
        Ok(())
    }
}

/// How many of each.
#[derive(Default)]
struct Tally {
    allowed: u32,
    asked: u32,
    denied: u32,
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        match answer.outcome() {
            Outcome::Allow => self.allowed += 1,
            Outcome::Ask => self.asked += 1,
            Outcome::Deny => self.denied += 1,
        }
    }

    fn print(&self, allowed: &str) {
        let Self { asked, denied, .. } = self;
        println!(
            "\n{} {allowed}, {asked} would ask a person first, {denied} denied",
            self.allowed
        );
    }
}

impl Answer {
    fn outcome(&self) -> Outcome {
        match &self.denial {
            None => Outcome::Allow,
            Some(denial) if denial.asks() => Outcome::Ask,
            Some(_) => Outcome::Deny,
        }
    }
}

fn print_no_call(bundle: &Bundle, line: &str, malformed: &Malformed) -> Answer {
    let answer = Answer {
        denial: refused(bundle, malformed.finding()).denial(),
        who: Vec::new(),
        output: None,
    };
    print_answer(line, "a line that is no call", &answer);
    answer
}

fn print_call(call: &Call, line: &str, answer: &Answer) {
    let text = match &call.operation {
        // For the eye only: words with blanks or odd characters are quoted, and this is never run.
        Operation::Exec(exec) => exec_line(exec),
        Operation::Tool(tool) => format!("tool {}", tool.name),
        Operation::Connect(connect) => format!("connect to {}:{}", connect.host, connect.port),
    };
    let who = if call.actor.role.as_str() == "ops-agent" {
        String::new()
    } else {
        format!("   (as {})", call.actor.role)
    };
    print_answer(line, &format!("{text}{who}"), answer);
}

fn exec_line(exec: &Exec) -> String {
    let env = exec
        .env()
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)));
    env.chain(exec.argv().words().iter().map(|word| quoted(word)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let word = shown(word);
    if word.is_empty() || word.contains([' ', '\'', '"']) {
        format!("{word:?}")
    } else {
        word
    }
}

fn print_answer(line: &str, text: &str, answer: &Answer) {
    const INDENT: &str = "              ";
    let time = match wire::read_id_of(line.as_bytes()) {
        Some(Id::Str(id)) => shown(id.split(' ').next().unwrap_or_default()),
        _ => "     ".to_owned(),
    };
    println!("{time}  {}  {text}", colour(answer.outcome()));
    if let Some(output) = &answer.output {
        const MOST: usize = 4;
        for line in output.lines().take(MOST) {
            println!("{INDENT}| {}", shown(line));
        }
        match output.lines().count().saturating_sub(MOST) {
            0 => {}
            1 => println!("{INDENT}| … (1 more line)"),
            more => println!("{INDENT}| … ({more} more lines)"),
        }
    }
    let Some(denial) = &answer.denial else { return };
    let rules: Vec<&str> = denial.rules().iter().map(RuleId::as_str).collect();
    println!("{INDENT}{}", rules.join(", "));
    println!("{INDENT}{}", denial.why());
    for requirement in answer.who.iter().take(1) {
        if let Some(group) = &requirement.group {
            println!("{INDENT}who may agree: {} of {group}", requirement.quorum);
        }
    }
    if !denial.hint().is_empty() {
        println!("{INDENT}help: {}", denial.hint());
    }
}

fn colour(outcome: Outcome) -> String {
    let word = format!("{:<5}", outcome.as_str());
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return word;
    }
    let code = match outcome {
        Outcome::Allow => 32,
        Outcome::Ask => 33,
        Outcome::Deny => 31,
    };
    format!("\u{1b}[1;{code}m{word}\u{1b}[0m")
}
