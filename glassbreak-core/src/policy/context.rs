//! The context of a call, built from typed facts and never from JSON, so that nothing in a call can be taken for an
//! entity or an extension value; and only as far as the matching policies read it.

use std::sync::Arc;

use cedar_policy::Context;
use cedar_policy_core::ast::{self, Literal, Value};

use crate::call::{ArgValue, Args, Word};
use crate::facts::{ArgvFacts, Fact, Target};
use crate::finding::Finding;
use crate::shape::{ArgField, ArgType};

use super::Question;
use super::plan::{REPORT, refusal};
use super::reads::{Names, Reads, TargetUse};
use super::schema::{Calls, FactsShape};

/// The most elements of one set. Calls are cut to size before they come here; this guards the layer by itself.
const MAX_ELEMENTS: usize = 4096;

/// Builds what `reads` names of the context of `question`.
///
/// An attribute that is not read may be left out, because Cedar looks at an attribute only where the policy names it.
pub(super) fn build(
    question: &Question<'_>,
    facts: FactsShape<'_>,
    calls: &Calls,
    reads: &Reads,
) -> Result<Context, Finding> {
    let all = reads.whole;
    let mut fields: Vec<(&str, Value)> = Vec::with_capacity(6);
    match facts {
        FactsShape::Argv(sets) if all || reads.argv => {
            let argv = question.facts.argv.as_ref().ok_or_else(misfit)?;
            fields.push(("argv", argv_value(argv, sets)?));
        }
        FactsShape::Args(args) if all || reads.args => {
            let given = question.facts.args.as_ref().ok_or_else(misfit)?;
            fields.push(("args", args_value(args, given)?));
        }
        FactsShape::Argv(_) | FactsShape::Args(_) => {}
    }
    if all || reads.target != TargetUse::No {
        fields.push(("target", target_value(&question.facts.target)));
    }
    if all || reads.labels {
        let labels = question.vocabulary.words_of(question.facts.labels);
        fields.push(("labels", set(labels.map(Literal::from), 0)?));
    }
    if all || reads.risk {
        fields.push(("risk", question.facts.risk.as_str().into()));
    }
    if all || reads.budgets.any() || reads.loops.any() {
        fields.push(("seq", seq_value(question, calls, reads)?));
    }
    if all || reads.actor {
        fields.push(("actor", actor_value(question)?));
    }
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
    Ok(ast::Context::Value(Arc::new(fields.collect())).into())
}

fn argv_value(argv: &ArgvFacts, sets: &[String]) -> Result<Value, Finding> {
    let mut fields: Vec<(&str, Value)> = Vec::with_capacity(4 + sets.len());
    fields.push(("program", text(&argv.program)));
    fields.push(("command", text(&argv.command)));
    fields.push((
        "options",
        texts(argv.options.iter().map(Arc::clone), argv.options.len())?,
    ));
    let operands = argv.operands.iter().map(|operand| Literal::from(&**operand));
    fields.push(("operands", set(operands, argv.operands.len())?));
    // Sets that are not the profile's would make a policy read another call than this one.
    if argv.sets.len() != sets.len() {
        return Err(misfit());
    }
    for ((name, values), declared) in argv.sets.iter().zip(sets) {
        if **name != **declared {
            return Err(misfit());
        }
        fields.push((declared, texts(values.iter().map(Arc::clone), values.len())?));
    }
    Ok(Value::record(fields, None))
}

/// A fact that is not one text is left out. Reading it is then an error of the policy, which counts against the call;
/// an empty or made-up text would be an answer.
fn target_value(target: &Target) -> Value {
    let fields = Target::NAMES.iter().filter_map(|name| {
        let value = match target.get(name)? {
            Fact::Absent => Value::from(""),
            Fact::Is(text) => self::text(text),
            Fact::Unknown => return None,
        };
        Some((*name, value))
    });
    Value::record(fields, None)
}

