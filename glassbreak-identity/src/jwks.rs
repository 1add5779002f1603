//! The keys of an issuer: what its tokens are checked against.

#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
mod remote;
mod set;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "fetch")]
pub use self::remote::Remote;
pub(crate) use self::set::Key;
use self::set::KeySet;
use crate::error::{ConfigError, KeyError};
use crate::expect::Algorithm;

/// The most bytes of a key set.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// Where the keys of an issuer come from. Clones share what was fetched.
#[derive(Clone)]
pub struct Jwks(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<KeySet>),
    #[cfg(feature = "fetch")]
    Remote(Arc<remote::Kept>),
}

impl Jwks {
    /// A key set (RFC 7517) that does not change.
    ///
    /// # Errors
    /// When it is none, holds a secret, or no key of it can be used.
    pub fn fixed(text: &str) -> Result<Self, ConfigError> {
        let set = KeySet::read(text.as_bytes()).map_err(|why| {
            ConfigError::new(
                format!("the key set cannot be used: {why}"),
                "take the public keys that the issuer publishes",
            )
        })?;
        Ok(Self(Source::Fixed(Arc::new(set))))
    }

    /// The same from a file, read once, now.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed), and when the file cannot be read.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let shown = glassbreak_core::error::shown_whole(&path.to_string_lossy());
            ConfigError::new(
                format!("the key set `{shown}` cannot be read: {error}"),
                "name a file that this process can read",
            )
        })?;
        Self::fixed(&text)
    }

    /// The key set at an address: `https:`, or `http:` on the loopback. Nothing is fetched yet.
    ///
    /// # Errors
    /// When it is no such address, or the machine's root certificates cannot be read.
    #[cfg(feature = "fetch")]
    pub fn remote(settings: Remote) -> Result<Self, ConfigError> {
        remote::Kept::new(settings).map(|kept| Self(Source::Remote(Arc::new(kept))))
    }

    /// The key that a token names.
    pub(crate) async fn key(&self, kid: &str, algorithm: Algorithm) -> Result<Key, KeyError> {
        match &self.0 {
            Source::Fixed(set) => set.key(kid, algorithm),
            #[cfg(feature = "fetch")]
            Source::Remote(kept) => remote::Kept::key(kept, kid, algorithm).await,
        }
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(set) => f.debug_tuple("Jwks").field(set).finish(),
            #[cfg(feature = "fetch")]
            Source::Remote(kept) => f.debug_tuple("Jwks").field(kept).finish(),
        }
    }
}
