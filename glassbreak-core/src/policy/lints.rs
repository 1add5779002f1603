//! Conditions that say what they do not seem to say: found once at load, by their form alone.
//!
//! Two of them would break what always holds. Where earlier calls make a permit hold, or a forbid not hold, calling often
//! enough allows more. And a pattern such as `/srv/*` also matches `/srv/../etc`, so that a policy which permits by it
//! permits more than it shows.

use cedar_policy::Effect;
use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Pattern, PatternElem, UnaryOp, Var};

/// What is wrong, the byte it stands at, if known, and what to do.
pub(super) type Lint = (Option<usize>, String, &'static str);

/// Everything of this kind that is wrong with the condition of a policy of this effect.
pub(super) fn of(condition: &Expr, effect: Effect) -> Vec<Lint> {
    let mut out = Vec::new();
    forgives(condition, effect, &mut out);
    wide_patterns(condition, effect == Effect::Permit, &[], &mut out);
    out
}

/// How a value may move while calls add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Moves {
    /// From false to true, or to a larger number.
    up: bool,
    /// The other way.
    down: bool,
}

impl Moves {
    const UP: Self = Self { up: true, down: false };
    const DOWN: Self = Self { up: false, down: true };
    const BOTH: Self = Self { up: true, down: true };

    const fn or(self, other: Self) -> Self {
        Self {
            up: self.up || other.up,
            down: self.down || other.down,
        }
    }

    const fn turned(self) -> Self {
        Self {
            up: self.down,
            down: self.up,
        }
    }

    const fn any(self) -> bool {
        self.up || self.down
    }

    /// Either way, if it moves at all.
    const fn somehow(self) -> Self {
        if self.any() { Self::BOTH } else { self }
    }
}

/// The parts of the condition that earlier calls would turn in the caller's favour.
fn forgives(condition: &Expr, effect: Effect, out: &mut Vec<Lint>) {
    let moves = moves(condition);
    let (wrong, what) = match effect {
        Effect::Permit => (moves.up, "this permit holds once enough calls were made"),
        Effect::Forbid => (moves.down, "this forbid no longer holds once enough calls were made"),
    };
    if wrong {
        let at = first_moving(condition).and_then(|expr| expr.source_loc().map(|place| place.start()));
        let help = match effect {
            Effect::Permit => {
                "permit what is below a count, as in `count <= 3`: a call made before may never allow more"
            }
            Effect::Forbid => {
                "forbid what is above a count, as in `count > 3`: a call made before may never allow more"
            }
        };
        out.push((at, what.to_owned(), help));
    }
}

/// The first fact of the sequence that is read.
fn first_moving(condition: &Expr) -> Option<&Expr> {
    let found = condition
        .subexpressions()
        .filter(|expr| fact(expr).is_some_and(Moves::any));
    found.min_by_key(|expr| expr.source_loc().map(|place| place.start()))
}

/// How a fact of `context.seq` moves; `None` for what is none.
fn fact(expr: &Expr) -> Option<Moves> {
    let (mut path, mut below) = (Vec::new(), expr);
    while let ExprKind::GetAttr { expr, attr } = below.expr_kind() {
        path.push(attr.as_str());
        below = expr;
    }
    if !matches!(below.expr_kind(), ExprKind::Var(Var::Context)) {
        return None;
    }
    path.reverse();
    match path.as_slice() {
        ["seq", "budget" | "distinct", _, "limit"] | ["seq", "latch", _, "labels"] => Some(Moves::default()),
        // What time heals, how a breaker recovers and that a thing is new are said by rules that forgive on purpose.
        ["seq", "pattern", _, "age_s"] | ["seq", "breaker", _, "state"] | ["seq", "distinct", _, "is_new"] => {
            Some(Moves::default())
        }
        ["seq", "budget", _, "remaining"] => Some(Moves::DOWN),
        ["seq", "elapsed_s" | "actions"] => Some(Moves::UP),
        [
            "seq",
            "budget" | "loop" | "distinct" | "pattern" | "latch" | "breaker",
            _,
            "count" | "over" | "streak" | "fired" | "armed" | "step" | "latched" | "failures",
        ] => Some(Moves::UP),
        // A record of them taken whole, or a fact that is not known here.
        ["seq", ..] => Some(Moves::BOTH),
        _ => None,
    }
}

