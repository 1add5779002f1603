//! What a condition reads of the context, found once at load.
//!
//! Two things hang on it: a call that was not understood whole refuses whatever a policy would read of the part that
//! is missing, and a call's context is built only as far as some policy reads it. So wherever the reading is not plain
//! (`context` passed on whole, or asked with `has`), it counts as reading more, never less.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Expr, ExprKind, PatternElem, Var};

/// What is read below `context`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reads {
    /// `context` as a whole, or in a way that was not understood.
    pub(super) whole: bool,
    pub(super) argv: bool,
    pub(super) args: bool,
    pub(super) target: TargetUse,
    pub(super) labels: bool,
    pub(super) risk: bool,
    pub(super) actor: bool,
    pub(super) budgets: Names,
    pub(super) loops: Names,
}

/// How `context.target` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum TargetUse {
    #[default]
    No,
    /// Only one by one, as in `context.target.name`: a fact that is left out makes each such reading an error.
    ByName,
    /// With `has`, or as a whole record: a fact that is left out would change the answer silently.
    Loosely,
}

/// Which members of a record are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    These(BTreeSet<String>),
    All,
}

impl Default for Names {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Names {
    fn add(&mut self, name: Option<&str>) {
        match (name, self) {
            (Some(name), Self::These(names)) => {
                names.insert(name.to_owned());
            }
            (None, names) => *names = Self::All,
            (Some(_), Self::All) => {}
        }
    }

    fn join(&mut self, other: &Self) {
        match other {
            Self::All => *self = Self::All,
            Self::These(names) => names.iter().for_each(|name| self.add(Some(name))),
        }
    }

    pub(super) fn any(&self) -> bool {
        !matches!(self, Self::These(names) if names.is_empty())
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

impl Reads {
    /// What `condition` reads.
    pub(super) fn of(condition: &Expr) -> Self {
        let mut reads = Self::default();
        reads.walk(condition);
        reads
    }

    /// Whether it reads something that a partial call does not vouch for. `context.args` is not in the design's list,
    /// because tools are understood whole or refused; were that to change, it must count.
    pub(super) fn of_partial_facts(&self) -> bool {
        self.whole || self.argv || self.args || self.labels || self.target != TargetUse::No
    }

    /// Whether leaving out a fact of `context.target` could change the answer without an error.
    pub(super) fn target_loosely(&self) -> bool {
        self.whole || self.target == TargetUse::Loosely
    }

    /// Reads what `other` reads, too.
    pub(super) fn join(&mut self, other: &Self) {
        // No `..` here: what is read must be built.
        let Self {
            whole,
            argv,
            args,
            target,
            labels,
            risk,
            actor,
            budgets,
            loops,
        } = other;
        self.whole |= whole;
        self.argv |= argv;
        self.args |= args;
        self.target = self.target.max(*target);
        self.labels |= labels;
        self.risk |= risk;
        self.actor |= actor;
        self.budgets.join(budgets);
        self.loops.join(loops);
    }

    fn walk(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Var(Var::Context) => self.whole = true,
            ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => {}
            ExprKind::GetAttr { expr, attr } => self.read(expr, &[attr], false),
            ExprKind::HasAttr { expr, attr } => self.read(expr, &[attr], true),
            ExprKind::ExtHasAttr { expr, attrs } => {
                let attrs: Vec<&str> = attrs.iter().map(|attr| attr.as_str()).collect();
                self.read(expr, &attrs, true);
            }
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                self.walk(test_expr);
                self.walk(then_expr);
                self.walk(else_expr);
            }
            ExprKind::And { left, right } | ExprKind::Or { left, right } => {
                self.walk(left);
                self.walk(right);
            }
            ExprKind::UnaryApp { arg, .. } => self.walk(arg),
            ExprKind::BinaryApp { arg1, arg2, .. } => {
                self.walk(arg1);
                self.walk(arg2);
            }
            ExprKind::ExtensionFunctionApp { args, .. } => args.iter().for_each(|arg| self.walk(arg)),
            ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => self.walk(expr),
            ExprKind::Set(items) => items.iter().for_each(|item| self.walk(item)),
            ExprKind::Record(fields) => fields.values().for_each(|field| self.walk(field)),
            // Cedar's features can add kinds of expressions; what is not known here may read anything.
            #[expect(unreachable_patterns, reason = "reachable when a feature of Cedar adds a variant")]
            _ => self.whole = true,
        }
    }

