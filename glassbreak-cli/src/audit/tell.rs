//! A record as people read it: when, what came of it, who, what, by which rules. Everything is escaped: a log may hold
//! whatever an agent wrote, and a file whatever anyone did.

use std::collections::HashMap;

use glassbreak_core::audit::{Kind, Record};
use glassbreak_core::error::shown_whole;
use serde_json::Value;

use crate::style::Style;

/// Tells records one after the other.
pub(super) struct Teller {
    style: Style,
    /// What the calls that are permitted and not finished are, by id.
    running: HashMap<String, String>,
}

impl Teller {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            running: HashMap::new(),
        }
    }

    /// One record, as one line and what belongs under it.
    pub(super) fn tell(&mut self, record: &Record) -> String {
        let json = record.json();
        let at = time(&record.at().to_string());
        let (word, what, below) = match record.kind() {
            Some(Kind::CallPermitted) => self.permitted(&json),
            Some(Kind::CallRefused | Kind::CallAsked) => self.refused(&json),
            Some(Kind::CallFinished) => self.finished(&json),
            Some(Kind::LockSet) => (self.style.red("locked   "), lock(&json), Vec::new()),
            Some(Kind::LockLifted) => (self.style.bold("unlocked "), lock(&json), Vec::new()),
            Some(Kind::LogOpened) => ("opened   ".to_owned(), opened(record, &json), Vec::new()),
            Some(Kind::LogClosed) => ("closed   ".to_owned(), format!("log {}", record.log()), Vec::new()),
            Some(Kind::LogCheckpoint) => ("signed   ".to_owned(), signed(&json), Vec::new()),
            Some(kind) => (kind.as_str().to_owned(), String::new(), Vec::new()),
            None => (
                shown_whole(record.kind_word()),
                "(of a later version)".to_owned(),
                Vec::new(),
            ),
        };
        let mut text = format!("{at}  {word}  {what}\n");
        for line in below {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }

    fn permitted(&mut self, json: &Value) -> (String, String, Vec<String>) {
        let operation = operation(json);
        if let Some(call) = json.get("call").and_then(Value::as_str) {
            self.running.insert(call.to_owned(), operation.clone());
        }
        let mut below = vec![format!("by {}; {}", list(json, "rules"), facts(json))];
        for flag in json.get("flagged").and_then(Value::as_array).into_iter().flatten() {
            below.push(format!("flagged by {}: {}", text(flag, "rule"), text(flag, "why")));
        }
        below.extend(reason(json));
        let what = format!("{}  {}", actor(json), self.style.bold(&operation));
        (self.style.green("permitted"), what, below)
    }

    fn refused(&self, json: &Value) -> (String, String, Vec<String>) {
        let mut why = format!("by {}: {}", list(json, "rules"), text(json, "why"));
        let hint = text(json, "hint");
        if !hint.is_empty() {
            why.push_str(&format!(" ({hint})"));
        }
        let mut below = vec![why, facts(json)];
        below.extend(reason(json));
        let word = if text(json, "refusal") == "unavailable" {
            "no answer"
        } else {
            "refused  "
        };
        let what = format!("{}  {}", actor(json), self.style.bold(&operation(json)));
        (self.style.red(word), what, below)
    }

    fn finished(&mut self, json: &Value) -> (String, String, Vec<String>) {
        let call = json.get("call").and_then(Value::as_str).unwrap_or_default();
        let mut what = self.running.remove(call).unwrap_or_default();
        let number = |key: &str| json.get(key).and_then(Value::as_i64);
        let ends = [("exit", "exit status "), ("signal", "ended by signal ")];
        let mut parts: Vec<String> = ends
            .iter()
            .filter_map(|(key, words)| Some(format!("{words}{}", number(key)?)))
            .collect();
        parts.extend(number("ran_ms").map(|ms| format!("ran {ms} ms")));
        for stream in ["stdout", "stderr"] {
            let bytes = json
                .get(stream)
                .and_then(|stream| stream.get("bytes"))
                .and_then(Value::as_u64);
            parts.extend(bytes.map(|bytes| format!("{stream} {bytes} bytes")));
        }
        parts.push(format!("call {}", shown_whole(call)));
        if !what.is_empty() {
            what.push_str("  ");
        }
        what.push_str(&parts.join("; "));
        let word = match text(json, "outcome").as_str() {
            "done" => "done     ".to_owned(),
            "failed" => self.style.red("failed   "),
            "not_run" => "not run  ".to_owned(),
            other => other.to_owned(),
        };
        (word, what, Vec::new())
    }
}

/// Always with milliseconds, so that columns stand under each other.
fn time(at: &str) -> String {
    let (seconds, millis) = at
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((at.trim_end_matches('Z'), ""));
    format!("{seconds}.{millis:0<3}Z")
}

fn text(json: &Value, key: &str) -> String {
    json.get(key)
        .and_then(Value::as_str)
        .map(shown_whole)
        .unwrap_or_default()
}

