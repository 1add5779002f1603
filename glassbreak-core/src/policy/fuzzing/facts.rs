//! Calls of that world, and the context that each should have, by Cedar's own public and checked way.

use std::collections::BTreeSet;

use cedar_policy::{Context, RestrictedExpression};

use super::super::{Action, Policies, Question, Resource};
use super::{Dice, odd, world};
use crate::call::{Actor, ArgValue, Args, Word};
use crate::facts::{
    ArgvFacts, BreakerFacts, BudgetFacts, DistinctFacts, Fact, Facts, LatchFacts, LoopFacts, PatternFacts, SeqFacts,
    Target,
};
use crate::finding::{Finding, Findings, Outcome, Ruling};
use crate::label::{LabelSet, Risk, Vocabulary};
use crate::shape::Shape;

/// A question that owns what it asks about.
#[derive(Debug)]
pub(in crate::policy) struct Asked {
    pub(in crate::policy) role: &'static str,
    pub(in crate::policy) facts: Facts,
    pub(in crate::policy) seq: SeqFacts,
    pub(in crate::policy) action: Action<'static>,
    pub(in crate::policy) resource: Resource<'static>,
}

pub(in crate::policy) fn words<T: From<&'static str> + Ord>(words: &[&'static str]) -> BTreeSet<T> {
    words.iter().map(|word| T::from(word)).collect()
}

