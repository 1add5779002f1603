//! Working out a condition that was made ready, over one request.
//!
//! Every step says what Cedar's evaluator says of the same expression, or nothing (`None`): where a value is missing, is
//! not of the type that is wanted, overflows, or is refused by an extension function. Nothing here is an error, because
//! the condition is then given to Cedar whole.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{Entities, EvalResult, Expression, eval_expression};
use cedar_policy_core::ast::{BinaryOp, EntityUID, Literal, PartialValue, Set, Value, ValueKind, Var};
use cedar_policy_core::entities::Dereference;
use cedar_policy_core::evaluator::binary_relation;
use cedar_policy_core::extensions::Extensions;

use super::code::Code;
use super::query::Query;
use crate::label::{LabelSet, Vocabulary};

/// What an expression comes to.
pub(super) enum Seen<'a> {
    Bool(bool),
    Long(i64),
    Text(&'a str),
    Texts(Texts<'a>),
    Name(&'a EntityUID),
    Value(Cow<'a, Value>),
}

/// A set of texts, as facts have them.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    Shared(&'a BTreeSet<Arc<str>>),
    Own(&'a BTreeSet<Box<str>>),
    Labels(&'a Vocabulary, LabelSet),
}

impl Texts<'_> {
    fn contains(self, text: &str) -> bool {
        match self {
            Self::Shared(texts) => texts.contains(text),
            Self::Own(texts) => texts.contains(text),
            Self::Labels(vocabulary, labels) => vocabulary.words_of(labels).any(|word| word == text),
        }
    }

    fn is_empty(self) -> bool {
        !self.any(|_| true)
    }

    fn any(self, fits: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Shared(texts) => texts.iter().any(|text| fits(text)),
            Self::Own(texts) => texts.iter().any(|text| fits(text)),
            Self::Labels(vocabulary, labels) => vocabulary.words_of(labels).any(fits),
        }
    }

    /// As Cedar has it.
    fn value(self) -> Value {
        let literals: Vec<Literal> = match self {
            Self::Shared(texts) => texts.iter().map(|text| Literal::from(&**text)).collect(),
            Self::Own(texts) => texts.iter().map(|text| Literal::from(&**text)).collect(),
            Self::Labels(vocabulary, labels) => vocabulary.words_of(labels).map(Literal::from).collect(),
        };
        Value::set_of_lits(literals, None)
    }
}

/// A set.
#[derive(Clone, Copy)]
enum Many<'a> {
    Texts(Texts<'a>),
    Set(&'a Set),
}

impl<'a> Seen<'a> {
    const fn of(value: &'a Value) -> Self {
        Self::Value(Cow::Borrowed(value))
    }

    fn literal(&self) -> Option<&Literal> {
        match self {
            Self::Value(value) => literal(value),
            _ => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        match (self, self.literal()) {
            (Self::Bool(truth), _) | (_, Some(Literal::Bool(truth))) => Some(*truth),
            _ => None,
        }
    }

    fn long(&self) -> Option<i64> {
        match (self, self.literal()) {
            (Self::Long(number), _) | (_, Some(Literal::Long(number))) => Some(*number),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match (self, self.literal()) {
            (Self::Text(text), _) => Some(text),
            (_, Some(Literal::String(text))) => Some(text),
            _ => None,
        }
    }

    fn name(&self) -> Option<&EntityUID> {
        match (self, self.literal()) {
            (Self::Name(name), _) => Some(name),
            (_, Some(Literal::EntityUID(name))) => Some(name),
            _ => None,
        }
    }

    fn set(&self) -> Option<Many<'_>> {
        match self {
            Self::Texts(texts) => Some(Many::Texts(*texts)),
            Self::Value(value) => match value.value_kind() {
                ValueKind::Set(set) => Some(Many::Set(set)),
                _ => None,
            },
            _ => None,
        }
    }

    /// As Cedar has it.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Bool(truth) => truth.into(),
            Self::Long(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::Texts(texts) => texts.value(),
            Self::Name(name) => name.clone().into(),
            Self::Value(value) => value.into_owned(),
        }
    }

    /// Cedar's `==`: false for values of different types.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => **one == **other,
            (Self::Texts(one), Self::Texts(other)) => one.value() == other.value(),
            (Self::Texts(texts), Self::Value(value)) | (Self::Value(value), Self::Texts(texts)) => {
                texts.value() == **value
            }
            _ => {
                let same = |one: Option<bool>| one.unwrap_or(false);
                same(self.bool().zip(other.bool()).map(|(one, other)| one == other))
                    || same(self.long().zip(other.long()).map(|(one, other)| one == other))
                    || same(self.text().zip(other.text()).map(|(one, other)| one == other))
                    || same(self.name().zip(other.name()).map(|(one, other)| one == other))
            }
        }
    }
}

fn literal(value: &Value) -> Option<&Literal> {
    match value.value_kind() {
        ValueKind::Lit(literal) => Some(literal),
        _ => None,
    }
}

impl Code {
    /// Whether the condition holds; `None` where Cedar has to be query.
    pub(super) fn holds(&self, query: &Query<'_>, entities: &Entities) -> Option<bool> {
        self.run(query, entities)?.bool()
    }

    fn run<'a>(&'a self, query: &'a Query<'_>, entities: &'a Entities) -> Option<Seen<'a>> {
        let run = |code: &'a Self| code.run(query, entities);
        let holds = |code: &Self| code.holds(query, entities);
        Some(match self {
            Self::Constant(value) => Seen::of(value),
            Self::Var(Var::Principal) => Seen::Name(query.principal),
            Self::Var(Var::Action) => Seen::Name(query.action),
            Self::Var(Var::Resource) => Seen::Name(query.resource),
            Self::Var(Var::Context) => Seen::of(query.context()?),
            Self::Fact(fact, member) => {
                return match query.fact(fact) {
                    Some(seen) => Some(seen),
                    None => run(member),
                };
            }
            Self::Member(of, member) => return read(run(of)?, member, entities),
            Self::Has(of, members) => Seen::Bool(has(run(of)?, members, entities)?),
            Self::All(parts) => Seen::Bool(all(parts, |part| holds(part))?),
            Self::Any(parts) => Seen::Bool(!all(parts, |part| holds(part).map(|truth| !truth))?),
            Self::Not(code) => Seen::Bool(!holds(code)?),
            Self::If(parts) => {
                let [test, then, otherwise] = &**parts;
                return run(if holds(test)? { then } else { otherwise });
            }
            Self::Negated(code) => Seen::Long(run(code)?.long()?.checked_neg()?),
            Self::IsEmpty(code) => Seen::Bool(match run(code)?.set()? {
                Many::Texts(texts) => texts.is_empty(),
                Many::Set(set) => set.is_empty(),
            }),
            Self::Binary(op, sides) => {
                let [left, right] = &**sides;
                return binary(*op, run(left)?, run(right)?, entities);
            }
            Self::Like(code, pattern) => Seen::Bool(pattern.fit(run(code)?.text()?)),
            Self::Is(code, ty) => Seen::Bool(run(code)?.name()?.entity_type() == ty),
            Self::Call(function, args) => {
                let args = args.iter().map(|arg| run(arg).map(Seen::value));
                match function.call(&args.collect::<Option<Vec<_>>>()?).ok()? {
                    PartialValue::Value(value) => Seen::Value(Cow::Owned(value)),
                    PartialValue::Residual(_) => return None,
                }
            }
            Self::Cedar(expression) => Seen::Bool(cedars(expression, query, entities)?),
        })
    }
}

fn cedars(expression: &Expression, query: &Query<'_>, entities: &Entities) -> Option<bool> {
    match eval_expression(query.request()?, entities, expression) {
        Ok(EvalResult::Bool(truth)) => Some(truth),
        _ => None,
    }
}

/// Whether all are true, looked at up to the first that is not.
fn all(parts: &[Code], holds: impl Fn(&Code) -> Option<bool>) -> Option<bool> {
    for part in parts {
        if !holds(part)? {
            return Some(false);
        }
    }
    Some(true)
}

/// A member of a record, or an attribute of an entity.
fn read<'a>(of: Seen<'a>, member: &str, entities: &'a Entities) -> Option<Seen<'a>> {
    if let Some(name) = of.name() {
        return match entities.as_ref().entity(name) {
            Dereference::Data(entity) => match entity.get(member)? {
                PartialValue::Value(value) => Some(Seen::of(value)),
                PartialValue::Residual(_) => None,
            },
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        };
    }
    match of {
        Seen::Value(Cow::Borrowed(value)) => member_of(value, member).map(Seen::of),
        Seen::Value(Cow::Owned(value)) => member_of(&value, member).map(|value| Seen::Value(Cow::Owned(value.clone()))),
        _ => None,
    }
}

fn member_of<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    match value.value_kind() {
        ValueKind::Record(fields) => fields.get(member),
        _ => None,
    }
}

