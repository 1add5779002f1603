//! The functions behind `#[guard]` in this program, as they name themselves.
//!
//! Each adds what its signature says of it: the tool, and its arguments as far as their types tell. What a tool *means*
//! (labels, target, cost) is for a person to write in `tools.toml`. [`skeleton`] gives the file to begin with, and
//! [`check`] says where functions and file have come apart; a test of one line holds them together:
//!
//! ```
//! use glassbreak_core::bundle::Bundle;
//! use glassbreak_core::gate::{Denied, Session};
//! use glassbreak_core::{guard, guarded};
//!
//! /// Gives money back.
//! #[guard(tool = "refund")]
//! async fn refund(session: &Session, order: u64, note: Option<String>) -> Result<(), Denied> {
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let wrong = guarded::check(&Bundle::read_only()?); // in a test: your own folder, and `assert!(wrong.is_empty())`
//! assert_eq!(wrong[0].to_string(), "refund: tools.toml has no such tool, so every call of it is denied");
//! assert!(guarded::skeleton().contains("[tools.refund]"));
//! # Ok(())
//! # }
//! ```
//!
//! `glassbreak schema tools --functions FILE` reads what [`tools_list`] writes, for a build that has the program and not its
//! tests.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::bundle::Bundle;
use crate::error::shown;
use crate::shape::{ArgField, ArgType};

/// One guarded function, as its signature says.
#[derive(Debug, Clone, Copy)]
pub struct GuardedTool {
    /// The tool that it names.
    pub tool: &'static str,
    /// Its path, such as `shop::tools::refund`.
    pub function: &'static str,
    /// The first paragraph of its documentation; empty without one.
    pub about: &'static str,
    /// Its arguments, in order.
    pub arguments: &'static [Argument],
}

/// One argument of a guarded function.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What its type holds.
    pub kind: Kind,
    /// Whether it is no `Option`.
    pub required: bool,
    /// Whether it is marked `#[guard(secret)]`.
    pub secret: bool,
}

/// What the type of an argument holds, by the type's name.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number within the bounds of its type, and of 64 bits.
    Int {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A text.
    Str,
    /// A list.
    List(&'static Kind),
    /// A type of the host's own, as it is written there.
    Other(&'static str),
}

inventory::collect!(GuardedTool);

/// All guarded functions that are linked into this program, by tool and path.
pub fn tools() -> Vec<&'static GuardedTool> {
    let mut all: Vec<_> = inventory::iter::<GuardedTool>.into_iter().collect();
    all.sort_by_key(|tool| (tool.tool, tool.function));
    all
}

/// Where a guarded function and the policy folder have come apart. Each of them denies calls; none lets one through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The tool.
    pub tool: String,
    /// What is so.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.tool), self.what)
    }
}

/// Compares the guarded functions with the tools of `bundle`: tools it lacks, arguments it does not know or wants
/// otherwise. Arguments of the host's own types are compared by name alone.
pub fn check(bundle: &Bundle) -> Vec<Mismatch> {
    let mut wrong = Vec::new();
    for guarded in tools() {
        let mut say = |what: String| {
            wrong.push(Mismatch {
                tool: guarded.tool.to_owned(),
                what,
            });
        };
        let Some(entry) = bundle.tools().get(guarded.tool) else {
            say("tools.toml has no such tool, so every call of it is denied".to_owned());
            continue;
        };
        let declared = &entry.shape().args;
        for argument in guarded.arguments {
            match declared.iter().find(|field| field.name == argument.name) {
                None => say(format!(
                    "`{}` has the argument `{}`, which tools.toml does not know",
                    guarded.function, argument.name
                )),
                Some(field) => {
                    if let Some(what) = apart(argument, field) {
                        say(format!("`{}` of `{}` {what}", argument.name, guarded.function));
                    }
                }
            }
        }
        for field in declared.iter().filter(|field| field.required) {
            if !guarded.arguments.iter().any(|argument| argument.name == field.name) {
                say(format!(
                    "tools.toml requires `{}`, which `{}` does not have",
                    shown(&field.name),
                    guarded.function
                ));
            }
        }
    }
    wrong
}

fn apart(argument: &Argument, field: &ArgField) -> Option<String> {
    if field.required && !argument.required {
        return Some("may be None, and tools.toml requires it".to_owned());
    }
    let (is, wanted) = (word(argument.kind), wanted(&field.ty));
    (!fits(argument.kind, &field.ty)).then(|| format!("is {is}, and tools.toml wants {wanted}"))
}

fn fits(kind: Kind, ty: &ArgType) -> bool {
    match (kind, ty) {
        (Kind::Other(_), _)
        | (Kind::Bool, ArgType::Bool)
        | (Kind::Int { .. }, ArgType::Int { .. })
        | (Kind::Str, ArgType::Str { .. }) => true,
        (Kind::List(kind), ArgType::List(ty)) => fits(*kind, ty),
        _ => false,
    }
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Int { .. } => "a whole number",
        Kind::Str => "a string",
        Kind::List(_) => "a list",
        Kind::Other(_) => "of the host's own type",
    }
}

