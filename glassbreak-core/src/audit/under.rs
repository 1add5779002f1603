//! What a log says of late: the calls under a grant, and the requests that people were asked.
//!
//! Chains are read from their ends, and only as far back as is of interest, so that the length of a log does not matter.
//! What is read is not verified; that is what [`verify`](super::verify) is for.

#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only a gate reads a log back, and it is built for Linux only")
)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::folder;
use super::record::{Kind, Performed};
use super::tell::operation;
use super::writer::MAX_RECORD;
use super::{AuditError, AuditLog};
use crate::approval::RequestId;
use crate::call::CallDigest;
use crate::clock::{Span, Timestamp};
use crate::grant::GrantId;
use crate::store::OpId;

/// How far apart the clocks of processes that share a folder may be.
const SKEW: Span = Span::from_millis(60_000);
/// How much is read at once.
const PIECE: u64 = 64 * 1024;

/// A call that passed by a grant, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderGrant {
    /// Its id.
    pub call: OpId,
    /// Its digest.
    pub digest: Option<CallDigest>,
    /// What it was, in a line, escaped: the words of a program, or a tool with its arguments. Secrets are not in it.
    pub what: Box<str>,
    /// When it was permitted.
    pub at: Timestamp,
    /// What came of it; `None` where nobody has told: it may have run, or may run still.
    pub outcome: Option<Performed>,
}

impl AuditLog {
    /// The calls that passed by a grant since `since`, in the order in which they were permitted, by all chains of this
    /// log's folder.
    pub(crate) fn under(&self, grant: GrantId, since: Timestamp) -> Result<Vec<UnderGrant>, AuditError> {
        self.sync()?;
        let id = grant.to_string();
        let mut outcomes: HashMap<OpId, Performed> = HashMap::new();
        let mut calls = Vec::new();
        self.late(since, |line| {
            let finished = line.contains(Kind::CallFinished.as_str());
            if !finished && !line.contains(&id) {
                return;
            }
            let Ok(json) = serde_json::from_str::<Value>(line) else {
                return;
            };
            let text = |key: &str| json.get(key).and_then(Value::as_str);
            let call = text("call").and_then(|call| OpId::from_text(call).ok());
            match (text("kind").and_then(Kind::from_word), call) {
                (Some(Kind::CallFinished), Some(call)) => {
                    let outcome = text("outcome").and_then(Performed::from_word);
                    outcomes.extend(outcome.map(|outcome| (call, outcome)));
                }
                (Some(Kind::CallPermitted), Some(call)) if text("grant") == Some(&id) => calls.push(UnderGrant {
                    call,
                    digest: json
                        .get("digest")
                        .and_then(|digest| CallDigest::deserialize(digest).ok()),
                    what: operation(&json).into(),
                    at: text("at")
                        .and_then(|at| Timestamp::from_rfc3339(at).ok())
                        .unwrap_or(since),
                    outcome: None,
                }),
                _ => {}
            }
        })?;
        calls.sort_by_key(|call| (call.at, call.call));
        for call in &mut calls {
            call.outcome = outcomes.get(&call.call).copied();
        }
        Ok(calls)
    }

    /// The requests that people were asked since `since`, by all chains of this log's folder.
    pub(crate) fn asked(&self, since: Timestamp) -> Result<Vec<RequestId>, AuditError> {
        self.sync()?;
        let mut asked = Vec::new();
        self.late(since, |line| {
            if !line.contains(Kind::RequestOpened.as_str()) {
                return;
            }
            let json: Value = serde_json::from_str(line).unwrap_or_default();
            if json.get("kind").and_then(Value::as_str) == Some(Kind::RequestOpened.as_str()) {
                let id = json.get("request").and_then(Value::as_str);
                asked.extend(id.and_then(|id| RequestId::from_text(id).ok()));
            }
        })?;
        asked.sort_unstable();
        asked.dedup();
        Ok(asked)
    }

    /// Every record since `since`, of each chain the newest first.
    fn late(&self, since: Timestamp, mut each: impl FnMut(&str)) -> Result<(), AuditError> {
        let from = Timestamp::from_millis(since.as_millis().saturating_sub_unsigned(SKEW.as_millis()));
        let dir = self.path().parent().unwrap_or(Path::new("."));
        for (_, path) in folder::list(dir)?.chains {
            let read = File::open(&path).and_then(|file| {
                backwards(file, |line| {
                    let Ok(line) = std::str::from_utf8(line) else {
                        return true;
                    };
                    if time_of(line).is_some_and(|at| at < from) {
                        return false;
                    }
                    each(line);
                    true
                })
            });
            read.map_err(AuditError::io("read", &path))?;
        }
        Ok(())
    }
}

/// When a record was written; it stands near its beginning.
fn time_of(line: &str) -> Option<Timestamp> {
    let (_, rest) = line.split_once("\"at\":\"")?;
    Timestamp::from_rfc3339(rest.split('"').next()?).ok()
}

/// Hands out the lines of a file from the last to the first, until `each` says that it is enough. What stands before the
/// first newline, or after the last, is a line too.
fn backwards(mut file: File, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut end = file.seek(SeekFrom::End(0))?;
    // The rest of a line that begins further up.
    let mut rest: Vec<u8> = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(from))?;
        let mut part = Vec::new();
        file.by_ref().take(end - from).read_to_end(&mut part)?;
        part.append(&mut rest);
        end = from;
        let first = match from {
            0 => 0,
            _ => match part.iter().position(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if part.len() > 2 * MAX_RECORD => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a line is longer than any record",
                    ));
                }
                None => {
                    rest = part;
                    continue;
                }
            },
        };
        let whole = part.get(first..).unwrap_or_default();
        for line in whole.split(|byte| *byte == b'\n').rev() {
            if !line.is_empty() && !each(line) {
                return Ok(());
            }
        }
        part.truncate(first);
        rest = part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], most: usize) -> Vec<Vec<u8>> {
        let path = std::env::temp_dir().join(format!("glassbreak-back-{}", OpId::mint(Timestamp::now())));
        std::fs::write(&path, text).unwrap();
        let mut lines = Vec::new();
        backwards(File::open(&path).unwrap(), |line| {
            lines.push(line.to_vec());
            lines.len() < most
        })
        .unwrap();
        std::fs::remove_file(&path).unwrap();
        lines
    }

    #[test]
    fn lines_come_from_the_last_to_the_first_whatever_their_lengths() {
        let lengths = [1, 70_000, 3, 65_535, 65_536, 65_537, 200_000, 2];
        let lines: Vec<Vec<u8>> = (b'a'..).zip(lengths).map(|(byte, length)| vec![byte; length]).collect();
        let mut text = lines.join(&b'\n');
        let mut expected = lines;
        expected.reverse();
        assert!(read(&text, 99) == expected, "without a newline at the end");
        text.push(b'\n');
        assert!(read(&text, 99) == expected);
        assert!(read(&text, 2) == expected[..2], "and no more than is wanted");
        assert!(read(b"", 9).is_empty());
        assert!(read(b"\n\n", 9).is_empty());
    }
}
