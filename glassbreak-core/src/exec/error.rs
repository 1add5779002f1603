//! Why a program was not run, or is not known to have run.

use std::fmt;
use std::io;

/// What a failure says about the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Proven: the program was never executed. What was reserved for it may be given back.
    NotRun,
    /// It was started, or may have been. What was reserved for it counts as spent.
    Unknown,
}

/// A program could not be pinned, started or followed to its end.
///
/// An exit code other than zero is no such error: that is a [`Ran`](super::Ran).
#[derive(thiserror::Error)]
#[error("{why}{}", hint(.help))]
pub struct ExecError {
    effect: Effect,
    code: &'static str,
    why: String,
    help: &'static str,
    source: Option<io::Error>,
}

impl ExecError {
    pub(super) fn not_run(code: &'static str, why: impl Into<String>, help: &'static str) -> Self {
        Self {
            effect: Effect::NotRun,
            code,
            why: why.into(),
            help,
            source: None,
        }
    }

    pub(super) fn unknown(code: &'static str, why: impl Into<String>, help: &'static str) -> Self {
        Self {
            effect: Effect::Unknown,
            ..Self::not_run(code, why, help)
        }
    }

    pub(super) fn because(mut self, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        self.why = format!("{}: {source}", self.why);
        self.source = Some(source);
        self
    }

    /// Whether the program is proven not to have run.
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// A stable word for what went wrong, such as `pin.changed`; the documentation of [`exec`](super) lists them.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What went wrong, in one line.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do about it, in one line.
    pub const fn help(&self) -> &'static str {
        self.help
    }
}

impl fmt::Debug for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecError({:?}, {}: {self})", self.effect, self.code)
    }
}

fn hint(help: &str) -> String {
    if help.is_empty() {
        String::new()
    } else {
        format!(" ({help})")
    }
}
