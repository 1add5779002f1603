//! What a token must be. All of it is configuration; nothing is taken from a token's own header.

use glassbreak_core::clock::Span;

use crate::error::ConfigError;

/// A signature that a public key can be checked against. There is no other: `none` and the algorithms of shared secrets
/// cannot be written here, so no token can bring them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
}

impl Algorithm {
    /// The name in headers and key sets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    pub(crate) const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
        }
    }
}

/// Which kind of token, by the `typ` of its header: one kind does not pass for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKind {
    /// An ID token, as OpenID Connect has it: `JWT`, or no type.
    Identity,
    /// An access token, as RFC 9068 has it: `at+jwt`.
    Access,
    /// Another type, to the letter but for upper and lower case.
    Other(&'static str),
}

impl TokenKind {
    /// Whether a header's `typ` says so. `application/` may stand before a type (RFC 7515, 4.1.9).
    pub(crate) fn is(&self, said: Option<&str>) -> bool {
        let said = said.map(|said| {
            let lower = said.to_ascii_lowercase();
            lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
        });
        match (self, said.as_deref()) {
            (Self::Identity, None | Some("jwt")) | (Self::Access, Some("at+jwt")) => true,
            (Self::Other(wanted), Some(said)) => wanted.eq_ignore_ascii_case(said),
            _ => false,
        }
    }

    pub(crate) const fn wanted(&self) -> &'static str {
        match self {
            Self::Identity => "JWT",
            Self::Access => "at+jwt",
            Self::Other(wanted) => wanted,
        }
    }
}

/// What is expected of the tokens of one issuer.
#[derive(Debug, Clone)]
pub struct Expect {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) beside: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) kind: TokenKind,
    pub(crate) leeway: Span,
    pub(crate) age: Span,
    pub(crate) size: usize,
}

impl Expect {
    /// The longest leeway.
    pub const MOST_LEEWAY: Span = Span::from_millis(120_000);
    /// The most bytes of a token, whatever is configured.
    pub const MOST_SIZE: usize = 64 * 1024;

    /// Tokens of `kind` that `issuer` (its `iss`, to the letter) made for `audience`, signed by one of `algorithms`.
    /// `name` is what the issuer is called in `people.toml`: the part of an account before the colon.
    ///
    /// A clock may be 30 seconds wrong, a token is taken for an hour after it was made, and is 8 KiB long at most, unless
    /// said otherwise. No leeway is given at a token's end.
    ///
    /// # Errors
    /// When one of them is empty, or `name` cannot be the name of an issuer.
    pub fn new(
        name: &str,
        issuer: &str,
        audience: &str,
        kind: TokenKind,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, ConfigError> {
        let algorithms: Vec<Algorithm> = algorithms.into_iter().collect();
        if glassbreak_core::people::Account::of_issuer(name, "x").is_err() {
            return Err(ConfigError::new(
                format!("`{}` is not the name of an issuer", glassbreak_core::error::shown(name)),
                "write what stands before the colon of its accounts in people.toml, such as `sso`",
            ));
        }
        if issuer.is_empty() || audience.is_empty() || algorithms.is_empty() {
            return Err(ConfigError::new(
                "issuer, audience or algorithms are empty",
                "name all three: what is not named cannot be checked",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            beside: Vec::new(),
            algorithms,
            kind,
            leeway: Span::from_millis(30_000),
            age: Span::from_millis(3_600_000),
            size: 8 * 1024,
        })
    }

    /// Tokens that are for this audience too are taken; it stands for somebody who may hold them.
    #[must_use]
    pub fn beside(mut self, audience: impl Into<String>) -> Self {
        self.beside.push(audience.into());
        self
    }

    /// How wrong a clock may be, for `nbf` and `iat`: two minutes at most.
    #[must_use]
    pub fn leeway(mut self, leeway: Span) -> Self {
        self.leeway = leeway.min(Self::MOST_LEEWAY);
        self
    }

    /// How long after it was made a token is taken, whatever its own end.
    #[must_use]
    pub const fn age(mut self, age: Span) -> Self {
        self.age = age;
        self
    }

    /// The most bytes of a token; 64 KiB is the most that can be said.
    #[must_use]
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes.min(Self::MOST_SIZE);
        self
    }

    /// What the issuer is called in `people.toml`.
    pub fn name(&self) -> &str {
        &self.name
    }
}
