//! What each session came to, from an audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glassbreak_core::audit::{Kind, Timeline};
use glassbreak_core::error::shown_whole;
use serde_json::Value;

use crate::Failure;

/// The sessions of a log.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Those to learn from, by role: the most that each observed budget counted in it.
    pub(super) clean: Vec<Session>,
    /// How many are left out because something was asked, refused or locked in them: they are not what is normal.
    pub(super) stopped: usize,
    /// How many are left out because another policy folder judged some call of theirs: it may have counted otherwise.
    pub(super) other_folder: usize,
}

/// A session to learn from.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) role: String,
    pub(super) most: BTreeMap<String, u64>,
}

/// A session that is being read.
#[derive(Debug, Default)]
struct Read {
    roles: BTreeSet<String>,
    most: BTreeMap<String, u64>,
    stopped: bool,
    other_folder: bool,
}

impl Sessions {
    /// Reads a log, every record of which must be as it was written.
    ///
    /// # Errors
    /// When it cannot be read, or something in it was changed: what is learned of a log that somebody has written in is
    /// what they wanted learned.
    pub(super) fn read(log: &Path, bundle: &str) -> Result<Self, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| Failure::usage(format!("glassbreak: {error}"));
        let mut read: BTreeMap<String, Read> = BTreeMap::new();
        for step in Timeline::open(log).map_err(|error| unreadable(&error))? {
            let record = step.map_err(|fault| Failure {
                message: format!("glassbreak: TAMPERED  {fault}; nothing is learned from this log"),
                code: 1,
            })?;
            if let Some(kind) = record.kind() {
                take(&mut read, kind, &record.json(), bundle);
            }
        }
        Ok(Self::sorted(read))
    }

    fn sorted(read: BTreeMap<String, Read>) -> Self {
        let mut sessions = Self::default();
        for session in read.into_values() {
            if session.stopped {
                sessions.stopped += 1;
            } else if session.other_folder {
                sessions.other_folder += 1;
            } else if !session.roles.is_empty() {
                let roles: Vec<&str> = session.roles.iter().map(String::as_str).collect();
                sessions.clean.push(Session {
                    role: roles.join("+"),
                    most: session.most,
                });
            }
        }
        sessions
    }

    /// Which were left out, in words.
    pub(super) fn left_out_told(&self) -> String {
        format!(
            "left out are {} in which something was asked, refused or locked, and {} of another policy folder",
            self.stopped, self.other_folder
        )
    }
}

/// Takes one record into account.
fn take(read: &mut BTreeMap<String, Read>, kind: Kind, json: &Value, bundle: &str) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(shown_whole);
    match kind {
        Kind::CallPermitted | Kind::CallAsked | Kind::CallRefused => {
            let Some(actor) = json.get("actor") else { return };
            let Some(session) = text(actor, "session") else { return };
            let session = read.entry(session).or_default();
            session.roles.extend(text(actor, "role"));
            session.stopped |= kind != Kind::CallPermitted;
            session.other_folder |= text(json, "bundle").is_none_or(|by| by != bundle);
            let counts = json.get("observe").and_then(|observe| observe.get("counts"));
            for (rule, count) in counts.and_then(Value::as_object).into_iter().flatten() {
                // A number that is none is the most there can be: nothing is learned to be less than it was.
                let count = count.as_u64().unwrap_or(u64::MAX);
                let most = session.most.entry(rule.clone()).or_default();
                *most = (*most).max(count);
            }
        }
        Kind::LockSet => {
            let Some(target) = json.get("target") else { return };
            if text(target, "kind").as_deref() == Some("session")
                && let Some(name) = text(target, "name")
            {
                read.entry(name).or_default().stopped = true;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(session: &str, bundle: &str, count: u64) -> Value {
        json!({"actor": {"role": "ops", "session": session}, "bundle": bundle, "observe": {"counts": {"drops": count}}})
    }

    fn sessions(records: &[(Kind, Value)]) -> Sessions {
        let mut read = BTreeMap::new();
        for (kind, json) in records {
            take(&mut read, *kind, json, "b");
        }
        Sessions::sorted(read)
    }

    #[test]
    fn a_session_is_the_most_that_each_rule_counted_in_it() {
        let read = sessions(&[
            (Kind::CallPermitted, call("s", "b", 1)),
            (Kind::CallPermitted, call("s", "b", 3)),
            (Kind::CallPermitted, call("s", "b", 2)),
            (Kind::CallFinished, json!({"call": "x"})),
            (Kind::CallPermitted, call("t", "b", 1)),
        ]);
        let most: Vec<u64> = read.clean.iter().map(|session| session.most["drops"]).collect();
        assert_eq!((most, read.stopped, read.other_folder), (vec![3, 1], 0, 0));
    }

    #[test]
    fn a_session_in_which_anything_was_stopped_teaches_nothing() {
        let lock = json!({"target": {"kind": "session", "name": "u"}, "by": "x"});
        let read = sessions(&[
            (Kind::CallPermitted, call("s", "b", 9)),
            (Kind::CallAsked, call("s", "b", 9)),
            (Kind::CallPermitted, call("t", "b", 9)),
            (Kind::CallRefused, call("t", "b", 9)),
            (Kind::CallPermitted, call("u", "b", 9)),
            (Kind::LockSet, lock),
            (Kind::CallPermitted, call("v", "b", 2)),
        ]);
        assert_eq!((read.clean.len(), read.stopped), (1, 3));
    }

    #[test]
    fn a_session_of_another_folder_teaches_nothing() {
        let read = sessions(&[
            (Kind::CallPermitted, call("s", "b", 1)),
            (Kind::CallPermitted, call("s", "c", 9)),
        ]);
        assert_eq!((read.clean.len(), read.other_folder), (0, 1));
    }

    #[test]
    fn a_lock_on_a_session_without_calls_is_no_session() {
        let lock = json!({"target": {"kind": "all"}, "by": "x"});
        assert_eq!(sessions(&[(Kind::LockSet, lock)]).clean.len(), 0);
    }
}
