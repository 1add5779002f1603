//! The part of JSON Schema that describes arguments, as TOML.

use crate::call::ArgValue;
use crate::error::shown;
use crate::shape::{ArgField, ArgType};
use crate::table::{Fields, Item, Report};

const MAX_PATTERN: usize = 1024;
const MAX_CHOICES: usize = 256;
const MAX_FIELDS: usize = 256;
const MAX_NAME: usize = 64;

/// Words that every type may have, and that change nothing.
const NOTES: [&str; 2] = ["title", "description"];
/// The word that makes an argument secret.
const SECRET: &str = "writeOnly";

type Explained = (&'static str, &'static str, &'static str);

/// Words of JSON Schema that are left out, why, and what to write instead.
const LEFT_OUT: [Explained; 34] = [
    ("anyOf", "an argument has one type", "split the tool, or use an enum"),
    ("oneOf", "an argument has one type", "split the tool, or use an enum"),
    ("allOf", "schemas are not combined", "write the one schema it comes to"),
    (
        "not",
        "what is wrong cannot be listed to its end",
        "say what is right: enum, pattern, bounds",
    ),
    ("if", "a schema does not depend on values", "split the tool"),
    ("then", "a schema does not depend on values", "split the tool"),
    ("else", "a schema does not depend on values", "split the tool"),
    (
        "$ref",
        "references are not built",
        "write the schema out where it is used",
    ),
    (
        "$defs",
        "references are not built",
        "write the schema out where it is used",
    ),
    (
        "definitions",
        "references are not built",
        "write the schema out where it is used",
    ),
    ("$schema", "the dialect is always the one of this file", "leave it out"),
    ("$id", "schemas have no address", "leave it out"),
    ("const", "one value is an enum of one", "write enum = [\"…\"]"),
    (
        "default",
        "what the agent did not write is not made up",
        "leave it out; the tool fills it in",
    ),
    (
        "nullable",
        "a null may mean absent or empty",
        "leave the argument out of `required`",
    ),
    ("format", "formats are not checked", "write a pattern"),
    ("minLength", "there is no least length", "write a pattern"),
    ("exclusiveMinimum", "bounds are included", "write minimum, one more"),
    ("exclusiveMaximum", "bounds are included", "write maximum, one less"),
    ("multipleOf", "steps are not built", "count in the unit that you mean"),
    ("minItems", "a least number of items is not built", "leave it out"),
    (
        "maxItems",
        "a number of items is not built",
        "4,096 is always the most; leave it out",
    ),
    ("uniqueItems", "policies see a list as a set anyway", "leave it out"),
    ("contains", "lists are checked item by item", "write items"),
    (
        "prefixItems",
        "the items of a list have one type",
        "write an object with a name for each",
    ),
    ("additionalItems", "the items of a list have one type", "write items"),
    (
        "patternProperties",
        "every argument has a name of its own",
        "write properties",
    ),
    (
        "propertyNames",
        "every argument has a name of its own",
        "write properties",
    ),
    ("unevaluatedProperties", "no other arguments pass", "leave it out"),
    ("minProperties", "numbers of properties are not built", "write required"),
    ("maxProperties", "numbers of properties are not built", "leave it out"),
    (
        "dependentRequired",
        "a schema does not depend on values",
        "split the tool",
    ),
    (
        "dependentSchemas",
        "a schema does not depend on values",
        "split the tool",
    ),
    ("examples", "examples are not built", "write them in the description"),
];

/// The schema of all arguments: an object.
pub(super) fn root(report: &mut Report<'_>, item: Item<'_>) -> Option<Vec<ArgField>> {
    let fields = item.fields(report)?;
    not_secret(report, fields, "mark the arguments that are secret");
    match read(report, item, fields, 0)? {
        ArgType::Record(args) => Some(args),
        _ => {
            let what = "the arguments of a tool are an object";
            report.add(item.name_at, what, "write type = \"object\" and properties");
            None
        }
    }
}

/// The schema of one argument, and whether it is secret.
pub(super) fn argument(report: &mut Report<'_>, item: Item<'_>) -> Option<(ArgType, bool)> {
    let fields = item.fields(report)?;
    let secret = is_secret(report, fields);
    Some((read(report, item, fields, 1)?, secret))
}

fn is_secret(report: &mut Report<'_>, fields: Fields<'_>) -> bool {
    // What cannot be read is reported, and shown to nobody meanwhile.
    fields.get(SECRET).is_some_and(|mark| mark.flag(report) != Some(false))
}

/// Where only the argument as a whole can be secret.
fn not_secret(report: &mut Report<'_>, fields: Fields<'_>, help: &str) {
    if let Some(mark) = fields.get(SECRET) {
        report.add(mark.name_at, "only an argument is secret", help);
    }
}

fn read(report: &mut Report<'_>, item: Item<'_>, fields: Fields<'_>, depth: usize) -> Option<ArgType> {
    if depth > ArgValue::MAX_DEPTH {
        report.add(item.name_at, "nested more than 8 deep", "flatten the arguments");
        return None;
    }
    let Some(ty) = fields.get("type") else {
        if fields.items().any(|item| item.name == "enum") {
            let what = format!("`{}` has no type", shown(item.name));
            report.add(item.name_at, what, "write type = \"string\" beside the enum");
            return None;
        }
        check_keys(report, fields, &["type"]);
        let what = format!("`{}` has no type", shown(item.name));
        let help = "write type = \"string\", \"integer\", \"boolean\", \"array\" or \"object\"";
        report.add(item.name_at, what, help);
        return None;
    };
    if ty.is_list() {
        let what = "an argument has one type";
        report.add(
            ty.at,
            what,
            "name one; leave the argument out of `required` instead of \"null\"",
        );
        return None;
    }
    match ty.text(report)? {
        "string" => string(report, fields),
        "integer" => integer(report, fields),
        "boolean" => {
            check_keys(report, fields, &["type"]);
            Some(ArgType::Bool)
        }
        "array" => array(report, item, fields, depth),
        "object" => object(report, item, fields, depth),
        "number" => {
            let what = "two readers may round a number apart, and policies cannot compare it";
            report.add(
                ty.at,
                what,
                "write type = \"integer\" in a smaller unit (cents, milliseconds), or \"string\" with a pattern",
            );
            None
        }
        "null" => {
            let what = "a null may mean absent or empty";
            report.add(ty.at, what, "leave the argument out of `required`");
            None
        }
        _ => {
            // Only to report it.
            let types = ["string", "integer", "boolean", "array", "object"].map(|ty| (ty, ()));
            ty.one_of(report, &types);
            None
        }
    }
}

fn check_keys(report: &mut Report<'_>, fields: Fields<'_>, known: &[&str]) {
    let known: Vec<&str> = known.iter().copied().chain(NOTES).chain([SECRET]).collect();
    fields.check_keys(report, &known, &LEFT_OUT);
    for note in NOTES {
        if let Some(item) = fields.get(note) {
            item.text(report);
        }
    }
}

fn string(report: &mut Report<'_>, fields: Fields<'_>) -> Option<ArgType> {
    check_keys(report, fields, &["type", "maxLength", "enum", "pattern"]);
    let longest = i64::try_from(ArgValue::MAX_TEXT).unwrap_or(i64::MAX);
    let max = match fields.get("maxLength") {
        Some(item) => usize::try_from(item.whole(report, 1, longest)?).ok()?,
        None => ArgValue::MAX_TEXT,
    };
    let pattern = match fields.get("pattern") {
        Some(item) if item.text(report)?.len() > MAX_PATTERN => {
            report.add(item.at, "the pattern is too long", "write at most 1,024 bytes");
            return None;
        }
        Some(item) => Some(item.pattern(report)?),
        None => None,
    };
    let mut one_of = Vec::new();
    if let Some(item) = fields.get("enum") {
        let texts = item.texts(report)?;
        if texts.is_empty() || texts.len() > MAX_CHOICES {
            report.add(
                item.at,
                format!("{} values", texts.len()),
                "write 1 to 256 different texts",
            );
        }
        for (at, text) in texts {
            let fits = text.len() <= max && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
            if !fits || crate::text::check(text).is_err() {
                let what = format!("`{}` can never be given", shown(text));
                report.add(
                    at,
                    what,
                    "it must fit maxLength and pattern, and hold no invisible characters",
                );
            }
            one_of.push(text.to_owned());
        }
    }
    Some(ArgType::Str { max, one_of, pattern })
}

fn integer(report: &mut Report<'_>, fields: Fields<'_>) -> Option<ArgType> {
    let mut explained = LEFT_OUT.to_vec();
    explained.push((
        "enum",
        "an enum is of texts",
        "write minimum and maximum, or type = \"string\"",
    ));
    let known: Vec<&str> = ["type", "minimum", "maximum", SECRET]
        .into_iter()
        .chain(NOTES)
        .collect();
    fields.check_keys(report, &known, &explained);
    let mut bound = |name: &str, unless: i64| match fields.get(name) {
        Some(item) => item.whole(report, i64::MIN, i64::MAX),
        None => Some(unless),
    };
    let (min, max) = (bound("minimum", i64::MIN), bound("maximum", i64::MAX));
    let (min, max) = (min?, max?);
    if min > max {
        let at = fields.get("minimum").map_or(fields.at, |item| item.at);
        report.add(at, format!("the minimum {min} is above the maximum {max}"), "swap them");
        return None;
    }
    Some(ArgType::Int { min, max })
}

fn array(report: &mut Report<'_>, item: Item<'_>, fields: Fields<'_>, depth: usize) -> Option<ArgType> {
    check_keys(report, fields, &["type", "items"]);
    let Some(items) = fields.get("items") else {
        let what = format!("`{}` does not say what its items are", shown(item.name));
        report.add(item.name_at, what, "write items = { type = \"string\" }");
        return None;
    };
    if items.is_list() {
        report.add(
            items.at,
            "the items of a list have one type",
            "write items = { type = \"string\" }",
        );
        return None;
    }
    let inner = items.fields(report)?;
    not_secret(report, inner, "mark the list");
    let ty = read(report, items, inner, depth + 1)?;
    if matches!(ty, ArgType::List(_)) {
        let what = "lists of lists are not built";
        report.add(items.name_at, what, "write a list of objects that hold the inner list");
        return None;
    }
    Some(ArgType::List(Box::new(ty)))
}

fn object(report: &mut Report<'_>, item: Item<'_>, fields: Fields<'_>, depth: usize) -> Option<ArgType> {
    check_keys(
        report,
        fields,
        &["type", "properties", "required", "additionalProperties"],
    );
    if let Some(item) = fields.get("additionalProperties")
        && item.flag(report) == Some(true)
    {
        let what = "arguments that nobody described are not let through";
        report.add(item.at, what, "write false, or leave it out: it is always false");
    }
    let properties = match fields.get("properties") {
        Some(item) => item.fields(report)?.items().collect(),
        None => Vec::new(),
    };
    if properties.len() > MAX_FIELDS {
        let what = format!("{} properties", properties.len());
        report.add(item.name_at, what, "write at most 256");
    }
    let required = match fields.get("required") {
        Some(item) => item.texts(report)?,
        None => Vec::new(),
    };
    for (at, name) in &required {
        if !properties.iter().any(|property| property.name == *name) {
            let known = properties.iter().map(|property| property.name);
            let help = match crate::error::nearest(name, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "describe it under properties".to_owned(),
            };
            report.add(*at, format!("`{}` is required and not described", shown(name)), help);
        }
    }
    let mut args = Vec::new();
    for property in properties {
        check_name(report, property);
        let Some(inner) = property.fields(report) else { continue };
        let secret = is_secret(report, inner);
        if let Some(ty) = read(report, property, inner, depth + 1) {
            args.push(ArgField {
                name: property.name.to_owned(),
                ty,
                required: required.iter().any(|(_, name)| *name == property.name),
                secret,
            });
        }
    }
    Some(ArgType::Record(args))
}

/// Names can stand in `args.<path>` and in policies without quotes or surprises.
fn check_name(report: &mut Report<'_>, property: Item<'_>) {
    let name = property.name;
    if !is_name(name) {
        let what = format!("`{}` is not the name of an argument", shown(name));
        let help = "write a letter or `_`, then letters, digits, `_` or `-`, at most 64 in all, not `__` first";
        report.add(property.name_at, what, help);
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let head = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let tail = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    head && tail && name.len() <= MAX_NAME && !name.starts_with("__")
}
