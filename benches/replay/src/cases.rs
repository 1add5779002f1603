//! Reads recorded sequences.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// What was recorded, by source.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    pub(crate) sources: BTreeMap<String, Source>,
}

/// The sequences of one source.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// What agents did for people.
    pub(crate) honest: Vec<Sequence>,
    /// What attackers want done.
    pub(crate) injections: Vec<Sequence>,
}

/// One recorded sequence.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sequence {
    /// Where it is from.
    #[serde(alias = "source")]
    suite: String,
    /// Its name within that.
    pub(crate) task: String,
    kind: Kind,
    /// What was asked for, in words.
    #[serde(default)]
    pub(crate) goal: String,
    /// The calls, in order.
    pub(crate) calls: Vec<Call>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    User,
    Injection,
}

/// One call of a tool.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Call {
    /// The tool.
    pub(crate) tool: String,
    /// Its arguments.
    #[serde(default)]
    pub(crate) args: Map<String, Value>,
    /// The texts of an attacker that it returned.
    #[serde(default)]
    untrusted_vectors: Vec<Value>,
}

impl Cases {
    /// Adds the sequences of a file of JSON Lines.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no sequence: which.
    pub(crate) fn read(&mut self, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let sequence: Sequence =
                serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", file.display(), at + 1))?;
            let source = self.sources.entry(sequence.suite.clone()).or_default();
            match sequence.kind {
                Kind::User => source.honest.push(sequence),
                Kind::Injection => source.injections.push(sequence),
            }
        }
        Ok(())
    }
}

impl Sequence {
    /// The calls up to and including the first that returned an attacker's text; `None` where none did.
    pub(crate) fn until_untrusted(&self) -> Option<&[Call]> {
        let first = self.calls.iter().position(|call| !call.untrusted_vectors.is_empty())?;
        self.calls.get(..=first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(calls: &str) -> Sequence {
        serde_json::from_str(&format!(
            r#"{{"suite":"s","task":"t","kind":"user","goal":"g","calls":{calls}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn an_attack_begins_after_the_first_call_that_returned_an_attackers_text() {
        let read = sequence(
            r#"[{"tool":"a"},{"tool":"b","args":{},"untrusted_vectors":["v"]},{"tool":"c","untrusted_vectors":["v"]}]"#,
        );
        let names: Vec<&str> = read.until_untrusted().unwrap().iter().map(|call| &*call.tool).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(
            sequence(r#"[{"tool":"a","untrusted_vectors":[]}]"#)
                .until_untrusted()
                .is_none()
        );
    }
}
