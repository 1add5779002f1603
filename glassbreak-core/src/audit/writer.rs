//! What the clones of a log share: the file, its chain, and the thread that writes what waits.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::chain::{Chain, Head, LogId};
use super::checkpoint::{Checkpoint, Checkpoints};
use super::folder::Seen;
use super::log::Receipt;
use super::record::{self, Own};
use super::{AuditError, shown};
use crate::bundle::BundleDigest;
use crate::clock::Timestamp;

/// The longest line that is written or read, in bytes.
pub(super) const MAX_RECORD: usize = 4 * 1024 * 1024;
/// The version of the format, in `log.opened`.
pub(super) const FORMAT: u64 = 1;
/// How long an outcome may wait for the next record.
const TICK: Duration = Duration::from_millis(5);
/// How far behind the head a checkpoint's record may stand; readers keep as many hashes.
pub(super) const REACH: u64 = 65_536;

/// A file, the chain in it, and who signs it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: LogId,
    pub(super) path: PathBuf,
    pub(super) file: File,
    writer: Mutex<Writer>,
    /// Something waits to be written, or a checkpoint is due, or the log ended.
    wake: Condvar,
    checkpoints: Option<Checkpoints>,
}

#[derive(Debug)]
struct Writer {
    chain: Chain,
    /// Bytes in the file, as far as this writer wrote them.
    written: u64,
    /// Lines of the chain that the kernel does not have yet.
    waiting: Vec<u8>,
    state: Life,
    /// What the last checkpoint covers, and when it was tried.
    signed: u64,
    signed_at: Instant,
    unsigned_why: Option<String>,
}

#[derive(Debug)]
enum Life {
    Open,
    Dead(String),
    Closed,
}

impl Shared {
    pub(super) fn new(id: LogId, path: &Path, file: File, checkpoints: Option<Checkpoints>) -> Self {
        Self {
            id,
            path: path.to_owned(),
            file,
            writer: Mutex::new(Writer {
                chain: Chain::new(id),
                written: 0,
                waiting: Vec::new(),
                state: Life::Open,
                signed: 0,
                signed_at: Instant::now(),
                unsigned_why: None,
            }),
            wake: Condvar::new(),
            checkpoints,
        }
    }

