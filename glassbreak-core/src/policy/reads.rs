//! What a condition reads of the context, found once at load.
//!
//! Two things hang on it: a call that was not understood whole refuses whatever a policy would read of the part that
//! is missing, and a call's context is built only as far as some policy reads it. So wherever the reading is not plain
//! (`context` passed on whole, or asked with `has`), it counts as reading more, never less.

use cedar_policy_core::ast::{Expr, ExprKind, Literal, PatternElem, Var};

/// What is read below `context`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reads {
    /// Which attributes, and which below them.
    pub(super) tree: Tree,
    /// Whether `context.target` or `context.argv` is read with `has`, or as a whole record: a fact that is left out of
    /// it would then change the answer silently, where reading it by name is an error.
    pub(super) facts_loosely: bool,
}

/// What is read of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// All of it, or a value that is no record.
    Whole,
    /// Only these members, by name. A list, because it is searched for every fact of every call and mostly short.
    Members(Vec<(String, Tree)>),
}

impl Default for Tree {
    fn default() -> Self {
        Self::Members(Vec::new())
    }
}

impl Tree {
    fn add(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::Whole,
            [name, rest @ ..] => {
                if let Some(below) = self.member(name) {
                    below.add(rest);
                }
            }
        }
    }

    fn join(&mut self, other: &Self) {
        match other {
            Self::Whole => *self = Self::Whole,
            Self::Members(more) => {
                for (name, more) in more {
                    if let Some(below) = self.member(name) {
                        below.join(more);
                    }
                }
            }
        }
    }

    /// The member `name`, added if need be; `None` where all are read anyway.
    fn member(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Members(members) = self else { return None };
        let at = members.partition_point(|(known, _)| known.as_str() < name);
        if members.get(at).is_none_or(|(known, _)| known != name) {
            members.insert(at, (name.to_owned(), Self::default()));
        }
        members.get_mut(at).map(|(_, below)| below)
    }

    /// What is read of the member `name`; `None` if nothing.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Whole => Some(&Self::Whole),
            Self::Members(members) => members.iter().find(|(known, _)| known == name).map(|(_, below)| below),
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
        ["argv", "args", "target", "labels"]
            .iter()
            .any(|name| self.tree.below(name).is_some())
    }

    /// Reads what `other` reads, too.
    pub(super) fn join(&mut self, other: &Self) {
        self.tree.join(&other.tree);
        self.facts_loosely |= other.facts_loosely;
    }

    fn read_whole(&mut self) {
        self.tree.add(&[]);
        self.facts_loosely = true;
    }

    fn walk(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Var(Var::Context) => self.read_whole(),
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
            _ => self.read_whole(),
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
        let open = matches!(path.first(), Some(&"target" | &"argv"));
        self.facts_loosely |= open && (has || path.len() == 1);
        self.tree.add(&path);
    }
}

/// Words of a condition that only make sense if the bundle knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fixed {
    /// Compared with this fact of `context.argv`.
    Argv(String),
    /// Compared with labels.
    Label,
    /// Compared with a risk.
    Risk,
    /// Compared with what a vote opens, `context.request.scope`.
    Scope,
    /// Compared with the kind of what an operator acts on, `context.operate.kind`.
    Kind,
}

/// The texts that a condition compares with labels, risks and the like, each with the byte it stands at, if known.
pub(super) fn fixed_words(condition: &Expr) -> Vec<(Fixed, String, Option<usize>)> {
    let mut out = Vec::new();
    for expr in condition.subexpressions() {
        let ExprKind::BinaryApp { arg1, arg2, .. } = expr.expr_kind() else {
            continue;
        };
        for (fact, other) in [(arg1, arg2), (arg2, arg1)] {
            let Some(kind) = fixed(fact) else { continue };
            for expr in other.subexpressions() {
                if let ExprKind::Lit(Literal::String(word)) = expr.expr_kind() {
                    out.push((
                        kind.clone(),
                        word.to_string(),
                        expr.source_loc().map(|place| place.start()),
                    ));
                }
            }
        }
    }
    out
}

