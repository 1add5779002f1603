//! A service that deploys for whoever brings a credential for it. It knows the broker's key set, and nothing of agents.

use glassbreak_core::clock::Timestamp;
use glassbreak_identity::{ConfigError, CredentialVerifier, Jwks, TokenError};

/// The deployment service.
#[derive(Debug)]
pub struct Service(CredentialVerifier);

impl Service {
    /// What it is called by those who make credentials for it.
    pub const AUDIENCE: &'static str = "https://deploys.example.com";

    /// One that takes the credentials of `issuer`.
    ///
    /// # Errors
    /// When the key set is none.
    pub fn new(issuer: &str, jwks: &str) -> Result<Self, ConfigError> {
        CredentialVerifier::new(issuer, Self::AUDIENCE, Jwks::fixed(jwks)?).map(Self)
    }

    /// Puts a version in place.
    ///
    /// # Errors
    /// When the credential is not for this, or not any more.
    pub async fn deploy(&self, credential: &str, what: &str, now: Timestamp) -> Result<String, TokenError> {
        let handed = self.0.verify(credential, now).await?;
        if handed.action != "tool:deploy" {
            return Err(TokenError::Subject("it is for another action"));
        }
        let by = handed
            .grant
            .map_or_else(|| "nobody's grant".to_owned(), |_| "a grant".to_owned());
        Ok(format!("{what} is in place, for {} by {by}", handed.agent))
    }
}
