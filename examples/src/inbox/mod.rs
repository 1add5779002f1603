//! An inbox for approvals, in the browser: what agents ask, live; yes, no, and the kill switch.
//!
//! A page on the loopback that shows the cards of open requests and hands answers to the [`Desk`]. It decides nothing.
//! What it must get right is who answers, because the desk believes the account that it is told:
//!
//! - **Who:** each person has a link with a key of their own; the first visit turns it into a cookie that scripts
//!   cannot read and other sites cannot send, and a token that the page keeps. Cookies know no ports: whatever else on
//!   this machine a person opens is sent the cookie, and so that alone shows nothing and answers nothing. A real host
//!   has its own sign-in here, under a name of its own.
//! - **From where:** it listens on 127.0.0.1 alone, and answers nothing that was sent to another name (a page elsewhere
//!   may have its own name point here).
//! - **By whose page:** what changes something must come from this origin, and carry the token, which only this page has.
//! - **What they saw:** a vote names the digest of the card that stood on *their* page; another card's vote does not count.
//! - **What an agent wrote** is shown as text and never as markup, and no script runs but the page's own.

mod guards;
mod server;
pub mod shop;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::Request;
use glassbreak_core::desk::Desk;
use glassbreak_core::notify::{Notifier, NotifyError};
use tokio::sync::watch;

pub use self::server::Inbox;

/// Tells open pages that something changed; what there is they ask the desk.
#[derive(Debug, Clone)]
pub struct Bell(Arc<watch::Sender<u64>>);

impl Bell {
    /// One that nobody hears yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Rings.
    pub fn ring(&self) {
        self.0.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// Waits until somebody hears it.
    pub async fn heard(&self) {
        while self.0.receiver_count() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Hears it from now on.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Notifier for Bell {
    fn name(&self) -> &str {
        "inbox"
    }

    async fn deliver(&self, _request: &Request, _desk: &Desk) -> Result<(), NotifyError> {
        self.ring();
        if self.0.receiver_count() == 0 {
            // It is recorded that nobody saw it. Whoever opens the page before the deadline sees it all the same.
            return Err(NotifyError::new("inbox", "nobody has the page open"));
        }
        Ok(())
    }

    async fn update(&self, _request: &Request) -> Result<(), NotifyError> {
        self.ring();
        Ok(())
    }
}

/// 256 bits that nobody can guess, as text; printed nowhere by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Box<str>);

impl Key {
    fn new() -> io::Result<Self> {
        let mut bytes = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
        ))
    }

    fn of(text: &str) -> Self {
        Self(text.into())
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
