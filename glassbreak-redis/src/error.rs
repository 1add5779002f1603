//! What goes wrong beneath the store, and what callers are told of it.

use glassbreak_core::store::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A breakdown.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// The contract has a name for it, and the store itself is well.
    #[error("{1}")]
    Answer(StoreErrorKind, String),
    /// Nobody can be reached.
    #[error("the Redis server cannot be reached: {0}; see that it runs and that its address and certificate are right")]
    Unreachable(String),
    /// Nobody answered in time; what was asked may have been done.
    #[error("the Redis server did not answer within {0} ms; what was asked may have been done all the same")]
    Slow(u128),
    /// The server answered that it will not.
    #[error("the Redis server refuses: {0}")]
    Refused(String),
    /// The server has no memory left.
    #[error(
        "the Redis server has no room for another write; raise `maxmemory` or give the realm a server of its own: {0}"
    )]
    Full(String),
    /// The server is not one that a store may be kept on.
    #[error("{0}")]
    Unsafe(String),
    /// What is kept is not what this library wrote.
    #[error("what is kept in Redis cannot be read: {0}; restore it, or have an operator adopt what is there")]
    Damaged(String),
    /// An older state, or another store. Sticks until an operator adopts what is there.
    #[error("{0}; look in the audit log for what is missing, and then have an operator adopt what is there")]
    RolledBack(String),
}

impl Fault {
    pub(crate) fn answer(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self::Answer(kind, what.into())
    }

    /// What the caller of `operation` is told: the only place where a fault becomes an error of the contract.
    pub(crate) fn told(&self, operation: &'static str) -> StoreError {
        let error = |kind| StoreError::new(kind, operation, self.to_string());
        match self {
            Self::Answer(kind, _) => error(*kind),
            Self::Unreachable(_) | Self::Slow(_) | Self::Refused(_) => error(StoreErrorKind::Unavailable).retryable(),
            Self::Full(_) => error(StoreErrorKind::Full).retryable(),
            Self::Unsafe(_) => error(StoreErrorKind::Unavailable),
            Self::Damaged(_) => error(StoreErrorKind::Broken),
            Self::RolledBack(_) => error(StoreErrorKind::RolledBack),
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A message that failed: why, and what that says about it.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    /// Whether it is certain that nothing was done.
    pub(crate) undone: bool,
    /// Whether the connection is of no use any more.
    pub(crate) lost: bool,
    /// Whether it was the script's text that was missing.
    pub(crate) unknown_script: bool,
}

impl Trouble {
    /// Nothing was sent.
    pub(crate) fn unsent(fault: Fault) -> Self {
        Self {
            fault,
            undone: true,
            lost: false,
            unknown_script: false,
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        let server = match error.kind() {
            ErrorKind::Server(kind) => Some(kind),
            _ => None,
        };
        let code = error.code().unwrap_or_default();
        let fault = match (server, code) {
            (_, "OOM") => Fault::Full(text),
            (Some(_), _) | (None, _) if !code.is_empty() => Fault::Refused(text),
            _ => Fault::Unreachable(text),
        };
        // A script that ran and failed is `ERR`: where it broke off is not known.
        let undone = matches!(
            server,
            Some(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::NoScript
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::CrossSlot
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::NoPerm
            )
        ) || matches!(code, "OOM" | "NOREPLICAS" | "MISCONF" | "BUSY" | "NOAUTH" | "WRONGPASS")
            || error.is_connection_refusal();
        let lost = code.is_empty() && !error.is_timeout()
            || matches!(
                server,
                Some(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
            )
            || matches!(code, "NOAUTH" | "WRONGPASS");
        Self {
            fault,
            undone,
            lost,
            unknown_script: server == Some(ServerErrorKind::NoScript),
        }
    }
}
