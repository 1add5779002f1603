//! A key set that is fetched, kept for a while, and fetched again when it is old or a token names a key that is not in it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Key;
use super::fetch::Client;
use super::set::KeySet;
use crate::error::{ConfigError, KeyError};
use crate::expect::Algorithm;

/// Where a key set is, and how fresh it must be.
#[derive(Debug, Clone)]
pub struct Remote {
    pub(super) address: String,
    pub(super) fresh: Duration,
    pub(super) stale: Duration,
    pub(super) pause: Duration,
    pub(super) timeout: Duration,
    pub(super) roots: Option<String>,
}

impl Remote {
    /// The set at `address`. It is fetched again after five minutes and when a token names a key that is not in it, at
    /// most every 30 seconds; where that fails, the old one counts for an hour after it was fetched, and then none. An
    /// answer must come within five seconds. No redirect is followed.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            fresh: Duration::from_secs(300),
            stale: Duration::from_secs(3_600),
            pause: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            roots: None,
        }
    }

    /// How long a fetched set is taken without asking again.
    #[must_use]
    pub const fn fresh(mut self, time: Duration) -> Self {
        self.fresh = time;
        self
    }

    /// How long one is taken at all, where asking again fails. A key that the issuer withdrew counts so long.
    #[must_use]
    pub const fn stale(mut self, time: Duration) -> Self {
        self.stale = time;
        self
    }

    /// How much time lies between two fetches, whatever tokens come.
    #[must_use]
    pub const fn pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }

    /// How long a fetch may take.
    #[must_use]
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Certificates (PEM) of those who may vouch for the server, in place of the machine's.
    #[must_use]
    pub fn roots(mut self, pem: impl Into<String>) -> Self {
        self.roots = Some(pem.into());
        self
    }
}

/// What is known of a remote set.
pub(super) struct Kept {
    settings: Remote,
    client: Client,
    known: Mutex<Known>,
    /// Held while a fetch is under way, so that there is one.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    set: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
    error: Option<String>,
}

impl Kept {
    pub(super) fn new(settings: Remote) -> Result<Self, ConfigError> {
        Ok(Self {
            client: Client::new(&settings)?,
            settings,
            known: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        })
    }

    pub(super) async fn key(this: &Arc<Self>, kid: &str, algorithm: Algorithm) -> Result<Key, KeyError> {
        if let Some(key) = this.now(kid, algorithm) {
            return key;
        }
        let flight = this.flight.lock().await;
        // Somebody else may have fetched it meanwhile.
        if let Some(key) = this.now(kid, algorithm) {
            return key;
        }
        if this.may_fetch() {
            let kept = Arc::clone(this);
            // What it brings is kept also where nobody waits for it any more.
            let fetched = tokio::task::spawn_blocking(move || kept.fetch());
            if fetched.await.is_err() {
                this.known().error = Some("the fetch broke".to_owned());
            }
        }
        drop(flight);
        this.last(kid, algorithm)
    }

    /// What a fresh set says; `None` where it is to be fetched.
    fn now(&self, kid: &str, algorithm: Algorithm) -> Option<Result<Key, KeyError>> {
        let (set, at) = self.known().set.clone()?;
        if at.elapsed() >= self.settings.fresh {
            return None;
        }
        match set.key(kid, algorithm) {
            Err(KeyError::Unknown(_)) => None,
            known => Some(known),
        }
    }

    /// What there is, if it is not too old.
    fn last(&self, kid: &str, algorithm: Algorithm) -> Result<Key, KeyError> {
        let known = self.known();
        match &known.set {
            Some((set, at)) if at.elapsed() < self.settings.stale.max(self.settings.fresh) => set.key(kid, algorithm),
            _ => {
                let why = known.error.clone();
                let why = why.unwrap_or_else(|| "they were asked for a moment ago".to_owned());
                Err(KeyError::Unavailable(why))
            }
        }
    }

    fn may_fetch(&self) -> bool {
        let mut known = self.known();
        let due = known.tried.is_none_or(|tried| tried.elapsed() >= self.settings.pause);
        if due {
            known.tried = Some(Instant::now());
        }
        due
    }

    fn fetch(&self) {
        let asked = Instant::now();
        let read = self.client.get().and_then(|bytes| KeySet::read(&bytes));
        let mut known = self.known();
        match read {
            Ok(set) => {
                // As old as the question, however long the answer took.
                known.set = Some((Arc::new(set), asked));
                known.error = None;
            }
            Err(error) => known.error = Some(glassbreak_core::error::shown(&error)),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Each field is put in whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("address", &self.settings.address)
            .finish_non_exhaustive()
    }
}