fn list(json: &Value, key: &str) -> String {
    let items = json.get(key).and_then(Value::as_array).into_iter().flatten();
    let items: Vec<String> = items.filter_map(Value::as_str).map(shown_whole).collect();
    items.join(", ")
}

/// Who: the agent, for whom, in which session.
fn actor(json: &Value) -> String {
    let Some(actor) = json.get("actor") else {
        return "unknown".to_owned();
    };
    let mut who = text(actor, "role");
    for (key, joint) in [("instance", "/"), ("on_behalf_of", " for "), ("session", " in ")] {
        let part = text(actor, key);
        if !part.is_empty() {
            who.push_str(&format!("{joint}{part}"));
        }
    }
    let parents = list(actor, "parents");
    if !parents.is_empty() {
        who.push_str(&format!(" (started by {parents})"));
    }
    who
}

/// What: the command, the tool with its arguments, or the address.
fn operation(json: &Value) -> String {
    let Some(operation) = json.get("operation") else {
        return "input that is not a call".to_owned();
    };
    if let Some(argv) = operation.get("argv").and_then(Value::as_array) {
        let words: Vec<String> = argv.iter().filter_map(Value::as_str).map(word).collect();
        let mut command = words.join(" ");
        let cwd = text(operation, "cwd");
        if !cwd.is_empty() && cwd != "." {
            command.push_str(&format!("  (in {cwd})"));
        }
        return command;
    }
    if let Some(arguments) = operation.get("arguments") {
        return format!("{} {}", text(operation, "tool"), arguments_of(arguments));
    }
    let port = operation.get("port").and_then(Value::as_u64).unwrap_or_default();
    format!("{}:{port}", text(operation, "host"))
}

/// JSON on one line. Its own escapes stay, and whatever else cannot be shown is escaped.
fn arguments_of(value: &Value) -> String {
    // A backslash of JSON's own would be doubled: the halves between are escaped one by one.
    let json = value.to_string();
    let parts: Vec<String> = json.split('\\').map(shown_whole).collect();
    parts.join("\\")
}

/// A word of a command, quoted where it would not look like one word.
fn word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    let shown = shown_whole(word);
    if !word.is_empty() && word.chars().all(plain) {
        shown
    } else {
        format!("\"{}\"", shown.replace('"', "\\\""))
    }
}

fn facts(json: &Value) -> String {
    let mut parts = vec![format!("risk {}", text(json, "risk"))];
    let labels = list(json, "labels");
    if !labels.is_empty() {
        parts.push(format!("labels {labels}"));
    }
    if json.get("partial") == Some(&Value::Bool(true)) {
        parts.push("not understood to its end".to_owned());
    }
    let attempt = json.get("attempt").and_then(Value::as_u64).unwrap_or(0);
    if attempt > 0 {
        parts.push(format!("attempt {attempt}"));
    }
    parts.push(format!("call {}", text(json, "call")));
    parts.join("; ")
}

/// The agent's own words.
fn reason(json: &Value) -> Option<String> {
    let reason = text(json.get("unverified")?, "reason");
    (!reason.is_empty()).then(|| format!("the agent says, unverified: \"{}\"", reason.replace('"', "\\\"")))
}

fn lock(json: &Value) -> String {
    let target = json.get("target").unwrap_or(&Value::Null);
    let mut what = format!("{} {}", text(target, "kind"), text(target, "name"))
        .trim_end()
        .to_owned();
    what.push_str(&format!(" by {}", text(json, "by")));
    let reason = text(json, "reason");
    if !reason.is_empty() {
        what.push_str(&format!(": {reason}"));
    }
    what
}

fn opened(record: &Record, json: &Value) -> String {
    let mut what = format!("log {}", record.log());
    let bundle = text(json, "bundle");
    if !bundle.is_empty() {
        what.push_str(&format!(", bundle {bundle}"));
    }
    let previous = json.get("previous").and_then(Value::as_array).map_or(0, Vec::len);
    if previous > 0 {
        what.push_str(&format!(", after {previous} older"));
    }
    what
}

fn signed(json: &Value) -> String {
    let checkpoint = json.get("checkpoint").unwrap_or(&Value::Null);
    let size = checkpoint.get("size").and_then(Value::as_u64).unwrap_or_default();
    format!("checkpoint of {size} records by key {}", text(checkpoint, "key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_an_agent_wrote_reaches_the_terminal_as_it_is() {
        assert_eq!(word("a b\u{1b}[2J"), "\"a b\\u{1b}[2J\"");
        assert_eq!(word("say\"x"), "\"say\\\"x\"");
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("pod/web-7d4b"), "pod/web-7d4b");
        let arguments = serde_json::json!({"a": "x\n\u{202e}y\\", "b": 1});
        assert_eq!(arguments_of(&arguments), r#"{"a":"x\n\u{202e}y\\","b":1}"#);
    }

    #[test]
    fn times_are_of_one_width() {
        assert_eq!(time("2026-03-01T14:05:00Z"), "2026-03-01T14:05:00.000Z");
        assert_eq!(time("2026-03-01T14:05:00.25Z"), "2026-03-01T14:05:00.250Z");
    }
}
