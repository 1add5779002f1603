//! Conditions made ready at load, so that evaluating one neither clones a request nor builds a set that never changes.
//!
//! [`Code::of`] only rewrites: constants (sets of literals and calls such as `ip("10.0.0.0/8")` among them) are worked
//! out once, patterns are cut at their wildcards, chains of `&&` become lists. [`Code::bind`] then says where facts stand,
//! so that no context has to be built for them. [`run`](super::run) works it out, with
//! Cedar's own values, sets and extension functions. Whatever is not plainly true or false there, an error above all, is
//! left to Cedar's evaluator, over the whole condition as written: what a condition means, and why it fails, stays
//! Cedar's to say.

use cedar_policy::Expression;
use cedar_policy_core::ast::{
    BinaryOp, EntityType, Expr, ExprKind, ExtensionFunction, PartialValue, Pattern, PatternElem, UnaryOp, Value, Var,
};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::pst;

use super::direct::Direct;
use super::schema::Calls;

/// An expression, ready to be worked out.
#[derive(Debug)]
pub(super) enum Code {
    Constant(Value),
    Var(Var),
    /// A fact, and the same as a member of the context.
    Fact(Direct, Box<Self>),
    Member(Box<Self>, Box<str>),
    /// Whether members are there, each within the one before.
    Has(Box<Self>, Box<[Box<str>]>),
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Not(Box<Self>),
    If(Box<[Self; 3]>),
    Negated(Box<Self>),
    IsEmpty(Box<Self>),
    Binary(BinaryOp, Box<[Self; 2]>),
    Like(Box<Self>, Pieces),
    Is(Box<Self>, EntityType),
    Call(&'static ExtensionFunction, Box<[Self]>),
    /// A truth that is left to Cedar.
    Cedar(Box<Expression>),
}

/// A pattern of `like`, cut at its wildcards.
#[derive(Debug)]
pub(super) struct Pieces(Box<[Box<str>]>);

impl Code {
    /// A condition; `None` where nothing of it can be made ready.
    pub(super) fn of(condition: &Expr) -> Option<Self> {
        match Self::truth(condition) {
            Self::Cedar(_) => None,
            code => Some(code),
        }
    }

    /// Reads facts where they stand, as far as that is known of them.
    pub(super) fn bind(&mut self, calls: &Calls) {
        let mut path = Vec::new();
        if self.path(&mut path)
            && let Some(fact) = Direct::of(&path, calls)
        {
            let member = std::mem::replace(self, Self::Var(Var::Context));
            *self = Self::Fact(fact, Box::new(member));
            return;
        }
        match self {
            Self::Constant(_) | Self::Var(_) | Self::Fact(..) | Self::Cedar(_) => {}
            Self::Member(of, _) | Self::Has(of, _) => of.bind(calls),
            Self::Not(code) | Self::Negated(code) | Self::IsEmpty(code) | Self::Like(code, _) | Self::Is(code, _) => {
                code.bind(calls);
            }
            Self::All(parts) | Self::Any(parts) | Self::Call(_, parts) => {
                parts.iter_mut().for_each(|part| part.bind(calls));
            }
            Self::If(parts) => parts.iter_mut().for_each(|part| part.bind(calls)),
            Self::Binary(_, sides) => sides.iter_mut().for_each(|side| side.bind(calls)),
        }
    }

    /// The words after `context`, where this is a member of it.
    fn path<'a>(&'a self, out: &mut Vec<&'a str>) -> bool {
        match self {
            Self::Var(Var::Context) => true,
            Self::Member(of, member) => {
                let within = of.path(out);
                out.push(member);
                within
            }
            _ => false,
        }
    }

    /// An expression that stands where a truth is wanted.
    fn truth(expr: &Expr) -> Self {
        Self::value(expr).unwrap_or_else(|| Self::Cedar(Box::new(without_places(expr))))
    }

    /// Any expression; `None` where it, or what it is made of, is not known here.
    fn value(expr: &Expr) -> Option<Self> {
        if let Some(value) = constant(expr) {
            return Some(Self::Constant(value));
        }
        let boxed = |expr: &Expr| Self::value(expr).map(Box::new);
        Some(match expr.expr_kind() {
            ExprKind::Var(var) => Self::Var(*var),
            ExprKind::GetAttr { expr, attr } => Self::Member(boxed(expr)?, attr.as_str().into()),
            ExprKind::HasAttr { expr, attr } => Self::Has(boxed(expr)?, [attr.as_str().into()].into()),
            ExprKind::ExtHasAttr { expr, attrs } => {
                Self::Has(boxed(expr)?, attrs.iter().map(|attr| attr.as_str().into()).collect())
            }
            ExprKind::And { .. } => Self::All(chain(expr, true)),
            ExprKind::Or { .. } => Self::Any(chain(expr, false)),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => Self::If(Box::new([
                Self::truth(test_expr),
                Self::value(then_expr)?,
                Self::value(else_expr)?,
            ])),
            ExprKind::UnaryApp { op, arg } => match op {
                UnaryOp::Not => Self::Not(Box::new(Self::truth(arg))),
                UnaryOp::Neg => Self::Negated(boxed(arg)?),
                UnaryOp::IsEmpty => Self::IsEmpty(boxed(arg)?),
            },
            ExprKind::BinaryApp { op, arg1, arg2 } => match op {
                BinaryOp::GetTag | BinaryOp::HasTag => return None,
                _ => Self::Binary(*op, Box::new([Self::value(arg1)?, Self::value(arg2)?])),
            },
            ExprKind::Like { expr, pattern } => Self::Like(boxed(expr)?, Pieces::of(pattern)),
            ExprKind::Is { expr, entity_type } => Self::Is(boxed(expr)?, entity_type.clone()),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                let args = args.iter().map(Self::value).collect::<Option<_>>()?;
                Self::Call(Extensions::all_available().func(fn_name).ok()?, args)
            }
            _ => return None,
        })
    }
}

