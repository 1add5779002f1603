//! Why a token is refused. Each says what would be taken; none repeats the token, nor what it claims where no key vouches
//! for it.

use glassbreak_core::clock::Timestamp;

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not a signed JWT at all.
    #[error("this is not a signed token: {0}")]
    Malformed(&'static str),
    /// It is over its size.
    #[error("the token is longer than {most} bytes, which is the most that is read")]
    TooLong {
        /// The most.
        most: usize,
    },
    /// Its header names an algorithm that is not taken of this issuer.
    #[error("the token is signed by `{said}`, and of this issuer only {taken} is taken")]
    Algorithm {
        /// What the header says, escaped.
        said: String,
        /// What is taken.
        taken: String,
    },
    /// It is a token of another kind.
    #[error("the token is of type `{said}`, and {wanted} is wanted")]
    Kind {
        /// What the header says, escaped.
        said: String,
        /// What is wanted.
        wanted: String,
    },
    /// Its header demands something that is not understood here.
    #[error("the token's header has `{0}`, which is not understood here, so the token is not taken")]
    Header(&'static str),
    /// The key that it names is not to be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature does not hold.
    #[error("the token's signature does not hold: the key that it names did not sign it")]
    Signature,
    /// A claim that must be there is missing or no such thing.
    #[error("the token's `{name}` is missing or not {wanted}")]
    Claim {
        /// Which.
        name: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// Another issuer made it.
    #[error("the token's `iss` is `{said}`, and `{wanted}` is wanted, to the letter")]
    Issuer {
        /// What it says, escaped.
        said: String,
        /// What is wanted.
        wanted: String,
    },
    /// It is meant for somebody else, or for others too.
    #[error("the token's `aud` is not `{wanted}`, or names others that are not trusted with it")]
    Audience {
        /// What is wanted.
        wanted: String,
    },
    /// Its time is over.
    #[error("the token ended at {at}; get a new one")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Its time has not come, or it was made in the future.
    #[error("the token's `{name}` is {at}, which is yet to come; is a clock wrong?")]
    Early {
        /// `nbf` or `iat`.
        name: &'static str,
        /// When.
        at: Timestamp,
    },
    /// It was made too long ago.
    #[error("the token was made at {at}, and is taken for {most} after that; get a new one")]
    Old {
        /// When.
        at: Timestamp,
        /// For how long it is taken.
        most: glassbreak_core::clock::Span,
    },
    /// Its subject cannot be written as an account.
    #[error("the token's `sub` cannot be an account: {0}")]
    Subject(&'static str),
    /// It was taken back before its end.
    #[error("the credential was taken back")]
    Revoked,
}

impl TokenError {
    /// Whether nobody knows: the issuer's keys cannot be had just now. The same token may be taken later.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Key(KeyError::Unavailable(_)))
    }

    pub(crate) fn claim(name: impl Into<String>, wanted: &'static str) -> Self {
        Self::Claim {
            name: name.into(),
            wanted,
        }
    }
}

/// Why there is no key for a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The token names no key.
    #[error("the token names no key (`kid`), and keys are not tried one after the other")]
    Unnamed,
    /// The issuer has no key of this name that can be used.
    #[error("the issuer has no key `{0}` that can be used, or has it no more")]
    Unknown(String),
    /// The issuer has several keys of this name.
    #[error("the issuer has more than one key `{0}`, so it is not known which")]
    Several(String),
    /// The key is for another algorithm.
    #[error("the issuer's key `{0}` is not for the algorithm that the token is signed by")]
    OtherAlgorithm(String),
    /// The keys cannot be had.
    #[error("the issuer's keys cannot be had: {0}")]
    Unavailable(String),
}

/// Why something cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct ConfigError {
    what: String,
    help: &'static str,
}

impl ConfigError {
    pub(crate) fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self {
            what: what.into(),
            help,
        }
    }
}
