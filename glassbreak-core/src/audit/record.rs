//! What is recorded: events, written straight from the values of a call.

use std::fmt::Display;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AuditError;
use super::chain::hex;
use super::checkpoint::Checkpoint;
use super::log::Opened;
use crate::bundle::Bundle;
use crate::call::{Actor, ArgValue, Args, Call, Exec, Operation, Text, Word};
use crate::finding::{Denial, DenialKind, Level, RuleId, Ruling};
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
    /// A lock was set.
    LockSet,
    /// A lock was lifted.
    LockLifted,
    /// The first record of a chain.
    LogOpened,
    /// A signed statement of size and head hash.
    LogCheckpoint,
    /// The last record of a chain.
    LogClosed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::CallPermitted,
        Self::CallFinished,
        Self::CallRefused,
        Self::LockSet,
        Self::LockLifted,
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
            Self::LockSet => "lock.set",
            Self::LockLifted => "lock.lifted",
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
    /// A call was refused.
    Refused(Refused<'a>),
    /// A lock was set.
    LockSet(LockChange<'a>),
    /// A lock was lifted.
    LockLifted(LockChange<'a>),
}

impl Event<'_> {
    /// Which kind of record it makes.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Permitted(_) => Kind::CallPermitted,
            Self::Finished(_) => Kind::CallFinished,
            Self::Refused(_) => Kind::CallRefused,
            Self::LockSet(_) => Kind::LockSet,
            Self::LockLifted(_) => Kind::LockLifted,
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
            Self::LockSet(event) | Self::LockLifted(event) => event.write(&mut map)?,
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

/// The event as a JSON object.
pub(super) fn write(event: &impl Serialize) -> Result<Vec<u8>, AuditError> {
    let mut body = Vec::with_capacity(1024);
    event.serialize(&mut serde_json::Serializer::new(&mut body))?;
    Ok(body)
}

/// `call.permitted`: who may do what, by which rules.
#[derive(Debug, Clone)]
pub struct Permitted<'a> {
    id: Uuid,
    attempt: u32,
    call: &'a Call,
    judgement: &'a Judgement,
    bundle: &'a Bundle,
    pin: Option<&'a Value>,
    store: Option<&'a Value>,
}

impl<'a> Permitted<'a> {
    /// The first attempt at `call`, whose id the gate minted.
    pub const fn new(id: Uuid, call: &'a Call, judgement: &'a Judgement, bundle: &'a Bundle) -> Self {
        Self {
            id,
            attempt: 0,
            call,
            judgement,
            bundle,
            pin: None,
            store: None,
        }
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
        self.pin = Some(pin);
        self
    }

    /// Where the store stood, as the store wrote it.
    #[must_use]
    pub const fn store_position(mut self, position: &'a Value) -> Self {
        self.store = Some(position);
        self
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("call", &Printed(self.id))?;
        map.serialize_entry("attempt", &self.attempt)?;
        write_call(map, Some(self.call), self.judgement, self.bundle)?;
        let rules: Vec<&str> = self.judgement.ruling.deciding().map(|f| f.rule().as_str()).collect();
        map.serialize_entry("rules", &rules)?;
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
    id: Uuid,
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
        id: Uuid,
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
        map.serialize_entry("call", &Printed(self.id))?;
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
    pub id: Uuid,
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
    pub const fn new(id: Uuid, outcome: Performed) -> Self {
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
        map.serialize_entry("call", &Printed(self.id))?;
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

/// What both answers to a call tell of it.
fn write_call<M: SerializeMap>(
    map: &mut M,
    call: Option<&Call>,
    judgement: &Judgement,
    bundle: &Bundle,
) -> Result<(), M::Error> {
    optional(map, "digest", judgement.digest.map(Printed))?;
    if let Some(call) = call {
        map.serialize_entry("actor", &ActorJson(&call.actor))?;
        map.serialize_entry("operation", &OperationJson(&call.operation, judgement))?;
    }
    let labels: Vec<&str> = bundle.vocabulary().words_of(judgement.facts.labels).collect();
    map.serialize_entry("labels", &labels)?;
    map.serialize_entry("risk", judgement.facts.risk.as_str())?;
    if judgement.facts.partial {
        map.serialize_entry("partial", &true)?;
    }
    map.serialize_entry("bundle", &Printed(bundle.digest()))?;
    let Some(call) = call else {
        return Ok(());
    };
    if let Some(reason) = &call.reason {
        map.serialize_entry("unverified", &Pairs(&[("reason", Some(reason.as_str()))]))?;
    }
    if let Some(conversation) = &call.conversation {
        let pairs = [
            ("id", Some(conversation.id.as_str())),
            ("digest", conversation.digest.as_ref().map(Word::as_str)),
            ("link", conversation.link.as_ref().map(Text::as_str)),
        ];
        map.serialize_entry("conversation", &Pairs(&pairs))?;
    }
    Ok(())
}

fn optional<M: SerializeMap, T: Serialize>(map: &mut M, key: &str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

struct Printed<T>(T);

impl<T: Display> Serialize for Printed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// Texts as a list.
struct Each<I>(I);

impl<'a, I: Iterator<Item = &'a str> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.clone())
    }
}

/// An object of those texts that are there.
struct Pairs<'a>(&'a [(&'a str, Option<&'a str>)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().filter_map(|(key, value)| value.map(|value| (key, value))))
    }
}