    /// Notes the reading of `last` (one attribute, or a path of them) of `base`.
    fn read(&mut self, base: &Expr, last: &[&str], has: bool) {
        let mut path: Vec<&str> = last.iter().rev().copied().collect();
        let mut below = base;
        while let ExprKind::GetAttr { expr, attr } = below.expr_kind() {
            path.push(attr);
            below = expr;
        }
        if !matches!(below.expr_kind(), ExprKind::Var(Var::Context)) {
            // Of something else, such as `principal.team`; but a context may stand further down.
            return self.walk(base);
        }
        path.reverse();
        match path.as_slice() {
            ["argv", ..] => self.argv = true,
            ["args", ..] => self.args = true,
            ["target", _, ..] if !has => self.target = self.target.max(TargetUse::ByName),
            ["target", ..] => self.target = TargetUse::Loosely,
            ["labels", ..] => self.labels = true,
            ["risk", ..] => self.risk = true,
            ["actor", ..] => self.actor = true,
            ["seq", "budget", rest @ ..] => self.budgets.add(rest.first().copied()),
            ["seq", "loop", rest @ ..] => self.loops.add(rest.first().copied()),
            ["seq", ..] => {
                self.budgets.add(None);
                self.loops.add(None);
            }
            _ => self.whole = true,
        }
    }
}

/// The deepest condition, in nodes.
const MAX_DEPTH: usize = 64;
/// The largest condition, in nodes.
const MAX_NODES: usize = 256;
/// The longest run of letters in a `like` pattern: matching costs the text times this.
const MAX_RUN: usize = 256;

/// Why a condition is refused for its size, and the byte it is at, if known.
pub(super) fn too_large(condition: &Expr) -> Option<(&'static str, Option<usize>)> {
    let mut nodes = 0;
    measure(condition, 1, &mut nodes).err()
}

fn measure(expr: &Expr, depth: usize, nodes: &mut usize) -> Result<(), (&'static str, Option<usize>)> {
    let at = || expr.source_loc().map(|place| place.start());
    *nodes += 1;
    if depth > MAX_DEPTH {
        return Err(("this condition is more than 64 expressions deep", at()));
    }
    if *nodes > MAX_NODES {
        return Err(("this condition holds more than 256 expressions", at()));
    }
    let mut below = |expr: &Expr| measure(expr, depth + 1, nodes);
    match expr.expr_kind() {
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => Ok(()),
        ExprKind::GetAttr { expr, .. } | ExprKind::HasAttr { expr, .. } | ExprKind::ExtHasAttr { expr, .. } => {
            below(expr)
        }
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => {
            below(test_expr)?;
            below(then_expr)?;
            below(else_expr)
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            below(left)?;
            below(right)
        }
        ExprKind::UnaryApp { arg, .. } => below(arg),
        ExprKind::BinaryApp { arg1, arg2, .. } => {
            below(arg1)?;
            below(arg2)
        }
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().try_for_each(below),
        ExprKind::Is { expr, .. } => below(expr),
        ExprKind::Like { expr, pattern } => {
            let mut run = 0;
            for element in pattern.iter() {
                run = if matches!(element, PatternElem::Char(_)) {
                    run + 1
                } else {
                    0
                };
                if run > MAX_RUN {
                    return Err(("a pattern of `like` holds more than 256 letters in a row", at()));
                }
            }
            below(expr)
        }
        ExprKind::Set(items) => items.iter().try_for_each(below),
        ExprKind::Record(fields) => fields.values().try_for_each(below),
        #[expect(unreachable_patterns, reason = "reachable when a feature of Cedar adds a variant")]
        _ => Err(("this condition holds an expression that is not known here", at())),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Expression;

    use super::*;

    fn reads(text: &str) -> Reads {
        let expression: Expression = text.parse().unwrap();
        Reads::of(expression.as_ref())
    }

    fn names(names: &[&str]) -> Names {
        Names::These(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn plain_readings_are_told_apart() {
        let found = reads(r#"context.argv.command == "x" && context["risk"] != "high" && principal.risk == resource"#);
        let expected = Reads {
            argv: true,
            risk: true,
            ..Reads::default()
        };
        assert_eq!(found, expected);
        let found = reads("context.seq.budget.a.count > 3 || context.seq.loop[\"b c\"].fired");
        assert_eq!((found.budgets, found.loops), (names(&["a"]), names(&["b c"])));
        assert_eq!(reads("context.target.name == \"x\"").target, TargetUse::ByName);
    }

    #[test]
    fn what_is_not_plain_counts_as_more() {
        for text in [
            "context == {}",
            "(if true then context else context).risk == \"x\"",
            "{a: context}.a.risk == \"x\"",
            "[context].contains({})",
            "context.unheard == 1",
            "principal.mayRead(context)",
        ] {
            if let Ok(expression) = text.parse::<Expression>() {
                assert!(Reads::of(expression.as_ref()).whole, "{text}");
            }
        }
        assert!(reads("context has argv").argv);
        assert!(reads("context has argv.kinds").argv);
        assert_eq!(reads("context has target").target, TargetUse::Loosely);
        assert_eq!(reads("context.target has name").target, TargetUse::Loosely);
        assert_eq!(reads("context has target.name").target, TargetUse::Loosely);
        assert_eq!(reads("[context.target].contains({})").target, TargetUse::Loosely);
        assert_eq!(reads("context.seq.budget == {}").budgets, Names::All);
        assert_eq!(reads("context.seq has loop").loops, Names::All);
        assert_eq!(reads("context.seq == {}").budgets, Names::All);
        assert!(reads("[{a: 1, b: [context.labels]}] == []").labels);
        assert!(reads("if ip(context.argv.command).isIpv4() then true else false").argv);
    }

    #[test]
    fn conditions_have_a_size() {
        let large = |text: &str| {
            let expression: Expression = text.parse().unwrap();
            too_large(expression.as_ref()).is_some()
        };
        assert!(!large(&["context.a"; 60].join(" && ")));
        assert!(large(&["context.a"; 70].join(" && ")));
        assert!(large(&format!("[{}].contains(1)", ["1"; 300].join(","))));
        assert!(!large(&format!("context.a like \"*{}*\"", "x".repeat(256))));
        assert!(large(&format!("context.a like \"*{}*\"", "x".repeat(257))));
    }
}
