//! A credential as a broker makes it, without a gate.

use std::io;

use ed25519_dalek::{Signer as _, SigningKey};
use glassbreak_core::approval::RequestId;
use glassbreak_core::audit::{PublicKey, Signature, Signer};
use glassbreak_core::call::{Actor, Args, CallDigest, Tool, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::credential::{CredentialId, Order};
use glassbreak_core::grant::{Grant, GrantId, Pins, Scope};
use glassbreak_core::lock::LockPath;
use glassbreak_core::store::OpId;
use glassbreak_identity::JwtBroker;

pub(crate) const ISSUER: &str = "https://gate.example";

#[derive(Debug)]
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> io::Result<Signature> {
        Ok(Signature {
            key: self.public(),
            bytes: self.0.sign(message).to_bytes(),
        })
    }
}

pub(crate) fn broker() -> JwtBroker {
    let key = Key::new(7);
    JwtBroker::new(ISSUER, "deploys", key.public(), key).unwrap()
}

/// An order for a call of `deploy`, for so long.
pub(crate) fn order(now: Timestamp, lasts: Span) -> Order {
    let word = |text| Word::new(text).unwrap();
    let tool = Tool {
        name: word("deploy"),
        arguments: Args::default(),
    };
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.instance = Some(word("agent-7"));
    Order {
        id: CredentialId::mint(now),
        call: OpId::mint(now),
        actor,
        tool: "deploy".into(),
        action: "tool:deploy".into(),
        digest: CallDigest::of_tool(&tool),
        grant: None,
        now,
        not_after: now.after(lasts),
    }
}

/// What people opened for the order: the one call, or a window.
pub(crate) fn granted(mut order: Order, pins: Option<Pins>) -> Order {
    order.grant = Some(Grant {
        id: GrantId::mint(order.now),
        request: RequestId::mint(order.now),
        path: LockPath::new(&order.actor, "deploy"),
        lifts: Vec::new(),
        scope: match pins {
            Some(pins) => Scope::Window {
                action: "tool:deploy".into(),
                pins,
            },
            None => Scope::Once { digest: order.digest },
        },
        file: None,
        uses: 1,
        max_uses: 3,
        not_before: order.now,
        expires_at: order.not_after,
        revoked: None,
    });
    order
}