/// The facts of a kubectl command on `web-1`.
pub(in crate::policy) fn kubectl(command: &str, kinds: &[&'static str]) -> Facts {
    Facts {
        argv: Some(ArgvFacts {
            program: "kubectl".into(),
            listed: true,
            command: command.into(),
            options: words(&["--namespace"]),
            operands: words(&["web-1"]),
            sets: vec![("kinds".into(), words(kinds)), ("if".into(), words(&[]))],
        }),
        target: Target {
            name: Fact::Is("web-1".into()),
            ..Target::default()
        },
        ..Facts::default()
    }
}

/// The facts of restarting a service.
pub(in crate::policy) fn restart(name: &str) -> Facts {
    let tag = || ArgValue::Str("a".into());
    let args: Args = [
        ("name".into(), ArgValue::Str(name.into())),
        ("tags".into(), ArgValue::List(vec![tag(), tag()])),
    ]
    .into();
    Facts {
        args: Some(args),
        ..Facts::default()
    }
}

/// What the sequence adds up to, with so many deletions.
pub(in crate::policy) fn seq(count: i64) -> SeqFacts {
    let budget = BudgetFacts {
        count,
        limit: 3,
        ..BudgetFacts::default()
    };
    SeqFacts {
        budgets: vec![budget, BudgetFacts::default()],
        loops: vec![LoopFacts::default()],
        distincts: vec![DistinctFacts::default()],
        patterns: vec![PatternFacts::default()],
        latches: vec![LatchFacts::default()],
        breakers: vec![BreakerFacts::default()],
        ..SeqFacts::default()
    }
}

impl Asked {
    pub(in crate::policy) fn exec(facts: Facts) -> Self {
        Self {
            role: "ops-agent",
            facts,
            seq: seq(0),
            action: Action::Exec("kubectl"),
            resource: Resource::Program("kubectl"),
        }
    }

    pub(in crate::policy) fn kubectl(command: &str, kinds: &[&'static str]) -> Self {
        Self::exec(kubectl(command, kinds))
    }

    pub(in crate::policy) fn restart(name: &'static str) -> Self {
        Self {
            role: "ops-agent",
            facts: restart(name),
            seq: seq(0),
            action: Action::Tool("restart_service"),
            resource: Resource::Host {
                ty: "Service",
                id: name,
            },
        }
    }

    pub(in crate::policy) fn unlisted() -> Self {
        let mut asked = Self::kubectl("", &[]);
        if let Some(argv) = &mut asked.facts.argv {
            argv.sets.clear();
        }
        asked.action = Action::Unlisted;
        asked.resource = Resource::Program("helm");
        asked
    }

    pub(in crate::policy) fn partial(mut self) -> Self {
        self.facts.partial = true;
        self.facts.risk = Risk::High;
        self
    }

    /// One of the calls that policies of the world can tell apart.
    pub(super) fn any(dice: &mut Dice<'_>) -> Self {
        let command = dice.of(&["get", "delete"]);
        let kinds = dice.of(&[&[][..], &["namespace"], &["*"]]);
        let mut asked = match dice.roll(5) {
            0 | 1 => Self::kubectl(command, kinds),
            2 => Self::restart("web"),
            3 => Self::restart("unheard-of"),
            _ => Self::unlisted(),
        };
        asked.role = dice.of(&["ops-agent", "ops-agent", "ops-agent", "loner", "nobody"]);
        asked.seq = seq(dice.of(&[0, 3, 4, i64::MAX, i64::MIN]));
        let streak = i64::from(dice.once_in(2));
        asked.seq.loops.iter_mut().for_each(|seen| {
            seen.fired = streak > 0;
            seen.streak = streak;
        });
        asked.seq.actions = dice.of(&[1, 9, i64::MAX]);
        asked.seq.elapsed_s = dice.of(&[0, 60]);
        let fired = dice.once_in(2);
        asked.seq.patterns = vec![PatternFacts {
            armed: fired,
            fired,
            step: i64::from(fired),
            age_s: 5,
        }];
        asked.seq.latches = vec![LatchFacts {
            latched: i64::from(fired),
            labels: 3,
            fired: false,
        }];
        asked.seq.distincts = vec![DistinctFacts {
            count: dice.of(&[0, 4]),
            limit: 3,
            is_new: fired,
            fired: false,
        }];
        asked.seq.breakers = vec![BreakerFacts {
            state: dice.of(&["closed", "open", "half-open"]),
            failures: dice.of(&[0, 5]),
        }];
        asked.facts.target.name = match dice.roll(3) {
            0 => Fact::Absent,
            1 => Fact::Is("web-1".into()),
            _ => Fact::Unknown,
        };
        if let Some(args) = &mut asked.facts.args {
            match dice.roll(6) {
                0 => drop(args.insert("times".into(), ArgValue::Int(3))),
                1 => drop(args.insert("times".into(), ArgValue::Int(i64::MIN))),
                2 => {
                    let options: Args = [("dry run".into(), ArgValue::Bool(false))].into();
                    args.insert("options".into(), ArgValue::Record(options));
                }
                _ => {}
            }
        }
        if dice.once_in(2) {
            asked.facts.labels = LabelSet::from_iter(Vocabulary::built_in().get("mutating"));
        }
        if dice.once_in(3) {
            asked.facts.risk = Risk::High;
        }
        // Tools are understood whole or refused.
        if dice.once_in(5) && asked.facts.argv.is_some() {
            return asked.partial();
        }
        asked
    }

    pub(in crate::policy) fn question<T>(&self, look: impl FnOnce(&Question<'_>) -> T) -> Result<T, String> {
        let word = |text: &str| Word::new(text).map_err(odd);
        let mut actor = Actor::new(word(self.role)?, word("s-1")?);
        actor.parents = vec![word("planner")?];
        Ok(look(&Question {
            actor: &actor,
            action: self.action,
            resource: self.resource,
            facts: &self.facts,
            seq: &self.seq,
            vocabulary: &Vocabulary::built_in(),
        }))
    }

    /// The outcome and the rules, sorted, each as `<rule> <level>`.
    pub(super) fn judged(&self, policies: &Policies) -> Result<(Outcome, Vec<String>), String> {
        let findings = self.question(|question| policies.decide(question))?;
        Ok((outcome(&findings), sorted(&findings)))
    }
}

pub(in crate::policy) fn sorted(findings: &[Finding]) -> Vec<String> {
    let mut out: Vec<String> = (findings.iter())
        .map(|finding| format!("{} {}", finding.rule(), finding.level().as_str()))
        .collect();
    out.sort();
    out
}

pub(in crate::policy) fn outcome(findings: &[Finding]) -> Outcome {
    Ruling::combine(Findings {
        policy: findings.to_vec(),
        ..Findings::default()
    })
    .outcome()
}

type E = RestrictedExpression;

fn text(text: &str) -> E {
    E::new_string(text.to_owned())
}

fn set<'a>(items: impl Iterator<Item = &'a str>) -> E {
    E::new_set(items.map(text))
}

fn record<T: Into<String>>(fields: impl IntoIterator<Item = (T, E)>) -> Result<E, String> {
    E::new_record(fields.into_iter().map(|(name, value)| (name.into(), value))).map_err(odd)
}

fn arg(value: &ArgValue) -> Result<E, String> {
    Ok(match value {
        ArgValue::Bool(value) => E::new_bool(*value),
        ArgValue::Int(value) => E::new_long(*value),
        ArgValue::Str(value) => text(value),
        ArgValue::List(items) => E::new_set(items.iter().map(arg).collect::<Result<Vec<_>, _>>()?),
        ArgValue::Record(args) => {
            let fields = args.iter().map(|(name, value)| Ok((name.to_string(), arg(value)?)));
            record(fields.collect::<Result<Vec<_>, String>>()?)?
        }
        ArgValue::Secret(_) => arg(value.revealed())?,
    })
}

/// The facts of each rule of one kind, by its id.
fn rules<T>(ids: &[String], all: &[T], fields: impl Fn(&T) -> Vec<(&'static str, E)>) -> Result<E, String> {
    let each = ids
        .iter()
        .zip(all)
        .map(|(id, facts)| Ok((id.as_str(), record(fields(facts))?)));
    record(each.collect::<Result<Vec<_>, String>>()?)
}

/// What the whole context of a call should be under this shape.
pub(in crate::policy) fn expected(question: &Question<'_>, shape: &Shape) -> Result<Context, String> {
    let facts = question.facts;
    let mut pairs = Vec::new();
    if let Some(argv) = &facts.argv {
        let fields = [
            ("program".to_owned(), text(&argv.program)),
            ("command".to_owned(), text(&argv.command)),
            ("options".to_owned(), set(argv.options.iter().map(|o| &**o))),
            ("operands".to_owned(), set(argv.operands.iter().map(|o| &**o))),
        ];
        // What is left open has no value.
        let known = argv.sets.iter().filter(|(_, values)| !ArgvFacts::is_open(values));
        let sets = known.map(|(name, values)| (name.to_string(), set(values.iter().map(|v| &**v))));
        pairs.push(("argv".to_owned(), record(fields.into_iter().chain(sets))?));
    }
    if let Some(args) = &facts.args {
        pairs.push(("args".to_owned(), arg(&ArgValue::Record(args.clone()))?));
    }
    let target = Target::NAMES.iter().filter_map(|name| {
        let fact = facts.target.get(name)?.text()?;
        Some((*name, text(fact)))
    });
    pairs.push(("target".to_owned(), record(target)?));
    pairs.push(("labels".to_owned(), set(question.vocabulary.words_of(facts.labels))));
    pairs.push(("risk".to_owned(), text(facts.risk.as_str())));
    let (long, flag) = (E::new_long, E::new_bool);
    let seq = question.seq;
    let seq = record([
        (
            "budget",
            rules(&shape.budgets, &seq.budgets, |facts| {
                vec![
                    ("count", long(facts.count)),
                    ("limit", long(facts.limit)),
                    ("remaining", long(facts.remaining)),
                    ("over", long(facts.over)),
                    ("fired", flag(facts.fired)),
                ]
            })?,
        ),
        (
            "loop",
            rules(&shape.loops, &seq.loops, |facts| {
                vec![
                    ("streak", long(facts.streak)),
                    ("period", long(facts.period)),
                    ("fired", flag(facts.fired)),
                ]
            })?,
        ),
        (
            "distinct",
            rules(&shape.distincts, &seq.distincts, |facts| {
                vec![
                    ("count", long(facts.count)),
                    ("limit", long(facts.limit)),
                    ("is_new", flag(facts.is_new)),
                    ("fired", flag(facts.fired)),
                ]
            })?,
        ),
        (
            "pattern",
            rules(&shape.patterns, &seq.patterns, |facts| {
                vec![
                    ("armed", flag(facts.armed)),
                    ("fired", flag(facts.fired)),
                    ("step", long(facts.step)),
                    ("age_s", long(facts.age_s)),
                ]
            })?,
        ),
        (
            "latch",
            rules(&shape.latches, &seq.latches, |facts| {
                vec![
                    ("latched", long(facts.latched)),
                    ("labels", long(facts.labels)),
                    ("fired", flag(facts.fired)),
                ]
            })?,
        ),
        (
            "breaker",
            rules(&shape.breakers, &seq.breakers, |facts| {
                vec![("state", text(facts.state)), ("failures", long(facts.failures))]
            })?,
        ),
        ("elapsed_s", long(seq.elapsed_s)),
        ("actions", long(seq.actions)),
    ]);
    pairs.push(("seq".to_owned(), seq?));
    let actor = question.actor;
    let optional = |word: Option<&Word>| text(word.map_or("", Word::as_str));
    let actor = record([
        ("instance", optional(actor.instance.as_ref())),
        ("session", text(actor.session.as_str())),
        ("on_behalf_of", optional(actor.on_behalf_of.as_ref())),
        ("model", optional(actor.model.as_ref().map(|model| &model.id))),
        ("parents", set(actor.parents.iter().map(Word::as_str))),
    ]);
    pairs.push(("actor".to_owned(), actor?));
    Context::from_pairs(pairs).map_err(odd)
}

/// The same for a call of the world.
pub(in crate::policy) fn expected_of(asked: &Asked) -> Result<Context, String> {
    let shape = world::shape()?;
    asked.question(|question| expected(question, &shape))?
}
