//! The writing side: one file, one chain, any number of threads.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::AuditError;
use super::chain::{LogId, RecordHash};
use super::checkpoint::{Checkpoint, Checkpoints};
use super::folder;
use super::record::{self, Event, Own};
use super::writer::{Opened, Shared};
use crate::bundle::BundleDigest;
use crate::clock::Timestamp;

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
    let shared = Arc::new(Shared::new(id, path, file, checkpoints));
    record::written(&Own::Opened(opened), |event| shared.append(event))?;
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
        record::written(&event.into(), |event| self.0.shared.append(event))
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
        record::written(&event.into(), |event| self.0.shared.finish(event))
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
        self.0.shared.checkpoint_failure()
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
