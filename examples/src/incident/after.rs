//! Afterwards: the audit log as a timeline, and what becomes of it when somebody touches it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use glassbreak_core::audit::{Kind, Record, State, Teller, Timeline, Tone, VerifyOptions, verify};
use serde_json::Value;

use super::Failed;
use super::page::{Ink, inked, say};
use crate::scratch::copy_folder;

/// Whose calls they all are, as the log tells it.
const CALLER: &str = "ops-agent/ops-7 for alice in incident-42";

/// Tells the log, one line for whatever happened; of what only looked, just how often. Returns how many lines that were.
pub(super) fn timeline(audit: &Path) -> Result<usize, Failed> {
    let records: Result<Vec<_>, _> = Timeline::open(audit)?.collect();
    let records = records.map_err(|fault| fault.to_string())?;
    let calls = |of: &dyn Fn(&Record) -> bool| -> HashSet<String> {
        let records = records.iter().filter(|record| of(record));
        records.map(|record| text(record, "call")).collect()
    };
    let finished = calls(&|record| record.kind() == Some(Kind::CallFinished));
    let done = calls(&|record| text(record, "outcome") == "done");
    let mut teller = Teller::painted(painted);
    let mut reads: HashSet<String> = HashSet::new();
    let mut shown = Vec::new();
    let mut looked = 0;
    for record in &records {
        let told = teller.tell(record);
        let call = text(record, "call");
        if record.kind() == Some(Kind::CallPermitted) && text(record, "risk") == "low" && done.contains(&call) {
            reads.insert(call);
            looked += 1;
        } else if !reads.contains(&call) {
            // What the lines around it say as well: who was asked is in the votes, what was agreed in the grant, and that a
            // call was let through in how it ended.
            let said = match record.kind() {
                Some(Kind::RequestOpened | Kind::RequestSettled) => true,
                Some(Kind::CallPermitted) => finished.contains(&call),
                _ => false,
            };
            if !said {
                shown.push(brief(record, &told));
            }
        }
    }
    println!("  all calls are of {CALLER}; {looked} that only looked are left out");
    shown.iter().for_each(|line| println!("  {line}"));
    Ok(shown.len() + 1)
}

/// The first line of what is told of a record, without what is the same on every line, and without ids; of a refusal its
/// rules, and of a vote the words with it.
fn brief(record: &Record, told: &str) -> String {
    let mut lines = told.lines();
    let first = lines.next().unwrap_or_default();
    let mut line = first.split_once('T').map_or(first, |(_, clock)| clock).to_owned();
    for caller in [CALLER, "ops-7 for alice in incident-42"] {
        line = line.replace(&format!("{caller}  "), "");
    }
    for rest in ["  (request ", "; stdout ", ", bundle "] {
        if let Some((before, _)) = line.split_once(rest) {
            line = before.to_owned();
        }
    }
    match record.kind() {
        Some(Kind::CallRefused | Kind::CallAsked) => {
            let rules = record.json().get("rules").map(Value::to_string).unwrap_or_default();
            let rules = rules.replace(['[', ']', '"'], "").replace(',', ", ");
            line.push_str(&format!("  by {rules}"));
        }
        Some(Kind::VoteCast) => {
            let words = lines.find_map(|line| line.trim().strip_prefix("they write: "));
            words.into_iter().for_each(|words| line.push_str(&format!(": {words}")));
        }
        _ => {}
    }
    line
}

fn text(record: &Record, key: &str) -> String {
    let json = record.json();
    json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn painted(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Strong => inked(Ink::Bold, text),
        Tone::Good => inked(Ink::Good, text),
        Tone::Asks => inked(Ink::Asks, text),
        Tone::Bad => inked(Ink::Bad, text),
    }
}

/// Whether the log is as it was written.
pub(super) fn verified(audit: &Path) -> Result<(State, u64), Failed> {
    let report = verify(audit, &VerifyOptions::default())?;
    Ok((report.state(), report.chains.iter().map(|chain| chain.records).sum()))
}

/// Changes one byte in a copy, so that another person seems to have said no, and shows what verifying says of it.
pub(super) fn tampered(audit: &Path, copy: &Path) -> Result<u64, Failed> {
    copy_folder(audit, copy)?;
    let no = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        line.contains("\"kind\":\"vote.cast\"") && line.contains("\"answer\":\"deny\"")
    };
    let mut found = None;
    for entry in fs::read_dir(copy)? {
        let file = entry?.path();
        let bytes = fs::read(&file)?;
        if let Some(at) = bytes.split(|byte| *byte == b'\n').position(no) {
            found = Some((file, bytes, at));
        }
    }
    let (file, mut bytes, at) = found.ok_or("nobody said no")?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let line = String::from_utf8_lossy(lines.get(at).copied().unwrap_or_default()).into_owned();
    let inside = line.find("\"person\":\"").ok_or("nobody voted")? + "\"person\":\"".len();
    let start: usize = lines.iter().take(at).map(|line| line.len()).sum();
    let byte = bytes.get_mut(start + inside).ok_or("the line is too short")?;
    // The lowest bit: `carol` becomes `barol`.
    *byte ^= 1;
    fs::write(&file, bytes)?;
    let report = verify(copy, &VerifyOptions::default())?;
    let fault = report.chains.iter().find_map(|chain| chain.end.as_ref().err());
    let fault = fault.ok_or("a changed byte was not found")?;
    let seq = fault.seq.ok_or("the fault has no place")?;
    if report.state() != State::Tampered || seq != at as u64 + 1 {
        return Err(format!("a byte changed in record {} was reported as: {fault}", at + 1).into());
    }
    say(
        Ink::Bad,
        "verify",
        &format!(
            "one byte changed in a copy, in who said no: {} at seq {seq}: {}",
            report.state().as_str(),
            fault.what
        ),
    );
    Ok(seq)
}
