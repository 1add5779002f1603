//! What goes wrong in a store.

use std::error::Error;
use std::fmt;

/// A store that could not answer. Whoever gets one denies.
///
/// An error says nothing about what the store did: a lost reply and a call that never arrived look alike.
pub struct StoreError {
    kind: StoreErrorKind,
    retryable: bool,
    operation: &'static str,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of breakdown it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, or did not answer in time.
    Unavailable,
    /// The store broke while it was at work, and no longer vouches for its counts.
    Broken,
    /// There is no room for another reservation, and nothing may be forgotten.
    Full,
    /// What was asked is beyond what any store takes.
    Invalid,
    /// No reservation of this op is kept.
    UnknownOp,
    /// The reservation belongs to another attempt.
    NotHolder,
    /// The store is another one, or an older state of the same: its counts would be too low.
    RolledBack,
    /// The store was opened only to look, and this would have changed it.
    ReadOnly,
    /// What is kept was written by another version of glassbreak.
    OtherVersion,
}

impl StoreErrorKind {
    /// The word used in rule ids and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Broken => "broken",
            Self::Full => "full",
            Self::Invalid => "invalid",
            Self::UnknownOp => "unknown-op",
            Self::NotHolder => "not-holder",
            Self::RolledBack => "rolled-back",
            Self::ReadOnly => "read-only",
            Self::OtherVersion => "other-version",
        }
    }
}

impl StoreError {
    /// An error of `operation` (the method's name); `what` says what went wrong, in one line. Trying again is taken to
    /// be of no use.
    pub fn new(kind: StoreErrorKind, operation: &'static str, what: impl Into<String>) -> Self {
        Self {
            kind,
            retryable: false,
            operation,
            what: what.into(),
            source: None,
        }
    }

    /// The same, where the very same request may succeed later.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self {
            retryable: true,
            ..self
        }
    }

    /// The same, with what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..self
        }
    }

    /// What kind of breakdown it is.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the very same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// Which method failed.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store: {} ({}): {}", self.operation, self.kind.as_str(), self.what)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("StoreError");
        f.field("kind", &self.kind)
            .field("retryable", &self.retryable)
            .field("operation", &self.operation)
            .field("what", &self.what);
        match &self.source {
            Some(source) => f.field("source", source).finish(),
            None => f.finish(),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}
