//! After the glass: whoever wants to know is told when a grant has ended, and what was done under it.
//!
//! **What was done comes from the audit log.** Every permit has its record, with the grant and the words of the call, on
//! disk before it exists; a store knows digests only, and forgets. The log is that of this process's folder: a call by a
//! process that keeps its log elsewhere is missing in the list, and [`Closed::is_all`] then says so, because the store
//! knows how often the grant was used.
//!
//! **Each grant is told once in a realm.** Whoever is about to tell it reserves an op in the store that is made from the
//! grant's id, and settles it once the hook is through; any number of processes may try, and one has it. Where that one
//! dies before it settles, another takes its place when the lease ends: so it is *at least* once after a crash, and a
//! hook should bear being told twice. A gate that is built looks for grants that closed while nobody watched: those that
//! stand, and those of every request that its log's folder opened in the last day.

mod glass;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

pub(super) use self::glass::{Entered, Glass};
use crate::audit::UnderGrant;
use crate::call::Word;
use crate::grant::{Grant, Revoked};

/// Whoever wants to know when what people opened is shut again: to rebuild what an agent remembers, to look over what was
/// done, to take a credential back.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # mod mine {
/// use async_trait::async_trait;
/// use glassbreak_core::gate::{AfterGlass, Closed};
///
/// #[derive(Debug)]
/// struct Diary;
///
/// #[async_trait]
/// impl AfterGlass for Diary {
///     async fn closed(&self, closed: &Closed) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         println!("grant {} is {}", closed.grant.id, closed.ending);
///         for call in &closed.calls {
///             println!("  {}: {}", call.what, call.outcome.map_or("nobody told", |outcome| outcome.as_str()));
///         }
///         Ok(())
///     }
/// }
/// # }
/// ```
#[async_trait]
pub trait AfterGlass: fmt::Debug + Send + Sync + 'static {
    /// A grant has ended: by its time, because it was used up, or revoked, by whatever process; also one that nobody used.
    ///
    /// Calls under it that this process performs are waited for first, at most five minutes. It holds nothing up: no call
    /// waits for it. It may be told of one grant more than once, after a crash.
    ///
    /// # Errors
    /// When it is to be told again: three times by this process, and then by the next gate that is built over the store
    /// within a day. Each failure is recorded (`hook.failed`), and so is one that takes longer than it
    /// [may](super::GateBuilder::after_glass_time), or panics.
    async fn closed(&self, closed: &Closed) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A grant that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The grant, with the number of its uses; it names the request that it answered.
    pub grant: Grant,
    /// How it ended.
    pub ending: Ending,
    /// What was done under it, in order, as far as the log of this folder knows it.
    pub calls: Vec<UnderGrant>,
}

impl Closed {
    /// Whether every use of the grant is among the calls. One that is not was spent and came to nothing, or is recorded
    /// in another folder.
    pub fn is_all(&self) -> bool {
        u32::try_from(self.calls.len()).is_ok_and(|calls| calls >= self.grant.uses)
    }
}

/// How a grant ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its time came.
    Expired,
    /// It was used as often as it may be.
    UsedUp,
    /// Somebody, or a lock, ended it before its time.
    Revoked {
        /// Who.
        by: Word,
    },
}

impl Ending {
    /// How a grant that does not stand ended.
    fn of(grant: &Grant) -> Self {
        match &grant.revoked {
            Some(Revoked { by, .. }) => Self::Revoked { by: by.clone() },
            None if grant.uses >= grant.max_uses => Self::UsedUp,
            None => Self::Expired,
        }
    }

    /// The word used in records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::UsedUp => "used-up",
            Self::Revoked { .. } => "revoked",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("over"),
            Self::UsedUp => f.write_str("used up"),
            Self::Revoked { by } => write!(f, "revoked by {by}"),
        }
    }
}
