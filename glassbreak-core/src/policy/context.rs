//! The context of a call, built from typed facts and never from JSON, so that nothing in a call can be taken for an
//! entity or an extension value; and only as far as the matching policies read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::Context;
use cedar_policy_core::ast::{self, Literal, Value};

use crate::call::{Actor, ArgValue, Args, Word};
use crate::facts::{
    ArgvFacts, BreakerFacts, BudgetFacts, DistinctFacts, Fact, LatchFacts, LoopFacts, PatternFacts, SeqFacts, Target,
};
use crate::finding::Finding;
use crate::shape::{ArgField, ArgType};

use super::Question;
use super::plan::{REPORT, refusal};
use super::reads::Tree;
use super::schema::{Calls, FactsShape};

/// The most elements of one set. Calls are cut to size before they come here; this guards the layer by itself.
const MAX_ELEMENTS: usize = 4096;

/// Builds what `tree` names of the context of `question`.
///
/// What is not read may be left out, because Cedar looks at an attribute only where a policy names it; a record that
/// is read as a whole is built as a whole.
pub(super) fn build(
    question: &Question<'_>,
    facts: FactsShape<'_>,
    calls: &Calls,
    tree: &Tree,
) -> Result<Context, Finding> {
    check(question, facts, calls)?;
    let mut fields = BTreeMap::new();
    if let (FactsShape::Argv(_), Some(argv), Some(tree)) = (facts, &question.facts.argv, tree.below("argv")) {
        fields.insert("argv".into(), argv_value(argv, tree)?);
    }
    if let (FactsShape::Args(declared), Some(given), Some(tree)) = (facts, &question.facts.args, tree.below("args")) {
        fields.insert("args".into(), args_value(declared, given, tree)?);
    }
    if let Some(tree) = tree.below("target") {
        fields.insert("target".into(), target_value(&question.facts.target, tree));
    }
    if tree.below("labels").is_some() {
        let labels = question.vocabulary.words_of(question.facts.labels);
        fields.insert("labels".into(), set(labels.map(Literal::from), 0)?);
    }
    if tree.below("risk").is_some() {
        fields.insert("risk".into(), question.facts.risk.as_str().into());
    }
    if let Some(tree) = tree.below("seq") {
        fields.insert("seq".into(), seq_value(question.seq, calls, tree));
    }
    if let Some(tree) = tree.below("actor") {
        fields.insert("actor".into(), actor_value(question.actor, tree)?);
    }
    Ok(ast::Context::Value(Arc::new(fields)).into())
}

/// Whether building what `tree` names may refuse facts that [`check`] let pass.
pub(super) fn may_misfit(tree: &Tree) -> bool {
    let parents = |actor: &Tree| actor.below("parents").is_some();
    tree.below("args").is_some() || tree.below("actor").is_some_and(parents)
}

/// Whether the facts are those of the action, whatever the policies read of them: facts of another profile would make a
/// policy read another call than this one.
pub(super) fn check(question: &Question<'_>, facts: FactsShape<'_>, calls: &Calls) -> Result<(), Finding> {
    match (facts, &question.facts.argv, &question.facts.args) {
        // No policy reads those of a call that was not understood whole.
        _ if question.facts.partial => {}
        (FactsShape::Argv(sets), Some(argv), None) => {
            within(argv.options.len().max(argv.operands.len()))?;
            argv.sets.iter().try_for_each(|(_, values)| within(values.len()))?;
            let same = argv
                .sets
                .iter()
                .map(|(name, _)| &**name)
                .eq(sets.iter().map(String::as_str));
            same.then_some(()).ok_or_else(misfit)?;
        }
        (FactsShape::Args(_), None, Some(_)) => {}
        _ => return Err(misfit()),
    }
    let SeqFacts {
        budgets,
        loops,
        distincts,
        patterns,
        latches,
        breakers,
        elapsed_s: _,
        actions: _,
    } = question.seq;
    let same = budgets.len() == calls.budgets.len()
        && loops.len() == calls.loops.len()
        && distincts.len() == calls.distincts.len()
        && patterns.len() == calls.patterns.len()
        && latches.len() == calls.latches.len()
        && breakers.len() == calls.breakers.len();
    same.then_some(()).ok_or_else(misfit)
}

