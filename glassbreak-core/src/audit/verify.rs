//! Verifying a folder of chains: what was changed, where, and what that means.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chain::{Head, LogId, RecordHash};
use super::checkpoint::{self, Checkpoint, PublicKey};
use super::read::{ChainReader, Record};
use super::record::Kind;
use super::writer::{FORMAT, REACH};
use super::{AuditError, folder};
use crate::clock::Timestamp;
use crate::error::shown_whole;

/// What to verify against.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The keys that may have signed the checkpoints: the present one, and those before it. Without any, only the sizes
    /// and hashes of checkpoints are compared.
    pub keys: Vec<PublicKey>,
    /// Files of checkpoints from the second place, as [`FileSink`](super::FileSink) writes them.
    pub checkpoints: Vec<PathBuf>,
}

/// What verifying found.
#[must_use = "an unread report proves nothing"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each chain, by the time it was begun.
    pub chains: Vec<ChainReport>,
    /// What is wrong with the folder as a whole: foreign files, chains that are gone, false checkpoints.
    pub faults: Vec<Fault>,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Everything is as it was written.
    Intact,
    /// As written as far as it goes, but a chain ends without `log.closed` and nobody writes it: its process was killed,
    /// or its end was removed where no checkpoint shows it.
    Cut,
    /// Something was changed, removed, moved or put in.
    Tampered,
}

impl State {
    /// The word used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Cut => "cut",
            Self::Tampered => "tampered",
        }
    }
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The log.
    pub log: LogId,
    /// How many records are as they were written, from the first.
    pub records: u64,
    /// The hash of the last of these.
    pub head: RecordHash,
    /// The time on the last of these; `None` without any.
    pub last_at: Option<Timestamp>,
    /// Up to which record a checkpoint with a good signature covers the chain; 0 without one, or without a key.
    pub signed: u64,
    /// How it ends, or the first thing that is wrong with it.
    pub end: Result<ChainEnd, Fault>,
}

/// How a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainEnd {
    /// With `log.closed`.
    Closed,
    /// Its writer holds it.
    Writing,
    /// After a whole record, without `log.closed`.
    Open,
    /// Within a record, of which these bytes are there.
    Cut {
        /// How many.
        bytes: u64,
    },
}

/// Something that no writer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the file.
    pub file: String,
    /// The record, and the line, where it shows; `None` for a whole file.
    pub seq: Option<u64>,
    /// What it means, in one line.
    pub what: String,
}

impl Fault {
    pub(super) fn at(file: &str, seq: u64, what: String) -> Self {
        Self {
            file: file.to_owned(),
            seq: Some(seq),
            what,
        }
    }

