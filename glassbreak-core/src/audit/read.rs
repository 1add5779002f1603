//! The reading side: a chain record by record, each checked against the ones above.

use std::cmp::Ordering;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Take};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::AuditError;
use super::chain::{Head, LogId, RecordHash, take_apart};
use super::record::Kind;
use super::verify::{ChainEnd, Fault};
use super::writer::MAX_RECORD;
use crate::clock::Timestamp;
use crate::error::shown;

/// One record, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    log: LogId,
    head: Head,
    at: Timestamp,
    kind: Box<str>,
    bytes: Vec<u8>,
}

impl Record {
    /// The log it is in.
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// Its place there, from 1.
    pub const fn seq(&self) -> u64 {
        self.head.seq
    }

    /// Its hash.
    pub const fn hash(&self) -> RecordHash {
        self.head.hash
    }

    /// The time on it.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Its kind; `None` for one that a later version wrote.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_word(&self.kind)
    }

    /// The word for its kind.
    pub fn kind_word(&self) -> &str {
        &self.kind
    }

    /// All of it but its hash. Text in it is as it came: escape it before anyone sees it.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Where the store stood, when that is a plain number.
    pub(super) fn position(&self) -> Option<u64> {
        self.json().get("store")?.as_u64()
    }
}

/// What every record begins with. The writer escapes nothing in these, so they are read as they stand.
#[derive(Deserialize)]
struct Start<'a> {
    seq: u64,
    at: &'a str,
    log: &'a str,
    prev: &'a str,
    kind: &'a str,
}

/// Reads one chain from its beginning.
#[derive(Debug)]
pub(super) struct ChainReader {
    log: LogId,
    file: String,
    input: BufReader<Take<File>>,
    head: Head,
    at: Timestamp,
    /// A line of which the end was not there yet.
    part: Vec<u8>,
    live: bool,
    closed: bool,
    broken: bool,
}

impl ChainReader {
    /// Opens a chain as long as it is now, or, to follow it, however long it gets.
    pub(super) fn open(log: LogId, path: &Path, follow: bool) -> Result<Self, AuditError> {
        let file = File::open(path).map_err(AuditError::io("open", path))?;
        let live = is_held(&file);
        let length = file.metadata().map_err(AuditError::io("look at", path))?.len();
        let limit = if follow { u64::MAX } else { length };
        Ok(Self {
            log,
            file: log.file_name(),
            input: BufReader::with_capacity(64 * 1024, file.take(limit)),
            head: Head::START,
            at: Timestamp::from_millis(i64::MIN),
            part: Vec::new(),
            live,
            closed: false,
            broken: false,
        })
    }

    /// The next record; `None` at the end of what is there, and after a fault.
    pub(super) fn next(&mut self) -> Option<Result<Record, Fault>> {
        if self.broken {
            return None;
        }
        let step = self.read();
        self.broken = matches!(step, Some(Err(_)));
        step
    }

    fn read(&mut self) -> Option<Result<Record, Fault>> {
        let room = (MAX_RECORD + 1).saturating_sub(self.part.len()) as u64;
        let read = (&mut self.input).take(room).read_until(b'\n', &mut self.part);
        if let Err(error) = read {
            return Some(Err(self.fault(format!("the file cannot be read: {error}"))));
        }
        if self.part.last() != Some(&b'\n') {
            let over = self.part.len() > MAX_RECORD;
            return over.then(|| Err(self.fault("a line longer than any record: bytes were inserted".to_owned())));
        }
        let mut line = std::mem::take(&mut self.part);
        line.pop();
        let record = self.examine(&line);
        line.clear();
        self.part = line;
        if let Ok(record) = &record {
            self.head = record.head;
            self.at = record.at;
            self.closed = record.kind() == Some(Kind::LogClosed);
        }
        Some(record)
    }

