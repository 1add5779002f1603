//! Random calls: words that a profile knows, and words that try to get past it.

use std::collections::BTreeMap;

use glassbreak_core::call::{Actor, ArgValue, Args, Argv, Call, Connect, Exec, Operation, Tool, Word};
use glassbreak_core::clock::Timestamp;

use crate::Choices;

/// One call of a session: when it is made, and whether it is performed if it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The call.
    pub call: Call,
    /// When it is made.
    pub at: Timestamp,
    /// Whether it is counted as performed.
    pub admitted: bool,
}

const PROGRAMS: &[&str] = &[
    "rig", "rig", "rig", "rig", "rig", "rig", "kubectl", "kubectl", "git", "Rig", "./rig", "sh", "ls",
];

const KNOWN: &[&str] = &[
    "show",
    "drop",
    "send",
    "make",
    "one",
    "all",
    "wipe",
    "list",
    "web",
    "prod",
    "db-1",
    "-n",
    "--name",
    "-q",
    "--quiet",
    "--depth",
    "--depth=1",
    "1",
    "2",
    "--slow",
    "--to",
    "notes.txt",
    "--level",
    "--level=high",
    "--",
    "--no-color",
    "-nprod",
    "--name=prod",
    "-n=web",
];

const KUBECTL: &[&str] = &[
    "get",
    "pods",
    "delete",
    "pod",
    "namespace",
    "ns",
    "web-7d4b",
    "-n",
    "prod",
    "-o",
    "json",
    "logs",
    "-A",
    "--all-namespaces",
    "secrets",
    "describe",
    "--tail=5",
    "--dry-run=client",
    "apply",
    "-f",
    "x.yaml",
    "--context",
    "a",
    "--kubeconfig",
    "exec",
    "--",
    "sh",
    "config",
    "view",
    "top",
    "rollout",
    "status",
    "deploy/web",
];

const GIT: &[&str] = &[
    "log",
    "status",
    "diff",
    "--output=x",
    "-c",
    "core.pager=sh",
    "--oneline",
    "-3",
    "HEAD",
    "--",
    "a.txt",
    "push",
    "--force",
    "branch",
    "-D",
    "main",
    "show",
    "--stat",
    "-C",
    "..",
    "--exec-path=.",
    "--upload-pack=sh",
];

/// Words that try to be taken for something else.
const HOSTILE: &[&str] = &[
    "--force",
    "-f",
    "--forc",
    "--FORCE",
    "--force=true",
    "--for_ce",
    "-qf",
    "-f=1",
    "--no_color",
    "",
    "-",
    "---",
    "--=",
    "-n",
    "-",
    "--name=",
    "$(id)",
    "; id",
    "`id`",
    "@/etc/passwd",
    "file:///etc/passwd",
    "../x",
    "/etc/passwd",
    "a\nb",
    "--a\nb",
    "-\t",
    "--name=a\tb",
    "\t",
    "--unknown",
    "-Z",
    "-12",
    "--depth=-1",
    "--depth=99999999999999999999",
    "é",
    "漢字",
    "Show",
    "show ",
    "--to=-f",
    "*",
    "~",
    "%s",
    "\\",
    "'",
    "\"",
    "a=b",
    "force=true",
    "force:=1",
    "--help",
    "--version",
    "-h",
    "--level",
    "--name=a\nb",
    "wipe",
    "WIPE",
    "all",
];

/// A word of the vocabulary, or a hostile one.
fn word(choices: &mut Choices<'_>, known: &[&'static str]) -> Box<str> {
    match choices.below(12) {
        0 | 1 => choices.word(HOSTILE).into(),
        2 if choices.once_in(8) => "x".repeat(1 + choices.below(5000)).into(),
        3 if choices.once_in(4) => String::from_utf8_lossy(choices.take(12)).into(),
        _ => choices.word(known).into(),
    }
}

/// Any words; not all of them may stand in a call.
pub fn words(choices: &mut Choices<'_>) -> Vec<Box<str>> {
    let program = choices.word(PROGRAMS);
    let known = match program {
        "kubectl" => KUBECTL,
        "git" => GIT,
        _ => KNOWN,
    };
    let mut words: Vec<Box<str>> = vec![program.into()];
    if program == "rig" && !choices.once_in(6) {
        words.push(choices.word(&["show", "drop", "send", "make", "list"]).into());
    }
    words.extend((0..choices.below(7)).map(|_| word(choices, known)));
    words
}

