//! Which clause of a policy decided: the part of its condition, as written, where it stands, and the values it saw.
//!
//! Nothing here decides anything. It is looked at after a call is denied, and for explanations.

use std::collections::BTreeMap;

use cedar_policy::{EvalResult, Expression, Policy, Request};
use cedar_policy_core::ast::{Expr, ExprKind, Var};

use super::engine::{Engine, Truth};
use super::plan::{Plan, Rule};
use super::reads::{Reads, Tree};
use super::{Class, Policies};
use crate::error::{shown, shown_once};
use crate::source::{Lines, Source};

/// The most permits that are looked at for the nearest.
const MAX_CANDIDATES: usize = 8;
/// The most values told of one clause.
const MAX_SAW: usize = 8;
/// The most elements told of one set.
const MAX_ELEMENTS: usize = 8;
/// The most characters of a clause's text.
const MAX_TEXT: usize = 400;

/// The part of a policy's condition that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// As the file has it, on one line; what cannot be shown is escaped. For a policy that holds, all of its condition.
    pub text: String,
    /// The file it stands in.
    pub file: String,
    /// The line it begins at, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What it read of the context, and what stood there: escaped, cut, and never a value of `context.args`.
    pub saw: Vec<(String, String)>,
}

/// One of the parts that must all be true for a condition to hold.
#[derive(Debug)]
pub(super) struct Conjunct {
    expression: Expression,
    reads: Tree,
    text: Box<str>,
    line: u32,
    column: u32,
}

/// The parts of the condition of `policy`, in the order that Cedar evaluates them. `policy` has its places in `source`
/// still, and begins at the byte `at`.
pub(super) fn conjuncts(policy: &Policy, source: &Source<'_>, lines: &Lines<'_>, at: usize) -> Box<[Conjunct]> {
    let mut parts = Vec::new();
    if let Some(condition) = policy.as_ref().non_scope_constraints() {
        split(condition, &mut parts);
    }
    let conjunct = |part: &Expr| {
        let place = part.source_loc().map(|place| (place.start(), place.end()));
        let (start, end) = place.unwrap_or((at, at));
        let written = source.text.get(start..end).unwrap_or("");
        // A comment within would swallow the rest of the line that this becomes.
        let commented = written.contains('\n') && written.contains("//");
        let text = if written.is_empty() || commented {
            part.to_string()
        } else {
            written.to_owned()
        };
        let (line, column) = lines.place(start);
        Conjunct {
            expression: Expression::from(part.clone()),
            reads: Reads::of(part).tree,
            text: one_line(&text).into(),
            line,
            column,
        }
    };
    parts.into_iter().map(conjunct).collect()
}

fn split<'a>(condition: &'a Expr, parts: &mut Vec<&'a Expr>) {
    match condition.expr_kind() {
        ExprKind::And { left, right } => {
            split(left, parts);
            split(right, parts);
        }
        _ => parts.push(condition),
    }
}

