//! What is recorded of asking people: the question as it was shown, each answer, what was opened, and how it ended.

use serde::ser::SerializeMap;
use serde_json::json;

use super::fields::{Printed, optional};
use super::record::Performed;
use super::under::UnderGrant;
use crate::approval::{Answer, Because, Request, RequestId, Stages, State, Vote};
use crate::call::{Text, Word};
use crate::grant::{Grant, GrantId, Scope};
use crate::notify::Alert;
use crate::people::Account;
use crate::store::OpId;

/// `request.opened`: what people are asked about, and the very text of the card.
#[derive(Debug, Clone)]
pub struct RequestOpened<'a> {
    /// The request.
    pub request: &'a Request,
    /// The call that asks.
    pub call: OpId,
}

impl RequestOpened<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let request = self.request;
        map.serialize_entry("request", &request.id)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("digest", &request.digest)?;
        map.serialize_entry("caller", &request.path)?;
        map.serialize_entry("action", &request.action)?;
        map.serialize_entry("rules", &request.rules)?;
        map.serialize_entry("risk", request.risk.as_str())?;
        optional(map, "offer", request.offer.as_ref())?;
        map.serialize_entry("pins", &request.pins)?;
        optional(map, "file", request.file)?;
        map.serialize_entry("deadline", &Printed(request.deadline))?;
        if !request.stages.is_empty() {
            map.serialize_entry("stages", &request.stages)?;
        }
        map.serialize_entry("bundle", &request.bundle)?;
        map.serialize_entry(
            "card",
            &json!({ "digest": request.card.digest(), "text": request.card.text() }),
        )
    }
}

/// `request.joined`: another call waits for the same answer.
#[derive(Debug, Clone, Copy)]
pub struct RequestJoined {
    /// The request.
    pub request: RequestId,
    /// The call.
    pub call: OpId,
    /// The request of its own that it would have had: recorded before, and never in the store.
    pub instead_of: RequestId,
}

impl RequestJoined {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("instead_of", &self.instead_of)
    }
}

/// `request.refused`: a question that was recorded, and then not put to anybody.
#[derive(Debug, Clone, Copy)]
pub struct RequestRefused<'a> {
    /// The request: never in the store, unless the store's answer was lost.
    pub request: RequestId,
    /// The call.
    pub call: OpId,
    /// Why.
    pub why: &'a str,
}

impl RequestRefused<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("why", self.why)
    }
}

/// `request.settled`: how it ended.
#[derive(Debug, Clone)]
pub struct RequestSettled<'a> {
    /// The request, in its last state.
    pub request: &'a Request,
}

impl RequestSettled<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let state = &self.request.state;
        map.serialize_entry("request", &self.request.id)?;
        map.serialize_entry("state", state.as_str())?;
        match state {
            State::Approved { grant } => map.serialize_entry("grant", grant),
            State::Denied { why, by } => {
                map.serialize_entry("why", why)?;
                optional(map, "by", by.as_ref())
            }
            State::Cancelled { why } => map.serialize_entry("why", why),
            State::Expired if self.request.is_unseen() => map.serialize_entry("why", "no-route"),
            State::Pending | State::Expired => Ok(()),
        }?;
        // Also where the process that reached a stage died before it could record it.
        let reached = self.request.stages.iter().filter(|stages| stages.reached > 0);
        let reached: Vec<_> = reached
            .map(|stages| json!({ "group": stages.group, "reached": stages.reached }))
            .collect();
        match &*reached {
            [] => Ok(()),
            reached => map.serialize_entry("stages", reached),
        }
    }
}

/// `request.escalated`: a stage was reached, and more people may answer.
#[derive(Debug, Clone, Copy)]
pub struct RequestEscalated<'a> {
    /// The request.
    pub request: RequestId,
    /// The stages of the group, with the one that was reached.
    pub stages: &'a Stages,
    /// Why.
    pub because: Because,
}

