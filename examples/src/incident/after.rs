//! Afterwards: the audit log as a timeline, and what becomes of it when somebody touches it.

use std::fs;
use std::path::Path;

use glassbreak_core::audit::{Kind, Record, State, Timeline, VerifyOptions, verify};
use glassbreak_core::error::shown_whole;
use serde_json::Value;

use super::Failed;
use super::page::{Ink, say};
use crate::scratch::copy_folder;

/// Tells the whole log, what only looked in one line for each row of it. Returns how many lines.
pub(super) fn timeline(audit: &Path) -> Result<usize, Failed> {
    let records = Timeline::open(audit)?.collect::<Result<Vec<_>, _>>();
    let records = records.map_err(|fault| fault.to_string())?;
    let (mut lines, mut looked) = (0, 0);
    let mut reads: Vec<String> = Vec::new();
    let mut flush = |looked: &mut u32| {
        if *looked > 0 {
            println!("  {:12}  {:17}{looked}, all done", "", "reads");
            lines += 1;
        }
        *looked = 0;
    };
    for record in &records {
        let json = record.json();
        let call = text(&json, "call");
        match record.kind() {
            Some(Kind::CallPermitted) if text(&json, "risk") == "low" => reads.push(call),
            Some(Kind::CallFinished) if text(&json, "outcome") == "done" && reads.contains(&call) => looked += 1,
            _ => {
                flush(&mut looked);
                println!("{}", line(record, &json));
            }
        }
    }
    flush(&mut looked);
    let told = records.len() - 2 * reads.len();
    Ok(lines + told)
}

/// Whether the log is as it was written.
pub(super) fn verified(audit: &Path) -> Result<(State, u64), Failed> {
    let report = verify(audit, &VerifyOptions::default())?;
    Ok((report.state(), report.chains.iter().map(|chain| chain.records).sum()))
}

/// Changes one byte in a copy, so that another person seems to have said no, and shows what verifying says of it.
pub(super) fn tampered(audit: &Path, copy: &Path) -> Result<u64, Failed> {
    copy_folder(audit, copy)?;
    let file = fs::read_dir(copy)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .ok_or("the log has no file")?;
    let mut bytes = fs::read(&file)?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let has = |line: &[u8], words: &str| String::from_utf8_lossy(line).contains(words);
    let at = lines
        .iter()
        .position(|line| has(line, "\"kind\":\"vote.cast\"") && has(line, "\"answer\":\"deny\""))
        .ok_or("nobody said no")?;
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

/// One record as one line.
fn line(record: &Record, json: &Value) -> String {
    let at = record.at().to_string();
    let clock = at.split_once('T').map_or(&*at, |(_, clock)| clock.trim_end_matches('Z'));
    let (second, millis) = clock.split_once('.').unwrap_or((clock, ""));
    let what = match record.kind() {
        Some(Kind::CallPermitted) if json.get("grant").is_some() => format!("{}  by a grant", words(json)),
        Some(Kind::CallPermitted) => words(json),
        Some(Kind::CallAsked | Kind::CallRefused) => format!("{}  by {}", words(json), list(json, "rules")),
        Some(Kind::CallFinished) => match (number(json, "exit"), number(json, "signal")) {
            (Some(exit), _) => format!("{}, exit code {exit}", text(json, "outcome")),
            (_, Some(signal)) => format!("{}, ended by signal {signal}", text(json, "outcome")),
            _ => text(json, "outcome"),
        },
        Some(Kind::RequestOpened) => format!("risk {}, shown to oncall", text(json, "risk")),
        Some(Kind::RequestSettled) => text(json, "state"),
        Some(Kind::VoteCast) => format!("{} said {}", text(json, "person"), text(json, "answer")),
        Some(Kind::VoteRefused) => format!("{}: {}", text(json, "person"), text(json, "why")),
        Some(Kind::GrantOpened) => format!("{}, at most {} uses", text(json, "scope"), count(json, "max_uses")),
        Some(Kind::LockSet | Kind::LockLifted) => {
            let target = json.get("target").unwrap_or(&Value::Null);
            format!(
                "{} {} by {}",
                text(target, "kind"),
                text(target, "name"),
                text(json, "by")
            )
        }
        _ => String::new(),
    };
    let what = format!("  {second}.{millis:0<3}  {:17}{what}", shown_whole(record.kind_word()));
    what.trim_end().to_owned()
}

fn text(json: &Value, key: &str) -> String {
    json.get(key)
        .and_then(Value::as_str)
        .map(shown_whole)
        .unwrap_or_default()
}

fn number(json: &Value, key: &str) -> Option<i64> {
    json.get(key).and_then(Value::as_i64)
}

fn count(json: &Value, key: &str) -> i64 {
    number(json, key).unwrap_or_default()
}

fn list(json: &Value, key: &str) -> String {
    let items = json.get(key).and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(Value::as_str)
        .map(shown_whole)
        .collect::<Vec<_>>()
        .join(", ")
}

fn words(json: &Value) -> String {
    let argv = json.get("operation").and_then(|operation| operation.get("argv"));
    let words = argv.and_then(Value::as_array).into_iter().flatten();
    words
        .filter_map(Value::as_str)
        .map(shown_whole)
        .collect::<Vec<_>>()
        .join(" ")
}
