//! Showing requests to people: the card, who takes it to them, and the terminal.
//!
//! A [`Notifier`] takes an open request somewhere, and takes its cards away again when it is settled. What people answer
//! comes back through [`Desk::vote`](crate::desk::Desk::vote), wherever they saw it; a notifier that cannot take an answer
//! is as good as one that can, as long as somebody sees it. Nothing that a notifier does or fails to do agrees to
//! anything: silence is a no.

mod alert;
#[cfg(test)]
mod attacks;
mod card;
#[cfg(test)]
mod card_tests;
mod page;
#[cfg(test)]
mod render_tests;
mod rows;
mod sheet;
mod spell;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod tty;

use std::fmt;

use async_trait::async_trait;

pub use self::alert::Alert;
pub(crate) use self::card::Shown;
pub use self::card::{Card, Section};
pub use self::page::{agreed, came_of, left, needed};
pub use self::sheet::{EARLIER, Earlier, Sheet};
#[cfg(target_os = "linux")]
pub use self::terminal::Terminal;
#[cfg(target_os = "linux")]
pub use self::tty::{Tty, TtyError, Typed};
use crate::approval::Request;
use crate::desk::Desk;

/// Takes requests to people.
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync + 'static {
    /// Its name, for records and errors, and by which `[stages]` in `glassbreak.toml` names it: no two notifiers of a gate
    /// have the same.
    fn name(&self) -> &str;

    /// Shows an open request to people; answers go to `desk`. Returns when it is shown, or later, and then it confirms it
    /// meanwhile by [`desk.shown`](Desk::shown). The caller does not wait for it with anything else, and drops the future
    /// when the request is settled.
    ///
    /// Called when the request is opened, again for each stage that names this notifier, once that is reached
    /// ([`Request::stage`], [`Request::asked_groups`]), and after a restart for every request that is still open and whose
    /// deadline has not come. Where all notifiers of a stage fail, the next stage is reached at once.
    ///
    /// # Errors
    /// When nobody can have seen it.
    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError>;

    /// Reminds people of a request that half of its time has gone by for, once. Not called while a delivery still goes on.
    /// Unless written otherwise, delivers it again.
    ///
    /// # Errors
    /// When nobody can have seen it.
    async fn remind(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        self.deliver(request, desk).await
    }

    /// Tells people that an agent asks too often, once for each time that it begins to. Nothing is to be answered. Unless
    /// written otherwise, tells nobody: it is in the audit log in any case.
    ///
    /// # Errors
    /// When nobody can have seen it.
    async fn alert(&self, alert: &Alert) -> Result<(), NotifyError> {
        let _ = alert;
        Ok(())
    }

    /// The request has changed: somebody voted, or it is settled. Cards follow, and a settled one takes no answer.
    ///
    /// # Errors
    /// When a card may not show what is so. It changes nothing of what is so.
    async fn update(&self, request: &Request) -> Result<(), NotifyError>;
}

/// Why a card did not reach anybody.
#[derive(Debug, thiserror::Error)]
#[error("{notifier}: {why}")]
pub struct NotifyError {
    notifier: String,
    why: String,
}

impl NotifyError {
    /// `notifier` did not show it, because of `why`.
    pub fn new(notifier: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            notifier: notifier.into(),
            why: why.into(),
        }
    }
}
