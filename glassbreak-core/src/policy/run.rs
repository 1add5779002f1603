//! Working out a condition that was made ready, over one request.
//!
//! Every step says what Cedar's evaluator says of the same expression, or nothing (`None`): where a value is missing, is
//! not of the type that is wanted, overflows, or is refused by an extension function. Nothing here is an error, because
//! the condition is then given to Cedar whole.

use std::borrow::Cow;
use std::cell::OnceCell;

use cedar_policy::{Context, Entities, EvalResult, Expression, Request, eval_expression};
use cedar_policy_core::ast::{self, BinaryOp, EntityUID, Literal, PartialValue, Set, Value, ValueKind, Var};
use cedar_policy_core::entities::Dereference;
use cedar_policy_core::evaluator::binary_relation;
use cedar_policy_core::extensions::Extensions;

use super::code::Code;
use super::engine::Names;

/// One request, as conditions are worked out over it. What Cedar itself wants is made only where Cedar is query.
#[derive(Debug)]
pub(super) struct Query<'a> {
    principal: &'a EntityUID,
    action: &'a EntityUID,
    resource: &'a EntityUID,
    /// A record.
    context: Value,
    put: Put<'a>,
}

#[derive(Debug)]
enum Put<'a> {
    Already(&'a Request),
    Later {
        names: &'a Names,
        context: Context,
        made: OnceCell<Option<Box<Request>>>,
    },
}

impl<'a> Query<'a> {
    /// A request that is there; `None` for one that leaves something open, which only features of Cedar make.
    pub(super) fn of(request: &'a Request) -> Option<Self> {
        let inner: &ast::Request = request.as_ref();
        Some(Self {
            principal: inner.principal().uid()?,
            action: inner.action().uid()?,
            resource: inner.resource().uid()?,
            context: record(inner.context()?)?,
            put: Put::Already(request),
        })
    }

    /// What would be a request of these.
    pub(super) fn new(names: &'a Names, context: Context) -> Option<Self> {
        Some(Self {
            principal: names.principal.as_ref(),
            action: names.action.as_ref(),
            resource: names.resource.as_ref(),
            context: record(context.as_ref())?,
            put: Put::Later {
                names,
                context,
                made: OnceCell::new(),
            },
        })
    }

    /// The same for Cedar; `None` where it does not take it.
    pub(super) fn request(&self) -> Option<&Request> {
        match &self.put {
            Put::Already(request) => Some(request),
            Put::Later { names, context, made } => made
                .get_or_init(|| names.request(context.clone()).map(Box::new))
                .as_deref(),
        }
    }
}

fn record(context: &ast::Context) -> Option<Value> {
    match context {
        ast::Context::Value(fields) => Some(Value::record_arc(fields.clone(), None)),
        ast::Context::RestrictedResidual(_) => None,
    }
}

/// What an expression comes to.
enum Seen<'a> {
    Bool(bool),
    Long(i64),
    Name(&'a EntityUID),
    Value(Cow<'a, Value>),
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
        match self.literal() {
            Some(Literal::String(text)) => Some(text),
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

    fn set(&self) -> Option<&Set> {
        match self {
            Self::Value(value) => match value.value_kind() {
                ValueKind::Set(set) => Some(set),
                _ => None,
            },
            _ => None,
        }
    }

    /// As Cedar has it.
    fn value(self) -> Value {
        match self {
            Self::Bool(truth) => truth.into(),
            Self::Long(number) => number.into(),
            Self::Name(name) => name.clone().into(),
            Self::Value(value) => value.into_owned(),
        }
    }

    /// Cedar's `==`: false for values of different types.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => **one == **other,
            _ => {
                let same = |one: Option<bool>| one.unwrap_or(false);
                same(self.bool().zip(other.bool()).map(|(one, other)| one == other))
                    || same(self.long().zip(other.long()).map(|(one, other)| one == other))
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
            Self::Var(Var::Context) => Seen::of(&query.context),
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
            Self::IsEmpty(code) => Seen::Bool(run(code)?.set()?.is_empty()),
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

fn contains(set: &Set, wanted: &Seen<'_>) -> bool {
    match wanted {
        Seen::Value(wanted) if set.fast.is_some() && set.len() <= FEW => set.iter().any(|value| *value == **wanted),
        Seen::Value(wanted) => set.contains(wanted),
        Seen::Bool(truth) => set.contains(&(*truth).into()),
        Seen::Long(number) => set.contains(&(*number).into()),
        Seen::Name(name) => set.contains(&(*name).clone().into()),
    }
}

fn subset(small: &Set, large: &Set) -> bool {
    if few(small, large) {
        return small.iter().all(|value| large.iter().any(|other| value == other));
    }
    small.is_subset(large)
}

fn disjoint(one: &Set, other: &Set) -> bool {
    if few(one, other) {
        return !one.iter().any(|value| other.iter().any(|other| value == other));
    }
    one.is_disjoint(other)
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
    let groups = groups.set()?.iter().map(|group| match literal(group) {
        Some(Literal::EntityUID(group)) => Some(&**group),
        _ => None,
    });
    Some(groups.collect::<Option<Vec<_>>>()?.into_iter().any(is_in))
}
