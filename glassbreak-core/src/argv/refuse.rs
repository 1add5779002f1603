//! The argv engine's objections, in words for the person and the agent who read them.

use super::profile::Verdict;
use super::program::{Node, Opt, Program};
use super::types::rule;
use crate::error::{nearest, shown};
use crate::finding::{Finding, RuleId};

/// The hint of an ask that only a person can lift.
pub(crate) const ASK_FOR_IT: &str = "ask a person to approve just this call";

pub(crate) fn unknown_option(program: &Program, node: &Node, word: &str) -> Finding {
    let stem = word.split_once('=').map_or(word, |(name, _)| name);
    let known = || {
        node.names
            .iter()
            .map(|(name, _)| name)
            .filter(|name| allowed(program, node, name))
    };
    let hint = match nearest(stem, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{} takes {}", command(program, node), listed(known())),
    };
    ask(
        program,
        "unknown-option",
        format!(
            "{} has no option `{}` in its profile",
            command(program, node),
            shown(word)
        ),
        hint,
    )
}

pub(crate) fn unknown_verb(program: &Program, node: &Node, word: &str) -> Finding {
    let verbs = || {
        node.verbs
            .iter()
            .filter(|(_, at)| program.node(*at).is_some_and(|node| node.verdict == Verdict::Allow))
    };
    let hint = match nearest(word, verbs().map(|(verb, _)| verb)) {
        Some(near) => {
            let path = if node.path.is_empty() {
                String::new()
            } else {
                format!("{} ", node.path)
            };
            format!("did you mean `{} {path}{near}`?", program.name)
        }
        None => allowed_verbs(program, node),
    };
    let why = format!(
        "`{}` is no verb of {} in its profile",
        shown(word),
        command(program, node)
    );
    match node.unknown_verb {
        Verdict::Deny => Finding::deny(rule(&program.name, "unknown-verb"), why, hint),
        Verdict::Allow | Verdict::Ask => ask(program, "unknown-verb", why, hint),
    }
}

pub(crate) fn dashdash(program: &Program, node: &Node) -> Finding {
    ask(
        program,
        "dashdash",
        format!("`--` has no meaning here for {}", command(program, node)),
        "leave `--` out".to_owned(),
    )
}

pub(crate) fn late_operand(program: &Program, node: &Node, word: &str) -> Finding {
    let why = format!(
        "{} takes no operand behind its options: `{}`",
        command(program, node),
        shown(word)
    );
    ask(program, "unfit-operand", why, "put it before the options".to_owned())
}

pub(crate) fn no_value_wanted(program: &Program, opt: &Opt, word: &str) -> Finding {
    ask(
        program,
        "unfit-value",
        format!("`{}` takes no value: `{}`", opt.name, shown(word)),
        format!("write `{}`", opt.name),
    )
}

pub(crate) fn missing_value(program: &Program, opt: &Opt, help: &str) -> Finding {
    ask(
        program,
        "missing-value",
        format!("`{}` has no value that can be told from an option", opt.name),
        help.to_owned(),
    )
}

pub(crate) fn unfit_value(program: &Program, opt: &Opt, ty: usize, value: &str, reason: Option<String>) -> Finding {
    let reason = because(reason);
    let why = format!("`{}` is not a value that `{}` may have{reason}", shown(value), opt.name);
    ask(program, "unfit-value", why, allowed_here(program, ty))
}

pub(crate) fn repeated(program: &Program, node: &Node, index: usize, opt: &Opt) -> Finding {
    let why = format!(
        "`{}` is given more than once, and which one counts differs by program",
        opt.name
    );
    if node.require.iter().any(|(required, _)| *required == index) {
        return Finding::deny(rule(&program.name, "repeated-option"), why, "give it once");
    }
    ask(program, "repeated-option", why, "give it once".to_owned())
}

pub(crate) fn unfit_operand(
    program: &Program,
    node: &Node,
    ty: Option<usize>,
    word: &str,
    reason: Option<String>,
) -> Finding {
    let why = format!(
        "`{}` is not an operand that {} may have here{}",
        shown(word),
        command(program, node),
        because(reason)
    );
    let hint = ty.map_or_else(
        || format!("{} takes no operands", command(program, node)),
        |ty| allowed_here(program, ty),
    );
    ask(program, "unfit-operand", why, hint)
}

pub(crate) fn missing_operand(program: &Program, node: &Node, ty: usize) -> Finding {
    ask(
        program,
        "missing-operand",
        format!("{} lacks an operand", command(program, node)),
        allowed_here(program, ty),
    )
}

pub(crate) fn no_form(program: &Program, node: &Node, word: Option<&str>) -> Finding {
    let why = match word {
        Some(word) => format!(
            "the profile says nothing of operands of {}: `{}`",
            command(program, node),
            shown(word)
        ),
        None if node.verbs.is_empty() => format!(
            "the profile does not say what {} does without operands",
            command(program, node)
        ),
        None => format!("{} has no verb", command(program, node)),
    };
    let hint = if node.verbs.is_empty() {
        ASK_FOR_IT.to_owned()
    } else {
        allowed_verbs(program, node)
    };
    ask(program, "unfit-operand", why, hint)
}

