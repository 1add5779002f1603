//! Judges the calls of a recorded afternoon against the ops policy, and prints a readable page of verdicts.
//!
//! An agent looks into a crashing service. Looking is free; what changes the cluster asks; what hides, goes through a
//! shell, borrows another identity or destroys too much is refused, and says why.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;

use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::wire::{self, Id, Line};
use glassbreak_core::call::{Call, Exec, Operation, Workspace};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge, refused};

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundle = Bundle::open(here.join("policies/ops"))?;
    let recorded = fs::read_to_string(here.join("afternoon.jsonl"))?;
    let workspace = Workspace::new("/srv/ops")?;
    let mut sessions = HashMap::new();
    let mut counts = [0usize; 3];

    println!("An afternoon of an ops agent, judged by examples/policies/ops");
    println!("bundle {}\n", bundle.digest());
    for line in recorded.lines() {
        let judgement = match wire::read(line.as_bytes()) {
            Ok(Line { call, at, .. }) => {
                let at = at.unwrap_or_else(Timestamp::now);
                let fresh = || SessionState::new(workspace.clone());
                let state = sessions.entry(call.actor.session.clone()).or_insert_with(fresh);
                let judgement = judge(&bundle, state, &call, at);
                // Nobody is there to agree, so only what is allowed outright counts as performed.
                let performed = judgement.ruling.outcome() == Outcome::Allow;
                state.advance(&bundle, &call, &judgement, at, performed);
                print_call(&call, line, &judgement);
                judgement
            }
            // What is not a call is refused like one, with the place that is wrong.
            Err(malformed) => {
                let judgement = refused(&bundle, malformed.finding());
                print_verdict(&judgement, line, "a line that is no call");
                judgement
            }
        };
        for (outcome, count) in [Outcome::Allow, Outcome::Ask, Outcome::Deny]
            .into_iter()
            .zip(&mut counts)
        {
            *count += usize::from(judgement.ruling.outcome() == outcome);
        }
    }
    let [allowed, asked, denied] = counts;
    println!("\n{allowed} allowed, {asked} would ask a person first, {denied} denied");
    Ok(())
}

fn print_call(call: &Call, line: &str, judgement: &Judgement) {
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
    print_verdict(judgement, line, &format!("{text}{who}"));
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

fn print_verdict(judgement: &Judgement, line: &str, text: &str) {
    let ruling = &judgement.ruling;
    let time = match wire::read_id_of(line.as_bytes()) {
        Some(Id::Str(id)) => shown(id.split(' ').next().unwrap_or_default()),
        _ => "     ".to_owned(),
    };
    println!("{time}  {}  {text}", colour(ruling.outcome()));
    if ruling.outcome() == Outcome::Allow {
        return;
    }
    let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
    println!("              {}", rules.join(", "));
    println!("              {}", ruling.why());
    for (_, requirement) in judgement.requirements().into_iter().take(1) {
        if let Some(group) = &requirement.group {
            println!("              who may agree: {} of {group}", requirement.quorum);
        }
    }
    if !ruling.hint().is_empty() {
        println!("              help: {}", ruling.hint());
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
