//! What became of calls, in words.

use serde_json::Value;

use super::{Line, Teller, Tone, list, once, text};
use crate::error::shown_whole;

impl Teller {
    pub(super) fn permitted(&mut self, json: &Value) -> Line {
        let operation = operation(json);
        if let Some(call) = json.get("call").and_then(Value::as_str) {
            self.known.insert(call.to_owned(), operation.clone());
        }
        let by = list(json, "rules");
        let mut below = vec![match by.as_str() {
            "" => facts(json),
            by => format!("by {by}; {}", facts(json)),
        }];
        let grant = text(json, "grant");
        if !grant.is_empty() {
            below.push(format!("people agreed: by grant {grant}"));
        }
        for flag in json.get("flagged").and_then(Value::as_array).into_iter().flatten() {
            below.push(format!("flagged by {}: {}", text(flag, "rule"), once(flag, "why")));
        }
        below.extend(observed(json));
        below.extend(reason(json));
        let what = format!("{}  {}", actor(json), self.paint(Tone::Strong, &operation));
        Line::new(Tone::Good, "permitted", what).below(below)
    }

    pub(super) fn refused(&self, json: &Value) -> Line {
        let (tone, word) = match text(json, "refusal").as_str() {
            "unavailable" => (Tone::Bad, "no answer"),
            _ => (Tone::Bad, "refused"),
        };
        self.stopped(json, tone, word, "by")
    }

    pub(super) fn asked(&self, json: &Value) -> Line {
        self.stopped(json, Tone::Asks, "asks", "people must agree, by")
    }

    fn stopped(&self, json: &Value, tone: Tone, word: &'static str, by: &str) -> Line {
        let mut why = format!("{by} {}: {}", list(json, "rules"), once(json, "why"));
        let hint = once(json, "hint");
        if !hint.is_empty() {
            why.push_str(&format!(" ({hint})"));
        }
        let mut below = vec![why, facts(json)];
        below.extend(observed(json));
        below.extend(reason(json));
        let what = format!("{}  {}", actor(json), self.paint(Tone::Strong, &operation(json)));
        Line::new(tone, word, what).below(below)
    }

    pub(super) fn finished(&mut self, json: &Value) -> Line {
        let call = json.get("call").and_then(Value::as_str).unwrap_or_default();
        let mut what = self.known.remove(call).unwrap_or_default();
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
        match text(json, "outcome").as_str() {
            "done" => Line::new(Tone::Plain, "done", what),
            "failed" => Line::new(Tone::Bad, "failed", what),
            "not_run" => Line::new(Tone::Plain, "not run", what),
            other => Line::new(Tone::Plain, "ended", format!("{other}  {what}")),
        }
    }
}

/// Which rules were not enforced.
fn observed(json: &Value) -> Option<String> {
    let rules = list(json.get("observe")?, "not_enforced");
    Some(format!("OBSERVE MODE, NOT ENFORCED: {rules}"))
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
pub(in crate::audit) fn operation(json: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_an_agent_wrote_is_shown_as_it_is() {
        assert_eq!(word("a b\u{1b}[2J"), "\"a b\\u{1b}[2J\"");
        assert_eq!(word("say\"x"), "\"say\\\"x\"");
        assert_eq!(word(""), "\"\"");
        assert_eq!(word("pod/web-7d4b"), "pod/web-7d4b");
        let arguments = serde_json::json!({"a": "x\n\u{202e}y\\", "b": 1});
        assert_eq!(arguments_of(&arguments), r#"{"a":"x\n\u{202e}y\\","b":1}"#);
    }
}