impl RequestEscalated<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        let (adds, notifiers) = self.stages.current();
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("group", &self.stages.group)?;
        map.serialize_entry("stage", &self.stages.reached.saturating_add(1))?;
        map.serialize_entry("adds", adds)?;
        if !notifiers.is_empty() {
            map.serialize_entry("notifiers", notifiers)?;
        }
        map.serialize_entry("because", self.because.as_str())
    }
}

/// `request.overflow`: an agent asks more often than it may; once, until it has asked again in between.
#[derive(Debug, Clone, Copy)]
pub struct RequestOverflow<'a> {
    /// What people are told.
    pub alert: &'a Alert,
}

impl RequestOverflow<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("agent", &self.alert.agent)?;
        map.serialize_entry("caller", &self.alert.caller)?;
        map.serialize_entry("why", &self.alert.why)
    }
}

/// `vote.cast`: written, and on disk, before the vote takes effect. What came of it is in the records after it; of two
/// that race for the last place, one is in none.
#[derive(Debug, Clone)]
pub struct VoteCast<'a> {
    /// The request, as it was looked at.
    pub request: &'a Request,
    /// The vote.
    pub vote: &'a Vote,
}

impl VoteCast<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        // No `..` here: all of a vote is recorded.
        let Vote {
            person,
            account,
            answer,
            reason,
            card,
            at: _,
            own,
        } = self.vote;
        map.serialize_entry("request", &self.request.id)?;
        map.serialize_entry("version", &self.request.version)?;
        map.serialize_entry("person", person)?;
        map.serialize_entry("account", account)?;
        write_answer(map, answer)?;
        optional(map, "reason", reason.as_ref())?;
        map.serialize_entry("card", card)?;
        map.serialize_entry("self_approved", own)
    }
}

fn write_answer<M: SerializeMap>(map: &mut M, answer: &Answer) -> Result<(), M::Error> {
    map.serialize_entry("answer", answer.as_str())?;
    if let Answer::Window { span, uses, pins } = answer {
        map.serialize_entry("span", &Printed(span))?;
        map.serialize_entry("uses", uses)?;
        if !pins.is_empty() {
            map.serialize_entry("pins", pins)?;
        }
    }
    Ok(())
}

/// `vote.refused`: an answer that does not count, and why.
#[derive(Debug, Clone)]
pub struct VoteNotTaken<'a> {
    /// The request that it was about.
    pub request: RequestId,
    /// The account.
    pub account: &'a Account,
    /// Whose it is, where it is anybody's.
    pub person: Option<&'a Word>,
    /// What they said.
    pub answer: &'a Answer,
    /// A word for the reason.
    pub code: &'a str,
    /// The reason.
    pub why: &'a str,
}

impl VoteNotTaken<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("account", self.account)?;
        optional(map, "person", self.person)?;
        write_answer(map, self.answer)?;
        map.serialize_entry("code", self.code)?;
        map.serialize_entry("why", self.why)
    }
}

/// `grant.opened`: written, and on disk, before the grant exists. It does once the request is settled as approved with it.
#[derive(Debug, Clone)]
pub struct GrantOpened<'a> {
    /// The grant.
    pub grant: &'a Grant,
}

impl GrantOpened<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let grant = self.grant;
        map.serialize_entry("grant", &grant.id)?;
        map.serialize_entry("request", &grant.request)?;
        map.serialize_entry("caller", &grant.path)?;
        match &grant.scope {
            Scope::Once { digest } => {
                map.serialize_entry("scope", "once")?;
                map.serialize_entry("digest", digest)?;
            }
            Scope::Window { action, pins } => {
                map.serialize_entry("scope", "window")?;
                map.serialize_entry("action", action)?;
                map.serialize_entry("pins", pins)?;
            }
        }
        let lifts: Vec<_> = grant
            .lifts
            .iter()
            .map(|(rule, hash)| json!({ "rule": rule, "hash": hash }))
            .collect();
        map.serialize_entry("lifts", &lifts)?;
        optional(map, "file", grant.file)?;
        map.serialize_entry("max_uses", &grant.max_uses)?;
        map.serialize_entry("not_before", &Printed(grant.not_before))?;
        map.serialize_entry("expires_at", &Printed(grant.expires_at))
    }
}