/// Whether members are there, each within the one before, up to the first that is not.
fn has(of: Seen<'_>, members: &[Box<str>], entities: &Entities) -> Option<bool> {
    let mut at = of;
    for (n, member) in members.iter().enumerate() {
        let there = match (at.name(), &at) {
            (Some(name), _) => match entities.as_ref().entity(name) {
                Dereference::Data(entity) => entity.get(member).is_some(),
                Dereference::NoSuchEntity => false,
                Dereference::Residual(_) => return None,
            },
            (None, Seen::Value(value)) => match value.value_kind() {
                ValueKind::Record(fields) => fields.contains_key(&**member),
                _ => return None,
            },
            _ => return None,
        };
        if !there || n + 1 == members.len() {
            return Some(there);
        }
        at = read(at, member, entities)?;
    }
    None
}

fn binary<'a>(op: BinaryOp, left: Seen<'a>, right: Seen<'a>, entities: &Entities) -> Option<Seen<'a>> {
    Some(match op {
        BinaryOp::Eq => Seen::Bool(left.is(&right)),
        BinaryOp::Less | BinaryOp::LessEq => Seen::Bool(match (left.long(), right.long()) {
            (Some(left), Some(right)) if op == BinaryOp::Less => left < right,
            (Some(left), Some(right)) => left <= right,
            _ => {
                let compared = binary_relation(op, &left.value(), &right.value(), Extensions::all_available());
                Seen::Value(Cow::Owned(compared.ok()?)).bool()?
            }
        }),
        BinaryOp::Add => Seen::Long(left.long()?.checked_add(right.long()?)?),
        BinaryOp::Sub => Seen::Long(left.long()?.checked_sub(right.long()?)?),
        BinaryOp::Mul => Seen::Long(left.long()?.checked_mul(right.long()?)?),
        BinaryOp::In => Seen::Bool(within(left.name()?, &right, entities)?),
        BinaryOp::Contains => Seen::Bool(contains(left.set()?, &right)),
        BinaryOp::ContainsAll => Seen::Bool(subset(right.set()?, left.set()?)),
        BinaryOp::ContainsAny => Seen::Bool(!disjoint(left.set()?, right.set()?)),
        BinaryOp::GetTag | BinaryOp::HasTag => return None,
    })
}