fn one_line(text: &str) -> String {
    let text = shown_once(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    cut(text, MAX_TEXT)
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl Policies {
    /// What decided whether `rule` holds: where it does not, or is in error, the first part of its condition that is not
    /// true; where it holds, all of it. `None` where it has no condition.
    pub(super) fn clause(&self, rule: &Rule, request: &Request) -> Option<Clause> {
        let fails = |part: &&Conjunct| !matches!(self.engine.truth_of(&part.expression, request), Truth::Holds);
        if let Some(part) = rule.conjuncts.iter().find(fails) {
            return Some(self.told(rule, std::slice::from_ref(part), request));
        }
        (!rule.conjuncts.is_empty()).then(|| self.told(rule, &rule.conjuncts, request))
    }

    fn told(&self, rule: &Rule, parts: &[Conjunct], request: &Request) -> Clause {
        let mut saw = BTreeMap::new();
        for part in parts {
            look(
                &self.engine,
                request,
                &Expr::var(Var::Context),
                "context",
                &part.reads,
                &mut saw,
            );
        }
        let texts: Vec<&str> = parts.iter().map(|part| &*part.text).collect();
        Clause {
            text: cut(texts.join(" && "), MAX_TEXT),
            file: rule.file.to_string(),
            line: parts.first().map_or(rule.line, |part| part.line),
            column: parts.first().map_or(1, |part| part.column),
            saw: saw.into_iter().collect(),
        }
    }

    /// In words: which permit came nearest to allowing a call that none allows, and what it wanted. Nearest is the one
    /// with the fewest parts that are not true, and of those the first.
    pub(super) fn nearest_permit(&self, plan: &Plan, request: &Request) -> Option<String> {
        let permits = plan.evaluated.iter().filter_map(|place| self.rules.get(*place));
        let candidates = permits
            .filter(|rule| rule.class == Class::Permit && !rule.conjuncts.is_empty())
            .take(MAX_CANDIDATES);
        let missing = |rule: &Rule| {
            let parts = rule.conjuncts.iter();
            parts
                .filter(|part| !matches!(self.engine.truth_of(&part.expression, request), Truth::Holds))
                .count()
        };
        let nearest = candidates.min_by_key(|rule| missing(rule))?;
        let wants = self.clause(nearest, request)?.in_words();
        Some(format!("the nearest is `{}`, which wants {wants}", nearest.id))
    }

    /// In words: by which part of its condition `rule` decided.
    pub(super) fn because(&self, rule: &Rule, request: &Request) -> Option<String> {
        Some(format!("it forbids where {}", self.clause(rule, request)?.in_words()))
    }
}

impl Clause {
    /// The text, its place, and what it saw.
    fn in_words(self) -> String {
        let Self {
            text,
            file,
            line,
            column,
            saw,
        } = self;
        let mut out = format!("`{}` ({file}:{line}:{column})", cut(text, 160));
        let saw: Vec<String> = saw.iter().map(|(name, value)| format!("{name} is {value}")).collect();
        if !saw.is_empty() {
            out.push_str("; here ");
            out.push_str(&cut(saw.join(", "), 320));
        }
        out
    }
}

/// Notes what stands at every place that `tree` reads below `at`.
fn look(engine: &Engine, request: &Request, at: &Expr, name: &str, tree: &Tree, saw: &mut BTreeMap<String, String>) {
    if saw.len() >= MAX_SAW {
        return;
    }
    let Tree::Members(members) = tree else {
        saw.insert(name.to_owned(), value(engine, request, at, name));
        return;
    };
    for (member, below) in members {
        let plain = member.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !member.starts_with(|c: char| c.is_ascii_digit());
        let name = if plain {
            format!("{name}.{member}")
        } else {
            format!("{name}[\"{}\"]", shown(member))
        };
        let at = Expr::get_attr(at.clone(), member.as_str().into());
        look(engine, request, &at, &name, below, saw);
    }
}

fn value(engine: &Engine, request: &Request, at: &Expr, name: &str) -> String {
    // Arguments may be secret, all of them.
    if name == "context.args" || name.starts_with("context.args.") || name.starts_with("context.args[") {
        return "not shown".to_owned();
    }
    match engine.value(&Expression::from(at.clone()), request) {
        Some(value) => told(&value),
        None => "not known".to_owned(),
    }
}

fn told(value: &EvalResult) -> String {
    match value {
        EvalResult::Bool(value) => value.to_string(),
        EvalResult::Long(value) => value.to_string(),
        EvalResult::String(text) => format!("\"{}\"", shown(text).replace('"', "\\\"")),
        EvalResult::EntityUid(name) => shown(&name.to_string()),
        EvalResult::Set(set) => {
            let mut items: Vec<String> = set.iter().take(MAX_ELEMENTS).map(told).collect();
            if set.len() > MAX_ELEMENTS {
                items.push(format!("… ({} more)", set.len() - MAX_ELEMENTS));
            }
            format!("[{}]", items.join(", "))
        }
        // It may hold arguments.
        EvalResult::Record(_) => "a record".to_owned(),
        EvalResult::ExtensionValue(text) => shown(text),
    }
}
