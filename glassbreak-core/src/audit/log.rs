//! The writing side: one file, one chain, any number of threads.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::chain::{Chain, Head, LogId, RecordHash};
use super::checkpoint::{Checkpoint, Checkpoints};
use super::folder::{self, Seen};
use super::record::{self, Event, Own};
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

/// How a log is opened.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    bundle: Option<BundleDigest>,
    checkpoints: Option<Checkpoints>,
}

impl AuditOptions {
    /// No bundle named, no checkpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the bundle in force in the first record.
    #[must_use]
    pub const fn bundle(mut self, digest: BundleDigest) -> Self {
        self.bundle = Some(digest);
        self
    }

    /// Makes signed checkpoints.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Begins a chain in the folder `dir`, which is made (mode 0700) where there is none.
    ///
    /// # Errors
    /// When the folder, one above it, or a chain in it can be changed by others, is a link, or cannot be written.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<AuditLog, AuditError> {
        let dir = dir.as_ref();
        folder::prepare(dir)?;
        let opened = Opened {
            bundle: self.bundle,
            previous: folder::heads(dir)?,
        };
        let id = LogId::mint();
        let path = dir.join(id.file_name());
        let mut options = OpenOptions::new();
        // `create_new` follows no link and takes over no file.
        let file = options.append(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(AuditError::io("make", &path))?;
        let begun = begin(dir, &path, file, id, &opened, self.checkpoints);
        if begun.is_err() {
            // Best effort: an empty chain says nothing, and would only be reported as cut.
            let _ = fs::remove_file(&path);
        }
        begun
    }
}

fn begin(
    dir: &Path,
    path: &Path,
    file: File,
    id: LogId,
    opened: &Opened,
    checkpoints: Option<Checkpoints>,
) -> Result<AuditLog, AuditError> {
    folder::check_owner(dir, &file)?;
    lock(&file, path)?;
    let shared = Arc::new(Shared {
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
    });
    shared.append(&record::write(&Own::Opened(opened))?)?;
    shared.sync()?;
    folder::sync_parent(path)?;
    let thread = {
        let shared = Arc::clone(&shared);
        let name = "glassbreak-audit".to_owned();
        std::thread::Builder::new().name(name).spawn(move || shared.tick())
    };
    let thread = thread.map_err(AuditError::io("start a thread for", path))?;
    Ok(AuditLog(Arc::new(Handle {
        shared,
        thread: Mutex::new(Some(thread)),
    })))
}

pub(super) fn lock(file: &File, path: &Path) -> Result<(), AuditError> {
    // A verifier that tries whether a writer holds the file has it for a moment.
    for _ in 0..20 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(AuditError::io("lock", path)(source)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(AuditError::Taken { path: path.to_owned() })
}

/// The writing end of one chain. Clones write the same chain.
///
/// A record that [`append`](Self::append) acknowledged is in the kernel: it outlives the process, and with
/// [`append_synced`](Self::append_synced) the machine's power. Once a write fails nothing is known of the file's end, so
/// every later record is refused: a guard whose record is refused refuses the call.
///
/// The last clone to go closes the chain; so does [`close`](Self::close), which also tells whether that went well.
#[derive(Debug, Clone)]
pub struct AuditLog(Arc<Handle>);

/// What is known of a record once it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The log it is in.
    pub log: LogId,
    /// Its place there.
    pub seq: u64,
    /// Its hash.
    pub hash: RecordHash,
    /// The time on it.
    pub at: Timestamp,
}