/// Up to so many comparisons of literals are cheaper than one hash of each, which is how Cedar looks.
const FEW: usize = 64;

/// Whether both hold nothing but literals, and so few that each is compared with each.
fn few(one: &Set, other: &Set) -> bool {
    one.fast.is_some() && other.fast.is_some() && one.len().saturating_mul(other.len()) <= FEW
}

fn contains(set: Many<'_>, wanted: &Seen<'_>) -> bool {
    let set = match set {
        Many::Texts(texts) => return wanted.text().is_some_and(|text| texts.contains(text)),
        Many::Set(set) => set,
    };
    match wanted {
        Seen::Value(wanted) if set.fast.is_some() && set.len() <= FEW => set.iter().any(|value| *value == **wanted),
        Seen::Value(wanted) => set.contains(wanted),
        Seen::Bool(truth) => set.contains(&(*truth).into()),
        Seen::Long(number) => set.contains(&(*number).into()),
        Seen::Text(text) => has_text(set, text),
        Seen::Texts(texts) => set.contains(&texts.value()),
        Seen::Name(name) => set.contains(&(*name).clone().into()),
    }
}

fn has_text(set: &Set, text: &str) -> bool {
    if set.len() <= FEW {
        return set.iter().any(|value| text_of(value) == Some(text));
    }
    set.contains(&text.into())
}

fn text_of(value: &Value) -> Option<&str> {
    match literal(value) {
        Some(Literal::String(text)) => Some(text),
        _ => None,
    }
}

fn subset(small: Many<'_>, large: Many<'_>) -> bool {
    match (small, large) {
        (Many::Set(small), Many::Set(large)) if few(small, large) => {
            small.iter().all(|value| large.iter().any(|other| value == other))
        }
        (Many::Set(small), Many::Set(large)) => small.is_subset(large),
        (Many::Texts(small), Many::Set(large)) => !small.any(|text| !has_text(large, text)),
        (Many::Texts(small), Many::Texts(large)) => !small.any(|text| !large.contains(text)),
        (Many::Set(small), Many::Texts(large)) => small
            .iter()
            .all(|value| text_of(value).is_some_and(|text| large.contains(text))),
    }
}

fn disjoint(one: Many<'_>, other: Many<'_>) -> bool {
    match (one, other) {
        (Many::Set(one), Many::Set(other)) if few(one, other) => {
            !one.iter().any(|value| other.iter().any(|other| value == other))
        }
        (Many::Set(one), Many::Set(other)) => one.is_disjoint(other),
        (Many::Texts(texts), Many::Set(set)) | (Many::Set(set), Many::Texts(texts)) if set.len() <= FEW => !set
            .iter()
            .any(|value| text_of(value).is_some_and(|text| texts.contains(text))),
        (Many::Texts(texts), Many::Set(set)) | (Many::Set(set), Many::Texts(texts)) => {
            !texts.any(|text| set.contains(&text.into()))
        }
        (Many::Texts(one), Many::Texts(other)) => !one.any(|text| other.contains(text)),
    }
}

/// Whether the entity is one of these, or in one of them.
fn within(name: &EntityUID, groups: &Seen<'_>, entities: &Entities) -> Option<bool> {
    let entity = match entities.as_ref().entity(name) {
        Dereference::Data(entity) => Some(entity),
        Dereference::NoSuchEntity => None,
        Dereference::Residual(_) => return None,
    };
    let is_in = |group: &EntityUID| name == group || entity.is_some_and(|entity| entity.is_descendant_of(group));
    if let Some(group) = groups.name() {
        return Some(is_in(group));
    }
    let Many::Set(groups) = groups.set()? else {
        return None;
    };
    let groups = groups.iter().map(|group| match literal(group) {
        Some(Literal::EntityUID(group)) => Some(&**group),
        _ => None,
    });
    Some(groups.collect::<Option<Vec<_>>>()?.into_iter().any(is_in))
}
