//! The other way round: a short-lived token for a permitted call, and its check where it is used.
//!
//! [`JwtBroker`] makes tokens (EdDSA) that say which call they are for, by which grant, and no more; they end with the
//! grant or before. [`CredentialVerifier`] is for the service that takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use glassbreak_core::audit::{PublicKey, Signer};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::credential::{
    BrokerError, CredentialBroker, CredentialId, Issued, Order, Secret, TakenBack, fingerprint,
};
use glassbreak_core::grant::Scope;
use serde_json::{Map, Value, json};

use crate::error::{ConfigError, TokenError};
use crate::expect::{Algorithm, Expect, TokenKind};
use crate::jwks::Jwks;
use crate::verify::{Verified, Verifier};

/// The type in the headers of these tokens: no other token passes for one.
const KIND: &str = "glassbreak-credential+jwt";
/// The claim that says what a credential is for.
const SCOPE: &str = "glassbreak";
/// The longest that one of these tokens may live.
const LONGEST: Span = Span::from_millis(60 * 60_000);

/// Makes short-lived tokens, signed with Ed25519.
///
/// Its key is its own: a key that signs anything else could be made to sign one of these. What it takes back stays
/// usable until its end, where the service that takes it does not ask [`is_revoked`](Self::is_revoked); records say so.
pub struct JwtBroker {
    issuer: String,
    audience: String,
    key: PublicKey,
    signer: Arc<dyn Signer>,
    /// What was taken back, and until when it would have lived.
    revoked: Mutex<BTreeMap<CredentialId, Timestamp>>,
}

impl JwtBroker {
    /// Makes tokens of `issuer` for `audience`, the one service that takes them, with the key that `signer` has;
    /// [`KeyFile`](glassbreak_core::audit::KeyFile) is one.
    ///
    /// # Errors
    /// When issuer or audience is empty.
    pub fn new(issuer: &str, audience: &str, key: PublicKey, signer: impl Signer) -> Result<Self, ConfigError> {
        if issuer.is_empty() || audience.is_empty() {
            return Err(ConfigError::new(
                "the issuer or the audience of the credentials is empty",
                "name who makes them and the one service that takes them",
            ));
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            key,
            signer: Arc::new(signer),
            revoked: Mutex::default(),
        })
    }

    /// The key set (RFC 7517) by which the tokens are checked, for the service that takes them. It holds no secret.
    pub fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.as_bytes());
        json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid(), "alg": "EdDSA", "use": "sig",
        }] })
        .to_string()
    }

    /// Whether a token was taken back, for a verifier in the same process.
    pub fn is_revoked(&self, id: CredentialId) -> bool {
        self.revoked().contains_key(&id)
    }

    fn kid(&self) -> String {
        fingerprint(&self.key.to_string())
    }

    fn revoked(&self) -> std::sync::MutexGuard<'_, BTreeMap<CredentialId, Timestamp>> {
        // Entries are put in and taken out whole.
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self, order: &Order, made: i64, ends: i64) -> Value {
        let mut scope = Map::new();
        scope.insert("call".to_owned(), order.call.to_string().into());
        scope.insert("action".to_owned(), (&*order.action).into());
        scope.insert("tool".to_owned(), (&*order.tool).into());
        scope.insert("session".to_owned(), order.actor.session.as_str().into());
        if let Some(person) = &order.actor.on_behalf_of {
            scope.insert("for".to_owned(), person.as_str().into());
        }
        match &order.grant {
            Some(grant) => {
                scope.insert("grant".to_owned(), grant.id.to_string().into());
                scope.insert("request".to_owned(), grant.request.to_string().into());
                match &grant.scope {
                    Scope::Window { pins, .. } => {
                        let pins = pins.iter().map(|(name, value)| (name.to_string(), (&**value).into()));
                        scope.insert("pins".to_owned(), Value::Object(pins.collect()));
                    }
                    Scope::Once { digest } => drop(scope.insert("digest".to_owned(), digest.to_string().into())),
                }
            }
            None => drop(scope.insert("digest".to_owned(), order.digest.to_string().into())),
        }
        let agent = match &order.actor.instance {
            Some(instance) => format!("{}/{instance}", order.actor.role),
            None => order.actor.role.to_string(),
        };
        scope.insert("agent".to_owned(), agent.into());
        json!({
            "iss": self.issuer, "aud": self.audience, "sub": order.call.to_string(), "jti": order.id.to_string(),
            "iat": made, "nbf": made, "exp": ends, SCOPE: scope,
        })
    }
}

#[async_trait]
impl CredentialBroker for JwtBroker {
    fn kind(&self) -> &str {
        "jwt"
    }