/// Whether `expr` is `context.labels` or `context.risk`, the same of `context.request`, or another of those above.
fn fixed(expr: &Expr) -> Option<Fixed> {
    let ExprKind::GetAttr { expr, attr } = expr.expr_kind() else {
        return None;
    };
    // The part of the context it stands in; none for the context itself.
    let part = match expr.expr_kind() {
        ExprKind::Var(Var::Context) => None,
        ExprKind::GetAttr { expr, attr } if matches!(expr.expr_kind(), ExprKind::Var(Var::Context)) => {
            Some(attr.as_str())
        }
        _ => return None,
    };
    match (part, attr.as_str()) {
        (Some("argv"), fact) => Some(Fixed::Argv(fact.to_owned())),
        (None | Some("request"), "labels") => Some(Fixed::Label),
        (None | Some("request"), "risk") => Some(Fixed::Risk),
        (Some("request"), "scope") => Some(Fixed::Scope),
        (Some("operate"), "kind") => Some(Fixed::Kind),
        _ => None,
    }
}

/// The texts that a condition compares anything with, patterns of `like` among them, each with the byte it stands at, if
/// known.
pub(super) fn texts(condition: &Expr) -> Vec<(String, Option<usize>)> {
    let text = |expr: &Expr| match expr.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text.to_string()),
        ExprKind::Like { pattern, .. } => {
            let letters = pattern.iter().filter_map(|element| match element {
                PatternElem::Char(c) => Some(*c),
                PatternElem::Wildcard => None,
            });
            Some(letters.collect())
        }
        _ => None,
    };
    let found = condition.subexpressions().filter_map(|expr| {
        let place = expr.source_loc().map(|place| place.start());
        Some((text(expr)?, place))
    });
    found.collect()
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

    fn tree(paths: &[&[&str]]) -> Tree {
        let mut tree = Tree::default();
        paths.iter().for_each(|path| tree.add(path));
        tree
    }

    #[test]
    fn plain_readings_are_told_apart() {
        let found = reads(r#"context.argv.command == "x" && context["risk"] != "high" && principal.risk == resource"#);
        assert_eq!(found.tree, tree(&[&["argv", "command"], &["risk"]]));
        let found = reads("context.seq.budget.a.count > 3 || context.seq.loop[\"b c\"].fired");
        let expected = tree(&[&["seq", "loop", "b c", "fired"], &["seq", "budget", "a", "count"]]);
        assert_eq!(found.tree, expected);
        let found = reads("context.target.name == \"x\"");
        assert_eq!((found.tree, found.facts_loosely), (tree(&[&["target", "name"]]), false));
        assert!(!reads("context.risk == \"x\"").of_partial_facts());
    }

    #[test]
    fn what_is_not_plain_counts_as_more() {
        for text in [
            "context == {}",
            "(if true then context else context).risk == \"x\"",
            "{a: context}.a.risk == \"x\"",
            "[context].contains({})",
        ] {
            let found = reads(text);
            assert!(found.tree == Tree::Whole && found.facts_loosely, "{text}");
            assert!(found.of_partial_facts(), "{text}");
        }
        for (text, path) in [
            ("context has argv", &["argv"][..]),
            ("context has argv.kinds", &["argv", "kinds"]),
            ("context.argv has kinds", &["argv", "kinds"]),
            ("[context.argv] == [] && context.argv.kinds == []", &["argv"]),
            ("context.argv.kinds == [] && [context.argv] == []", &["argv"]),
            ("context.seq.budget == {}", &["seq", "budget"]),
            ("context.seq has loop", &["seq", "loop"]),
            ("[{a: 1, b: [context.labels]}] == []", &["labels"]),
            (
                "if ip(context.argv.command).isIpv4() then true else false",
                &["argv", "command"],
            ),
        ] {
            assert_eq!(reads(text).tree, tree(&[path]), "{text}");
        }
        for text in [
            "context has target",
            "context.target has name",
            "context has target.name",
            "[context.target].contains({})",
        ] {
            assert!(reads(text).facts_loosely, "{text}");
        }
    }

    #[test]
    fn joined_readings_hold_both() {
        let mut both = reads("context.argv.command == \"x\"");
        both.join(&reads("context.argv == {} || context.target has name"));
        assert_eq!(both.tree, tree(&[&["argv"], &["target", "name"]]));
        assert!(both.facts_loosely);
        both.join(&reads("context == {}"));
        assert_eq!(both.tree, Tree::Whole);
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
