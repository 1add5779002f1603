//! What is recorded of credentials: that one was made, for what and until when, and that it was taken back. Never its
//! value.

use serde::ser::SerializeMap;

use super::fields::{Printed, optional};
use crate::clock::Timestamp;
use crate::credential::{CredentialId, Handover};
use crate::grant::{Grant, Scope};
use crate::store::OpId;

/// `credential.issued`: written, and on disk, before the credential is handed over.
#[derive(Debug, Clone, Copy)]
pub struct CredentialIssued<'a> {
    /// The credential.
    pub id: CredentialId,
    /// The call.
    pub call: OpId,
    /// What `credentials.toml` says of it.
    pub handover: &'a Handover,
    /// What the broker calls it, such as `jwt`.
    pub kind: &'a str,
    /// The Cedar action, such as `tool:deploy`.
    pub action: &'a str,
    /// What people opened, where the call passes by that: the credential is for no more.
    pub grant: Option<&'a Grant>,
    /// Now.
    pub at: Timestamp,
    /// When it is over by itself.
    pub expires_at: Timestamp,
    /// Which of several it is: [`fingerprint`](crate::credential::fingerprint).
    pub fingerprint: &'a str,
}

impl CredentialIssued<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("credential", &self.id)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("name", &self.handover.name)?;
        map.serialize_entry("type", self.kind)?;
        map.serialize_entry("action", self.action)?;
        match self.grant.map(|grant| &grant.scope) {
            Some(Scope::Window { pins, .. }) => map.serialize_entry("pins", pins)?,
            Some(Scope::Once { digest }) => map.serialize_entry("digest", digest)?,
            None => {}
        }
        optional(map, "grant", self.grant.map(|grant| grant.id))?;
        let delivery = match &self.handover.variable {
            Some(variable) => format!("variable {variable}"),
            None => "body".to_owned(),
        };
        map.serialize_entry("delivery", &delivery)?;
        map.serialize_entry("ttl_ms", &self.expires_at.since(self.at).as_millis())?;
        map.serialize_entry("expires_at", &Printed(self.expires_at))?;
        map.serialize_entry("fingerprint", self.fingerprint)
    }
}

/// `credential.revoked`: it was taken back, or should have been.
#[derive(Debug, Clone, Copy)]
pub struct CredentialRevoked<'a> {
    /// The credential.
    pub id: CredentialId,
    /// The call.
    pub call: OpId,
    /// Why it is taken back.
    pub why: &'a str,
    /// Until when somebody may still take it; `None` where it is gone.
    pub residual_until: Option<Timestamp>,
    /// Why it could not be taken back, where that was tried and failed.
    pub failed: Option<&'a str>,
}

impl CredentialRevoked<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("credential", &self.id)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("why", self.why)?;
        optional(map, "residual_until", self.residual_until.map(Printed))?;
        optional(map, "failed", self.failed)
    }
}
