//! A tool's arguments, from the bytes of a call to Cedar's context: what the manifest declares arrives as it was given,
//! and all else is refused on the way.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::{Action, Policies, Question, Resource};
use super::{Dice, Holds, Tally, check_against_schema, facts, odd, whole_context, world};
use crate::bundle::{ToolEntry, Tools};
use crate::call::{ArgValue, Args, Operation, Word, wire};
use crate::facts::{Facts, SeqFacts};
use crate::finding::{Finding, Level};
use crate::label::Vocabulary;
use crate::shape::{ArgField, ArgType, Shape};
use crate::source::Source;

/// Names that argument objects may have; the last ones are words of Cedar's.
const NAMES: [&str; 10] = ["a", "b", "c-d", "_e", "type", "id", "fn", "if", "context", "in"];
/// Values that no manifest can want, or that readers of JSON differ about.
const ODD: [&str; 24] = [
    "null",
    "1.5",
    "1e3",
    "-0",
    "-0.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e999",
    "{}",
    "[]",
    "[null]",
    "[1, \"1\", true]",
    "{\"__entity\": {\"type\": \"Team\", \"id\": \"ops-agents\"}}",
    "{\"type\": \"Team\", \"id\": \"ops-agents\"}",
    "{\"__extn\": {\"fn\": \"ip\", \"arg\": \"127.0.0.1\"}}",
    "{\"__expr\": \"context\"}",
    "{\"a\": 1, \"a\": 2}",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\\u202e\"",
    "[[[[[[[[[[1]]]]]]]]]]",
];
const TEXTS: [&str; 8] = [
    "",
    "a",
    "web-1",
    "caf\u{e9}",
    "cafe\u{301}",
    "\\u0061",
    "\\n",
    "Team::\\\"ops\\\"",
];
const NUMBERS: [&str; 6] = ["0", "1", "-1", "7", "9223372036854775807", "-9223372036854775808"];
/// A text of this length is too long for any argument.
const TOO_LONG: usize = ArgValue::MAX_TEXT + 1;
/// The most fields of an object, and elements of a list, that are made.
const MAX_FIELDS: usize = 4;

/// A random manifest and random arguments, some of them broken: what is read is what independent readers of JSON see,
/// a number that is no whole one of 64 bits and a null never get through, what fits the manifest fits the schema, and the
/// context is the one that Cedar makes of the values by its own checked way.
///
/// # Errors
/// What does not hold.
pub fn context_from_args(bytes: &[u8], tally: &mut Tally) -> Holds {
    let dice = &mut Dice::new(bytes);
    let mut manifest = "[tools.t]\nlabels = []\n[tools.t.schema]\ntype = \"object\"\n".to_owned();
    let fields = object(dice, 2, &mut manifest);
    let tools = Tools::load(
        Some(Source {
            file: "tools.toml",
            text: &manifest,
        }),
        None,
        &Vocabulary::built_in(),
    );
    let tools = tools.map_err(|problems| format!("{problems:?}\n{manifest}"))?;
    let shape = Shape {
        tools: tools.shapes().to_vec(),
        ..Shape::default()
    };
    let policies = world::load_for("", &shape)?.map_err(|problems| format!("{problems:?}\n{manifest}"))?;
    let entry = tools.get("t").ok_or("the tool is gone")?;
    for _ in 0..8 {
        let mut line =
            b"{\"actor\":{\"role\":\"ops-agent\",\"session\":\"s\"},\"tool\":{\"name\":\"t\",\"arguments\":".to_vec();
        let mut arguments = String::new();
        values(dice, &fields, &mut arguments);
        let mut arguments = arguments.into_bytes();
        if dice.once_in(4) && !arguments.is_empty() {
            let at = (dice.roll(256) * 256 + dice.roll(256)) % arguments.len();
            let to = (at + dice.roll(3)).min(arguments.len());
            let new: Vec<u8> = (0..dice.roll(3)).map(|_| dice.byte()).collect();
            arguments.splice(at..to, new).for_each(drop);
        }
        line.extend(arguments);
        line.extend(b"}}");
        tally.asked += 1;
        one(&line, entry, &policies, tally)
            .map_err(|wrong| format!("{wrong}\n{manifest}\n{}", String::from_utf8_lossy(&line)))?;
        if dice.is_empty() {
            break;
        }
    }
    Ok(())
}