    pub(super) fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            seq: None,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seq {
            Some(seq) => write!(f, "{}:{seq}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl Report {
    /// The worst of everything found.
    pub fn state(&self) -> State {
        let chains = self.chains.iter().map(|chain| match chain.end {
            Ok(ChainEnd::Closed | ChainEnd::Writing) => State::Intact,
            Ok(ChainEnd::Open | ChainEnd::Cut { .. }) => State::Cut,
            Err(_) => State::Tampered,
        });
        let folder = if self.faults.is_empty() {
            State::Intact
        } else {
            State::Tampered
        };
        chains.max().unwrap_or(State::Intact).max(folder)
    }

    /// Everything that is wrong: with the folder, then with each chain.
    pub fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        let chains = self.chains.iter().filter_map(|chain| chain.end.as_ref().err());
        self.faults.iter().chain(chains)
    }
}

/// Somebody saw a chain with this head.
#[derive(Debug)]
struct Witness {
    head: Head,
    who: String,
    signed: bool,
}

/// Verifies every chain in `dir`, reading each once, with memory that does not grow with its length.
///
/// # Errors
/// When the folder or a file cannot be read. That something was tampered with is no error: it is in the report.
pub fn verify(dir: impl AsRef<Path>, options: &VerifyOptions) -> Result<Report, AuditError> {
    let dir = dir.as_ref();
    let mut report = Report {
        chains: Vec::new(),
        faults: Vec::new(),
        notes: Vec::new(),
    };
    // Before the chains: a log that is written meanwhile may be longer than its witnesses say, never shorter.
    let mut witnesses = from_checkpoints(options, &mut report)?;
    let listing = folder::list(dir)?;
    if listing.chains.is_empty() {
        let what = "there is no chain here: all were removed, or this is not the folder of a log";
        report.faults.push(Fault::of_file(&name(dir), what));
    }
    for path in &listing.foreign {
        let fault = "this is no chain of an audit log: it was put here, or renamed";
        report.faults.push(Fault::of_file(&name(path), fault));
    }
    for (log, path) in &listing.chains {
        let file = std::fs::File::open(path).map_err(AuditError::io("open", path))?;
        let opened = folder::first_line(&file).map_err(AuditError::io("read", path))?;
        for seen in folder::seen_in(&opened) {
            let who = format!("log {log} saw it when it was opened");
            let head = seen.head;
            let signed = false;
            witnesses
                .entry(seen.log)
                .or_default()
                .push(Witness { head, who, signed });
        }
    }
    for (log, path) in &listing.chains {
        let witnesses = witnesses.remove(log).unwrap_or_default();
        report.chains.push(chain(*log, path, &options.keys, witnesses)?);
    }
    for (log, witnesses) in witnesses {
        // What is there now was begun while the folder was read.
        if let Some(witness) = witnesses.first().filter(|_| !dir.join(log.file_name()).exists()) {
            let what = format!("the whole chain is gone: removed or moved away; {}", witness.who);
            report.faults.push(Fault::of_file(&log.file_name(), what));
        }
    }
    if options.keys.is_empty() {
        report
            .notes
            .push("signatures were not checked: no key was given".to_owned());
    }
    if options.checkpoints.is_empty() {
        let note = "no checkpoints were given: who could write the folder could have written all of it anew";
        report.notes.push(note.to_owned());
    }
    Ok(report)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    shown_whole(&name.to_string_lossy())
}

fn from_checkpoints(options: &VerifyOptions, report: &mut Report) -> Result<BTreeMap<LogId, Vec<Witness>>, AuditError> {
    let mut witnesses: BTreeMap<LogId, Vec<Witness>> = BTreeMap::new();
    for path in &options.checkpoints {
        let file = name(path);
        for (line, checkpoint) in checkpoint::read_file(path)? {
            let mut fault = |what: &str| report.faults.push(Fault::at(&file, line, what.to_owned()));
            let Some(checkpoint) = checkpoint else {
                fault("this line is not a checkpoint: it was changed, or cut by a crash");
                continue;
            };
            if !is_signed(&checkpoint, &options.keys) {
                fault("the checkpoint is not signed by a given key: it was changed, or is another's");
                continue;
            }
            witnesses.entry(checkpoint.log()).or_default().push(Witness {
                head: Head {
                    seq: checkpoint.size(),
                    hash: checkpoint.hash(),
                },
                who: format!("line {line} of {file} states it"),
                signed: !options.keys.is_empty(),
            });
        }
    }
    Ok(witnesses)
}

/// Without keys nothing is asked of a signature.
fn is_signed(checkpoint: &Checkpoint, keys: &[PublicKey]) -> bool {
    keys.is_empty() || keys.iter().any(|key| checkpoint.is_signed_by(key))
}

fn chain(log: LogId, path: &Path, keys: &[PublicKey], mut witnesses: Vec<Witness>) -> Result<ChainReport, AuditError> {
    witnesses.sort_by_key(|witness| witness.head.seq);
    let mut walk = Walk {
        reader: ChainReader::open(log, path, false)?,
        keys,
        witnesses: witnesses.into(),
        recent: VecDeque::new(),
        signed: 0,
    };
    let mut good = Head::START;
    let mut last_at = None;
    let end = loop {
        match walk.reader.next() {
            None => break walk.end(),
            Some(Err(fault)) => break Err(fault),
            Some(Ok(record)) => {
                if let Err(fault) = walk.check(&record) {
                    break Err(fault);
                }
                good = record.head();
                last_at = Some(walk.reader.at());
            }
        }
    };
    Ok(ChainReport {
        log,
        records: good.seq,
        head: good.hash,
        last_at,
        signed: walk.signed,
        end,
    })
}

/// A chain being read, with what others say of it.
struct Walk<'a> {
    reader: ChainReader,
    keys: &'a [PublicKey],
    /// By the place they speak of, the first first.
    witnesses: VecDeque<Witness>,
    /// The hashes that a checkpoint's record may speak of, the newest last.
    recent: VecDeque<RecordHash>,
    signed: u64,
}

impl Walk<'_> {
    fn check(&mut self, record: &Record) -> Result<(), Fault> {
        let head = record.head();
        let fault = |what: String| Err(Fault::at(&head_file(record), head.seq, what));
        while let Some(witness) = self.witnesses.front().filter(|witness| witness.head.seq <= head.seq) {
            if witness.head != head {
                return fault(format!(
                    "the record is not the one that was here before: the chain was written anew; {}",
                    witness.who
                ));
            }
            if witness.signed {
                self.signed = self.signed.max(head.seq);
            }
            self.witnesses.pop_front();
        }
        if record.kind() == Some(Kind::LogCheckpoint) {
            let json = record.json();
            let Some(checkpoint) = json.get("checkpoint").and_then(Checkpoint::from_json) else {
                return fault("the checkpoint in this record cannot be read".to_owned());
            };
            if checkpoint.log() != record.log() || self.hash_at(checkpoint.size(), head.seq) != Some(checkpoint.hash())
            {
                return fault("the checkpoint in this record states another chain: written anew".to_owned());
            }
            if !is_signed(&checkpoint, self.keys) {
                return fault("the checkpoint in this record is not signed by a given key".to_owned());
            }
            if !self.keys.is_empty() {
                self.signed = self.signed.max(checkpoint.size());
            }
        }
        if record.kind() == Some(Kind::LogOpened) {
            let format = record.json().get("format").and_then(Value::as_u64);
            if format != Some(FORMAT) {
                return fault(format!(
                    "this version reads format {FORMAT} and cannot vouch for another"
                ));
            }
        }
        self.recent.push_back(head.hash);
        if self.recent.len() as u64 > REACH {
            self.recent.pop_front();
        }
        Ok(())
    }

    /// The hash of record `seq`, seen from before record `now` is remembered.
    fn hash_at(&self, seq: u64, now: u64) -> Option<RecordHash> {
        let back = usize::try_from(now.checked_sub(seq)?).ok()?;
        self.recent.get(self.recent.len().checked_sub(back)?).copied()
    }

    fn end(&mut self) -> Result<ChainEnd, Fault> {
        let end = self.reader.end()?;
        let Some(witness) = self.witnesses.pop_back() else {
            return Ok(end);
        };
        let (last, seen) = (self.reader.head().seq, witness.head.seq);
        Err(self.reader.fault(format!(
            "the chain ends after record {last} but had {seen}: its end was removed; {}",
            witness.who
        )))
    }
}

fn head_file(record: &Record) -> String {
    record.log().file_name()
}