fn seq_value(question: &Question<'_>, calls: &Calls, reads: &Reads) -> Result<Value, Finding> {
    let seq = question.seq;
    if seq.budgets.len() != calls.budgets.len() || seq.loops.len() != calls.loops.len() {
        return Err(misfit());
    }
    let read = |names: &Names, id: &str| reads.whole || names.holds(id);
    let budgets = calls
        .budgets
        .iter()
        .zip(&seq.budgets)
        .filter(|(id, _)| read(&reads.budgets, id));
    let budgets = budgets.map(|(id, facts)| {
        let facts = [
            ("count", Value::from(facts.count)),
            ("limit", Value::from(facts.limit)),
            ("remaining", Value::from(facts.remaining)),
            ("over", Value::from(facts.over)),
            ("fired", Value::from(facts.fired)),
        ];
        (id.as_str(), Value::record(facts, None))
    });
    let loops = calls
        .loops
        .iter()
        .zip(&seq.loops)
        .filter(|(id, _)| read(&reads.loops, id));
    let loops = loops.map(|(id, facts)| {
        let facts = [
            ("streak", Value::from(facts.streak)),
            ("period", Value::from(facts.period)),
            ("fired", Value::from(facts.fired)),
        ];
        (id.as_str(), Value::record(facts, None))
    });
    let parts = [
        ("budget", Value::record(budgets, None)),
        ("loop", Value::record(loops, None)),
    ];
    Ok(Value::record(parts, None))
}

fn actor_value(question: &Question<'_>) -> Result<Value, Finding> {
    let actor = question.actor;
    let optional = |word: &Option<Word>| Value::from(word.as_ref().map_or("", Word::as_str));
    let parents = actor.parents.iter().map(|parent| Literal::from(parent.as_str()));
    let fields = [
        ("instance", optional(&actor.instance)),
        ("session", Value::from(actor.session.as_str())),
        ("on_behalf_of", optional(&actor.on_behalf_of)),
        (
            "model",
            Value::from(actor.model.as_ref().map_or("", |model| model.id.as_str())),
        ),
        ("parents", set(parents, actor.parents.len())?),
    ];
    Ok(Value::record(fields, None))
}

/// The arguments as the manifest types them: one that is missing, or not of its type, or not declared, is a misfit.
fn args_value(fields: &[ArgField], given: &Args) -> Result<Value, Finding> {
    let mut out: Vec<(&str, Value)> = Vec::with_capacity(given.len());
    for field in fields {
        match given.get(field.name.as_str()) {
            Some(value) => out.push((&field.name, arg_value(&field.ty, value)?)),
            None if field.required => return Err(misfit()),
            None => {}
        }
    }
    if out.len() != given.len() {
        return Err(misfit());
    }
    Ok(Value::record(out, None))
}

fn arg_value(ty: &ArgType, value: &ArgValue) -> Result<Value, Finding> {
    Ok(match (ty, value) {
        (ArgType::Bool, ArgValue::Bool(value)) => (*value).into(),
        (ArgType::Int { .. }, ArgValue::Int(value)) => (*value).into(),
        (ArgType::Str { .. }, ArgValue::Str(value)) => (&**value).into(),
        (ArgType::List(ty), ArgValue::List(items)) => {
            within(items.len())?;
            let items: Vec<Value> = items.iter().map(|item| arg_value(ty, item)).collect::<Result<_, _>>()?;
            Value::set(items, None)
        }
        (ArgType::Record(fields), ArgValue::Record(args)) => args_value(fields, args)?,
        _ => return Err(misfit()),
    })
}

fn text(text: &Arc<str>) -> Value {
    Value::from(Literal::String(Arc::clone(text).into()))
}

fn texts(texts: impl Iterator<Item = Arc<str>>, count: usize) -> Result<Value, Finding> {
    set(texts.map(|text| Literal::String(text.into())), count)
}

fn set(items: impl Iterator<Item = Literal>, count: usize) -> Result<Value, Finding> {
    within(count)?;
    Ok(Value::set_of_lits(items, None))
}

fn within(count: usize) -> Result<(), Finding> {
    if count <= MAX_ELEMENTS {
        return Ok(());
    }
    let why = format!("a fact of this call has {count} elements");
    Err(refusal(
        "context-too-large",
        why,
        "split the call: at most 4,096 elements in one set",
    ))
}

fn misfit() -> Finding {
    refusal(
        "facts",
        "the facts of this call are not those that its action declares",
        REPORT,
    )
}
