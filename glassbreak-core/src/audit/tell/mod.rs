//! A record as people read it: when, what came of it, who, what, by which rules.
//!
//! Everything is escaped: a log may hold whatever an agent wrote, and a file whatever anyone did.

mod asking;
mod call;
mod credentials;

pub(super) use self::call::operation;
use std::collections::HashMap;

use serde_json::Value;

use super::{Kind, Record};
use crate::error::{shown_once, shown_whole};

/// What a part of a line means, for whoever paints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Nothing of its own.
    Plain,
    /// What the line is about.
    Strong,
    /// It was let through, or people agreed.
    Good,
    /// People are asked.
    Asks,
    /// It was stopped, or went wrong.
    Bad,
}

/// Tells records one after the other, as a timeline.
///
/// It remembers what calls and requests are about, so that what is recorded of them later names more than an id.
///
/// ```no_run
/// use glassbreak_core::audit::{Teller, Timeline};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut teller = Teller::plain();
/// for record in Timeline::open("state/audit")?.flatten() {
///     print!("{}", teller.tell(&record));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Teller {
    paint: fn(Tone, &str) -> String,
    /// What the calls that are not finished and the requests that are not settled are about, by id.
    known: HashMap<String, String>,
}

/// A record in words.
struct Line {
    tone: Tone,
    word: String,
    what: String,
    below: Vec<String>,
}

impl Line {
    fn new(tone: Tone, word: impl Into<String>, what: String) -> Self {
        Self {
            tone,
            word: word.into(),
            what,
            below: Vec::new(),
        }
    }

    fn below(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.below.extend(lines);
        self
    }
}

impl Teller {
    /// One that writes plain text.
    pub fn plain() -> Self {
        Self::painted(|_, text| text.to_owned())
    }

    /// One that has `paint` colour parts of its lines. What it is given is escaped, and must stay so.
    pub fn painted(paint: fn(Tone, &str) -> String) -> Self {
        Self {
            paint,
            known: HashMap::new(),
        }
    }

    /// One record: a line, and what belongs under it, each with a newline at its end.
    pub fn tell(&mut self, record: &Record) -> String {
        const WIDE: usize = 9;
        let json = record.json();
        let at = time(&record.at().to_string());
        let Line {
            tone,
            word,
            what,
            below,
        } = self.line(record, &json);
        let mut text = format!("{at}  {}  {what}\n", self.paint(tone, &format!("{word:WIDE$}")));
        for line in below {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }

    fn line(&mut self, record: &Record, json: &Value) -> Line {
        let Some(kind) = record.kind() else {
            let later = "(of a later version)".to_owned();
            return Line::new(Tone::Plain, shown_whole(record.kind_word()), later);
        };
        match kind {
            Kind::CallPermitted => self.permitted(json),
            Kind::CallRefused => self.refused(json),
            Kind::CallAsked => self.asked(json),
            Kind::CallFinished => self.finished(json),
            Kind::RequestOpened => self.request_opened(json),
            Kind::RequestJoined => self.request_joined(json),
            Kind::RequestRefused => self.request_refused(json),
            Kind::RequestEscalated => self.request_escalated(json),
            Kind::RequestOverflow => asking::overflow(json),
            Kind::NotifySent => self.notify_sent(json),
            Kind::NotifyFailed => self.notify_failed(json),
            Kind::RequestSettled => self.request_settled(json),
            Kind::VoteCast => self.vote_cast(json),
            Kind::VoteRefused => self.vote_refused(json),
            Kind::GrantOpened => self.grant_opened(json),
            Kind::GrantRevoked => asking::revoked(json),
            Kind::CredentialIssued => self.credential_issued(json),
            Kind::CredentialRevoked => self.credential_revoked(json),
            Kind::GrantClosed => self.grant_closed(json),
            Kind::HookFailed => asking::hook_failed(json),
            Kind::OperateRefused => asking::not_operated(json),
            Kind::LockSet => Line::new(Tone::Bad, "locked", lock(json)),
            Kind::LockLifted => Line::new(Tone::Strong, "unlocked", lock(json)),
            Kind::BundleReloaded => Line::new(Tone::Strong, "reloaded", reloaded(json)),
            Kind::LogOpened => Line::new(Tone::Plain, "opened", opened(record, json)),
            Kind::LogClosed => Line::new(Tone::Plain, "closed", format!("log {}", record.log())),
            Kind::LogCheckpoint => Line::new(Tone::Plain, "signed", signed(json)),
        }
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        (self.paint)(tone, text)
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

/// As [`text`], of what was escaped where it was quoted: that is not escaped again.
fn once(json: &Value, key: &str) -> String {
    json.get(key)
        .and_then(Value::as_str)
        .map(shown_once)
        .unwrap_or_default()
}

fn list(json: &Value, key: &str) -> String {
    let items = json.get(key).and_then(Value::as_array).into_iter().flatten();
    let items: Vec<String> = items.filter_map(Value::as_str).map(shown_whole).collect();
    items.join(", ")
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

fn reloaded(json: &Value) -> String {
    format!("bundle {}, before it {}", text(json, "new"), text(json, "old"))
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
    fn times_are_of_one_width() {
        assert_eq!(time("2026-03-01T14:05:00Z"), "2026-03-01T14:05:00.000Z");
        assert_eq!(time("2026-03-01T14:05:00.25Z"), "2026-03-01T14:05:00.250Z");
    }
}