    /// Why the last checkpoint was not made.
    pub(super) fn checkpoint_failure(&self) -> Option<String> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.unsigned_why.clone()
    }

    /// The writer, if it may write. A panic while it was held leaves it in an unknown state: dead.
    fn hold(&self) -> Result<MutexGuard<'_, Writer>, AuditError> {
        let writer = self.writer.lock().map_err(|_| AuditError::Dead {
            why: "a thread panicked while it wrote".to_owned(),
        })?;
        match &writer.state {
            Life::Open => Ok(writer),
            Life::Dead(why) => Err(AuditError::Dead { why: why.clone() }),
            Life::Closed => Err(AuditError::Closed),
        }
    }

    pub(super) fn append(&self, event: &[u8]) -> Result<Receipt, AuditError> {
        check_size(event)?;
        let mut writer = self.hold()?;
        let receipt = self.link(&mut writer, event);
        self.flush(&mut writer)?;
        if self.due(&writer) {
            self.wake.notify_one();
        }
        Ok(receipt)
    }

    pub(super) fn finish(&self, event: &[u8]) -> Result<(), AuditError> {
        check_size(event)?;
        let mut writer = self.hold()?;
        let first = writer.waiting.is_empty();
        self.link(&mut writer, event);
        drop(writer);
        if first {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn link(&self, writer: &mut Writer, event: &[u8]) -> Receipt {
        let Writer { chain, waiting, .. } = writer;
        let (head, at) = chain.link(Timestamp::now(), event, waiting);
        Receipt {
            log: self.id,
            seq: head.seq,
            hash: head.hash,
            at,
        }
    }

    /// Gives the kernel what waits, in one write. A file that is not as this writer left it is not written to.
    fn flush(&self, writer: &mut Writer) -> Result<(), AuditError> {
        if writer.waiting.is_empty() {
            return Ok(());
        }
        let written = self.file.metadata().and_then(|meta| {
            if meta.nlink() == 0 {
                return Err(std::io::Error::other("the file was removed"));
            }
            if meta.len() != writer.written {
                return Err(std::io::Error::other("someone else changed the file's length"));
            }
            (&self.file).write_all(&writer.waiting)
        });
        if let Err(error) = written {
            return Err(self.fail(writer, "write", error));
        }
        writer.written += writer.waiting.len() as u64;
        writer.waiting.clear();
        writer.waiting.shrink_to(64 * 1024);
        Ok(())
    }

    fn fail(&self, writer: &mut Writer, doing: &'static str, error: std::io::Error) -> AuditError {
        writer.state = Life::Dead(format!("cannot {doing} `{}`: {error}", shown(&self.path)));
        self.wake.notify_all();
        AuditError::io(doing, &self.path)(error)
    }

    /// Brings to disk what the kernel has, without holding up other writers.
    pub(super) fn sync_file(&self) -> Result<(), AuditError> {
        self.file.sync_data().map_err(|error| {
            // After a failed sync the kernel may forget which pages are dirty: a second try proves nothing.
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            self.fail(&mut writer, "sync", error)
        })
    }

    pub(super) fn sync(&self) -> Result<(), AuditError> {
        let mut writer = self.hold()?;
        self.flush(&mut writer)?;
        drop(writer);
        self.sync_file()
    }

    fn due(&self, writer: &Writer) -> bool {
        let Some(checkpoints) = &self.checkpoints else {
            return false;
        };
        let unsigned = writer.chain.head().seq.saturating_sub(writer.signed);
        let since = writer.signed_at.elapsed();
        // After a failure: once a second, however many records come.
        let patient = writer.unsigned_why.is_none() || since >= Duration::from_secs(1);
        unsigned > 0 && patient && (unsigned >= checkpoints.records || since >= checkpoints.interval)
    }

    /// Signs the present head, once the disk has it, keeps the checkpoint in its second place, and records it.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        let Some(checkpoints) = &self.checkpoints else {
            return Ok(None);
        };
        let mut writer = self.hold()?;
        self.flush(&mut writer)?;
        let head = writer.chain.head();
        writer.signed_at = Instant::now();
        drop(writer);
        let made = self.make_checkpoint(checkpoints, head);
        let mut writer = self.hold()?;
        match made {
            Ok(checkpoint) => {
                writer.unsigned_why = None;
                if writer.chain.head().seq.saturating_sub(head.seq) < REACH - 1 {
                    record::written(&Own::Checkpoint(&checkpoint), |event| {
                        self.link(&mut writer, event);
                        self.flush(&mut writer)
                    })?;
                }
                // The checkpoint's own record needs no other.
                writer.signed = writer.signed.max(head.seq + 1);
                Ok(Some(checkpoint))
            }
            Err(error) => {
                writer.unsigned_why = Some(error.to_string());
                Err(error)
            }
        }
    }

    fn make_checkpoint(&self, checkpoints: &Checkpoints, head: Head) -> Result<Checkpoint, AuditError> {
        self.sync_file()?;
        let failed = |error: std::io::Error| AuditError::Checkpoint(error.to_string());
        let signer = &*checkpoints.signer;
        let checkpoint = Checkpoint::sign(self.id, head, Timestamp::now(), signer).map_err(failed)?;
        checkpoints.sink.put(&checkpoint).map_err(failed)?;
        Ok(checkpoint)
    }

    pub(super) fn close(&self) -> Result<(), AuditError> {
        let mut writer = match self.hold() {
            Err(AuditError::Closed) => return Ok(()),
            other => other?,
        };
        let flushed = record::written(&Own::Closed, |event| {
            self.link(&mut writer, event);
            self.flush(&mut writer)
        });
        if flushed.is_ok() {
            writer.state = Life::Closed;
        }
        let head = writer.chain.head();
        drop(writer);
        self.wake.notify_all();
        flushed?;
        self.sync_file()?;
        // The last one covers `log.closed`, so it stands in the second place alone.
        match &self.checkpoints {
            Some(checkpoints) => self.make_checkpoint(checkpoints, head).map(drop),
            None => Ok(()),
        }
    }

    /// The log's own thread: writes outcomes that nothing else wrote, and makes the checkpoints that are due.
    pub(super) fn tick(&self) {
        let mut writer = match self.writer.lock() {
            Ok(writer) => writer,
            Err(_) => return,
        };
        loop {
            if !matches!(writer.state, Life::Open) {
                return;
            }
            let wait = if writer.waiting.is_empty() {
                self.nap(&writer)
            } else {
                TICK
            };
            let Ok((held, waited)) = self.wake.wait_timeout(writer, wait) else {
                return;
            };
            writer = held;
            if !matches!(writer.state, Life::Open) {
                return;
            }
            // A failure is kept in the writer's state, where the next caller meets it.
            if wait == TICK && waited.timed_out() && self.flush(&mut writer).is_err() {
                return;
            }
            if self.due(&writer) {
                drop(writer);
                let _ = self.checkpoint();
                writer = match self.writer.lock() {
                    Ok(writer) => writer,
                    Err(_) => return,
                };
            }
        }
    }

    /// How long the thread may sleep when nothing waits.
    fn nap(&self, writer: &Writer) -> Duration {
        let long = Duration::from_secs(3600);
        let Some(checkpoints) = &self.checkpoints else {
            return long;
        };
        if writer.unsigned_why.is_some() {
            return Duration::from_secs(1);
        }
        let unsigned = writer.chain.head().seq > writer.signed;
        let left = checkpoints.interval.saturating_sub(writer.signed_at.elapsed());
        if unsigned { left.max(TICK) } else { checkpoints.interval }
    }
}

fn check_size(event: &[u8]) -> Result<(), AuditError> {
    // What the chain adds is under 1 KiB.
    let most = MAX_RECORD - 1024;
    if event.len() > most {
        let bytes = event.len();
        return Err(AuditError::TooLong { bytes, most });
    }
    Ok(())
}

/// The first record of a chain.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) bundle: Option<BundleDigest>,
    pub(super) previous: Vec<Seen>,
}

impl Opened {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("format", &FORMAT)?;
        map.serialize_entry("bundle", &self.bundle.map(|digest| digest.to_string()))?;
        map.serialize_entry("previous", &self.previous)
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("log", &self.log.to_string())?;
        map.serialize_entry("seq", &self.head.seq)?;
        map.serialize_entry("hash", &self.head.hash.to_string())?;
        map.end()
    }
}