fn moves(expr: &Expr) -> Moves {
    if let Some(fact) = fact(expr) {
        return fact;
    }
    match expr.expr_kind() {
        ExprKind::And { left, right } | ExprKind::Or { left, right } => moves(left).or(moves(right)),
        ExprKind::UnaryApp { op, arg } => match op {
            UnaryOp::Not | UnaryOp::Neg => moves(arg).turned(),
            _ => moves(arg).somehow(),
        },
        ExprKind::BinaryApp { op, arg1, arg2 } => {
            let (left, right) = (moves(arg1), moves(arg2));
            match op {
                BinaryOp::Add => left.or(right),
                BinaryOp::Sub => left.or(right.turned()),
                BinaryOp::Less | BinaryOp::LessEq => left.turned().or(right),
                BinaryOp::Mul => match (sign(arg1), sign(arg2)) {
                    (Some(positive), _) => if_positive(right, positive),
                    (_, Some(positive)) => if_positive(left, positive),
                    _ => left.or(right).somehow(),
                },
                _ => left.or(right).somehow(),
            }
        }
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => moves(test_expr).somehow().or(moves(then_expr)).or(moves(else_expr)),
        // Whether a fact is there does not move.
        ExprKind::HasAttr { .. } | ExprKind::ExtHasAttr { .. } => Moves::default(),
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => Moves::default(),
        ExprKind::GetAttr { expr, .. } | ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => {
            moves(expr).somehow()
        }
        ExprKind::ExtensionFunctionApp { args, .. } => all(args.iter()),
        ExprKind::Set(items) => all(items.iter()),
        ExprKind::Record(fields) => all(fields.values()),
        #[expect(unreachable_patterns, reason = "reachable when a feature of Cedar adds a variant")]
        _ => Moves::BOTH,
    }
}

fn all<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Moves {
    exprs.map(moves).fold(Moves::default(), Moves::or).somehow()
}

fn if_positive(moves: Moves, positive: bool) -> Moves {
    if positive { moves } else { moves.turned() }
}

/// Whether a literal number is not below zero.
fn sign(expr: &Expr) -> Option<bool> {
    match expr.expr_kind() {
        ExprKind::Lit(Literal::Long(number)) => Some(*number >= 0),
        _ => None,
    }
}

/// The parts that all must have one value for `expr` to have the value `wanted`, each with the value it must have.
fn together<'a>(expr: &'a Expr, wanted: bool, out: &mut Vec<(&'a Expr, bool)>) {
    match expr.expr_kind() {
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } => together(arg, !wanted, out),
        ExprKind::And { left, right } if wanted => {
            together(left, wanted, out);
            together(right, wanted, out);
        }
        ExprKind::Or { left, right } if !wanted => {
            together(left, wanted, out);
            together(right, wanted, out);
        }
        _ => out.push((expr, wanted)),
    }
}

/// Patterns by which more is permitted where `expr` is `wanted`, and which cross from one folder to another. `cleared`
/// are the texts of which the condition says there that they hold no `..`.
fn wide_patterns<'a>(expr: &'a Expr, wanted: bool, cleared: &[&'a Expr], out: &mut Vec<Lint>) {
    let mut group = Vec::new();
    together(expr, wanted, &mut group);
    let mut cleared = cleared.to_vec();
    cleared.extend(group.iter().filter_map(|(part, wanted)| match part.expr_kind() {
        ExprKind::Like { expr, pattern } if !wanted && is_two_dots(pattern) => Some(&**expr),
        _ => None,
    }));
    for (part, wanted) in group {
        match part.expr_kind() {
            ExprKind::And { left, right } | ExprKind::Or { left, right } => {
                wide_patterns(left, wanted, &cleared, out);
                wide_patterns(right, wanted, &cleared, out);
            }
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                for (part, wanted) in [
                    (test_expr, true),
                    (test_expr, false),
                    (then_expr, wanted),
                    (else_expr, wanted),
                ] {
                    wide_patterns(part, wanted, &cleared, out);
                }
            }
            ExprKind::Like { expr, pattern } if wanted && crosses(pattern) && !cleared.contains(&&**expr) => {
                let at = part.source_loc().map(|place| place.start());
                let what = "this pattern also matches texts with `/../` in them, which lead elsewhere".to_owned();
                out.push((at, what, "add `&& !(… like \"*..*\")` for the same text"));
            }
            _ => {}
        }
    }
}

/// Whether the pattern is `*..*`.
fn is_two_dots(pattern: &Pattern) -> bool {
    let dot = PatternElem::Char('.');
    pattern
        .iter()
        .eq([&PatternElem::Wildcard, &dot, &dot, &PatternElem::Wildcard])
}