fn one(line: &[u8], entry: &ToolEntry, policies: &Policies, tally: &mut Tally) -> Holds {
    let tool = match wire::read(line) {
        Ok(read) => match read.call.operation {
            Operation::Tool(tool) if tool.name.as_str() == "t" => tool,
            // The bytes that were changed made it another call.
            _ => return Ok(()),
        },
        Err(malformed) => return teaches(&malformed.finding()),
    };
    read_as_others_do(line, &tool.arguments)?;
    let judged = entry.judge(&tool);
    if let Err(finding) = &judged {
        teaches(finding)?;
    }
    let facts = Facts {
        args: Some(tool.arguments),
        ..Facts::default()
    };
    let word = |text: &str| Word::new(text).map_err(odd);
    let actor = crate::call::Actor::new(word("ops-agent")?, word("s")?);
    let question = Question {
        actor: &actor,
        action: Action::Tool("t"),
        resource: Resource::Tool("t"),
        facts: &facts,
        seq: &SeqFacts::default(),
        vocabulary: &Vocabulary::built_in(),
    };
    match (whole_context(policies, &question), judged) {
        (Err(finding), Ok(_)) => Err(format!("fits the manifest and not the policies: {}", finding.why())),
        (Err(finding), Err(_)) => teaches(&finding),
        (Ok(built), judged) => {
            // Bounds and patterns are the manifest's alone: the types fit here whether or not it takes the values.
            tally.fitting += u64::from(judged.is_ok());
            let expected = facts::expected(&question, &Shape::default())?;
            if built != expected {
                return Err(format!("the context is {built:?}, and should be {expected:?}"));
            }
            check_against_schema(policies, &question, &built)
        }
    }
}

/// What is refused says so, and what to do.
fn teaches(finding: &Finding) -> Holds {
    if finding.level() < Level::Deny || finding.why().is_empty() || finding.hint().is_empty() {
        return Err(format!("a refusal that does not teach: {finding:?}"));
    }
    Ok(())
}

/// Another reader of JSON, that of serde, sees the same values in the same line; and no float and no null.
fn read_as_others_do(line: &[u8], args: &Args) -> Holds {
    let seen: Value = serde_json::from_slice(line).map_err(|error| format!("others cannot read it: {error}"))?;
    let ours = as_json(&ArgValue::Record(args.clone()));
    let theirs = seen.pointer("/tool/arguments").cloned();
    let theirs = theirs.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if ours != theirs {
        return Err(format!("read as {ours}, and others read {theirs}"));
    }
    Ok(())
}

fn as_json(value: &ArgValue) -> Value {
    match value {
        ArgValue::Bool(value) => Value::Bool(*value),
        ArgValue::Int(value) => Value::from(*value),
        ArgValue::Str(text) => Value::from(&**text),
        ArgValue::List(items) => items.iter().map(as_json).collect(),
        ArgValue::Record(args) => {
            let fields = args.iter().map(|(name, value)| (name.to_string(), as_json(value)));
            Value::Object(fields.collect())
        }
        ArgValue::Secret(_) => as_json(value.revealed()),
    }
}