/// The same for Cedar, without places in its text: evaluation clones a place at every step, and all threads then meet at
/// its reference count.
pub(super) fn without_places(expr: &Expr) -> Expression {
    let bare = pst::Expr::try_from(expr.clone()).map(Expr::from).ok();
    // Else the text says the same, only slower.
    let bare = bare.filter(|bare| bare == expr).unwrap_or_else(|| expr.clone());
    Expression::from(bare)
}

/// The parts of a chain of `&&`, or of `||`, in the order that they are evaluated.
fn chain(expr: &Expr, of_and: bool) -> Box<[Code]> {
    fn walk<'a>(expr: &'a Expr, of_and: bool, out: &mut Vec<&'a Expr>) {
        match expr.expr_kind() {
            ExprKind::And { left, right } if of_and => {
                [left, right].into_iter().for_each(|part| walk(part, of_and, out));
            }
            ExprKind::Or { left, right } if !of_and => {
                [left, right].into_iter().for_each(|part| walk(part, of_and, out));
            }
            _ => out.push(expr),
        }
    }
    let mut parts = Vec::new();
    walk(expr, of_and, &mut parts);
    parts.into_iter().map(Code::truth).collect()
}

/// What an expression of nothing but literals comes to; `None` for any other, and for one in error.
fn constant(expr: &Expr) -> Option<Value> {
    match expr.expr_kind() {
        ExprKind::Lit(literal) => Some(Value::from(literal.clone())),
        ExprKind::Set(items) => {
            let items = items.iter().map(constant).collect::<Option<Vec<_>>>()?;
            Some(Value::set(items, None))
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let args = args.iter().map(constant).collect::<Option<Vec<_>>>()?;
            match Extensions::all_available().func(fn_name).ok()?.call(&args).ok()? {
                PartialValue::Value(value) => Some(value),
                PartialValue::Residual(_) => None,
            }
        }
        _ => None,
    }
}

impl Pieces {
    fn of(pattern: &Pattern) -> Self {
        let mut pieces = vec![String::new()];
        for element in pattern.iter() {
            match (element, pieces.last_mut()) {
                (PatternElem::Char(c), Some(piece)) => piece.push(*c),
                _ => pieces.push(String::new()),
            }
        }
        Self(pieces.into_iter().map(String::into_boxed_str).collect())
    }

    /// Whether `text` begins with the first piece, ends with the last, and has the others between, in their order. The
    /// first place of each is as good as any: a later one only leaves less.
    pub(super) fn fit(&self, text: &str) -> bool {
        let (first, between, last) = match &*self.0 {
            [] => return text.is_empty(),
            [only] => return **only == *text,
            [first, between @ .., last] => (first, between, last),
        };
        let Some(mut rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        for piece in between {
            match rest.split_once(&**piece) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of up to five letters, against every pattern of up to five of two of them and the wildcard.
    #[test]
    fn patterns_fit_what_cedars_patterns_fit() {
        const LETTERS: [char; 3] = ['a', 'b', 'é'];
        fn words<T: Copy>(letters: &[T], most: usize) -> Vec<Vec<T>> {
            let mut all = vec![Vec::new()];
            let mut last = all.clone();
            for _ in 0..most {
                let longer = |word: &Vec<T>| {
                    letters
                        .iter()
                        .map(|letter| [&word[..], &[*letter]].concat())
                        .collect::<Vec<_>>()
                };
                last = last.iter().flat_map(longer).collect();
                all.extend(last.iter().cloned());
            }
            all
        }
        let elements = [PatternElem::Char('a'), PatternElem::Char('é'), PatternElem::Wildcard];
        let texts: Vec<String> = words(&LETTERS, 5).into_iter().map(String::from_iter).collect();
        for pattern in words(&elements, 5) {
            let pattern = Pattern::from(pattern);
            let pieces = Pieces::of(&pattern);
            for text in &texts {
                assert_eq!(pieces.fit(text), pattern.wildcard_match(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn what_never_changes_is_worked_out_at_load() {
        for text in [
            "[\"a\", \"b\"]",
            "ip(\"10.0.0.0/8\")",
            "[[1], []]",
            "[decimal(\"1.0\")]",
        ] {
            let expression: Expression = text.parse().unwrap();
            assert!(
                matches!(Code::of(expression.as_ref()), Some(Code::Constant(_))),
                "{text}"
            );
        }
        // In error, so that it must be Cedar that says so.
        let expression: Expression = "ip(\"x\")".parse().unwrap();
        assert!(!matches!(Code::of(expression.as_ref()), Some(Code::Constant(_))));
    }
}
