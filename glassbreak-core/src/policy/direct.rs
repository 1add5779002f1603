//! Facts that a condition reads straight from where they stand, so that most calls need no context of Cedar's.
//!
//! A [`Direct`] names one fact and knows where it is; [`Direct::read`] says what stands there, or nothing: then the same
//! words are read from the context that [`context`](super::context) builds, and what that says counts. The two cannot
//! differ unseen: where Cedar is asked too (see [`evaluate`](super::evaluate)), it reads the context.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Question;
use super::run::{Seen, Texts};
use super::schema::Calls;
use crate::call::{Actor, Word};
use crate::facts::{ArgvFacts, SeqFacts, Target};

/// One fact of `context`.
#[derive(Debug)]
pub(super) enum Direct {
    Program,
    Command,
    Options,
    Operands,
    /// A set that the profile names.
    Set(Box<str>),
    Target(&'static str),
    Labels,
    Risk,
    Actor(fn(&Actor) -> Option<&Word>),
    /// What a rule says, by its place among those of its kind.
    Seq(usize, OfSeq),
}

type OfSeq = fn(&SeqFacts, usize) -> Option<Seen<'static>>;

impl Direct {
    /// The fact that a policy names by these words after `context`; `None` for what is read from the context only.
    pub(super) fn of(path: &[&str], calls: &Calls) -> Option<Self> {
        Some(match *path {
            ["argv", "program"] => Self::Program,
            ["argv", "command"] => Self::Command,
            ["argv", "options"] => Self::Options,
            ["argv", "operands"] => Self::Operands,
            ["argv", set] => Self::Set(set.into()),
            ["target", name] => Self::Target(Target::NAMES.into_iter().find(|known| *known == name)?),
            ["labels"] => Self::Labels,
            ["risk"] => Self::Risk,
            ["actor", name] => Self::Actor(of_actor(name)?),
            ["seq", name] => Self::Seq(0, of_life(name)?),
            ["seq", kind, id, member] => {
                let (ids, of) = of_rule(calls, kind, member)?;
                Self::Seq(ids.iter().position(|known| known == id)?, of)
            }
            _ => return None,
        })
    }

    /// What stands there; `None` where only the context can say, as of what a call leaves open.
    pub(super) fn read<'a>(&self, question: &Question<'a>) -> Option<Seen<'a>> {
        let facts = question.facts;
        let argv = || facts.argv.as_ref();
        Some(match self {
            Self::Program => Seen::Text(&argv()?.program),
            Self::Command => Seen::Text(&argv()?.command),
            Self::Options => Seen::Texts(Texts::Shared(&argv()?.options)),
            Self::Operands => Seen::Texts(Texts::Own(&argv()?.operands)),
            Self::Set(name) => Seen::Texts(Texts::Shared(closed(argv()?, name)?)),
            Self::Target(name) => Seen::Text(facts.target.get(name)?.text()?),
            Self::Labels => Seen::Texts(Texts::Labels(question.vocabulary, facts.labels)),
            Self::Risk => Seen::Text(facts.risk.as_str()),
            Self::Actor(of) => Seen::Text(of(question.actor).map_or("", Word::as_str)),
            Self::Seq(place, of) => return of(question.seq, *place),
        })
    }
}

fn closed<'a>(argv: &'a ArgvFacts, name: &str) -> Option<&'a BTreeSet<Arc<str>>> {
    let (_, set) = argv.sets.iter().find(|(known, _)| **known == *name)?;
    (!ArgvFacts::is_open(set)).then_some(set)
}

fn of_actor(name: &str) -> Option<fn(&Actor) -> Option<&Word>> {
    Some(match name {
        "instance" => |actor| actor.instance.as_ref(),
        "session" => |actor| Some(&actor.session),
        "on_behalf_of" => |actor| actor.on_behalf_of.as_ref(),
        "model" => |actor| actor.model.as_ref().map(|model| &model.id),
        _ => return None,
    })
}

fn of_life(name: &str) -> Option<OfSeq> {
    Some(match name {
        "elapsed_s" => |seq, _| Some(Seen::Long(seq.elapsed_s)),
        "actions" => |seq, _| Some(Seen::Long(seq.actions)),
        _ => return None,
    })
}

/// The ids of the rules of a kind, and where a member of what one of them says stands.
fn of_rule<'a>(calls: &'a Calls, kind: &str, member: &str) -> Option<(&'a [String], OfSeq)> {
    Some(match (kind, member) {
        ("budget", member) => (&calls.budgets, of_budget(member)?),
        ("loop", "streak") => (&calls.loops, |seq, n| Some(Seen::Long(seq.loops.get(n)?.streak))),
        ("loop", "period") => (&calls.loops, |seq, n| Some(Seen::Long(seq.loops.get(n)?.period))),
        ("loop", "fired") => (&calls.loops, |seq, n| Some(Seen::Bool(seq.loops.get(n)?.fired))),
        ("distinct", member) => (&calls.distincts, of_distinct(member)?),
        ("pattern", member) => (&calls.patterns, of_pattern(member)?),
        ("latch", "latched") => (&calls.latches, |seq, n| Some(Seen::Long(seq.latches.get(n)?.latched))),
        ("latch", "labels") => (&calls.latches, |seq, n| Some(Seen::Long(seq.latches.get(n)?.labels))),
        ("latch", "fired") => (&calls.latches, |seq, n| Some(Seen::Bool(seq.latches.get(n)?.fired))),
        ("breaker", "state") => (&calls.breakers, |seq, n| Some(Seen::Text(seq.breakers.get(n)?.state))),
        ("breaker", "failures") => (&calls.breakers, |seq, n| {
            Some(Seen::Long(seq.breakers.get(n)?.failures))
        }),
        _ => return None,
    })
}

fn of_budget(member: &str) -> Option<OfSeq> {
    Some(match member {
        "count" => |seq, n| Some(Seen::Long(seq.budgets.get(n)?.count)),
        "limit" => |seq, n| Some(Seen::Long(seq.budgets.get(n)?.limit)),
        "remaining" => |seq, n| Some(Seen::Long(seq.budgets.get(n)?.remaining)),
        "over" => |seq, n| Some(Seen::Long(seq.budgets.get(n)?.over)),
        "fired" => |seq, n| Some(Seen::Bool(seq.budgets.get(n)?.fired)),
        _ => return None,
    })
}

fn of_distinct(member: &str) -> Option<OfSeq> {
    Some(match member {
        "count" => |seq, n| Some(Seen::Long(seq.distincts.get(n)?.count)),
        "limit" => |seq, n| Some(Seen::Long(seq.distincts.get(n)?.limit)),
        "is_new" => |seq, n| Some(Seen::Bool(seq.distincts.get(n)?.is_new)),
        "fired" => |seq, n| Some(Seen::Bool(seq.distincts.get(n)?.fired)),
        _ => return None,
    })
}

fn of_pattern(member: &str) -> Option<OfSeq> {
    Some(match member {
        "armed" => |seq, n| Some(Seen::Bool(seq.patterns.get(n)?.armed)),
        "fired" => |seq, n| Some(Seen::Bool(seq.patterns.get(n)?.fired)),
        "step" => |seq, n| Some(Seen::Long(seq.patterns.get(n)?.step)),
        "age_s" => |seq, n| Some(Seen::Long(seq.patterns.get(n)?.age_s)),
        _ => return None,
    })
}