/// Fields of an object, and the same as lines of the manifest.
fn object(dice: &mut Dice<'_>, depth: usize, out: &mut String) -> Vec<ArgField> {
    let mut fields: Vec<ArgField> = Vec::new();
    let mut lines = String::new();
    for _ in 0..dice.roll(MAX_FIELDS + 1) {
        let name = dice.of(&NAMES);
        if fields.iter().any(|field| field.name == name) {
            continue;
        }
        let mut text = String::new();
        let ty = ty(dice, depth, &mut text);
        let _ = writeln!(lines, "properties.{name} = {text}");
        fields.push(world::field(name, ty, dice.once_in(2)));
    }
    let required: Vec<String> = (fields.iter().filter(|field| field.required))
        .map(|field| format!("\"{}\"", field.name))
        .collect();
    let _ = write!(out, "required = [{}]\n{lines}", required.join(", "));
    fields
}

fn ty(dice: &mut Dice<'_>, depth: usize, out: &mut String) -> ArgType {
    match dice.roll(if depth == 0 { 4 } else { 6 }) {
        0 => {
            out.push_str("{ type = \"boolean\" }");
            ArgType::Bool
        }
        1 => {
            let (min, max) = dice.of(&[(i64::MIN, i64::MAX), (0, 9), (-1, 0)]);
            let _ = write!(out, "{{ type = \"integer\", minimum = {min}, maximum = {max} }}");
            ArgType::Int { min, max }
        }
        2 => {
            out.push_str("{ type = \"string\", enum = [\"a\", \"web-1\"] }");
            world::any_text()
        }
        3 => {
            out.push_str("{ type = \"string\" }");
            world::any_text()
        }
        4 => {
            let mut inner = String::new();
            let mut item = ty(dice, depth - 1, &mut inner);
            if matches!(item, ArgType::List(_)) {
                // Lists of lists are not built.
                (item, inner) = (ArgType::Bool, "{ type = \"boolean\" }".to_owned());
            }
            let _ = write!(out, "{{ type = \"array\", items = {inner} }}");
            ArgType::List(Box::new(item))
        }
        _ => {
            let mut inner = String::new();
            let fields = object(dice, depth - 1, &mut inner);
            let inner: Vec<&str> = inner.lines().collect();
            let _ = write!(out, "{{ type = \"object\", {} }}", inner.join(", "));
            ArgType::Record(fields)
        }
    }
}

/// An object for these fields: mostly one that fits.
fn values(dice: &mut Dice<'_>, fields: &[ArgField], out: &mut String) {
    out.push('{');
    let mut first = true;
    let mut one_more = |dice: &mut Dice<'_>, name: &str, ty: Option<&ArgType>, out: &mut String| {
        let comma = if std::mem::take(&mut first) { "" } else { ", " };
        let _ = write!(out, "{comma}\"{name}\": ");
        match ty {
            Some(ty) => value(dice, ty, out),
            None => out.push_str(dice.of(&ODD)),
        }
    };
    for field in fields {
        if (!field.required && dice.once_in(3)) || dice.once_in(24) {
            continue;
        }
        one_more(dice, &field.name, Some(&field.ty), out);
    }
    if dice.once_in(12) {
        // Perhaps one that stands already.
        let name = dice.of(&NAMES);
        one_more(dice, name, None, out);
    }
    out.push('}');
}

fn value(dice: &mut Dice<'_>, ty: &ArgType, out: &mut String) {
    if dice.once_in(16) {
        return out.push_str(dice.of(&ODD));
    }
    match ty {
        ArgType::Bool => out.push_str(dice.of(&["false", "true"])),
        ArgType::Int { .. } => out.push_str(dice.of(&NUMBERS)),
        ArgType::Str { .. } if dice.once_in(64) => {
            let _ = write!(out, "\"{}\"", "x".repeat(TOO_LONG));
        }
        ArgType::Str { .. } => {
            let _ = write!(out, "\"{}\"", dice.of(&TEXTS));
        }
        ArgType::List(item) => {
            out.push('[');
            for n in 0..dice.roll(MAX_FIELDS) {
                out.push_str(if n == 0 { "" } else { ", " });
                value(dice, item, out);
            }
            out.push(']');
        }
        ArgType::Record(fields) => values(dice, fields, out),
    }
}