const fn wanted(ty: &ArgType) -> &'static str {
    match ty {
        ArgType::Bool => "true or false",
        ArgType::Int { .. } => "a whole number",
        ArgType::Str { .. } => "a string",
        ArgType::List(_) => "a list",
        ArgType::Record(_) => "an object",
    }
}

/// The tools as the answer to MCP's `tools/list`: name, description and JSON Schema of the arguments.
///
/// Two functions of one tool give one entry, with the arguments of both; one that either lacks is not required.
pub fn tools_list() -> Value {
    let tools: Vec<Value> = merged()
        .iter()
        .map(|(name, tool)| json!({"name": name, "description": tool.about, "inputSchema": tool.schema()}))
        .collect();
    json!({ "tools": tools })
}

/// What `tools.toml` may begin with: each tool, labelled `mutating` until somebody has looked at what it does.
pub fn skeleton() -> String {
    let mut out =
        String::from("# From the guarded functions. Say of each tool what it does: labels, target, bounds.\n");
    for (name, tool) in merged() {
        let about = if tool.about.is_empty() {
            "(say what it does)"
        } else {
            tool.about
        };
        out.push_str(&format!(
            "\n[tools.{}]\nabout = {}\nlabels = [\"mutating\"]\n",
            key(name),
            text(about)
        ));
        if tool.arguments.is_empty() {
            continue;
        }
        out.push_str(&format!("\n[tools.{}.schema]\ntype = \"object\"\n", key(name)));
        let required: Vec<String> = tool.required().map(text).collect();
        if !required.is_empty() {
            out.push_str(&format!("required = [{}]\n", required.join(", ")));
        }
        for (name, argument) in &tool.arguments {
            let secret = if argument.secret { ", writeOnly = true }" } else { " }" };
            out.push_str(&match written(argument.kind) {
                Some(words) => format!("properties.{} = {{ {words}{secret}\n", key(name)),
                None => format!("# properties.{} = describe `{}` here\n", key(name), rust(argument.kind)),
            });
        }
    }
    out
}

#[derive(Default)]
struct Merged {
    about: &'static str,
    arguments: BTreeMap<&'static str, Argument>,
}

impl Merged {
    fn required(&self) -> impl Iterator<Item = &str> {
        self.arguments
            .iter()
            .filter(|(_, argument)| argument.required)
            .map(|(name, _)| *name)
    }

    fn schema(&self) -> Value {
        let properties: Map<String, Value> = self
            .arguments
            .iter()
            .map(|(name, argument)| ((*name).to_owned(), property(argument)))
            .collect();
        let required: Vec<&str> = self.required().collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }
}

fn merged() -> BTreeMap<&'static str, Merged> {
    let mut all: BTreeMap<&'static str, Merged> = BTreeMap::new();
    for tool in tools() {
        let new = !all.contains_key(tool.tool);
        let entry = all.entry(tool.tool).or_default();
        if entry.about.is_empty() {
            entry.about = tool.about;
        }
        let has = |name: &str| tool.arguments.iter().any(|argument| argument.name == name);
        for (name, known) in &mut entry.arguments {
            known.required &= has(name);
        }
        for argument in tool.arguments {
            let known = entry.arguments.entry(argument.name).or_insert(Argument {
                required: new,
                ..*argument
            });
            known.required &= argument.required;
            known.secret |= argument.secret;
        }
    }
    all
}

fn property(argument: &Argument) -> Value {
    let mut schema = schema(argument.kind);
    if let (true, Value::Object(words)) = (argument.secret, &mut schema) {
        words.insert("writeOnly".to_owned(), true.into());
    }
    schema
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Int {
            min: i64::MIN,
            max: i64::MAX,
        } => json!({"type": "integer"}),
        Kind::Int { min, max: i64::MAX } => json!({"type": "integer", "minimum": min}),
        Kind::Int { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Str => json!({"type": "string"}),
        Kind::List(of) => json!({"type": "array", "items": schema(*of)}),
        Kind::Other(ty) => json!({"description": format!("the Rust type {ty}")}),
    }
}

/// The words of the same as TOML; `None` where a person must describe some of it.
fn written(kind: Kind) -> Option<String> {
    Some(match kind {
        Kind::Bool => "type = \"boolean\"".to_owned(),
        Kind::Int {
            min: i64::MIN,
            max: i64::MAX,
        } => "type = \"integer\"".to_owned(),
        Kind::Int { min, max: i64::MAX } => format!("type = \"integer\", minimum = {min}"),
        Kind::Int { min, max } => format!("type = \"integer\", minimum = {min}, maximum = {max}"),
        Kind::Str => "type = \"string\"".to_owned(),
        Kind::List(of) => format!("type = \"array\", items = {{ {} }}", written(*of)?),
        Kind::Other(_) => return None,
    })
}

fn rust(kind: Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int { .. } => "i64".to_owned(),
        Kind::Str => "String".to_owned(),
        Kind::List(of) => format!("Vec<{}>", rust(*of)),
        Kind::Other(ty) => ty.to_owned(),
    }
}

fn key(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        text(name)
    }
}

/// A TOML string.
fn text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
