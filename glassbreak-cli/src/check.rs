//! `glassbreak check`: JSON Lines in, verdicts out.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, ValueEnum};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::wire::{self, Id};
use glassbreak_core::call::{Call, Malformed, Word, Workspace};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::{Finding, Outcome};
use glassbreak_core::judge::{Judgement, SessionState, judge, policy_traces, refused};
use glassbreak_core::policy::PolicyTrace;

use crate::style::Style;
use crate::{Failure, snippet, verdict};

/// The longest line that is read, in bytes; a longer one is refused and skipped to its end.
const MAX_LINE: usize = 8 * 1024 * 1024;

/// Reads calls as JSON Lines from standard input and writes one verdict per line, in order. Exit status 0 when all
/// lines were read, whatever the verdicts; 1 when input or output failed; 2 for a policy folder that does not load.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("by").required(true).args(["policy", "packs"]))]
pub(crate) struct Options {
    /// The policy folder to judge by.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Judge by a built-in bundle instead: the shipped packs, for the role `anonymous`.
    #[arg(long, value_name = "NAME")]
    packs: Option<Packs>,
    /// The folder that calls must stay beneath; the current folder unless given.
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Count over the lines of each session, an allowed call as performed. Without it each line is judged alone.
    #[arg(long)]
    sequence: bool,
    /// Add findings, facts, what each word was taken for, and what would run.
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Packs {
    /// Looking only: nothing is written, deleted, started or sent elsewhere.
    ReadOnly,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let bundle = match &options.policy {
        Some(policy) => crate::open(policy)?,
        None => Bundle::read_only().map_err(|problems| Failure::usage(problems.to_string()))?,
    };
    for lint in bundle.lints() {
        match &options.policy {
            Some(policy) => eprintln!("warning: {}", snippet::of(lint, policy, Style::of_stderr())),
            None => eprintln!("warning: {lint}"),
        }
    }
    let workspace = crate::workspace(options.workspace.as_ref())?;
    let mut stream = Stream {
        bundle: &bundle,
        workspace,
        sessions: HashMap::new(),
        last: None,
        sequence: options.sequence,
        explain: options.explain,
    };
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    let mut number = 0;
    while let Some(whole) = read_line(&mut input, &mut line)? {
        number += 1;
        let judged = if whole { stream.judge(&line) } else { stream.too_long() };
        // Where the line is broken, its id may still be readable.
        let id = judged.id.or_else(|| wire::read_id_of(&line));
        let mut answer = verdict::of(id.as_ref(), number, &judged.judgement, &bundle);
        if options.explain {
            answer = verdict::explained(answer, &bundle, judged.call.as_ref(), &judged.judgement, &judged.traces);
        }
        serde_json::to_writer(&mut output, &answer).map_err(io::Error::from)?;
        output.write_all(b"\n")?;
        // A caller that waits for each answer gets it; one that sends many lines at once pays for few writes.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a line without its end. `Some(false)` means that it was too long; what is kept is its beginning.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut whole = true;
    let mut any = false;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
        let room = MAX_LINE - line.len();
        line.extend(part.iter().take(room));
        whole &= part.len() <= room;
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// The calls of one input.
struct Stream<'a> {
    bundle: &'a Bundle,
    workspace: Workspace,
    sessions: HashMap<Word, SessionState>,
    /// The time of the newest line that gave one, and whether any did.
    last: Option<Timestamp>,
    sequence: bool,
    explain: bool,
}

struct Judged {
    id: Option<Id>,
    call: Option<Call>,
    judgement: Judgement,
    /// What each policy says, where it is to be explained.
    traces: Vec<PolicyTrace>,
}

impl Stream<'_> {
    fn judge(&mut self, line: &[u8]) -> Judged {
        let read = match wire::read(line) {
            Ok(read) => read,
            Err(malformed) => return self.refuse(malformed.finding()),
        };
        let at = match self.time(read.at) {
            Ok(at) => at,
            Err(finding) => {
                return Judged {
                    id: read.id,
                    call: Some(read.call),
                    ..self.refuse(finding)
                };
            }
        };
        let call = read.call;
        let session = call.actor.session.clone();
        let fresh = SessionState::new(self.workspace.clone());
        let known = self.bundle.policies().has_role(&call.actor.role);
        let traces;
        let judgement = if self.sequence && known {
            // Only a call that got past hygiene moves the clock and is remembered.
            self.last = read.at.or(self.last);
            let state = self.sessions.entry(session).or_insert(fresh);
            let judgement = judge(self.bundle, state, &call, at);
            // Before it is counted: each policy is to see what the judge saw.
            traces = explained(self.bundle, state, &call, at, self.explain);
            state.advance(
                self.bundle,
                &call,
                &judgement,
                at,
                judgement.ruling.outcome() == Outcome::Allow,
            );
            judgement
        } else {
            traces = explained(self.bundle, &fresh, &call, at, self.explain);
            judge(self.bundle, &fresh, &call, at)
        };
        Judged {
            id: read.id,
            call: Some(call),
            judgement,
            traces,
        }
    }

    /// The time of a line: its own, which may not go back; else that of the line before, if any line gave one; else
    /// the clock.
    fn time(&mut self, given: Option<Timestamp>) -> Result<Timestamp, Finding> {
        if !self.sequence {
            return Ok(given.unwrap_or_else(Timestamp::now));
        }
        match (given, self.last) {
            (Some(at), Some(last)) if at < last => Err(deny(
                "call.at",
                format!("at: {at} lies before {last}, the time of a line before"),
                "sort the lines by time",
            )),
            (Some(at), _) => Ok(at),
            (None, Some(last)) => Ok(last),
            (None, None) => Ok(Timestamp::now()),
        }
    }

    fn too_long(&self) -> Judged {
        self.refuse(deny(
            "call.too-long",
            format!("a line of over {MAX_LINE} bytes"),
            "send smaller calls",
        ))
    }

    fn refuse(&self, finding: Finding) -> Judged {
        Judged {
            id: None,
            call: None,
            judgement: refused(self.bundle, finding),
            traces: Vec::new(),
        }
    }
}

fn explained(bundle: &Bundle, state: &SessionState, call: &Call, at: Timestamp, explain: bool) -> Vec<PolicyTrace> {
    if explain {
        policy_traces(bundle, state, call, at)
    } else {
        Vec::new()
    }
}

fn deny(code: &'static str, why: String, hint: &str) -> Finding {
    Malformed::new(code, "", why, hint).finding()
}