/// Whether a star stands behind a slash.
fn crosses(pattern: &Pattern) -> bool {
    let slash = |element: &PatternElem| *element == PatternElem::Char('/');
    pattern
        .iter()
        .skip_while(|element| !slash(element))
        .any(|element| *element == PatternElem::Wildcard)
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn found(policy: &str) -> Vec<String> {
        let policy = Policy::parse(None, policy).unwrap();
        let condition = policy.as_ref().non_scope_constraints().unwrap();
        of(condition, policy.effect())
            .into_iter()
            .map(|(_, what, _)| what)
            .collect()
    }

    fn permit(condition: &str) -> usize {
        found(&format!("permit (principal, action, resource) when {{ {condition} }};")).len()
    }

    fn forbid(condition: &str) -> usize {
        found(&format!("forbid (principal, action, resource) when {{ {condition} }};")).len()
    }

    #[test]
    fn what_grows_may_only_forbid_and_what_shrinks_only_permit() {
        let count = "context.seq.budget.b.count";
        for grown in [
            format!("{count} > 3"),
            format!("3 < {count}"),
            format!("{count} >= 3"),
            format!("!({count} <= 3)"),
            format!("{count} + 1 > 3 && context.risk == \"low\""),
            format!("3 - {count} < 0"),
            format!("{count} * 2 > 3"),
            format!("-{count} < -3"),
            "context.seq.budget.b.remaining <= 0".to_owned(),
            "context.seq.budget.b.over > 0".to_owned(),
            "context.seq.budget.b.count > context.seq.budget.b.limit".to_owned(),
            "context.seq.budget.b.fired || context.risk == \"high\"".to_owned(),
            "context.seq[\"loop\"].l.streak > 2".to_owned(),
            "if context.risk == \"low\" then context.seq.budget.b.fired else false".to_owned(),
            "context.seq.distinct.d.count > context.seq.distinct.d.limit".to_owned(),
            "context.seq.pattern.p.armed || context.seq.latch.l.latched > 1".to_owned(),
            "context.seq.breaker.b.failures > 2 || context.seq.actions > 9 || context.seq.elapsed_s > 60".to_owned(),
        ] {
            assert_eq!((permit(&grown), forbid(&grown)), (1, 0), "{grown}");
            let not = format!("!({grown})");
            assert_eq!((permit(&not), forbid(&not)), (0, 1), "{not}");
        }
    }

    #[test]
    fn what_neither_grows_nor_shrinks_does_neither() {
        for either in [
            "context.seq.budget.b.count == 3",
            "context.seq.budget.b == {count: 1}",
            "[1, 2].contains(context.seq.budget.b.count)",
            "context.seq[\"loop\"].l.period < 3",
            "context.seq.budget.a.count > context.seq.budget.b.count",
            "context.seq.budget.a.count * context.seq.budget.b.count > 1",
            "if context.seq.budget.b.fired then true else false",
        ] {
            assert_eq!((permit(either), forbid(either)), (1, 1), "{either}");
        }
        for still in [
            "context.seq.budget.b.limit > 3",
            "context.seq.breaker.b.state == \"open\"",
            "context.seq.pattern.p.age_s < 60 || context.seq.distinct.d.is_new",
            "context has seq && context.risk == \"low\"",
            "context.args.seq > 3",
            "principal.count > 3",
        ] {
            assert_eq!((permit(still), forbid(still)), (0, 0), "{still}");
        }
    }

    #[test]
    fn a_star_behind_a_slash_may_not_permit_unless_dots_are_ruled_out() {
        let path = "context.args.path";
        for wide in [
            format!("{path} like \"/srv/*\""),
            format!("{path} like \"*/x/*.txt\" && !(context.args.other like \"*..*\")"),
            format!("{path} like \"/srv/*\" || !({path} like \"*..*\")"),
            format!("{path} like \"/srv/*\" && {path} like \"*..*\""),
            format!("if {path} like \"/srv/*\" then true else false"),
        ] {
            assert_eq!(
                (permit(&wide), forbid(&wide)),
                (1, usize::from(wide.contains("if"))),
                "{wide}"
            );
        }
        for narrow in [
            format!("{path} like \"/srv/*\" && !({path} like \"*..*\")"),
            format!("context.risk == \"low\" || ({path} like \"/srv/*\" && !({path} like \"*..*\"))"),
            format!("{path} like \"db-*\" || {path} like \"*/db\""),
            format!("!({path} like \"/etc/*\")"),
        ] {
            assert_eq!(permit(&narrow), 0, "{narrow}");
        }
        // What lets a forbid not hold permits as much.
        assert_eq!(forbid(&format!("!({path} like \"/srv/*\")")), 1);
        let unless = |condition: &str| format!("forbid (principal, action, resource) unless {{ {condition} }};");
        assert_eq!(found(&unless(&format!("{path} like \"/srv/*\""))).len(), 1);
        let ruled_out = format!("{path} like \"/srv/*\" && !({path} like \"*..*\")");
        assert_eq!(found(&unless(&ruled_out)).len(), 0);
    }
}
