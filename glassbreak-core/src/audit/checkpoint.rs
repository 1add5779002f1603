//! Signed statements of how long a log is and what its head is, kept out of reach of whoever can write the log.
//!
//! What is signed (Ed25519, RFC 8032) is text of five lines, each ended by a newline: `glassbreak.checkpoint.v1`, the
//! log id, the number of records, the hash of the last (64 lower-case digits), and the time as recorded.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::chain::{Head, LogId, RecordHash, hex, hex_bytes};
use super::{AuditError, folder};
use crate::clock::Timestamp;

/// Makes signatures. Implement it to sign with a key that never leaves its hardware.
///
/// It is called from the log's own thread and from `close`, never while the log is held: a slow signer delays
/// checkpoints and nothing else.
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Signs `message` with Ed25519.
    ///
    /// # Errors
    /// When it cannot; the log goes on, and tries again at the next checkpoint.
    fn sign(&self, message: &[u8]) -> io::Result<Signature>;
}

/// A signature, and the key to check it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The key.
    pub key: PublicKey,
    /// The 64 bytes of the signature.
    pub bytes: [u8; 64],
}

/// Keeps checkpoints in a second place: another disk, another host, a chat thread, a git repository.
pub trait CheckpointSink: fmt::Debug + Send + Sync + 'static {
    /// Keeps `checkpoint`; returns when it is safe there.
    ///
    /// # Errors
    /// When it is not known to be safe; the log goes on, and tries again at the next checkpoint.
    fn put(&self, checkpoint: &Checkpoint) -> io::Result<()>;
}

/// An Ed25519 public key, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a file that holds the digits.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let text = folder::read_small(path)?;
        let key = hex_bytes(text.trim_end()).map(Self);
        key.filter(|key| VerifyingKey::from_bytes(&key.0).is_ok())
            .ok_or_else(|| AuditError::BadKey {
                path: path.to_owned(),
                wanted: "a public key: write 64 lower-case hexadecimal digits",
            })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signing key in a file: its 32 bytes of secret as 64 lower-case hexadecimal digits.
///
/// `openssl rand -hex 32` makes one. Keep it where the agent's tools cannot read it.
pub struct KeyFile(SigningKey);

impl KeyFile {
    /// Reads the key.
    ///
    /// # Errors
    /// When the file cannot be read, is a link, is readable or writable by anyone but its owner, or holds something else.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        folder::check_secret(path)?;
        let text = folder::read_small(path)?;
        let secret: [u8; 32] = hex_bytes(text.trim_end()).ok_or_else(|| AuditError::BadKey {
            path: path.to_owned(),
            wanted: "a signing key: write 64 lower-case hexadecimal digits (`openssl rand -hex 32`)",
        })?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The key to check its signatures with.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFile").field(&self.public()).finish()
    }
}

impl Signer for KeyFile {
    fn sign(&self, message: &[u8]) -> io::Result<Signature> {
        Ok(Signature {
            key: self.public(),
            bytes: self.0.sign(message).to_bytes(),
        })
    }
}

/// A signed statement: at this time, this log had so many records, and this was the hash of the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    log: LogId,
    head: Head,
    at: Timestamp,
    signature: Signature,
}

impl Checkpoint {
    pub(super) fn sign(log: LogId, head: Head, at: Timestamp, signer: &dyn Signer) -> io::Result<Self> {
        let signature = signer.sign(message(log, head, at).as_bytes())?;
        Ok(Self {
            log,
            head,
            at,
            signature,
        })
    }

    /// Whether the signature is of this key and over this statement. Weak keys and loose encodings do not pass.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Ok(verifying) = VerifyingKey::from_bytes(&key.0) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.bytes);
        let message = message(self.log, self.head, self.at);
        self.signature.key == *key && verifying.verify_strict(message.as_bytes(), &signature).is_ok()
    }

    /// The log.
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// How many records it had.
    pub const fn size(&self) -> u64 {
        self.head.seq
    }

    /// The hash of the last of them.
    pub const fn hash(&self) -> RecordHash {
        self.head.hash
    }

    /// When it was signed.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str();
        Some(Self {
            log: LogId::from_text(text("log")?)?,
            head: Head {
                seq: value.get("size")?.as_u64()?,
                hash: RecordHash::from_hex(text("head")?)?,
            },
            at: Timestamp::from_rfc3339(text("at")?).ok()?,
            signature: Signature {
                key: PublicKey(hex_bytes(text("key")?)?),
                bytes: hex_bytes(text("signature")?)?,
            },
        })
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(6))?;
        map.serialize_entry("log", &self.log.to_string())?;
        map.serialize_entry("size", &self.head.seq)?;
        map.serialize_entry("head", &self.head.hash.to_string())?;
        map.serialize_entry("at", &self.at.to_string())?;
        map.serialize_entry("key", &self.signature.key.to_string())?;
        map.serialize_entry("signature", &hex(&self.signature.bytes))?;
        map.end()
    }
}

fn message(log: LogId, head: Head, at: Timestamp) -> String {
    format!("glassbreak.checkpoint.v1\n{log}\n{}\n{}\n{at}\n", head.seq, head.hash)
}

/// How a log makes checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) sink: Arc<dyn CheckpointSink>,
    pub(super) records: u64,
    pub(super) interval: Duration,
}

impl Checkpoints {
    /// Signed by `signer` and kept in `sink`: every 256 records, every 60 seconds in which there were any, and on close.
    pub fn new(signer: impl Signer, sink: impl CheckpointSink) -> Self {
        Self {
            signer: Arc::new(signer),
            sink: Arc::new(sink),
            records: 256,
            interval: Duration::from_secs(60),
        }
    }

    /// After so many records, or so much time in which there were any; at least 1 and a second.
    #[must_use]
    pub fn every(mut self, records: u64, interval: Duration) -> Self {
        self.records = records.max(1);
        self.interval = interval.max(Duration::from_secs(1));
        self
    }
}

/// A file of checkpoints, one JSON object per line. Several logs may share it.
#[derive(Debug)]
pub struct FileSink(Mutex<File>);

impl FileSink {
    /// Opens the file, and makes it (mode 0600) where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, is a link, or is writable by others.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        folder::check_sink(path)?;
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(AuditError::io("open", path))?;
        folder::sync_parent(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl CheckpointSink for FileSink {
    fn put(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut line = serde_json::to_vec(checkpoint)?;
        line.push(b'\n');
        let mut file = self.0.lock().map_err(|_| io::Error::other("a writer panicked"))?;
        file.write_all(&line)?;
        file.sync_data()
    }
}

/// Reads a file of checkpoints: for each line its number and, unless it is broken, the checkpoint.
pub(super) fn read_file(path: &Path) -> Result<Vec<(u64, Option<Checkpoint>)>, AuditError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut text))
        .map_err(AuditError::io("read", path))?;
    let lines = text.split_inclusive(|b| *b == b'\n').zip(1..);
    Ok(lines.map(|(line, number)| (number, read_line(line))).collect())
}

/// A line just as [`FileSink`] writes it: the signature is over the values, and a line has no room for anything else.
fn read_line(line: &[u8]) -> Option<Checkpoint> {
    let line = line.strip_suffix(b"\n")?;
    let checkpoint = Checkpoint::from_json(&serde_json::from_slice(line).ok()?)?;
    (serde_json::to_vec(&checkpoint).ok()? == line).then_some(checkpoint)
}
