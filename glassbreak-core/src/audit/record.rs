//! What is recorded: events, written straight from the values of a call.

use std::cell::Cell;

use crate::store::OpId;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::AuditError;
use super::asking::{
    GrantClosed, GrantOpened, GrantRevoked, HookFailed, NotifyFailed, NotifySent, OperateNotTaken, RequestEscalated,
    RequestJoined, RequestOpened, RequestOverflow, RequestRefused, RequestSettled, VoteCast, VoteNotTaken,
};
use super::chain::hex;
use super::checkpoint::Checkpoint;
use super::credentials::{CredentialIssued, CredentialRevoked};
use super::fields::{CallId, Each, Flagged, Pairs, Printed, optional, write_call};
use super::writer::Opened;
use crate::bundle::{Bundle, BundleDigest};
use crate::call::{Call, Text, Word};
#[cfg(target_os = "linux")]
use crate::exec::Pin;
use crate::finding::{Denial, DenialKind, Level, RuleId};
use crate::grant::GrantId;
use crate::judge::Judgement;

/// The kinds of record. Words and meanings do not change; new kinds may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A call was permitted: written before its permit exists.
    CallPermitted,
    /// What came of a permitted call.
    CallFinished,
    /// A call was refused.
    CallRefused,
    /// People must agree to a call first.
    CallAsked,
    /// People are asked.
    RequestOpened,
    /// Another call waits for the same answer.
    RequestJoined,
    /// A question is not put to anybody.
    RequestRefused,
    /// A request ended: approved, denied, expired or cancelled.
    RequestSettled,
    /// A stage was reached: more people may answer.
    RequestEscalated,
    /// An agent asks more often than it may.
    RequestOverflow,
    /// A notifier confirmed that people see a request.
    NotifySent,
    /// A way to people did not work.
    NotifyFailed,
    /// A person answered: written before the answer takes effect.
    VoteCast,
    /// An answer that does not count.
    VoteRefused,
    /// A grant: written before it exists.
    GrantOpened,
    /// Grants were ended and requests cancelled before their time.
    GrantRevoked,
    /// A call is handed a credential: written before it is.
    CredentialIssued,
    /// A credential was taken back, or should have been.
    CredentialRevoked,
    /// A grant has ended, and whoever waits for that is told: written before they are.
    GrantClosed,
    /// Whoever was told that a grant has ended did not take it.
    HookFailed,
    /// A lock, an unlocking or a revocation that no policy permits.
    OperateRefused,
    /// A lock was set.
    LockSet,
    /// A lock was lifted.
    LockLifted,
    /// Another bundle is put in force: written before it is.
    BundleReloaded,
    /// The first record of a chain.
    LogOpened,
    /// A signed statement of size and head hash.
    LogCheckpoint,
    /// The last record of a chain.
    LogClosed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 27] = [
        Self::CallPermitted,
        Self::CallFinished,
        Self::CallRefused,
        Self::CallAsked,
        Self::RequestOpened,
        Self::RequestJoined,
        Self::RequestRefused,
        Self::RequestSettled,
        Self::RequestEscalated,
        Self::RequestOverflow,
        Self::NotifySent,
        Self::NotifyFailed,
        Self::VoteCast,
        Self::VoteRefused,
        Self::GrantOpened,
        Self::GrantRevoked,
        Self::CredentialIssued,
        Self::CredentialRevoked,
        Self::GrantClosed,
        Self::HookFailed,
        Self::OperateRefused,
        Self::LockSet,
        Self::LockLifted,
        Self::BundleReloaded,
        Self::LogOpened,
        Self::LogCheckpoint,
        Self::LogClosed,
    ];

    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallPermitted => "call.permitted",
            Self::CallFinished => "call.finished",
            Self::CallRefused => "call.refused",
            Self::CallAsked => "call.asked",
            Self::RequestOpened => "request.opened",
            Self::RequestJoined => "request.joined",
            Self::RequestRefused => "request.refused",
            Self::RequestSettled => "request.settled",
            Self::RequestEscalated => "request.escalated",
            Self::RequestOverflow => "request.overflow",
            Self::NotifySent => "notify.sent",
            Self::NotifyFailed => "notify.failed",
            Self::VoteCast => "vote.cast",
            Self::VoteRefused => "vote.refused",
            Self::GrantOpened => "grant.opened",
            Self::GrantRevoked => "grant.revoked",
            Self::CredentialIssued => "credential.issued",
            Self::CredentialRevoked => "credential.revoked",
            Self::GrantClosed => "grant.closed",
            Self::HookFailed => "hook.failed",
            Self::OperateRefused => "operate.refused",
            Self::LockSet => "lock.set",
            Self::LockLifted => "lock.lifted",
            Self::BundleReloaded => "bundle.reloaded",
            Self::LogOpened => "log.opened",
            Self::LogCheckpoint => "log.checkpoint",
            Self::LogClosed => "log.closed",
        }
    }

    /// Reads the word in the record.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a host may record. What concerns the log itself (`log.*`) only the log writes.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A call was permitted.
    Permitted(Permitted<'a>),
    /// What came of it.
    Finished(Finished),
    /// A call was refused, or people must agree to it first.
    Refused(Refused<'a>),
    /// People are asked.
    RequestOpened(RequestOpened<'a>),
    /// Another call waits for the same answer.
    RequestJoined(RequestJoined),
    /// A question is not put to anybody.
    RequestRefused(RequestRefused<'a>),
    /// A request ended.
    RequestSettled(RequestSettled<'a>),
    /// A stage was reached.
    RequestEscalated(RequestEscalated<'a>),
    /// An agent asks more often than it may.
    RequestOverflow(RequestOverflow<'a>),
    /// A notifier confirmed that people see a request.
    NotifySent(NotifySent<'a>),
    /// A way to people did not work.
    NotifyFailed(NotifyFailed<'a>),
    /// A person answered.
    VoteCast(VoteCast<'a>),
    /// An answer does not count.
    VoteRefused(VoteNotTaken<'a>),
    /// A grant is given.
    GrantOpened(GrantOpened<'a>),
    /// Grants are ended.
    GrantRevoked(GrantRevoked<'a>),
    /// A call is handed a credential.
    CredentialIssued(CredentialIssued<'a>),
    /// A credential was taken back, or should have been.
    CredentialRevoked(CredentialRevoked<'a>),
    /// A grant has ended.
    GrantClosed(GrantClosed<'a>),
    /// Whoever was told of it did not take it.
    HookFailed(HookFailed<'a>),
    /// What an operator may not do.
    OperateRefused(OperateNotTaken<'a>),
    /// A lock was set.
    LockSet(LockChange<'a>),
    /// A lock was lifted.
    LockLifted(LockChange<'a>),
    /// Another bundle is put in force.
    BundleReloaded(BundleReloaded),
}

impl Event<'_> {
    /// Which kind of record it makes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Permitted(_) => Kind::CallPermitted,
            Self::Finished(_) => Kind::CallFinished,
            Self::Refused(event) if event.denial.asks() => Kind::CallAsked,
            Self::Refused(_) => Kind::CallRefused,
            Self::RequestOpened(_) => Kind::RequestOpened,
            Self::RequestJoined(_) => Kind::RequestJoined,
            Self::RequestRefused(_) => Kind::RequestRefused,
            Self::RequestSettled(_) => Kind::RequestSettled,
            Self::RequestEscalated(_) => Kind::RequestEscalated,
            Self::RequestOverflow(_) => Kind::RequestOverflow,
            Self::NotifySent(_) => Kind::NotifySent,
            Self::NotifyFailed(_) => Kind::NotifyFailed,
            Self::VoteCast(_) => Kind::VoteCast,
            Self::VoteRefused(_) => Kind::VoteRefused,
            Self::GrantOpened(_) => Kind::GrantOpened,
            Self::GrantRevoked(_) => Kind::GrantRevoked,
            Self::CredentialIssued(_) => Kind::CredentialIssued,
            Self::CredentialRevoked(_) => Kind::CredentialRevoked,
            Self::GrantClosed(_) => Kind::GrantClosed,
            Self::HookFailed(_) => Kind::HookFailed,
            Self::OperateRefused(_) => Kind::OperateRefused,
            Self::LockSet(_) => Kind::LockSet,
            Self::LockLifted(_) => Kind::LockLifted,
            Self::BundleReloaded(_) => Kind::BundleReloaded,
        }
    }
}

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = start(to, self.kind())?;
        match self {
            Self::Permitted(event) => event.write(&mut map)?,
            Self::Finished(event) => event.write(&mut map)?,
            Self::Refused(event) => event.write(&mut map)?,
            Self::RequestOpened(event) => event.write(&mut map)?,
            Self::RequestJoined(event) => event.write(&mut map)?,
            Self::RequestRefused(event) => event.write(&mut map)?,
            Self::RequestSettled(event) => event.write(&mut map)?,
            Self::RequestEscalated(event) => event.write(&mut map)?,
            Self::RequestOverflow(event) => event.write(&mut map)?,
            Self::NotifySent(event) => event.write(&mut map)?,
            Self::NotifyFailed(event) => event.write(&mut map)?,
            Self::VoteCast(event) => event.write(&mut map)?,
            Self::VoteRefused(event) => event.write(&mut map)?,
            Self::GrantOpened(event) => event.write(&mut map)?,
            Self::GrantRevoked(event) => event.write(&mut map)?,
            Self::CredentialIssued(event) => event.write(&mut map)?,
            Self::CredentialRevoked(event) => event.write(&mut map)?,
            Self::GrantClosed(event) => event.write(&mut map)?,
            Self::HookFailed(event) => event.write(&mut map)?,
            Self::OperateRefused(event) => event.write(&mut map)?,
            Self::LockSet(event) | Self::LockLifted(event) => event.write(&mut map)?,
            Self::BundleReloaded(event) => event.write(&mut map)?,
        }
        map.end()
    }
}

/// What a log records of itself.
#[derive(Debug)]
pub(super) enum Own<'a> {
    Opened(&'a Opened),
    Checkpoint(&'a Checkpoint),
    Closed,
}

impl Serialize for Own<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Opened(opened) => {
                let mut map = start(to, Kind::LogOpened)?;
                opened.write(&mut map)?;
                map.end()
            }
            Self::Checkpoint(checkpoint) => {
                let mut map = start(to, Kind::LogCheckpoint)?;
                map.serialize_entry("checkpoint", checkpoint)?;
                map.end()
            }
            Self::Closed => start(to, Kind::LogClosed)?.end(),
        }
    }
}

fn start<S: Serializer>(to: S, kind: Kind) -> Result<S::SerializeMap, S::Error> {
    let mut map = to.serialize_map(None)?;
    map.serialize_entry("kind", kind.as_str())?;
    Ok(map)
}

/// Hands `then` the event as a JSON object, written before any lock is taken.
pub(super) fn written<T>(
    event: &impl Serialize,
    then: impl FnOnce(&[u8]) -> Result<T, AuditError>,
) -> Result<T, AuditError> {
    thread_local! {
        /// Each thread writes its records in one place, again and again.
        static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken out meanwhile: an event that records another as it is written finds an empty one.
    let mut body = BODY.try_with(Cell::take).unwrap_or_default();
    body.clear();
    let written = event.serialize(&mut serde_json::Serializer::new(&mut body));
    let result = written.map_err(AuditError::from).and_then(|()| then(&body));
    if body.capacity() <= KEPT {
        let _ = BODY.try_with(|place| place.set(body));
    }
    result
}

/// The most bytes that a thread keeps for its next record.
const KEPT: usize = 64 * 1024;

/// `call.permitted`: who may do what, by which rules.
#[derive(Debug, Clone)]
pub struct Permitted<'a> {
    id: OpId,
    attempt: u32,
    call: &'a Call,
    judgement: &'a Judgement,
    bundle: &'a Bundle,
    pin: Option<File<'a>>,
    store: Option<&'a Value>,
    grant: Option<GrantId>,
}

/// The identity of a file.
#[derive(Debug, Clone, Copy, serde::Serialize)]
#[serde(untagged)]
enum File<'a> {
    Json(&'a Value),
    #[cfg(target_os = "linux")]
    Pin(&'a Pin),
}

impl<'a> Permitted<'a> {
    /// The first attempt at `call`, whose id the gate minted.
    pub const fn new(id: OpId, call: &'a Call, judgement: &'a Judgement, bundle: &'a Bundle) -> Self {
        Self {
            id,
            attempt: 0,
            call,
            judgement,
            bundle,
            pin: None,
            store: None,
            grant: None,
        }
    }

    /// The grant that a use of was spent on it.
    #[must_use]
    pub const fn grant(mut self, grant: Option<GrantId>) -> Self {
        self.grant = grant;
        self
    }

    /// Which attempt it is, from 0.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The identity of the file that will run, as `exec` wrote it.
    #[must_use]
    pub const fn pin(mut self, pin: &'a Value) -> Self {
        self.pin = Some(File::Json(pin));
        self
    }

    /// The same, written straight from where it stands.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub(crate) const fn file(mut self, pin: &'a Pin) -> Self {
        self.pin = Some(File::Pin(pin));
        self
    }

    /// Where the store stood, as the store wrote it.
    #[must_use]
    pub const fn store_position(mut self, position: &'a Value) -> Self {
        self.store = Some(position);
        self
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("call", &CallId(self.id))?;
        map.serialize_entry("attempt", &self.attempt)?;
        write_call(map, Some(self.call), self.judgement, self.bundle)?;
        let rules = self.judgement.ruling.deciding().map(|f| f.rule().as_str());
        map.serialize_entry("rules", &Each(rules))?;
        if self
            .judgement
            .ruling
            .findings()
            .iter()
            .any(|f| f.level() == Level::Note)
        {
            map.serialize_entry("flagged", &Flagged(&self.judgement.ruling))?;
        }
        optional(map, "pin", self.pin)?;
        optional(map, "grant", self.grant)?;
        optional(map, "store", self.store)
    }
}

impl<'a> From<Permitted<'a>> for Event<'a> {
    fn from(event: Permitted<'a>) -> Self {
        Self::Permitted(event)
    }
}

/// `call.refused`: who was refused what, by which rules, and what would be allowed.
#[derive(Debug, Clone)]
pub struct Refused<'a> {
    id: OpId,
    attempt: u32,
    call: Option<&'a Call>,
    judgement: &'a Judgement,
    denial: &'a Denial,
    bundle: &'a Bundle,
    store: Option<&'a Value>,
}

impl<'a> Refused<'a> {
    /// A refusal of `call`, or of input that was not a call.
    pub const fn new(
        id: OpId,
        call: Option<&'a Call>,
        judgement: &'a Judgement,
        denial: &'a Denial,
        bundle: &'a Bundle,
    ) -> Self {
        Self {
            id,
            attempt: 0,
            call,
            judgement,
            denial,
            bundle,
            store: None,
        }
    }

    /// Which attempt it is, from 0.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Where the store stood, as the store wrote it.
    #[must_use]
    pub const fn store_position(mut self, position: &'a Value) -> Self {
        self.store = Some(position);
        self
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("call", &CallId(self.id))?;
        map.serialize_entry("attempt", &self.attempt)?;
        write_call(map, self.call, self.judgement, self.bundle)?;
        let refusal = match self.denial.kind() {
            DenialKind::Refused => "refused",
            DenialKind::Unavailable => "unavailable",
        };
        map.serialize_entry("refusal", refusal)?;
        map.serialize_entry("rules", &Each(self.denial.rules().iter().map(RuleId::as_str)))?;
        map.serialize_entry("why", self.denial.why())?;
        map.serialize_entry("hint", self.denial.hint())?;
        optional(map, "store", self.store)
    }
}

impl<'a> From<Refused<'a>> for Event<'a> {
    fn from(event: Refused<'a>) -> Self {
        Self::Refused(event)
    }
}

/// What came of a permitted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Performed {
    /// It ran and succeeded.
    Done,
    /// It ran, or may have run, and did not succeed.
    Failed,
    /// It is proven not to have run.
    NotRun,
}

impl Performed {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NotRun => "not_run",
        }
    }

    /// Reads the word in the record.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::NotRun]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// What a program wrote: a digest and a length, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDigest {
    /// SHA-256 of all bytes.
    pub sha256: [u8; 32],
    /// How many there were.
    pub bytes: u64,
}

impl Serialize for StreamDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("sha256", &hex(&self.sha256))?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.end()
    }
}

/// `call.finished`: what came of a permitted call.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The call's id.
    pub id: OpId,
    /// What came of it.
    pub outcome: Performed,
    /// The exit status of a program that ended by itself.
    pub exit: Option<i32>,
    /// The signal that ended it otherwise.
    pub signal: Option<i32>,
    /// From permit to start, in milliseconds.
    pub waited_ms: Option<u64>,
    /// From start to end, in milliseconds.
    pub ran_ms: Option<u64>,
    /// What it wrote to standard output.
    pub stdout: Option<StreamDigest>,
    /// What it wrote to standard error.
    pub stderr: Option<StreamDigest>,
}

impl Finished {
    /// An outcome of which nothing more is known.
    pub const fn new(id: OpId, outcome: Performed) -> Self {
        Self {
            id,
            outcome,
            exit: None,
            signal: None,
            waited_ms: None,
            ran_ms: None,
            stdout: None,
            stderr: None,
        }
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("call", &CallId(self.id))?;
        map.serialize_entry("outcome", self.outcome.as_str())?;
        optional(map, "exit", self.exit)?;
        optional(map, "signal", self.signal)?;
        optional(map, "waited_ms", self.waited_ms)?;
        optional(map, "ran_ms", self.ran_ms)?;
        optional(map, "stdout", self.stdout)?;
        optional(map, "stderr", self.stderr)
    }
}

impl From<Finished> for Event<'_> {
    fn from(event: Finished) -> Self {
        Self::Finished(event)
    }
}

/// What a lock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Everything.
    All,
    /// One agent.
    Agent(&'a Word),
    /// One session.
    Session(&'a Word),
    /// One tool or program.
    Tool(&'a Word),
    /// All that acts for one person.
    Person(&'a Word),
}

/// `lock.set` and `lock.lifted`.
#[derive(Debug, Clone)]
pub struct LockChange<'a> {
    /// What is locked.
    pub target: Target<'a>,
    /// The person or rule that locks or lifts.
    pub by: &'a Word,
    /// Why, in their own words.
    pub reason: Option<&'a Text>,
}

impl LockChange<'_> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (kind, name) = match self.target {
            Target::All => ("all", None),
            Target::Agent(name) => ("agent", Some(name)),
            Target::Session(name) => ("session", Some(name)),
            Target::Tool(name) => ("tool", Some(name)),
            Target::Person(name) => ("person", Some(name)),
        };
        let pairs = [("kind", Some(kind)), ("name", name.map(Word::as_str))];
        map.serialize_entry("target", &Pairs(&pairs))?;
        map.serialize_entry("by", self.by.as_str())?;
        optional(map, "reason", self.reason.map(Text::as_str))
    }
}

/// `bundle.reloaded`: which bundle makes place for which. A call that was being judged may still be recorded after it
/// under the old one: its own record says by which it was decided.
#[derive(Debug, Clone, Copy)]
pub struct BundleReloaded {
    /// The one that was in force.
    pub old: BundleDigest,
    /// The one that takes its place.
    pub new: BundleDigest,
}

impl BundleReloaded {
    fn write<M: SerializeMap>(self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("old", &Printed(self.old))?;
        map.serialize_entry("new", &Printed(self.new))
    }
}
