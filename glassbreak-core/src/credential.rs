//! Credentials that live no longer than the right to use them.
//!
//! An agent's own rights are the first tier. What a call needs beyond them it is *handed*, for this one call: a
//! [`CredentialBroker`] of the host makes a credential when a permit is used, and takes it back when the call ends.
//! `credentials.toml` of the policy folder says which tools and programs are handed one ([`Handover`]); it stands on the
//! card that people agree by, and in the digest of the call.
//!
//! What holds, whatever a broker does: nothing is handed over that no file declares; it is recorded, on disk, before it is
//! handed over, and its value is in no record; it ends by itself at the end of the grant or before; a broker that fails,
//! hangs, panics or gives more than was ordered is a refusal. What a broker cannot take back lives to its end, and the
//! record says until when.

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::call::{Actor, CallDigest, Word};
use crate::clock::{Span, Timestamp};
use crate::grant::Grant;
use crate::store::OpId;
use crate::stored::id_type;

id_type! {
    /// The id of a credential. Minted by the gate, so that one whose broker gave no answer can be taken back too.
    CredentialId
}

/// What a call is handed: an entry of `credentials.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// Its name in the file, and that of the broker which makes it.
    pub name: Word,
    /// The environment variable that a program finds it in; `None` for a tool, whose body is given it.
    pub variable: Option<Box<str>>,
    /// How long it may live. It ends sooner where the grant does.
    pub lasts: Span,
    /// Whether it is handed over only where people agreed to the call.
    pub granted: bool,
}

impl Handover {
    /// All of it in one line, for cards and for what a window holds fixed.
    pub fn line(&self) -> String {
        let Self {
            name,
            variable,
            lasts,
            granted,
        } = self;
        let mut line = format!("{name}: for {lasts} at most");
        if *granted {
            line.push_str(", and only once people agreed");
        }
        if let Some(variable) = variable {
            line.push_str(&format!(", in the variable {variable}"));
        }
        line
    }
}

/// What a broker is to make a credential for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The credential's id.
    pub id: CredentialId,
    /// The call.
    pub call: OpId,
    /// Who makes it.
    pub actor: Actor,
    /// The tool or program.
    pub tool: Box<str>,
    /// The Cedar action, such as `tool:deploy`.
    pub action: Box<str>,
    /// What exactly is called.
    pub digest: CallDigest,
    /// What people opened, where it passes by that.
    pub grant: Option<Grant>,
    /// Now.
    pub now: Timestamp,
    /// When it must be over at the latest.
    pub not_after: Timestamp,
}

/// What a broker made.
#[derive(Debug)]
pub struct Issued {
    /// The credential.
    pub secret: Secret,
    /// When it is over, by itself.
    pub expires_at: Timestamp,
}

/// What became of a credential that was to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// Nobody takes it any more.
    Gone,
    /// It may be taken until it is over by itself.
    Lives,
}

/// Why a broker has no credential, or could not take one back. It goes into records and refusals: no secret belongs in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(String);

impl BrokerError {
    /// Because of this.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Makes credentials for calls, and takes them back.
#[async_trait]
pub trait CredentialBroker: fmt::Debug + Send + Sync + 'static {
    /// What it makes, for records: such as `jwt`.
    fn kind(&self) -> &str;

    /// Makes one credential, which is over at [`Order::not_after`] at the latest.
    ///
    /// Called when a permit is about to be used, and never twice for one id. The call waits for it, within the gate's
    /// limit ([`GateBuilder::broker_time`](crate::gate::GateBuilder::broker_time)); past that it is refused.
    ///
    /// # Errors
    /// When there is none. The call is refused then.
    async fn issue(&self, order: &Order) -> Result<Issued, BrokerError>;

    /// Takes one back. Also called for one whose making failed or gave no answer in time, and for one that is over; one
    /// that is taken back before it is made must not be made.
    ///
    /// # Errors
    /// When it is not known to be gone; it is recorded as living to its end.
    async fn revoke(&self, id: CredentialId) -> Result<TakenBack, BrokerError>;
}

/// A text that is shown nowhere, and wiped from memory when it is dropped.
///
/// Wiped is this copy. What is made of it (a header, a variable of a program) is not.
pub struct Secret(Box<str>);

impl Secret {
    /// Of this text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A credential that was handed over: recorded, and to be given back with the call.
#[derive(Debug)]
pub struct Credential {
    pub(crate) id: CredentialId,
    pub(crate) secret: Secret,
    pub(crate) expires_at: Timestamp,
}

impl Credential {
    /// Its id, as records have it.
    pub const fn id(&self) -> CredentialId {
        self.id
    }

    /// The credential itself. Hand it to what needs it, and keep no copy.
    pub fn reveal(&self) -> &str {
        self.secret.reveal()
    }

    /// When it is over.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Which of several secrets one is, without telling it: the first 16 bytes of its SHA-256, in hexadecimal digits. Of a
/// secret that can be guessed it tells all, so a credential must not be one.
pub fn fingerprint(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_printed_nowhere() {
        let secret = Secret::new("hunter2-hunter2");
        let issued = Issued {
            secret,
            expires_at: Timestamp::from_millis(1),
        };
        let said = format!("{issued:?}");
        assert!(!said.contains("hunter2"), "{said}");
        let credential = Credential {
            id: CredentialId::mint(Timestamp::from_millis(1)),
            secret: issued.secret,
            expires_at: issued.expires_at,
        };
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert_eq!(credential.reveal(), "hunter2-hunter2");
        assert_eq!(fingerprint("hunter2-hunter2").len(), 32);
    }
}
