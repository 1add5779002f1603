//! Many chains as one row of records: all there are, or as they come.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::AuditError;
use super::chain::LogId;
use super::folder;
use super::read::{ChainReader, Record};
use super::verify::Fault;
use crate::clock::Timestamp;

/// All chains of a folder as one row of records by time; of one chain always in its own order.
///
/// Records of one moment in several chains go by the store's position where both have one. Where a chain is broken its
/// fault comes once, and nothing of it after.
#[derive(Debug)]
pub struct Timeline {
    /// Chains not begun, the earliest last.
    later: Vec<(Timestamp, LogId, PathBuf)>,
    begun: Vec<(Record, ChainReader)>,
    faults: VecDeque<Fault>,
}

impl Timeline {
    /// The chains in `dir`, each as long as it is when its turn comes.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AuditError> {
        let mut later = Vec::new();
        for (log, path) in folder::list(dir.as_ref())?.chains {
            let file = File::open(&path).map_err(AuditError::io("open", &path))?;
            let first = folder::first_line(&file).map_err(AuditError::io("read", &path))?;
            let at = first.get("at").and_then(Value::as_str);
            let at = at.and_then(|at| Timestamp::from_rfc3339(at).ok());
            later.push((at.unwrap_or(Timestamp::from_millis(i64::MIN)), log, path));
        }
        later.sort_by(|a, b| b.cmp(a));
        Ok(Self {
            later,
            begun: Vec::new(),
            faults: VecDeque::new(),
        })
    }

    fn advance(&mut self, mut reader: ChainReader) {
        match reader.next() {
            Some(Ok(record)) => self.begun.push((record, reader)),
            Some(Err(fault)) => self.faults.push_back(fault),
            None => self.faults.extend(reader.end().err()),
        }
    }
}

impl Iterator for Timeline {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(fault) = self.faults.pop_front() {
                return Some(Err(fault));
            }
            let first = (0..self.begun.len()).min_by(|a, b| match (self.begun.get(*a), self.begun.get(*b)) {
                (Some((a, _)), Some((b, _))) => order(a, b),
                _ => Ordering::Equal,
            });
            let now = first.and_then(|at| self.begun.get(at)).map(|(record, _)| record.at());
            // A chain must have begun before anything of its time is told.
            if self
                .later
                .last()
                .is_some_and(|(at, ..)| now.is_none_or(|now| *at <= now))
            {
                if let Some((_, log, path)) = self.later.pop() {
                    match ChainReader::open(log, &path, false) {
                        Ok(reader) => self.advance(reader),
                        Err(error) => self
                            .faults
                            .push_back(Fault::of_file(&log.file_name(), error.to_string())),
                    }
                }
                continue;
            }
            let (record, reader) = self.begun.swap_remove(first?);
            self.advance(reader);
            return Some(Ok(record));
        }
    }
}

fn order(a: &Record, b: &Record) -> Ordering {
    a.at()
        .cmp(&b.at())
        .then_with(|| match (a.position(), b.position()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => Ordering::Equal,
        })
        .then_with(|| a.log().cmp(&b.log()))
}

/// The chains of a folder as they grow.
#[derive(Debug)]
pub struct Follow {
    dir: PathBuf,
    /// `None` once nothing more can come of a chain.
    chains: HashMap<LogId, Option<ChainReader>>,
}

impl Follow {
    /// The chains in `dir`, and those that will be.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            chains: HashMap::new(),
        }
    }

    /// What came since the last time, by time, at most the last `most` records.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn poll(&mut self, most: usize) -> Result<Vec<Result<Record, Fault>>, AuditError> {
        let mut news = Vec::new();
        let mut faults = Vec::new();
        for (log, path) in folder::list(&self.dir)?.chains {
            let reader = match self.chains.entry(log) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(Some(ChainReader::open(log, &path, true)?))
                }
            };
            let Some(open) = reader else { continue };
            let mut last = VecDeque::new();
            while let Some(step) = open.next() {
                match step {
                    Ok(record) => last.push_back(record),
                    Err(fault) => faults.push(fault),
                }
                if last.len() > most {
                    last.pop_front();
                }
            }
            news.extend(last);
            if open.is_over() {
                *reader = None;
            }
        }
        news.sort_by(order);
        let skip = news.len().saturating_sub(most);
        let news = news.into_iter().skip(skip).map(Ok);
        Ok(news.chain(faults.into_iter().map(Err)).collect())
    }
}