fn argv_value(argv: &ArgvFacts, tree: &Tree) -> Result<Value, Finding> {
    let mut fields = BTreeMap::new();
    if tree.below("program").is_some() {
        fields.insert("program".into(), text(&argv.program));
    }
    if tree.below("command").is_some() {
        fields.insert("command".into(), text(&argv.command));
    }
    if tree.below("options").is_some() {
        fields.insert("options".into(), texts(&argv.options)?);
    }
    if tree.below("operands").is_some() {
        let operands = argv.operands.iter().map(|operand| Literal::from(&**operand));
        fields.insert("operands".into(), set(operands, argv.operands.len())?);
    }
    for (name, values) in &argv.sets {
        // As with the target: what is left open is left out, so that reading it is an error of the policy.
        if tree.below(name).is_some() && !ArgvFacts::is_open(values) {
            fields.insert(Arc::clone(name).into(), texts(values)?);
        }
    }
    Ok(Value::record_arc(Arc::new(fields), None))
}

/// A fact that is not one text is left out. Reading it is then an error of the policy, which counts against the call;
/// an empty or made-up text would be an answer.
fn target_value(target: &Target, tree: &Tree) -> Value {
    let mut fields = BTreeMap::new();
    for name in Target::NAMES {
        let value = match target.get(name) {
            Some(Fact::Absent) => Value::from(""),
            Some(Fact::Is(text)) => self::text(text),
            Some(Fact::Unknown) | None => continue,
        };
        if tree.below(name).is_some() {
            fields.insert(name.into(), value);
        }
    }
    Value::record_arc(Arc::new(fields), None)
}

fn seq_value(seq: &SeqFacts, calls: &Calls, tree: &Tree) -> Value {
    let mut parts = BTreeMap::new();
    for (kind, rules) in [
        (
            "budget",
            each(tree.below("budget"), &calls.budgets, &seq.budgets, budget_value),
        ),
        ("loop", each(tree.below("loop"), &calls.loops, &seq.loops, loop_value)),
        (
            "distinct",
            each(tree.below("distinct"), &calls.distincts, &seq.distincts, distinct_value),
        ),
        (
            "pattern",
            each(tree.below("pattern"), &calls.patterns, &seq.patterns, pattern_value),
        ),
        (
            "latch",
            each(tree.below("latch"), &calls.latches, &seq.latches, latch_value),
        ),
        (
            "breaker",
            each(tree.below("breaker"), &calls.breakers, &seq.breakers, breaker_value),
        ),
    ] {
        if let Some(rules) = rules {
            parts.insert(kind.into(), rules);
        }
    }
    for (name, value) in [("elapsed_s", seq.elapsed_s), ("actions", seq.actions)] {
        if tree.below(name).is_some() {
            parts.insert(name.into(), value.into());
        }
    }
    Value::record_arc(Arc::new(parts), None)
}

/// The facts of all rules of one kind that `tree` names; `None` where it names none.
fn each<T>(tree: Option<&Tree>, ids: &[String], facts: &[T], value: impl Fn(&T, &Tree) -> Value) -> Option<Value> {
    let tree = tree?;
    let mut rules = BTreeMap::new();
    for (id, facts) in ids.iter().zip(facts) {
        if let Some(tree) = tree.below(id) {
            rules.insert(id.as_str().into(), value(facts, tree));
        }
    }
    Some(Value::record_arc(Arc::new(rules), None))
}

fn distinct_value(facts: &DistinctFacts, tree: &Tree) -> Value {
    let DistinctFacts {
        count,
        limit,
        is_new,
        fired,
    } = *facts;
    let fields = [
        ("count", Value::from(count)),
        ("limit", Value::from(limit)),
        ("is_new", Value::from(is_new)),
        ("fired", Value::from(fired)),
    ];
    members(fields, tree)
}

fn pattern_value(facts: &PatternFacts, tree: &Tree) -> Value {
    let PatternFacts {
        armed,
        fired,
        step,
        age_s,
    } = *facts;
    let fields = [
        ("armed", Value::from(armed)),
        ("fired", Value::from(fired)),
        ("step", Value::from(step)),
        ("age_s", Value::from(age_s)),
    ];
    members(fields, tree)
}

fn latch_value(facts: &LatchFacts, tree: &Tree) -> Value {
    let LatchFacts { latched, labels, fired } = *facts;
    let fields = [
        ("latched", Value::from(latched)),
        ("labels", Value::from(labels)),
        ("fired", Value::from(fired)),
    ];
    members(fields, tree)
}

fn breaker_value(facts: &BreakerFacts, tree: &Tree) -> Value {
    let BreakerFacts { state, failures } = *facts;
    let fields = [("state", Value::from(state)), ("failures", Value::from(failures))];
    members(fields, tree)
}

