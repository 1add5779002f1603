//! How the values of a call are written, straight from where they stand.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::record::StreamDigest;
use crate::bundle::Bundle;
use crate::call::{Actor, ArgValue, Args, Call, Exec, Operation, Text, Word, hex_digits};
use crate::finding::{Level, RuleId, Ruling};
use crate::judge::Judgement;
use crate::store::OpId;

/// What stands in place of an argument that may not be shown.
const SECRET: &str = "(secret)";

/// What both answers to a call tell of it.
pub(super) fn write_call<M: SerializeMap>(
    map: &mut M,
    call: Option<&Call>,
    judgement: &Judgement,
    bundle: &Bundle,
) -> Result<(), M::Error> {
    optional(
        map,
        "digest",
        judgement.digest.as_ref().map(|digest| Hex(digest.as_bytes())),
    )?;
    if let Some(call) = call {
        map.serialize_entry("actor", &ActorJson(&call.actor))?;
        map.serialize_entry("operation", &OperationJson(&call.operation, judgement))?;
    }
    map.serialize_entry("labels", &Each(bundle.vocabulary().words_of(judgement.facts.labels)))?;
    map.serialize_entry("risk", judgement.facts.risk.as_str())?;
    if judgement.facts.partial {
        map.serialize_entry("partial", &true)?;
    }
    map.serialize_entry("bundle", &Hex(bundle.digest().as_bytes()))?;
    if bundle.budgets().observed().len() > 0 {
        map.serialize_entry("observe", &Observing(judgement, bundle))?;
    }
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

pub(super) fn optional<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<T>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

pub(super) struct Printed<T>(pub(super) T);

impl<T: Display> Serialize for Printed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A digest as its `Display` prints it, without the way through a formatter: every record has some.
pub(super) struct Hex<'a>(pub(super) &'a [u8; 32]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(std::str::from_utf8(&hex_digits(self.0)).unwrap_or_default())
    }
}

/// The id of a call, in the same way.
pub(super) struct CallId(pub(super) OpId);

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        to.serialize_str(
            Uuid::from_bytes(*self.0.as_bytes())
                .hyphenated()
                .encode_lower(&mut text),
        )
    }
}

/// Texts as a list.
pub(super) struct Each<I>(pub(super) I);

impl<'a, I: Iterator<Item = &'a str> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.clone())
    }
}

/// Variables as an object.
struct Env<I>(I);

impl<'a, I: Iterator<Item = (&'a str, &'a str)> + Clone> Serialize for Env<I> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.clone())
    }
}

/// An object of those texts that are there.
pub(super) struct Pairs<'a>(pub(super) &'a [(&'a str, Option<&'a str>)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().filter_map(|(key, value)| value.map(|value| (key, value))))
    }
}

/// The findings that a permit was flagged with.
pub(super) struct Flagged<'a>(pub(super) &'a Ruling);

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

/// Which rules are not enforced, what they would have done, and what the budgets among them count.
struct Observing<'a>(&'a Judgement, &'a Bundle);

impl Serialize for Observing<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(judgement, bundle) = self;
        let rules = bundle.budgets();
        let mut map = to.serialize_map(Some(3))?;
        map.serialize_entry("not_enforced", &Each(rules.observed().map(RuleId::as_str)))?;
        let would = judgement.ruling.findings().iter().filter_map(|finding| {
            let would = finding.would()?.as_str();
            Some(BTreeMap::from([
                ("rule", finding.rule().as_str()),
                ("would", would),
                ("why", finding.why()),
            ]))
        });
        map.serialize_entry("would", &would.collect::<Vec<_>>())?;
        let counts: BTreeMap<&str, i64> = rules.observed_counts(&judgement.seq).collect();
        map.serialize_entry("counts", &counts)?;
        map.end()
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
            map.serialize_entry("argv", &Each(plan.argv()))?;
            if !came.clone().eq(plan.argv()) {
                map.serialize_entry("asked", &Each(came))?;
            }
            map.serialize_entry("cwd", plan.cwd())?;
            map.serialize_entry("env", &Env(plan.env()))?;
        }
        None => {
            map.serialize_entry("argv", &Each(came))?;
            map.serialize_entry("cwd", exec.cwd())?;
            map.serialize_entry("env", &Env(exec.env().iter().map(|(name, value)| (&**name, &**value))))?;
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
            // An argument of this very text reads the same; the digest tells them apart.
            ArgValue::Secret(_) => to.serialize_str(SECRET),
        }
    }
}