/// The findings that a permit was flagged with.
struct Flagged<'a>(&'a Ruling);

impl Serialize for Flagged<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut seq = to.serialize_seq(None)?;
        for finding in self.0.findings().iter().filter(|f| f.level() == Level::Note) {
            let pairs = [("rule", Some(finding.rule().as_str())), ("why", Some(finding.why()))];
            seq.serialize_element(&Pairs(&pairs))?;
        }
        seq.end()
    }
}

struct ActorJson<'a>(&'a Actor);

impl Serialize for ActorJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // No `..` here: what is known of an actor is recorded.
        let Actor {
            role,
            instance,
            session,
            on_behalf_of,
            parents,
            model,
            claims,
        } = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("role", role.as_str())?;
        optional(&mut map, "instance", instance.as_ref().map(Word::as_str))?;
        map.serialize_entry("session", session.as_str())?;
        optional(&mut map, "on_behalf_of", on_behalf_of.as_ref().map(Word::as_str))?;
        if !parents.is_empty() {
            map.serialize_entry("parents", &Each(parents.iter().map(Word::as_str)))?;
        }
        if let Some(model) = model {
            let digest = model.digest.as_ref().map(Word::as_str);
            map.serialize_entry("model", &Pairs(&[("id", Some(model.id.as_str())), ("digest", digest)]))?;
        }
        if !claims.is_empty() {
            let claims: Vec<_> = claims.iter().map(|(k, v)| (k.as_str(), Some(v.as_str()))).collect();
            map.serialize_entry("claims", &Pairs(&claims))?;
        }
        map.end()
    }
}

struct OperationJson<'a>(&'a Operation, &'a Judgement);

impl Serialize for OperationJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        match self.0 {
            Operation::Exec(exec) => write_exec(&mut map, exec, self.1)?,
            Operation::Tool(tool) => {
                map.serialize_entry("tool", tool.name.as_str())?;
                map.serialize_entry("arguments", &ArgsJson(&tool.arguments))?;
            }
            Operation::Connect(connect) => {
                map.serialize_entry("host", connect.host.as_str())?;
                map.serialize_entry("port", &connect.port)?;
            }
        }
        map.end()
    }
}

/// What would run, where a plan was made, and beside it what was asked, where that differs.
fn write_exec<M: SerializeMap>(map: &mut M, exec: &Exec, judgement: &Judgement) -> Result<(), M::Error> {
    let came = exec.argv().words().iter().map(|word| &**word);
    match &judgement.plan {
        Some(plan) => {
            let runs: Vec<&str> = plan.argv().collect();
            map.serialize_entry("argv", &runs)?;
            if !came.clone().eq(runs.iter().copied()) {
                map.serialize_entry("asked", &Each(came))?;
            }
            map.serialize_entry("cwd", plan.cwd())?;
            let env: Vec<_> = plan.env().map(|(name, value)| (name, Some(value))).collect();
            map.serialize_entry("env", &Pairs(&env))?;
        }
        None => {
            map.serialize_entry("argv", &Each(came))?;
            map.serialize_entry("cwd", exec.cwd())?;
            let env: Vec<_> = exec
                .env()
                .iter()
                .map(|(name, value)| (&**name, Some(&**value)))
                .collect();
            map.serialize_entry("env", &Pairs(&env))?;
        }
    }
    let stdin = exec.stdin().map(|bytes| StreamDigest {
        sha256: Sha256::digest(bytes).into(),
        bytes: bytes.len() as u64,
    });
    optional(map, "stdin", stdin)
}

struct ArgsJson<'a>(&'a Args);

impl Serialize for ArgsJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, ArgJson(value))))
    }
}

struct ArgJson<'a>(&'a ArgValue);

impl Serialize for ArgJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ArgValue::Bool(value) => to.serialize_bool(*value),
            ArgValue::Int(value) => to.serialize_i64(*value),
            ArgValue::Str(value) => to.serialize_str(value),
            ArgValue::List(items) => to.collect_seq(items.iter().map(ArgJson)),
            ArgValue::Record(args) => ArgsJson(args).serialize(to),
        }
    }
}
