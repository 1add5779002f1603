//! Tokens as they should not be, signed all the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use glassbreak_core::clock::Timestamp;
use glassbreak_identity::{Algorithm, Expect, Jwks, TokenError, TokenKind, Verified, Verifier};
use serde_json::{Map, Value, json};

pub(crate) const ISSUER: &str = "https://sso.example.com";
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer's key.
pub(crate) struct Mint {
    key: SigningKey,
    pub(crate) kid: &'static str,
}

impl Mint {
    pub(crate) fn new(seed: u8, kid: &'static str) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            kid,
        }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(self.public()), "kid": self.kid, "alg": "EdDSA", "use": "sig" })
    }

    /// A token of these very texts.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", b64(signature.to_bytes()))
    }

    pub(crate) fn header(&self) -> Map<String, Value> {
        object(json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.kid }))
    }

    /// A token with another header.
    pub(crate) fn headed(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.sign(&Value::from(header).to_string(), &Value::from(claims()).to_string())
    }

    /// A token with other claims.
    pub(crate) fn claiming(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = claims();
        change(&mut claims);
        self.sign(
            &Value::from(self.header()).to_string(),
            &Value::from(claims).to_string(),
        )
    }
}

pub(crate) fn claims() -> Map<String, Value> {
    object(json!({ "iss": ISSUER, "aud": "approvals", "sub": "alice", "iat": NOW, "exp": NOW + 600 }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

pub(crate) fn keys(jwks: &[Value]) -> Jwks {
    Jwks::fixed(&json!({ "keys": jwks }).to_string()).unwrap()
}

pub(crate) fn expect() -> Expect {
    Expect::new("sso", ISSUER, "approvals", TokenKind::Identity, [Algorithm::EdDsa]).unwrap()
}

pub(crate) fn verifier(mint: &Mint) -> Verifier {
    Verifier::new(expect(), keys(&[mint.jwk()]))
}

/// What comes of a token, without waiting: fixed keys are there.
pub(crate) fn verify_at(verifier: &Verifier, token: &str, now: Timestamp) -> Result<Verified, TokenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(verifier.verify(token, now));
    if let Err(error) = &result {
        let said = format!("{error} {error:?}");
        for part in token.split('.').filter(|part| part.len() > 12) {
            assert!(!said.contains(part), "the token is in its refusal: {said}");
        }
        assert!(!said.contains('\n') && said.len() < 2_000, "{said}");
    }
    result
}

pub(crate) fn verify(verifier: &Verifier, token: &str) -> Result<Verified, TokenError> {
    verify_at(verifier, token, at(NOW + 1))
}