pub(crate) fn required(program: &Program, node: &Node, opt: &Opt, value: &str) -> Finding {
    let joint = if value.is_empty() { "" } else { "=" };
    let option = format!("{}{joint}{value}", opt.name);
    let why = format!("{} may run only with `{option}`", command(program, node));
    ask(program, "required-option", why, format!("add `{option}`"))
}

pub(crate) fn elsewhere(program: &Program, cwd: &str) -> Finding {
    let why = format!(
        "`{}` takes settings from the folder it runs in, and this is `{}`",
        program.name,
        shown(cwd)
    );
    ask(program, "cwd", why, "call it in the workspace itself".to_owned())
}

pub(crate) fn input(program: &Program, node: &Node) -> Finding {
    let why = format!(
        "{} is given input, and its profile does not say that input is only data to it",
        command(program, node)
    );
    ask(program, "stdin", why, "call it without stdin".to_owned())
}

fn because(reason: Option<String>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

/// What the verb itself gets, if it is not allowed.
pub(crate) fn verb(program: &Program, node: &Node) -> Option<Finding> {
    let why = || {
        let why = node.why.as_deref().unwrap_or("the profile does not let it through");
        format!("{}: {why}", command(program, node))
    };
    match node.verdict {
        Verdict::Allow => None,
        Verdict::Ask => Some(Finding::ask(node.rule.clone(), why(), instead(program), None)),
        Verdict::Deny => Some(Finding::deny(node.rule.clone(), why(), instead(program))),
    }
}

/// What an option gets, if it is not allowed.
pub(crate) fn option(opt: &Opt) -> Option<Finding> {
    let why = || {
        format!(
            "`{}`: {}",
            opt.name,
            opt.why.as_deref().unwrap_or("the profile does not allow it")
        )
    };
    match opt.verdict {
        Verdict::Allow => None,
        Verdict::Ask => Some(Finding::ask(
            opt.rule.clone(),
            why(),
            format!("leave `{}` out, or {ASK_FOR_IT}", opt.name),
            None,
        )),
        Verdict::Deny => Some(Finding::deny(
            opt.rule.clone(),
            why(),
            format!("leave `{}` out", opt.name),
        )),
    }
}

/// A table of the compiled profile points nowhere: a fault of the guard.
pub(crate) fn broken(program: &Program) -> Finding {
    Finding::deny(
        rule(&program.name, "broken-profile"),
        "the compiled profile is broken",
        "this is a fault of the guard; report it",
    )
}

/// The program and verb, as one would type them.
pub(crate) fn command(program: &Program, node: &Node) -> String {
    if node.path.is_empty() {
        format!("`{}`", program.name)
    } else {
        format!("`{} {}`", program.name, node.path)
    }
}

fn ask(program: &Program, id: &str, why: String, hint: String) -> Finding {
    let rule: RuleId = rule(&program.name, id);
    Finding::ask(rule, why, hint, None)
}

fn allowed_here(program: &Program, ty: usize) -> String {
    program
        .ty(ty)
        .map_or_else(String::new, |ty| format!("write {}", ty.describe(program)))
}

fn allowed(program: &Program, node: &Node, name: &str) -> bool {
    node.names
        .get(name)
        .and_then(|at| program.opt(at))
        .is_some_and(|opt| opt.verdict == Verdict::Allow)
}

/// What the profile lets through instead of a verb that it does not.
fn instead(program: &Program) -> String {
    match program.node(0) {
        Some(root) if !root.verbs.is_empty() => allowed_verbs(program, root),
        _ => ASK_FOR_IT.to_owned(),
    }
}

fn allowed_verbs(program: &Program, node: &Node) -> String {
    let verbs = listed(main_verbs(program, node));
    if verbs.is_empty() {
        return ASK_FOR_IT.to_owned();
    }
    format!("the profile lets through, of {}: {verbs}", command(program, node))
}

/// The allowed verbs beneath a node, aliases left out; a verb with allowed verbs beneath it counts.
fn main_verbs<'a>(program: &'a Program, node: &'a Node) -> impl Iterator<Item = &'a str> {
    let joint = usize::from(!node.path.is_empty());
    node.verbs.iter().filter_map(move |(word, at)| {
        let verb = program.node(at)?;
        let main = verb.path.get(node.path.len() + joint..)? == word;
        let beneath = || {
            verb.verbs
                .iter()
                .any(|(_, at)| program.node(at).is_some_and(|v| v.verdict == Verdict::Allow))
        };
        let free = verb.verdict == Verdict::Allow && verb.require.is_empty();
        (main && (free || beneath())).then_some(word)
    })
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let words: Vec<&str> = words.collect();
    let mut text = words.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if words.len() > MOST {
        text.push_str(&format!(" and {} more", words.len() - MOST));
    }
    text
}
