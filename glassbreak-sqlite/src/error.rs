//! What goes wrong beneath the store, and what callers are told of it.

use std::fmt;
use std::sync::Arc;

use glassbreak_core::store::{StoreError, StoreErrorKind};
use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;

/// A breakdown. It can be told to many callers, because one transaction carries the requests of many.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// The contract has a name for it, and the store itself is well.
    #[error("{1}")]
    Answer(StoreErrorKind, String),
    /// Others wrote for longer than a caller may wait.
    #[error("other processes kept the database busy for too long; try again, and look for one that hangs in a write")]
    Busy,
    /// The disk, or what the file may grow to, is used up.
    #[error("there is no room for another write; free some on the disk of the database: {0}")]
    Full(Arc<rusqlite::Error>),
    /// The database cannot be written or opened just now.
    #[error("the database cannot be used: {0}; see that its disk is mounted for writing and that its file is yours")]
    Unusable(Arc<rusqlite::Error>),
    /// The path is not one that a store may have.
    #[error("{0}")]
    Place(String),
    /// What is counted is not known any more. Sticks until the store is opened again, and checked.
    #[error("{0}; close the store and open it again, which checks the database")]
    Broken(String),
    /// A row is not what this library wrote.
    #[error("what is kept cannot be read: {0}; restore the database, or move it away and begin a new one")]
    Damaged(String),
    /// An older state, or another store. Sticks until an operator adopts it.
    #[error("{0}; put the newest files back, or adopt what is there: what was counted since would be forgotten")]
    RolledBack(String),
}

impl Fault {
    pub(crate) fn answer(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self::Answer(kind, what.into())
    }

    /// Whether the store must not be used after it.
    pub(crate) const fn sticks(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::RolledBack(_))
    }

    /// What the caller of `operation` is told: the only place where a fault becomes an error of the contract.
    pub(crate) fn told(&self, operation: &'static str) -> StoreError {
        let error = |kind| StoreError::new(kind, operation, self.to_string());
        match self {
            Self::Answer(kind, _) => error(*kind),
            Self::Busy => error(StoreErrorKind::Unavailable).retryable(),
            Self::Full(source) => error(StoreErrorKind::Full).retryable().with_source(Arc::clone(source)),
            Self::Unusable(source) => error(StoreErrorKind::Unavailable)
                .retryable()
                .with_source(Arc::clone(source)),
            Self::Place(_) => error(StoreErrorKind::Unavailable),
            Self::Broken(_) | Self::Damaged(_) => error(StoreErrorKind::Broken),
            Self::RolledBack(_) => error(StoreErrorKind::RolledBack),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, _) = &error else {
            return Self::Damaged(error.to_string());
        };
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DiskFull => Self::Full(Arc::new(error)),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::OutOfMemory | ErrorCode::PermissionDenied => {
                Self::Unusable(Arc::new(error))
            }
            ErrorCode::ConstraintViolation => Self::Damaged(error.to_string()),
            _ => Self::Broken(format!("the database broke ({}): {error}", code.extended_code)),
        }
    }
}

impl From<FromSqlError> for Fault {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A file that could not be looked at or written.
pub(crate) fn file(doing: impl fmt::Display, error: &std::io::Error) -> Fault {
    Fault::Place(format!("{doing}: {error}"))
}
