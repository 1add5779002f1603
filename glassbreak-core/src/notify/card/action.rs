//! The exact action: every word of it, and nothing else.

use super::Shown;
use crate::call::{ArgValue, Args, Connect, Exec, Operation, Tool};
use crate::notify::spell::{line, name, quoted, spelled, word};

/// What of a call is shown, and whether that is all.
pub(super) struct Action {
    /// By title.
    pub(super) sections: Vec<(&'static str, Vec<String>)>,
    /// Whether nothing is left out.
    pub(super) whole: bool,
}

impl Action {
    pub(super) fn of(shown: &Shown<'_>) -> Self {
        let mut action = match &shown.call.operation {
            Operation::Exec(exec) => program(shown, exec),
            Operation::Tool(tool) => called(tool),
            Operation::Connect(Connect { host, port, .. }) => Self {
                sections: vec![("connects", vec![format!("{host}:{port}")])],
                whole: true,
            },
        };
        let file = shown.file.map(spelled);
        action.sections.push(("file", file.into_iter().collect()));
        action
    }
}

fn program(shown: &Shown<'_>, exec: &Exec) -> Action {
    let words: Vec<String> = match &shown.judgement.plan {
        Some(plan) => plan.argv().map(word).collect(),
        None => exec.argv().words().iter().map(|one| word(one)).collect(),
    };
    let env = exec
        .env()
        .iter()
        .map(|(name, value)| format!("{}={}", spelled(name), word(value)));
    let mut sections = vec![
        ("runs", words),
        ("in", vec![folder(exec.cwd())]),
        ("environment", env.collect()),
    ];
    let mut whole = true;
    match exec.stdin().map(|bytes| (std::str::from_utf8(bytes), bytes.len())) {
        None => {}
        Some((Ok(""), _)) => sections.push(("input", vec![quoted("")])),
        Some((Ok(text), _)) => sections.push(("input", text.split_inclusive('\n').map(line).collect())),
        Some((Err(_), bytes)) => {
            sections.push(("input", vec![format!("{bytes} bytes that are not text")]));
            whole = false;
        }
    }
    Action { sections, whole }
}

fn folder(cwd: &str) -> String {
    match cwd {
        "" | "." => "the workspace".to_owned(),
        // A folder may be called so.
        cwd if cwd.contains([' ', '"']) => quoted(cwd),
        cwd => spelled(cwd),
    }
}

fn called(tool: &Tool) -> Action {
    let mut lines = Vec::new();
    arguments(&tool.arguments, "", &mut lines);
    Action {
        sections: vec![("calls", vec![tool.name.to_string()]), ("with", lines)],
        whole: true,
    }
}

fn arguments(args: &Args, path: &str, lines: &mut Vec<String>) {
    for (key, value) in args {
        let path = if path.is_empty() {
            name(key)
        } else {
            format!("{path}.{}", name(key))
        };
        argument(value, &path, lines);
    }
}

fn argument(value: &ArgValue, path: &str, lines: &mut Vec<String>) {
    match value {
        ArgValue::Bool(value) => lines.push(format!("{path} = {value}")),
        ArgValue::Int(value) => lines.push(format!("{path} = {value}")),
        ArgValue::Str(text) => lines.push(format!("{path} = {}", quoted(text))),
        ArgValue::List(items) if items.is_empty() => lines.push(format!("{path} = []")),
        ArgValue::List(items) => {
            for (n, item) in items.iter().enumerate() {
                argument(item, &format!("{path}[{n}]"), lines);
            }
        }
        ArgValue::Record(args) if args.is_empty() => lines.push(format!("{path} = {{}}")),
        ArgValue::Record(args) => arguments(args, path, lines),
        // Without quotes, so that no text reads like it.
        ArgValue::Secret(_) => lines.push(format!("{path} = (secret)")),
    }
}
