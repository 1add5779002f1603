//! The audit log: what was asked, what was decided, what then ran, in a form that shows when it was tampered with.
//!
//! A log is a folder. Each writer owns one file in it, `<log id>.jsonl`, locked while it writes; the id is a UUID
//! version 7, so files sort by the time they were begun. A file is a chain of records, one JSON object per line:
//!
//! ```json
//! {"seq":2,"at":"2026-03-01T14:05:00.25Z","log":"0195…","prev":"9f…","kind":"call.permitted",…,"hash":"c4…"}
//! ```
//!
//! | key | what |
//! |---|---|
//! | `seq` | the place in the chain, from 1: also the number of the line |
//! | `at` | when the record was handed over (RFC 3339, UTC); never before the record above it |
//! | `clock` | what the clock said, where it had gone back and `at` had to repeat the time above |
//! | `log` | the id of the log, which is also the name of the file |
//! | `prev` | the `hash` of the record above; 64 zeros for the first |
//! | `kind` | a [`Kind`]; the keys after it depend on it |
//! | `hash` | SHA-256 over one byte `02`, the 32 bytes of `prev`, the length of the record (eight bytes, big-endian) and the record |
//!
//! *The record* under the hash is the line without its end and without `,"hash":"…"`: exactly the bytes on disk, so
//! nothing has to be written canonically. (The byte `02` keeps these hashes apart from the leaves `00` and nodes `01` of
//! RFC 9162, should records ever be put in such a tree.) The first record is `log.opened`; it names the heads of older
//! chains in the folder, so that one of those cannot be shortened unseen. The last is `log.closed`; a chain that nobody
//! writes and that does not end with it was cut. `tests/vectors/audit_verify.py` of this crate verifies a chain in 30
//! lines.
//!
//! A chain alone does not stop someone who can write the folder from computing all of it anew, or from removing
//! its end together with the chains that saw it: for that, give the log a [`Signer`] and a [`CheckpointSink`] out of reach.
//!
//! What an agent says is recorded under `unverified`. Records hold calls exactly, escaped by nothing but JSON: print
//! them through [`shown_whole`](crate::error::shown_whole), or have a [`Teller`] tell them.

mod asking;
mod chain;
mod checkpoint;
mod credentials;
mod fields;
mod folder;
mod log;
mod read;
mod record;
mod tell;
mod timeline;
mod under;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use self::asking::{
    GrantClosed, GrantOpened, GrantRevoked, HookFailed, NotifyFailed, NotifySent, OperateNotTaken, RequestEscalated,
    RequestJoined, RequestOpened, RequestOverflow, RequestRefused, RequestSettled, VoteCast, VoteNotTaken,
};
pub use self::chain::{LogId, RecordHash};
pub use self::checkpoint::{Checkpoint, CheckpointSink, Checkpoints, FileSink, KeyFile, PublicKey, Signature, Signer};
pub use self::credentials::{CredentialIssued, CredentialRevoked};
pub use self::log::{AuditLog, AuditOptions, Receipt};
pub use self::read::Record;
pub use self::record::{
    BundleReloaded, Event, Finished, Kind, LockChange, Performed, Permitted, Refused, StreamDigest, Target,
};
pub use self::tell::{Teller, Tone};
pub use self::timeline::{Follow, Timeline};
pub use self::under::UnderGrant;
pub use self::verify::{ChainEnd, ChainReport, Fault, Report, State, VerifyOptions, verify};

/// Why the audit log could not do what it was asked to. Whoever gets one of these refuses the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`: {source}", shown(.path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder that others could change.
    #[error("`{}` {what}; {help}", shown(.path))]
    Exposed {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Another writer holds the file.
    #[error("`{}` belongs to another writer", shown(.path))]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The record would be over the size that readers take.
    #[error("the record is {bytes} bytes long; the most is {most}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        most: usize,
    },
    /// A value that cannot be written as JSON.
    #[error("the record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A write failed before, so it is not known what the file ends with.
    #[error("the audit log takes no more records until it is opened anew: {why}")]
    Dead {
        /// What failed.
        why: String,
    },
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// A key or a checkpoint that is not what it claims.
    #[error("`{}` is not {wanted}", shown(.path))]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
    },
    /// A checkpoint could not be signed or put in its second place.
    #[error("the checkpoint was not made: {0}")]
    Checkpoint(String),
}

impl AuditError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

fn shown(path: &Path) -> String {
    crate::error::shown_whole(&path.to_string_lossy())
}
