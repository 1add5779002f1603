//! From a condition of Dogwood to sequence rules that say the same.

use dogwood_language::temporal_ast::{AggExprKind, CmpOp, Condition, ConditionKind, Predicate, Term, Type, WithinSpec};

/// A condition that both can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// All hold.
    All(Vec<Said>),
    /// It does not hold.
    Not(Box<Said>),
    /// The event came within so many seconds, this moment included, and since then the other has not.
    Formerly {
        /// Seconds.
        within: i64,
        /// What came.
        past: Past,
        /// What has not come since.
        unless: Option<Past>,
    },
    /// So many of the calls that are judged came within so many seconds, this one included.
    Count {
        /// Seconds.
        within: i64,
        /// Which.
        past: Past,
        /// How it compares: an operator of Cedar.
        op: &'static str,
        /// With what.
        with: i64,
    },
}

/// Events of one action and kind, alike the call that is judged in some fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Such as `Drupe::Action::"Read"`.
    pub action: String,
    /// `request`, `response` or another.
    pub kind: String,
    /// The event's field, and the field of the judged call's context that has the same value; by the latter, in order.
    pub alike: Vec<(Vec<String>, Vec<String>)>,
    /// Fields that the event must have, with whatever value.
    pub has: Vec<Vec<String>>,
}

/// Why a condition cannot be said.
pub type Why = &'static str;

/// The condition as sequence rules say it; `action` is the one that is judged.
///
/// # Errors
/// What of it they cannot say.
pub fn said(condition: &Condition, action: &str) -> Result<Said, Why> {
    match &condition.kind {
        ConditionKind::And { left, right } => Ok(Said::All(vec![said(left, action)?, said(right, action)?])),
        ConditionKind::Not { inner } => Ok(Said::Not(Box::new(said(inner, action)?))),
        ConditionKind::Formerly { within, body } => Ok(Said::Formerly {
            within: seconds(within)?,
            past: predicate(body)?,
            unless: None,
        }),
        ConditionKind::Since { left, within, right } => {
            let ConditionKind::Not { inner } = &left.kind else {
                return Err("something that held all the time since");
            };
            let (past, unless) = (predicate(right)?, predicate(inner)?);
            let key =
                |past: &Past| -> Vec<Vec<String>> { past.alike.iter().map(|(_, context)| context.clone()).collect() };
            if key(&past) != key(&unless) {
                return Err("what breaks the chain is alike in other fields than what began it");
            }
            if (&past.action, &past.kind) == (&unless.action, &unless.kind) {
                return Err("what breaks the chain is what began it");
            }
            Ok(Said::Formerly {
                within: seconds(within)?,
                past,
                unless: Some(unless),
            })
        }
        ConditionKind::Comparison { op, left, right } => match (left, right) {
            (Term::Agg(agg), Term::Integer(with)) => count(&agg.kind, *op, *with, action),
            (Term::Integer(with), Term::Agg(agg)) => count(&agg.kind, mirrored(*op), *with, action),
            _ => Err("a comparison of fields"),
        },
        // `exists (n: Long). (count … == n && n >= 3)`
        ConditionKind::Exists { var, body } => {
            let ConditionKind::And { left, right } = &body.kind else {
                return Err("a variable");
            };
            let (name, agg) = match &left.kind {
                ConditionKind::Comparison {
                    op: CmpOp::Eq,
                    left: Term::Agg(agg),
                    right: Term::Var(name),
                }
                | ConditionKind::Comparison {
                    op: CmpOp::Eq,
                    left: Term::Var(name),
                    right: Term::Agg(agg),
                } => (name, agg),
                _ => return Err("a variable"),
            };
            let (op, with) = match &right.kind {
                ConditionKind::Comparison {
                    op,
                    left: Term::Var(used),
                    right: Term::Integer(with),
                } if used == name => (*op, *with),
                ConditionKind::Comparison {
                    op,
                    left: Term::Integer(with),
                    right: Term::Var(used),
                } if used == name => (mirrored(*op), *with),
                _ => return Err("a variable"),
            };
            if var.name() != name {
                return Err("a variable");
            }
            count(&agg.kind, op, with, action)
        }
        ConditionKind::Previous { .. } => Err("the moment before"),
        ConditionKind::Predicate(_) => Err("the event that is judged itself"),
        _ => Err("something else"),
    }
}

fn count(agg: &AggExprKind, op: CmpOp, with: i64, action: &str) -> Result<Said, Why> {
    let AggExprKind::Count { for_vars, body } = agg else {
        return Err("a sum");
    };
    let [var] = for_vars.as_slice() else {
        return Err("a count of pairs");
    };
    if var.ty != Type::Timepoint {
        return Err("a count of values");
    }
    let ConditionKind::Formerly { within, body } = &body.kind else {
        return Err("a count without a window");
    };
    let ConditionKind::And { left, right } = &body.kind else {
        return Err("a count of something else");
    };
    match &right.kind {
        ConditionKind::Tp { var: tp } if tp.name() == var.name() => {}
        _ => return Err("a count of something else"),
    }
    let past = predicate(left)?;
    if past.action != action || past.kind != "request" {
        return Err("a count of other calls than those that are judged");
    }
    // Then the judged call is one of those that are counted.
    if past.alike.iter().any(|(field, context)| field != context) {
        return Err("a count of calls that are alike in another field");
    }
    Ok(Said::Count {
        within: seconds(within)?,
        past,
        op: match op {
            CmpOp::Le => "<=",
            CmpOp::Lt => "<",
            CmpOp::Ge => ">=",
            CmpOp::Gt => ">",
            CmpOp::Eq => "==",
            CmpOp::NotEq => "!=",
        },
        with,
    })
}

fn mirrored(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Le => CmpOp::Ge,
        CmpOp::Lt => CmpOp::Gt,
        CmpOp::Ge => CmpOp::Le,
        CmpOp::Gt => CmpOp::Lt,
        same => same,
    }
}

fn predicate(condition: &Condition) -> Result<Past, Why> {
    let ConditionKind::Predicate(Predicate {
        namespace,
        action,
        kind,
        args,
        ..
    }) = &condition.kind
    else {
        return Err("something within a window that is no event");
    };
    let mut past = Past {
        action: format!("{}::\"{action}\"", namespace.join("::")),
        kind: kind.clone(),
        alike: Vec::new(),
        has: Vec::new(),
    };
    for arg in args {
        match &arg.value {
            Term::ContextField(context) => past.alike.push((arg.field_path(), context.clone())),
            Term::Wildcard => past.has.push(arg.field_path()),
            _ => return Err("an event with a value that is written in the rule"),
        }
    }
    past.alike.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(past)
}

fn seconds(within: &WithinSpec) -> Result<i64, Why> {
    match within.interval().checked_seconds() {
        Some(seconds) if (1..=i64::from(u32::MAX)).contains(&seconds) => Ok(seconds),
        _ => Err("a window of no length, or of centuries"),
    }
}