/// `grant.revoked`: an end before its time; written, and on disk, before it takes effect.
#[derive(Debug, Clone)]
pub struct GrantRevoked<'a> {
    /// What is revoked: such as `grant 0195…`, `session s-7`.
    pub which: &'a str,
    /// The person who revokes.
    pub by: &'a Word,
    /// Why.
    pub reason: &'a Text,
}

impl GrantRevoked<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("which", self.which)?;
        map.serialize_entry("by", self.by)?;
        map.serialize_entry("reason", self.reason)
    }
}

/// `grant.closed`: a grant has ended, and what was done under it; only where somebody waits for that
/// ([`AfterGlass`](crate::gate::AfterGlass)).
#[derive(Debug, Clone)]
pub struct GrantClosed<'a> {
    /// The grant, as it ended.
    pub grant: &'a Grant,
    /// How: `expired`, `used-up` or `revoked`.
    pub ending: &'a str,
    /// The calls under it, as far as the log knows them.
    pub calls: &'a [UnderGrant],
}

impl GrantClosed<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let grant = self.grant;
        map.serialize_entry("grant", &grant.id)?;
        map.serialize_entry("request", &grant.request)?;
        map.serialize_entry("ending", self.ending)?;
        optional(map, "by", grant.revoked.as_ref().map(|revoked| &revoked.by))?;
        map.serialize_entry("uses", &grant.uses)?;
        map.serialize_entry("max_uses", &grant.max_uses)?;
        let calls = self.calls.iter().map(|call| {
            let outcome = call.outcome.map(Performed::as_str);
            json!({ "call": call.call, "outcome": outcome })
        });
        map.serialize_entry("calls", &calls.collect::<Vec<_>>())
    }
}

/// `hook.failed`: whoever was told that a grant has ended did not take it.
#[derive(Debug, Clone, Copy)]
pub struct HookFailed<'a> {
    /// The grant.
    pub grant: GrantId,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// Whether it is tried again by this process.
    pub again: bool,
    /// What went wrong.
    pub why: &'a str,
}

impl HookFailed<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("grant", &self.grant)?;
        map.serialize_entry("attempt", &self.attempt)?;
        map.serialize_entry("again", &self.again)?;
        map.serialize_entry("why", self.why)
    }
}

/// `operate.refused`: a lock, an unlocking or a revocation that no policy permits.
#[derive(Debug, Clone)]
pub struct OperateNotTaken<'a> {
    /// What was wanted: `lock`, `unlock`, `revoke`.
    pub operate: &'a str,
    /// Of what.
    pub which: &'a str,
    /// By whom.
    pub by: &'a Word,
    /// Why not.
    pub why: &'a str,
}

impl OperateNotTaken<'_> {
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("operate", self.operate)?;
        map.serialize_entry("which", self.which)?;
        map.serialize_entry("by", self.by)?;
        map.serialize_entry("why", self.why)
    }
}

/// `notify.sent`: a notifier confirmed that people see a request.
#[derive(Debug, Clone, Copy)]
pub struct NotifySent<'a> {
    /// The request.
    pub request: RequestId,
    /// Which notifier.
    pub notifier: &'a str,
    /// At which stage of the request.
    pub stage: u32,
}

impl NotifySent<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("notifier", self.notifier)?;
        map.serialize_entry("stage", &self.stage)
    }
}

/// `notify.failed`: a way to people that nobody can have been reached by.
#[derive(Debug, Clone, Copy)]
pub struct NotifyFailed<'a> {
    /// The request.
    pub request: RequestId,
    /// Which notifier, where it is known.
    pub notifier: Option<&'a str>,
    /// At which stage of the request.
    pub stage: Option<u32>,
    /// Which way, and why.
    pub why: &'a str,
}

impl NotifyFailed<'_> {
    pub(super) fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("request", &self.request)?;
        optional(map, "notifier", self.notifier)?;
        optional(map, "stage", self.stage)?;
        map.serialize_entry("why", self.why)
    }
}