fn budget_value(facts: &BudgetFacts, tree: &Tree) -> Value {
    // No `..` here: a fact that the schema declares must be built.
    let BudgetFacts {
        count,
        limit,
        remaining,
        over,
        fired,
    } = *facts;
    let fields = [
        ("count", Value::from(count)),
        ("limit", Value::from(limit)),
        ("remaining", Value::from(remaining)),
        ("over", Value::from(over)),
        ("fired", Value::from(fired)),
    ];
    members(fields, tree)
}

fn loop_value(facts: &LoopFacts, tree: &Tree) -> Value {
    let LoopFacts { streak, period, fired } = *facts;
    let fields = [
        ("streak", Value::from(streak)),
        ("period", Value::from(period)),
        ("fired", Value::from(fired)),
    ];
    members(fields, tree)
}

fn actor_value(actor: &Actor, tree: &Tree) -> Result<Value, Finding> {
    let text = |word: Option<&Word>| Value::from(word.map_or("", Word::as_str));
    let mut fields = BTreeMap::new();
    for (name, word) in [
        ("instance", actor.instance.as_ref()),
        ("session", Some(&actor.session)),
        ("on_behalf_of", actor.on_behalf_of.as_ref()),
        ("model", actor.model.as_ref().map(|model| &model.id)),
    ] {
        if tree.below(name).is_some() {
            fields.insert(name.into(), text(word));
        }
    }
    if tree.below("parents").is_some() {
        let parents = actor.parents.iter().map(|parent| Literal::from(parent.as_str()));
        fields.insert("parents".into(), set(parents, actor.parents.len())?);
    }
    Ok(Value::record_arc(Arc::new(fields), None))
}

/// The arguments as the manifest types them: one that is missing, or not of its type, or not declared, is a misfit.
fn args_value(declared: &[ArgField], given: &Args, tree: &Tree) -> Result<Value, Finding> {
    let mut out = BTreeMap::new();
    let mut known = 0;
    for field in declared {
        let Some(value) = given.get(field.name.as_str()) else {
            if field.required {
                return Err(misfit());
            }
            continue;
        };
        known += 1;
        if let Some(tree) = tree.below(&field.name) {
            out.insert(field.name.as_str().into(), arg_value(&field.ty, value, tree)?);
        }
    }
    if known != given.len() {
        return Err(misfit());
    }
    Ok(Value::record_arc(Arc::new(out), None))
}

fn arg_value(ty: &ArgType, value: &ArgValue, tree: &Tree) -> Result<Value, Finding> {
    Ok(match (ty, value.revealed()) {
        (ArgType::Bool, ArgValue::Bool(value)) => (*value).into(),
        (ArgType::Int { .. }, ArgValue::Int(value)) => (*value).into(),
        (ArgType::Str { .. }, ArgValue::Str(value)) => (&**value).into(),
        (ArgType::List(ty), ArgValue::List(items)) => {
            within(items.len())?;
            // No policy can name a member of an element, so elements are whole.
            let items = items.iter().map(|item| arg_value(ty, item, &Tree::Whole));
            Value::set(items.collect::<Result<Vec<_>, _>>()?, None)
        }
        (ArgType::Record(fields), ArgValue::Record(args)) => args_value(fields, args, tree)?,
        _ => return Err(misfit()),
    })
}

fn members<const N: usize>(fields: [(&str, Value); N], tree: &Tree) -> Value {
    let mut read = BTreeMap::new();
    for (name, value) in fields {
        if tree.below(name).is_some() {
            read.insert(name.into(), value);
        }
    }
    Value::record_arc(Arc::new(read), None)
}

fn text(text: &Arc<str>) -> Value {
    Value::from(Literal::String(Arc::clone(text).into()))
}

fn texts(texts: &BTreeSet<Arc<str>>) -> Result<Value, Finding> {
    set(
        texts.iter().map(|text| Literal::String(Arc::clone(text).into())),
        texts.len(),
    )
}

fn set(items: impl Iterator<Item = Literal>, count: usize) -> Result<Value, Finding> {
    // Most calls have no labels and few options; an empty set is the same for all of them. One for each thread, because
    // all would write its reference counts.
    thread_local! {
        static EMPTY: Value = Value::set_of_lits([], None);
    }
    within(count)?;
    let mut items = items.peekable();
    if items.peek().is_none() {
        return Ok(EMPTY.with(Value::clone));
    }
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