/// Any program to run; where the words may not stand in a call, a plain one.
pub fn exec(choices: &mut Choices<'_>) -> Option<Exec> {
    let argv = Argv::new(words(choices))
        .or_else(|_| Argv::new(["rig", "show", "web"]))
        .ok()?;
    let mut exec = Exec::new(argv);
    if choices.once_in(6) {
        let cwd = choices.word(&["src", "src/../..", "/workspace/src", "/etc", "./a//b", ".."]);
        exec = exec.in_folder(cwd).ok()?;
    }
    if choices.once_in(6) {
        let name = choices.word(&["TZ", "LC_ALL", "LD_PRELOAD", "FOO", "GIT_DIR", "KUBECONFIG"]);
        let value = choices.word(&["UTC", "C.UTF-8", "/etc/passwd", "() { :; }", ""]);
        exec = exec.with_env(name, value).ok()?;
    }
    if choices.once_in(6) {
        exec = exec.with_stdin(choices.take(8)).ok()?;
    }
    Some(exec)
}

fn value(choices: &mut Choices<'_>, depth: usize) -> ArgValue {
    match choices.below(if depth > 2 { 3 } else { 5 }) {
        0 => ArgValue::Str(choices.word(&["web", "prod", "", "a\nb", "__entity", "é"]).into()),
        1 => ArgValue::Int(i64::from(choices.byte()) << choices.below(57)),
        2 => ArgValue::Bool(choices.once_in(2)),
        3 => ArgValue::List((0..choices.below(4)).map(|_| value(choices, depth + 1)).collect()),
        _ => ArgValue::Record(args(choices, depth + 1)),
    }
}

fn args(choices: &mut Choices<'_>, depth: usize) -> Args {
    let mut args: Args = BTreeMap::new();
    for _ in 0..choices.below(4) {
        let name = choices.word(&["name", "count", "__entity", "type", "id", "x"]);
        args.insert(name.into(), value(choices, depth));
    }
    args
}

fn tool(choices: &mut Choices<'_>) -> Option<Tool> {
    let name = choices.word(&["restart", "restart", "look", "unknown"]);
    let mut arguments = args(choices, 0);
    if !choices.once_in(4) {
        arguments.retain(|name, _| **name == *"count");
        arguments.insert(
            "name".into(),
            ArgValue::Str(choices.word(&["web", "db", "prod"]).into()),
        );
    }
    if name == "look" && !choices.once_in(4) {
        arguments.clear();
    }
    Some(Tool {
        name: Word::new(name).ok()?,
        arguments,
    })
}

/// Any call, by a role that is most often declared.
pub fn call(choices: &mut Choices<'_>) -> Option<Call> {
    let role = choices.word(&["agent", "agent", "agent", "agent", "agent", "agent", "loner", "nobody"]);
    let operation = match choices.below(12) {
        0 | 1 => Operation::Tool(tool(choices)?),
        2 if choices.once_in(4) => Operation::Connect(Connect {
            host: Word::new("example.org").ok()?,
            port: 443,
        }),
        _ => Operation::Exec(exec(choices)?),
    };
    Some(Call {
        actor: Actor::new(Word::new(role).ok()?, Word::new("s1").ok()?),
        operation,
        reason: None,
        conversation: None,
    })
}

/// The calls of a session, in order of time; some come twice, so that sequence rules have something to count.
pub fn steps(choices: &mut Choices<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut now = 0i64;
    for _ in 0..1 + choices.below(7) {
        now += i64::try_from(choices.below(5) * 400).unwrap_or(0);
        let again = if choices.once_in(3) { steps.last() } else { None };
        let Some(call) = again.map(|step| step.call.clone()).or_else(|| call(choices)) else {
            continue;
        };
        steps.push(Step {
            call,
            at: Timestamp::from_millis(now),
            admitted: !choices.once_in(3),
        });
    }
    steps
}

/// A line as it comes over the wire: a call written out, then perhaps broken.
pub fn line(choices: &mut Choices<'_>) -> Vec<u8> {
    let words: Vec<String> = words(choices).iter().map(ToString::to_string).collect();
    let argument = choices.word(&[
        "1",
        "1.5",
        "null",
        "\"a\\u202eb\"",
        "[[[[[[[[[[1]]]]]]]]]]",
        "{\"a\":1,\"a\":2}",
        "99999999999999999999",
    ]);
    let operation = match choices.below(6) {
        0 => format!("\"tool\":{{\"name\":\"restart\",\"arguments\":{{\"name\":{argument}}}}}"),
        1 => "\"exec\":{\"shell\":\"rm -rf /\"}".to_owned(),
        2 => "\"connect\":{\"host\":\"example.org\",\"port\":443}".to_owned(),
        _ => format!("\"exec\":{{\"argv\":{},\"cwd\":\".\"}}", serde_json::json!(words)),
    };
    let mut line = format!("{{\"id\":\"c1\",\"actor\":{{\"role\":\"agent\"}},{operation}}}").into_bytes();
    for _ in 0..choices.below(4) {
        let at = choices.below(line.len().max(1));
        match choices.below(3) {
            0 => line.truncate(at.max(1)),
            1 => line.splice(at..at, choices.take(4).iter().copied()).for_each(drop),
            _ => {
                if let Some(byte) = line.get_mut(at) {
                    *byte = choices.byte();
                }
            }
        }
    }
    line
}
