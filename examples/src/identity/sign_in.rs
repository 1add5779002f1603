//! A stand-in for an OpenID provider: it signs whatever the story needs. A host has a real one, and reads its keys from
//! its address (`Jwks::remote`).

use std::path::Path;

use glassbreak_core::audit::{KeyFile, Signer as _};
use glassbreak_core::clock::{Span, Timestamp};
use serde_json::{Value, json};

use super::{base64url, bytes, new_key};

/// Who signs people and agents in.
#[derive(Debug)]
pub struct SignIn(KeyFile);

impl SignIn {
    /// What it calls itself.
    pub const ISSUER: &'static str = "https://sso.example.com";

    /// One with a new key.
    ///
    /// # Errors
    /// When the key cannot be written there.
    pub fn open(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self(new_key(&folder.join("sign-in.key"))?))
    }

    /// The key set that it publishes.
    ///
    /// # Errors
    /// Never: a public key is digits.
    pub fn jwks(&self) -> std::io::Result<String> {
        let x = base64url(&bytes(&self.0.public().to_string())?);
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "2026", "alg": "EdDSA", "use": "sig" });
        Ok(json!({ "keys": [key] }).to_string())
    }

    /// The token of somebody who signs in to answer requests.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn person(&self, subject: &str, now: Timestamp) -> std::io::Result<String> {
        let email = format!("{subject}@example.com");
        let claims = json!({ "sub": format!("id-of-{subject}"), "email": email, "email_verified": true });
        self.token("JWT", "approvals", claims, now)
    }

    /// The token of Kim, whose subject is a plain name.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn kim(&self, now: Timestamp) -> std::io::Result<String> {
        self.token("JWT", "approvals", json!({ "sub": "kim" }), now)
    }

    /// The token of an agent that acts for somebody.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn agent(&self, name: &str, acts_for: &str, now: Timestamp) -> std::io::Result<String> {
        let claims = json!({ "sub": name, "client_id": name, "act_for": acts_for });
        self.token("at+jwt", "https://agents.example.com", claims, now)
    }

    fn token(&self, typ: &str, audience: &str, mut claims: Value, now: Timestamp) -> std::io::Result<String> {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1_000);
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": "2026" });
        if let Some(claims) = claims.as_object_mut() {
            for (name, value) in [
                ("iss", json!(Self::ISSUER)),
                ("aud", json!(audience)),
                ("iat", json!(seconds(now))),
                ("exp", json!(seconds(now.after(Span::from_millis(300_000))))),
            ] {
                claims.insert(name.to_owned(), value);
            }
        }
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = [part(&header), part(&claims)].join(".");
        let signature = self.0.sign(signed.as_bytes())?;
        Ok([signed, base64url(&signature.bytes)].join("."))
    }
}