impl AuditLog {
    /// Begins a chain in the folder `dir`, without checkpoints; see [`AuditOptions`] for more.
    ///
    /// # Errors
    /// As [`AuditOptions::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AuditError> {
        AuditOptions::new().open(dir)
    }

    /// The log's id.
    pub fn id(&self) -> LogId {
        self.0.shared.id
    }

    /// The file that this log writes.
    pub fn path(&self) -> &Path {
        &self.0.shared.path
    }

    /// Records `event`; returns when the kernel has it.
    ///
    /// # Errors
    /// When it is not known to be written whole. Nothing may then happen on the strength of it.
    pub fn append<'a>(&self, event: impl Into<Event<'a>>) -> Result<Receipt, AuditError> {
        self.0.shared.append(&record::write(&event.into())?)
    }

    /// Records `event`; returns when the disk has it, and all records before it. For locks, votes, grants, and calls
    /// labelled `mutating` or worse.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_synced<'a>(&self, event: impl Into<Event<'a>>) -> Result<Receipt, AuditError> {
        let receipt = self.append(event)?;
        self.0.shared.sync_file()?;
        Ok(receipt)
    }

    /// Records what has already happened: in order with all other records, written with the next one or within
    /// 5 ms. The loss of the process within that time loses the record.
    ///
    /// # Errors
    /// When the log takes no more records.
    pub fn finish<'a>(&self, event: impl Into<Event<'a>>) -> Result<(), AuditError> {
        self.0.shared.finish(&record::write(&event.into())?)
    }

    /// Writes what waits, and brings everything to disk.
    ///
    /// # Errors
    /// When that fails; the log then takes no more records.
    pub fn sync(&self) -> Result<(), AuditError> {
        self.0.shared.sync()
    }

    /// Makes a checkpoint now. `None` when the log was opened without a signer.
    ///
    /// # Errors
    /// When the log cannot be synced, or the checkpoint not be signed or put in its second place.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        self.0.shared.checkpoint()
    }

    /// Why the last checkpoint was not made, if it was not. The log goes on without it, so a host should look.
    pub fn checkpoint_failure(&self) -> Option<String> {
        let writer = self.0.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.unsigned_why.clone()
    }

    /// Ends the chain, for all clones: a last checkpoint, the record `log.closed`, all on disk.
    ///
    /// # Errors
    /// When one of these fails. The chain then looks cut to a verifier.
    pub fn close(&self) -> Result<(), AuditError> {
        self.0.close()
    }
}

/// What the last clone of a log takes with it.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    fn close(&self) -> Result<(), AuditError> {
        let closed = self.shared.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread ends once the log is closed or dead; that it panicked would change nothing of what is written.
        let _ = thread.map(JoinHandle::join);
        closed
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; a verifier will.
        let _ = self.close();
        let _ = self.shared.file.unlock();
    }
}

#[derive(Debug)]
struct Shared {
    id: LogId,
    path: PathBuf,
    file: File,
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

    fn append(&self, event: &[u8]) -> Result<Receipt, AuditError> {
        check_size(event)?;
        let mut writer = self.hold()?;
        let receipt = self.link(&mut writer, event);
        self.flush(&mut writer)?;
        if self.due(&writer) {
            self.wake.notify_one();
        }
        Ok(receipt)
    }

    fn finish(&self, event: &[u8]) -> Result<(), AuditError> {
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
    fn sync_file(&self) -> Result<(), AuditError> {
        self.file.sync_data().map_err(|error| {
            // After a failed sync the kernel may forget which pages are dirty: a second try proves nothing.
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            self.fail(&mut writer, "sync", error)
        })
    }

    fn sync(&self) -> Result<(), AuditError> {
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
    fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
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
                    self.link(&mut writer, &record::write(&Own::Checkpoint(&checkpoint))?);
                    self.flush(&mut writer)?;
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

    fn close(&self) -> Result<(), AuditError> {
        let body = record::write(&Own::Closed)?;
        let mut writer = match self.hold() {
            Err(AuditError::Closed) => return Ok(()),
            other => other?,
        };
        self.link(&mut writer, &body);
        let flushed = self.flush(&mut writer);
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
    fn tick(&self) {
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
    bundle: Option<BundleDigest>,
    previous: Vec<Seen>,
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