    /// Whether `line` is the record that must stand here, and if not, what that means.
    fn examine(&self, line: &[u8]) -> Result<Record, Fault> {
        let want = self.head.seq + 1;
        let fault = |what: String| Err(self.fault(what));
        let Some((bytes, hash)) = take_apart(line) else {
            return fault("this line does not end with a hash: bytes were changed, inserted or removed".to_owned());
        };
        let start: Start<'_> = match serde_json::from_slice(&bytes) {
            Ok(start) => start,
            Err(error) => {
                let error = shown(&error.to_string());
                return fault(format!("this line is not a record: bytes were changed ({error})"));
            }
        };
        let (Some(log), Some(prev), Ok(at)) = (
            LogId::from_text(start.log),
            RecordHash::from_hex(start.prev),
            Timestamp::from_rfc3339(start.at),
        ) else {
            return fault("the record's log, time or `prev` is not of the right form: bytes were changed".to_owned());
        };
        if prev.next(&bytes) != hash {
            return fault("the record was changed after it was written: its hash does not fit its bytes".to_owned());
        }
        if log != self.log {
            return fault(format!(
                "a record of log {log} stands here: inserted, or the file was renamed"
            ));
        }
        let seq = start.seq;
        match seq.cmp(&want) {
            Ordering::Greater if self.head.seq == 0 => {
                return fault(format!(
                    "the chain begins with record {seq}: the ones before were removed or moved"
                ));
            }
            Ordering::Greater => {
                let last = seq - 1;
                return fault(format!(
                    "record {seq} stands where {want} should: {want} to {last} were removed or moved"
                ));
            }
            Ordering::Less => {
                return fault(format!(
                    "record {seq} stands where {want} should: duplicated, moved or inserted"
                ));
            }
            Ordering::Equal => {}
        }
        if prev != self.head.hash {
            return fault(
                "the record does not continue the one above: one of them was replaced, and its hash computed anew"
                    .to_owned(),
            );
        }
        if self.closed {
            return fault("a record stands after `log.closed`: inserted".to_owned());
        }
        if at < self.at {
            return fault(format!("time goes back, from {} to {at}: no writer does that", self.at));
        }
        if (want == 1) != (start.kind == Kind::LogOpened.as_str()) {
            return fault("`log.opened` must be the first record, and only that".to_owned());
        }
        let kind = start.kind.into();
        Ok(Record {
            log,
            head: Head { seq, hash },
            at,
            kind,
            bytes,
        })
    }

    /// What the end of the file means, once [`next`](Self::next) found no more.
    pub(super) fn end(&self) -> Result<ChainEnd, Fault> {
        // A machine that loses power may leave zeros where a line was to be.
        let zeros = self.part.iter().rev().take_while(|b| **b == 0).count();
        let tail = self.part.get(..self.part.len() - zeros).unwrap_or_default();
        if self.closed && !self.part.is_empty() {
            return Err(self.fault("bytes stand after `log.closed`: inserted".to_owned()));
        }
        if !self.is_beginning(tail) {
            return Err(self.fault("the file ends with bytes that no writer left: changed or inserted".to_owned()));
        }
        // It may have been begun, and not yet locked, when it was opened here.
        let live = self.live || is_held(self.input.get_ref().get_ref());
        Ok(match (self.closed, live, self.part.is_empty()) {
            (true, ..) => ChainEnd::Closed,
            (false, true, _) => ChainEnd::Writing,
            (false, false, true) => ChainEnd::Open,
            (false, false, false) => ChainEnd::Cut {
                bytes: self.part.len() as u64,
            },
        })
    }

    /// Whether `tail` is the beginning of the record that must come next, or all of it but its newline.
    fn is_beginning(&self, tail: &[u8]) -> bool {
        let start = format!(r#"{{"seq":{},"at":""#, self.head.seq + 1);
        let length = tail.len().min(start.len());
        if tail.get(..length) != start.as_bytes().get(..length) {
            return false;
        }
        match serde_json::from_slice::<serde::de::IgnoredAny>(tail) {
            Ok(_) => self.examine(tail).is_ok(),
            Err(error) => error.is_eof(),
        }
    }

    pub(super) fn fault(&self, what: String) -> Fault {
        Fault::at(&self.file, self.head.seq + 1, what)
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    pub(super) const fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether nothing more can come.
    pub(super) const fn is_over(&self) -> bool {
        self.closed || self.broken || (!self.live && self.head.seq > 0)
    }
}

/// Whether a writer holds the file.
fn is_held(file: &File) -> bool {
    let held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    if !held {
        // Best effort: the lock goes with the file in any case, and a chain is never taken up again.
        let _ = file.unlock();
    }
    held
}
