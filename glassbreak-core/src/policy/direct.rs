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

/// Where a member of what the rules of one kind say stands.
macro_rules! member {
    ($rules:ident.$member:ident as $seen:ident) => {
        |seq, n| Some(Seen::$seen(seq.$rules.get(n)?.$member))
    };
}

/// The ids of the rules of a kind, and where a member of what one of them says stands.
fn of_rule<'a>(calls: &'a Calls, kind: &str, name: &str) -> Option<(&'a [String], OfSeq)> {
    let ids = match kind {
        "budget" => &calls.budgets,
        "loop" => &calls.loops,
        "distinct" => &calls.distincts,
        "pattern" => &calls.patterns,
        "latch" => &calls.latches,
        "breaker" => &calls.breakers,
        _ => return None,
    };
    let of: OfSeq = match (kind, name) {
        ("budget", "count") => member!(budgets.count as Long),
        ("budget", "limit") => member!(budgets.limit as Long),
        ("budget", "remaining") => member!(budgets.remaining as Long),
        ("budget", "over") => member!(budgets.over as Long),
        ("budget", "fired") => member!(budgets.fired as Bool),
        ("loop", "streak") => member!(loops.streak as Long),
        ("loop", "period") => member!(loops.period as Long),
        ("loop", "fired") => member!(loops.fired as Bool),
        ("distinct", "count") => member!(distincts.count as Long),
        ("distinct", "limit") => member!(distincts.limit as Long),
        ("distinct", "is_new") => member!(distincts.is_new as Bool),
        ("distinct", "fired") => member!(distincts.fired as Bool),
        ("pattern", "armed") => member!(patterns.armed as Bool),
        ("pattern", "fired") => member!(patterns.fired as Bool),
        ("pattern", "step") => member!(patterns.step as Long),
        ("pattern", "age_s") => member!(patterns.age_s as Long),
        ("latch", "latched") => member!(latches.latched as Long),
        ("latch", "labels") => member!(latches.labels as Long),
        ("latch", "fired") => member!(latches.fired as Bool),
        ("breaker", "state") => member!(breakers.state as Text),
        ("breaker", "failures") => member!(breakers.failures as Long),
        _ => return None,
    };
    Some((ids, of))
}
