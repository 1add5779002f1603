//! How long and how much, and how a run came to its end.

use std::fmt;
use std::time::Duration;

use super::sum::Sum;
use crate::clock::Timestamp;

/// What a program may take before it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest it may run; 5 minutes unless set.
    pub timeout: Duration,
    /// How long it has between SIGTERM and SIGKILL; 500 ms unless set. The kill switch gives none.
    pub grace: Duration,
    /// The most bytes of output, for each of its two streams; 8 MiB unless set.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            grace: Duration::from_millis(500),
            output: 8 * 1024 * 1024,
        }
    }
}

/// An order to end a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    reason: Box<str>,
    at_once: bool,
}

impl Cancelled {
    /// The host no longer wants it: SIGTERM, and after the grace SIGKILL.
    pub fn by_host(reason: impl Into<Box<str>>) -> Self {
        Self {
            reason: reason.into(),
            at_once: false,
        }
    }

    /// The kill switch: SIGKILL now.
    pub fn by_lock(reason: impl Into<Box<str>>) -> Self {
        Self {
            reason: reason.into(),
            at_once: true,
        }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether it is given no time to end by itself.
    pub const fn at_once(&self) -> bool {
        self.at_once
    }
}

/// Why a run is over. The first reason counts: a program that ends by itself after it was told to end did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedBy {
    /// The program ended by itself.
    Finished,
    /// It ran longer than [`Limits::timeout`].
    TimedOut,
    /// It wrote more than [`Limits::output`].
    OutputLimit,
    /// Somebody ended it.
    Cancelled(Cancelled),
}

/// How the program's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal, as a number.
    Signal(i32),
}

impl Exit {
    /// Whether it is the exit code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What one stream held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRecord {
    /// SHA-256 of the bytes that the host was given.
    pub sha256: Sum,
    /// How many these were.
    pub bytes: u64,
    /// Whether there was, or may have been, more: past the limit, or by a process that outlived the program.
    pub truncated: bool,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How the process ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: StreamRecord,
    /// Its standard error.
    pub stderr: StreamRecord,
    /// When it was started, by this machine's clock.
    pub started: Timestamp,
    /// How long it took, from just before the start to the end of its output.
    pub duration: Duration,
    /// Why it is over.
    pub ended_by: EndedBy,
}
