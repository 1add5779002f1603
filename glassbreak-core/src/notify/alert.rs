//! What people are told of without being asked.

use std::fmt;

use crate::call::Word;
use crate::lock::LockPath;

/// An agent asks people more often than it may: what it asks now is refused without them. It may be stuck, or somebody
/// hopes that one of many questions is agreed to unread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The agent.
    pub agent: Word,
    /// Who called what, when it was first too often.
    pub caller: LockPath,
    /// Which bound it is at, in words that no agent chose.
    pub why: Box<str>,
}

impl Alert {
    /// That `agent` is at a bound, in words of the guard's own.
    pub fn new(agent: Word, caller: LockPath, why: impl Into<Box<str>>) -> Self {
        Self {
            agent,
            caller,
            why: why.into(),
        }
    }
}

/// Such as `ops-7, session s-1, is asking too often: 5 questions of this agent are open already`.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, caller, why } = self;
        write!(f, "{agent}, session {}, is asking too often: {why}", caller.session())
    }
}
