//! A key set as it was read.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::MOST_BYTES;
use crate::error::KeyError;
use crate::expect::Algorithm;
use crate::strict;

/// The most keys of a set.
const MOST_KEYS: usize = 100;
/// The longest name of a key.
const LONGEST_KID: usize = 256;
/// The parts of a key that are secret, and what a shared secret is called.
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key, and what it may be used for.
#[derive(Clone)]
pub(crate) struct Key {
    shape: Shape,
    /// The one algorithm that the issuer has it for, where it says so.
    only: Option<String>,
    pub(crate) public: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The keys by name; `None` where several have it.
pub(super) struct KeySet(BTreeMap<String, Option<Key>>);

impl KeySet {
    /// Reads a set. Keys that are not for signatures, or of a kind that is not known here, are passed over.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err(format!("it is longer than {MOST_BYTES} bytes"));
        }
        let set = strict::object(bytes).map_err(|_| "it is not JSON, or a key in it stands twice".to_owned())?;
        let Some(Value::Array(list)) = set.get("keys") else {
            return Err("it has no list `keys`".to_owned());
        };
        if list.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let mut keys: BTreeMap<String, Option<Key>> = BTreeMap::new();
        for item in list {
            let Value::Object(jwk) = item else {
                return Err("one of its keys is not an object".to_owned());
            };
            // Whoever reads such a set can sign as the issuer, so nothing that its keys vouch for is worth anything.
            if SECRET.iter().any(|name| jwk.contains_key(*name)) || text(jwk, "kty") == Some("oct") {
                return Err("it holds a private or shared key, so anybody could have signed".to_owned());
            }
            let Some(kid) = text(jwk, "kid").filter(|kid| !kid.is_empty() && kid.len() <= LONGEST_KID) else {
                continue;
            };
            if let Some(key) = Key::read(jwk) {
                let slot = keys.entry(kid.to_owned());
                slot.and_modify(|known| *known = None).or_insert(Some(key));
            }
        }
        if keys.is_empty() {
            return Err("it has no key with a name that can be used for signatures".to_owned());
        }
        Ok(Self(keys))
    }

    pub(super) fn key(&self, kid: &str, algorithm: Algorithm) -> Result<Key, KeyError> {
        let shown = || glassbreak_core::error::shown(kid);
        match self.0.get(kid) {
            None => Err(KeyError::Unknown(shown())),
            Some(None) => Err(KeyError::Several(shown())),
            Some(Some(key)) if key.fits(algorithm) => Ok(key.clone()),
            Some(Some(_)) => Err(KeyError::OtherAlgorithm(shown())),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.contains_key("use") && text(jwk, "use") != Some("sig") {
            return None;
        }
        if let Some(ops) = jwk.get("key_ops") {
            let verifies = |ops: &Vec<Value>| ops.iter().any(|op| op == "verify");
            ops.as_array().filter(|ops| verifies(ops))?;
        }
        let only = match jwk.get("alg") {
            Some(Value::String(alg)) => Some(alg.clone()),
            Some(_) => return None,
            None => None,
        };
        let (shape, public) = match (text(jwk, "kty")?, text(jwk, "crv")) {
            ("RSA", None) => {
                let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
                (Shape::Rsa, DecodingKey::from_rsa_raw_components(&n, &e))
            }
            ("EC", Some("P-256")) => (Shape::P256, point(jwk, 32)?),
            ("EC", Some("P-384")) => (Shape::P384, point(jwk, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(jwk, "x").filter(|x| x.len() == 32)?;
                (Shape::Ed25519, DecodingKey::from_ed_der(&x))
            }
            _ => return None,
        };
        Some(Self { shape, only, public })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let shape = match algorithm {
            Algorithm::EdDsa => Shape::Ed25519,
            Algorithm::Es256 => Shape::P256,
            Algorithm::Es384 => Shape::P384,
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Shape::Rsa,
        };
        // RFC 9864 names the curve: keys say either.
        let named = |only: &str| only == algorithm.as_str() || (shape == Shape::Ed25519 && only == "Ed25519");
        self.shape == shape && self.only.as_deref().is_none_or(named)
    }
}

/// An uncompressed point.
fn point(jwk: &Map<String, Value>, size: usize) -> Option<DecodingKey> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return None;
    }
    Some(DecodingKey::from_ec_der(&[&[4], &*x, &*y].concat()))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}
