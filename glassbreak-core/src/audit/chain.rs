//! One chain: how a record becomes a line, and how a line is taken apart. No I/O.

use std::fmt;
use std::io::Write as _;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::call::hex_digits;
use crate::clock::Timestamp;

/// What stands between the record and its hash.
const JOINT: &[u8] = b",\"hash\":\"";
/// From the joint to the end of a line, without the newline: the joint, 64 digits, a quote and a brace.
const TAIL: usize = JOINT.len() + 64 + 2;

/// The id of a log: a UUID version 7, whose first 48 bits are the time it was begun.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(Uuid);

impl LogId {
    /// A new one.
    pub(super) fn mint() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads the lower-case form with dashes; `None` for anything else.
    pub fn from_text(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 7)?;
        (id.hyphenated().to_string() == text).then_some(Self(id))
    }

    /// The name of its file.
    pub(super) fn file_name(self) -> String {
        format!("{self}.jsonl")
    }

    /// The log whose file has this name.
    pub(super) fn of_file_name(name: &str) -> Option<Self> {
        Self::from_text(name.strip_suffix(".jsonl")?)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a record, and through it of all records above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordHash([u8; 32]);

impl RecordHash {
    /// What stands for the record above the first.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of `record` (an object, without its hash) below the record with this hash.
    pub(super) fn next(self, record: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([0x02]);
        hasher.update(self.0);
        hasher.update((record.len() as u64).to_be_bytes());
        hasher.update(record);
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex_bytes(text).map(Self)
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::call::write_hex(f, &self.0)
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    out
}

/// Exactly `2 N` lower-case hexadecimal digits.
pub(super) fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (to, [high, low]) in out.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

/// Where a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How many records there are; the `seq` of the last.
    pub(super) seq: u64,
    /// The hash of the last.
    pub(super) hash: RecordHash,
}

impl Head {
    /// Before the first record.
    pub(super) const START: Self = Self {
        seq: 0,
        hash: RecordHash::ZERO,
    };
}

/// The writing end of a chain.
#[derive(Debug)]
pub(super) struct Chain {
    log: String,
    head: Head,
    /// The hash of the head, as the next record names it.
    digits: [u8; 64],
    at: Timestamp,
}

impl Chain {
    pub(super) fn new(log: LogId) -> Self {
        Self {
            log: log.to_string(),
            head: Head::START,
            digits: hex_digits(Head::START.hash.as_bytes()),
            at: Timestamp::from_millis(i64::MIN),
        }
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    /// Adds a record to the chain and its line to `out`. `event` is a JSON object with at least a `kind`.
    ///
    /// Piece by piece and not by a format: every call writes two of these.
    pub(super) fn link(&mut self, now: Timestamp, event: &[u8], out: &mut Vec<u8>) -> (Head, Timestamp) {
        let start = out.len();
        self.at = self.at.max(now);
        let seq = self.head.seq + 1;
        out.extend_from_slice(br#"{"seq":"#);
        // Memory takes whatever is written to it.
        let _ = write!(out, "{seq}");
        out.extend_from_slice(br#","at":""#);
        let _ = write!(out, "{}", self.at);
        out.extend_from_slice(br#"","log":""#);
        out.extend_from_slice(self.log.as_bytes());
        out.extend_from_slice(br#"","prev":""#);
        out.extend_from_slice(&self.digits);
        out.extend_from_slice(br#"","#);
        if now < self.at {
            let _ = write!(out, r#""clock":"{now}","#);
        }
        out.extend_from_slice(event.get(1..).unwrap_or_default());
        let hash = self.head.hash.next(out.get(start..).unwrap_or_default());
        out.pop(); // the closing brace: the hash comes last
        out.extend_from_slice(JOINT);
        self.digits = hex_digits(hash.as_bytes());
        out.extend_from_slice(&self.digits);
        out.extend_from_slice(b"\"}\n");
        self.head = Head { seq, hash };
        (self.head, self.at)
    }
}

/// Takes a line (without its newline) apart: the bytes under the hash, and the hash. `None` when it has not that form.
pub(super) fn take_apart(line: &[u8]) -> Option<(Vec<u8>, RecordHash)> {
    let (record, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
    let digits = tail.strip_prefix(JOINT)?.strip_suffix(b"\"}")?;
    let hash = RecordHash::from_hex(std::str::from_utf8(digits).ok()?)?;
    let mut record = record.to_vec();
    record.push(b'}');
    Some((record, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_apart_into_what_was_hashed() {
        let mut chain = Chain::new(LogId::mint());
        let mut out = Vec::new();
        let (first, _) = chain.link(Timestamp::from_millis(5), br#"{"kind":"a"}"#, &mut out);
        let lines = out.len();
        let (second, at) = chain.link(Timestamp::from_millis(3), br#"{"kind":"b"}"#, &mut out);
        assert_eq!((first.seq, second.seq, at), (1, 2, Timestamp::from_millis(5)));
        let (record, hash) = take_apart(&out[lines..out.len() - 1]).unwrap();
        assert_eq!(hash, second.hash);
        assert_eq!(first.hash.next(&record), hash);
        let text = String::from_utf8(record).unwrap();
        assert!(
            text.contains(r#""clock":"1970-01-01T00:00:00.003Z","kind":"b"}"#),
            "{text}"
        );
    }

    #[test]
    fn only_plain_forms_are_read() {
        let id = LogId::mint();
        assert_eq!(LogId::of_file_name(&id.file_name()), Some(id));
        assert_eq!(LogId::from_text(&id.to_string().to_uppercase()), None);
        assert_eq!(LogId::from_text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), None);
        assert_eq!(RecordHash::from_hex(&"A".repeat(64)), None);
        assert_eq!(RecordHash::from_hex(&"0".repeat(63)), None);
        assert_eq!(RecordHash::from_hex(&"0".repeat(64)), Some(RecordHash::ZERO));
    }
}
