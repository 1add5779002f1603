//! What the inbox's story stands on: a gate over `policies/inbox`, an agent's session, and one tool.

use std::error::Error;
use std::path::Path;

use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Word};
use glassbreak_core::gate::{Denied, Gate, Session};
use glassbreak_core::guard;
use glassbreak_core::store::MemoryStore;

use super::Bell;
use crate::scratch::Scratch;

/// A gate whose questions ring a bell, and a session of the agent that acts for Kim.
#[derive(Debug)]
pub struct Shop {
    /// The gate.
    pub gate: Gate,
    /// What rings when somebody is asked.
    pub bell: Bell,
    /// The agent's session.
    pub session: Session,
    // The last to go: the log lies in it.
    _scratch: Scratch,
}

impl Shop {
    /// One in a temporary folder of this name.
    ///
    /// # Errors
    /// When the folder cannot be made, or the policy does not load.
    pub async fn open(name: &str) -> Result<Self, Box<dyn Error>> {
        let scratch = Scratch::new(name)?;
        let bell = Bell::new();
        let gate = Gate::builder(Bundle::open(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/inbox"),
        )?)
        .store(MemoryStore::new())
        .audit(AuditLog::open(scratch.path().join("audit"))?)
        .notifier(bell.clone())
        .build()
        .await?;
        let mut actor = Actor::new(Word::new("support")?, Word::new("letter-17")?);
        actor.on_behalf_of = Some(Word::new("kim")?);
        let session = gate.session(actor).workspace(scratch.folder("work")?)?;
        Ok(Self {
            gate,
            bell,
            session,
            _scratch: scratch,
        })
    }
}

/// Gives money back.
///
/// # Errors
/// The guard's no.
#[guard(tool = "refund")]
pub async fn refund(session: &Session, order: u64, cents: u64) -> Result<String, Denied> {
    Ok(format!(
        "{}.{:02} given back for order {order}",
        cents / 100,
        cents % 100
    ))
}