    async fn issue(&self, order: &Order) -> Result<Issued, BrokerError> {
        // Tokens tell time in whole seconds: down for both, so that it neither begins late nor ends late.
        let made = order.now.as_millis().div_euclid(1_000);
        let latest = order.not_after.min(order.now.after(LONGEST));
        let ends = latest.as_millis().div_euclid(1_000);
        if ends <= made {
            return Err(BrokerError::new("less than a second is left of what people agreed to"));
        }
        if self.is_revoked(order.id) {
            return Err(BrokerError::new("it was taken back before it was made"));
        }
        let header = json!({ "alg": "EdDSA", "typ": KIND, "kid": self.kid() });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = [part(&header), part(&self.claims(order, made, ends))].join(".");
        let (signer, message) = (Arc::clone(&self.signer), signed.clone());
        // A key in hardware may take its time.
        let signature = tokio::task::spawn_blocking(move || signer.sign(message.as_bytes()));
        let signature = match signature.await {
            Ok(Ok(signature)) if signature.key == self.key => signature,
            Ok(Ok(_)) => return Err(BrokerError::new("the signer has another key than the broker says")),
            Ok(Err(error)) => return Err(BrokerError::new(format!("it could not be signed: {error}"))),
            Err(_) => return Err(BrokerError::new("the signer broke")),
        };
        Ok(Issued {
            secret: Secret::new([signed, URL_SAFE_NO_PAD.encode(signature.bytes)].join(".")),
            expires_at: Timestamp::from_millis(ends.saturating_mul(1_000)),
        })
    }

    async fn revoke(&self, id: CredentialId) -> Result<TakenBack, BrokerError> {
        let now = Timestamp::now();
        let mut revoked = self.revoked();
        // What is over by itself need not be remembered.
        revoked.retain(|_, ends| *ends > now);
        revoked.insert(id, now.after(LONGEST));
        Ok(TakenBack::Lives)
    }
}

impl fmt::Debug for JwtBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtBroker")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Checks credentials of a [`JwtBroker`], where they are used.
#[derive(Debug, Clone)]
pub struct CredentialVerifier(Verifier);

impl CredentialVerifier {
    /// Takes credentials that `issuer` made for `audience`, by these keys.
    ///
    /// # Errors
    /// When issuer or audience is empty.
    pub fn new(issuer: &str, audience: &str, keys: Jwks) -> Result<Self, ConfigError> {
        let kind = TokenKind::Other(KIND);
        let expect = Expect::new("glassbreak", issuer, audience, kind, [Algorithm::EdDsa])?;
        Ok(Self(Verifier::new(expect.age(LONGEST), keys)))
    }

    /// What a credential is for, where it holds at `now`.
    ///
    /// The service must hold what it does to that: a credential for `tool:deploy` of one service is none for another.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Handed, TokenError> {
        Handed::of(&self.0.verify(token, now).await?)
    }
}

/// What a credential is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Its id.
    pub id: CredentialId,
    /// The call.
    pub call: String,
    /// The Cedar action, such as `tool:deploy`.
    pub action: String,
    /// The session that the call was made in.
    pub session: String,
    /// The role and, behind a slash, the instance of the agent.
    pub agent: String,
    /// What people opened, where they did.
    pub grant: Option<String>,
    /// The digest of the one call that it is for; `None` in a window.
    pub digest: Option<String>,
    /// The facts that the window holds fixed.
    pub pins: BTreeMap<String, String>,
    /// When it ends.
    pub ends: Timestamp,
}

impl Handed {
    fn of(verified: &Verified) -> Result<Self, TokenError> {
        const WANTED: &str = "what a broker writes";
        let bad = |name: &str| TokenError::claim(name, WANTED);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let id = text(verified.claim("jti")).and_then(|id| CredentialId::from_text(&id).ok());
        let scope = verified
            .claim(SCOPE)
            .and_then(Value::as_object)
            .ok_or_else(|| bad(SCOPE))?;
        let required = |name: &str| text(scope.get(name)).ok_or_else(|| bad(name));
        let pins = match scope.get("pins") {
            None => None,
            Some(pins) => {
                let pins = pins.as_object().ok_or_else(|| bad("pins"))?.iter();
                let pins = pins.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                Some(pins.collect::<Option<BTreeMap<_, _>>>().ok_or_else(|| bad("pins"))?)
            }
        };
        let digest = text(scope.get("digest"));
        // Exactly one of them says what it is for.
        if digest.is_some() == pins.is_some() {
            return Err(bad("digest"));
        }
        Ok(Self {
            id: id.ok_or_else(|| bad("jti"))?,
            call: required("call")?,
            action: required("action")?,
            session: required("session")?,
            agent: required("agent")?,
            grant: text(scope.get("grant")),
            digest,
            pins: pins.unwrap_or_default(),
            ends: verified.ends(),
        })
    }
}
