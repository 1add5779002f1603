//! From the text of a token to what its issuer vouches for.
//!
//! In this order, each step on what the one before has left: the size; three parts of base64url; the header, of which only
//! `alg`, `typ`, `crit`, `kid` and what changes the meaning of the rest are looked at (`jku`, `x5u`, `jwk` and `x5c` never
//! are: a token does not bring its own key); the key; the signature; and only then the claims. JSON is read strictly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown;
use glassbreak_core::people::{Account, Email, Principal};
use jsonwebtoken::crypto::aws_lc;
use serde_json::{Map, Value};

use crate::error::{KeyError, TokenError};
use crate::expect::{Algorithm, Expect};
use crate::jwks::{Jwks, Key};
use crate::strict;

/// Reads tokens of one issuer. Clones share the keys.
#[derive(Debug, Clone)]
pub struct Verifier {
    expect: Expect,
    keys: Jwks,
}

impl Verifier {
    /// Takes the tokens that are as expected, by these keys.
    pub const fn new(expect: Expect, keys: Jwks) -> Self {
        Self { expect, keys }
    }

    /// What a token says, where all of it holds at `now`.
    ///
    /// A token is not used up by this: whoever has it can show it again until it ends. Keep it short-lived, and where it
    /// must count once, remember its `jti`.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
        let parts = Parts::of(token, self.expect.size)?;
        let (kid, algorithm) = self.header(&parts)?;
        let key = self.keys.key(&kid, algorithm).await?;
        check_signature(&parts, &key, algorithm)?;
        let claims = strict::object(&parts.payload)
            .map_err(|_| TokenError::Malformed("its claims are not an object of JSON, or one stands twice"))?;
        self.claims(claims, now)
    }

    /// The key that it names, and the algorithm.
    fn header(&self, parts: &Parts<'_>) -> Result<(String, Algorithm), TokenError> {
        let header = strict::object(&parts.header)
            .map_err(|_| TokenError::Malformed("its header is not an object of JSON, or a key in it stands twice"))?;
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(TokenError::Malformed("a part of its header is of another type")),
        };
        // What must be understood is not, and what changes how the rest is read is not done.
        for name in ["crit", "b64", "zip", "enc", "cty"] {
            if header.contains_key(name) {
                return Err(TokenError::Header(name));
            }
        }
        let said = text("alg")?.unwrap_or("none");
        let algorithms = &self.expect.algorithms;
        let Some(algorithm) = algorithms.iter().find(|algorithm| algorithm.as_str() == said) else {
            let taken: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
            return Err(TokenError::Algorithm {
                said: shown(said),
                taken: taken.join(" or "),
            });
        };
        let typ = text("typ")?;
        if !self.expect.kind.is(typ) {
            return Err(TokenError::Kind {
                said: shown(typ.unwrap_or("(none)")),
                wanted: self.expect.kind.wanted().to_owned(),
            });
        }
        let kid = text("kid")?.filter(|kid| !kid.is_empty()).ok_or(KeyError::Unnamed)?;
        Ok((kid.to_owned(), *algorithm))
    }

    fn claims(&self, claims: Map<String, Value>, now: Timestamp) -> Result<Verified, TokenError> {
        let expect = &self.expect;
        match claims.get("iss").and_then(Value::as_str) {
            Some(issuer) if issuer == expect.issuer => {}
            said => {
                return Err(TokenError::Issuer {
                    said: shown(said.unwrap_or("(none)")),
                    wanted: expect.issuer.clone(),
                });
            }
        }
        let trusted =
            |audience: &str| audience == expect.audience || expect.beside.iter().any(|other| other == audience);
        let audiences: Option<Vec<&str>> = match claims.get("aud") {
            Some(Value::String(one)) => Some(vec![one]),
            Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let audiences = audiences.unwrap_or_default();
        if !audiences.contains(&expect.audience.as_str()) || !audiences.iter().all(|audience| trusted(audience)) {
            return Err(TokenError::Audience {
                wanted: expect.audience.clone(),
            });
        }
        let ends = moment(&claims, "exp")?.ok_or_else(|| TokenError::claim("exp", SECONDS))?;
        // At its end it is over, and no leeway is given.
        if now >= ends {
            return Err(TokenError::Expired { at: ends });
        }
        let soon = now.after(expect.leeway);
        if let Some(at) = moment(&claims, "nbf")?.filter(|at| *at > soon) {
            return Err(TokenError::Early { name: "nbf", at });
        }
        let made = moment(&claims, "iat")?.ok_or_else(|| TokenError::claim("iat", SECONDS))?;
        if made > soon {
            return Err(TokenError::Early { name: "iat", at: made });
        }
        if now >= made.after(expect.age) {
            return Err(TokenError::Old {
                at: made,
                most: expect.age,
            });
        }
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.ok_or_else(|| TokenError::claim("sub", "a text"))?;
        let account = Account::of_issuer(&expect.name, subject)
            .map_err(|_| TokenError::Subject("it is empty, or over 128 bytes with the issuer's name before it"))?;
        Ok(Verified { account, ends, claims })
    }
}

const SECONDS: &str = "a whole number of seconds since 1970";
/// The end of the year 9999, in seconds.
const LAST: i64 = 253_402_300_799;

/// A claim that is a moment; `None` where it is not there.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64().filter(|seconds| (0..=LAST).contains(seconds)) {
            Some(seconds) => Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1_000)))),
            None => Err(TokenError::claim(name, SECONDS)),
        },
    }
}

/// By name, and not by what this process has installed as its default: a host may have another, or none.
fn check_signature(parts: &Parts<'_>, key: &Key, algorithm: Algorithm) -> Result<(), TokenError> {
    let verifier = (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&algorithm.library(), &key.public);
    let verifier = verifier.map_err(|_| TokenError::Signature)?;
    verifier
        .verify(parts.signed.as_bytes(), &parts.signature)
        .map_err(|_| TokenError::Signature)
}

/// The three parts of a token.
struct Parts<'t> {
    /// Header and claims as they were signed.
    signed: &'t str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str, most: usize) -> Result<Self, TokenError> {
        if token.len() > most {
            return Err(TokenError::TooLong { most });
        }
        let three = TokenError::Malformed("it is not three parts with dots between them");
        let Some((signed, signature)) = token.rsplit_once('.') else {
            return Err(three);
        };
        let Some((header, payload)) = signed.split_once('.').filter(|(_, payload)| !payload.contains('.')) else {
            return Err(three);
        };
        let read = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok().filter(|bytes| !bytes.is_empty());
            bytes.ok_or(TokenError::Malformed("a part of it is empty or not base64url"))
        };
        Ok(Self {
            signed,
            header: read(header)?,
            payload: read(payload)?,
            signature: read(signature)?,
        })
    }
}

/// What an issuer vouches for. Only [`Verifier::verify`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    account: Account,
    ends: Timestamp,
    claims: Map<String, Value>,
}

impl Verified {
    /// The account: the issuer's configured name and the token's subject.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// When the token ends.
    pub const fn ends(&self) -> Timestamp {
        self.ends
    }

    /// A claim.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// Who it is, with their e-mail address where the issuer says, by `email_verified: true`, that it is theirs.
    pub fn principal(&self) -> Principal {
        let principal = Principal::new(self.account.clone());
        let verified = self.claims.get("email_verified") == Some(&Value::Bool(true));
        let email = self.claims.get("email").and_then(Value::as_str).filter(|_| verified);
        match email.and_then(|email| Email::new(email).ok()) {
            Some(email) => principal.verified_email(email),
            None => principal,
        }
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("account", &self.account)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}
