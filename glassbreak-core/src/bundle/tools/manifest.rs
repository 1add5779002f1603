//! Reads `tools.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::listed::{self as listing, Listed};
use super::{Origin, Path, Price, ToolEntry, schema, secret};
use crate::call::Word;
use crate::error::{Problem, nearest, shown};
use crate::facts::{PinFact, Target};
use crate::label::{LabelSet, Vocabulary};
use crate::shape::{ArgField, ArgType, ToolShape};
use crate::source::Source;
use crate::table::{self, Fields, Item, Report, word};

/// The longest literal in a target, in bytes.
const MAX_LITERAL: usize = 256;

/// The tools, and the arguments that were left out of what a listing says.
pub(super) fn entries(
    source: Source<'_>,
    vocabulary: &Vocabulary,
    listed: Option<&Listed>,
) -> Result<(Vec<ToolEntry>, Vec<Problem>), Vec<Problem>> {
    let mut lints = Vec::new();
    let entries = table::read(source, |report, fields| {
        fields.check_keys(
            report,
            &["tools"],
            &[("tool", "there is no such key", "write [tools.<name>]")],
        );
        let tools = fields.get("tools").and_then(|item| item.fields(report));
        tools
            .into_iter()
            .flat_map(|tools| tools.items())
            .filter_map(|item| entry(report, item, vocabulary, listed, &mut lints))
            .collect()
    })?;
    let lints = lints.into_iter().map(|(at, what, help)| source.problem(at, what, help));
    Ok((entries, lints.collect()))
}

/// The byte, what it is, and what to do.
type Lint = (usize, String, String);

fn entry(
    report: &mut Report<'_>,
    item: Item<'_>,
    vocabulary: &Vocabulary,
    listed: Option<&Listed>,
    lints: &mut Vec<Lint>,
) -> Option<ToolEntry> {
    let name: Option<Word> = word(report, item.name_at, item.name);
    let fields = item.fields(report)?;
    fields.check_keys(
        report,
        &["about", "labels", "resource", "target", "pin", "cost", "schema", "map"],
        &[
            (
                "owner",
                "the owner is a fact of the target",
                "write target = { owner = \"args.owner\" }",
            ),
            ("pins", "the key is `pin`", "write pin = [\"namespace\"]"),
            (
                "risk",
                "a tool has labels, and those have a risk",
                "write labels = [\"mutating\"]",
            ),
            (
                "args",
                "arguments are described by a schema",
                "write [tools.<name>.schema]",
            ),
            (
                "parameters",
                "arguments are described by a schema",
                "write [tools.<name>.schema]",
            ),
            ("input_schema", "the key is `schema`", "write [tools.<name>.schema]"),
            ("inputSchema", "the key is `schema`", "write [tools.<name>.schema]"),
            ("description", "the key is `about`", "write about = \"…\""),
        ],
    );
    let about = fields
        .get("about")
        .and_then(|about| about.text(report))
        .unwrap_or_default();
    let labels = match fields.get("labels") {
        Some(item) => item.labels(report, vocabulary),
        None => {
            let help = "write labels = [\"mutating\"], or labels = [] for a tool that only reads";
            report.add(item.name_at, "the tool does not say what calling it means", help);
            LabelSet::EMPTY
        }
    };
    let (schema, map) = (fields.get("schema"), fields.get("map"));
    let args = match schema {
        Some(schema) if schema.is_text() => from_listing(report, item.name, schema, map, listed, lints)?,
        Some(schema) => schema::root(report, schema)?,
        None => Vec::new(),
    };
    if let Some(map) = map.filter(|_| schema.is_none_or(|schema| !schema.is_text())) {
        let what = "`map` stands beside a schema that is written out";
        report.add(map.name_at, what, "write schema = \"tools.json\", or leave `map` out");
    }
    let target = fields.get("target").map(|item| target(report, item, &args));
    let resource = fields.get("resource").map(|item| resource(report, item, &args));
    let resource = match resource {
        Some(resource) => Some(resource?),
        None => None,
    };
    let target = target.unwrap_or_default();
    let pins = match fields.get("pin") {
        Some(item) => pins(report, item, &args, &target),
        None => Vec::new(),
    };
    let costs = match fields.get("cost") {
        Some(item) => costs(report, item, &args),
        None => Vec::new(),
    };
    let is_listed = schema.is_some_and(|schema| schema.is_text());
    Some(ToolEntry {
        about: about.into(),
        secret: secret::any(&args) || is_listed && listed.is_some_and(|listed| listed.marks(item.name)),
        shape: ToolShape {
            name: name?,
            args,
            resource_type: resource.as_ref().map(|(ty, _)| ty.clone()),
            fills: target.iter().map(|(name, _)| format!("target.{name}")).collect(),
            labels,
        },
        labels,
        target,
        resource,
        pins,
        costs,
        listed: is_listed,
    })
}

/// The arguments as `tools.json` has them, and as `map` says otherwise.
fn from_listing(
    report: &mut Report<'_>,
    tool: &str,
    schema: Item<'_>,
    map: Option<Item<'_>>,
    listed: Option<&Listed>,
    lints: &mut Vec<Lint>,
) -> Option<Vec<ArgField>> {
    let file = schema.text(report)?;
    let (listing::FILE, Some(listed)) = (file, listed) else {
        let what = format!("there is no listing `{}`", shown(file));
        let help = "write a schema, or schema = \"tools.json\" and put the result of `tools/list` into that file";
        report.add(schema.at, what, help);
        return None;
    };
    let mut mapped = BTreeMap::new();
    for item in map
        .and_then(|map| map.fields(report))
        .into_iter()
        .flat_map(|map| map.items())
    {
        if !listed.has(tool, item.name) {
            let what = format!("tools.json has no argument `{}` for this tool", shown(item.name));
            report.add(item.name_at, what, "write the way to one, as in \"where.price\"");
        }
        if let Some(argument) = schema::argument(report, item) {
            mapped.insert(item.name, argument);
        }
    }
    match listed.arguments(tool, &mapped) {
        None => {
            let help = match nearest(tool, listed.names()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "call the tool as the listing does".to_owned(),
            };
            report.add(schema.at, format!("tools.json has no tool `{}`", shown(tool)), help);
            None
        }
        Some(Err((way, why))) => {
            let what = format!("every call needs `{}`, which {why}", shown(&way));
            report.add(schema.at, what, mapping(&way));
            None
        }
        Some(Ok((args, left_out))) => {
            lints.extend(left_out.into_iter().map(|(way, why)| {
                let what = format!("`{}` {why}: a call that gives it is refused", shown(&way));
                (schema.at, what, mapping(&way))
            }));
            Some(args)
        }
    }
}

fn mapping(way: &str) -> String {
    format!(
        "say what to take it for, as in map.\"{}\" = {{ type = \"string\" }}",
        shown(way)
    )
}

fn target(report: &mut Report<'_>, item: Item<'_>, args: &[ArgField]) -> Vec<(&'static str, Origin)> {
    let Some(fields) = item.fields(report) else {
        return Vec::new();
    };
    fields.check_keys(report, &Target::NAMES, &[]);
    Target::NAMES
        .into_iter()
        .filter_map(|name| Some((name, origin(report, fields.get(name)?, args)?)))
        .collect()
}

/// A literal, or `args.<path>`.
fn origin(report: &mut Report<'_>, item: Item<'_>, args: &[ArgField]) -> Option<Origin> {
    let text = item.text(report)?;
    if let Some(path) = text.strip_prefix("args.") {
        return find(report, item.at, path, args).map(|(path, _)| Origin::Arg(path));
    }
    let head = text.split('.').next().unwrap_or_default();
    let meant = text.contains("args.") || (head.len() < text.len() && nearest(head, ["args"]).is_some());
    if meant {
        // Taken as a literal it would name the same thing in every call, and no rule would notice.
        let what = format!("`{}` looks like an argument, and is not written as one", shown(text));
        report.add(item.at, what, "write args.<name>, or another literal");
        return None;
    }
    if text.is_empty() || text.len() > MAX_LITERAL || crate::text::check(text).is_err() || text.contains(['\n', '\t']) {
        let what = format!("`{}` cannot stand for what a call acts on", shown(text));
        report.add(item.at, what, "write 1 to 256 bytes of plain text, or args.<name>");
        return None;
    }
    Some(Origin::Literal(text.into()))
}

/// `{ objects = 1, rows = "args.limit" }`: a number, an argument that is one, or one that is a list, which counts its
/// items.
fn costs(report: &mut Report<'_>, item: Item<'_>, args: &[ArgField]) -> Vec<(Arc<str>, Price)> {
    const MOST: i64 = 1_000_000_000_000_000;
    let Some(fields) = item.fields(report) else {
        return Vec::new();
    };
    let mut costs = Vec::new();
    for item in fields.items() {
        let Some(unit) = word(report, item.name_at, item.name) else {
            continue;
        };
        if !item.is_text() {
            let price = item.whole(report, 0, MOST).and_then(|price| u64::try_from(price).ok());
            costs.extend(price.map(|price| (unit.as_str().into(), Price::Fixed(price))));
            continue;
        }
        let Some(path) = item.text(report).and_then(|text| text.strip_prefix("args.")) else {
            report.add(
                item.at,
                format!("`{}` is not a cost", item.name),
                "write a number, or args.<name>",
            );
            continue;
        };
        let Some((path, ty, _)) = walk(report, item.at, path, args) else {
            continue;
        };
        match ty {
            ArgType::Int { min, .. } if *min < 0 => {
                let help = "add minimum = 0 to its schema";
                report.add(item.at, "a cost below nothing would give back what others spent", help);
            }
            ArgType::Int { .. } | ArgType::List(_) => costs.push((unit.as_str().into(), Price::Arg(path))),
            _ => report.add(
                item.at,
                "a cost is a whole number or a list",
                "name an argument of type integer or array",
            ),
        }
    }
    costs
}

fn resource(report: &mut Report<'_>, item: Item<'_>, args: &[ArgField]) -> Option<(String, Path)> {
    let fields = item.fields(report)?;
    fields.check_keys(report, &["type", "id"], &[]);
    let ty = required(report, item, fields, "type", "write type = \"Service\"");
    let ty = ty.and_then(|item| entity_type(report, item));
    let id = required(report, item, fields, "id", "write id = \"args.name\"");
    let id = id.and_then(|item| {
        let Some(path) = item.text(report)?.strip_prefix("args.") else {
            report.add(
                item.at,
                "the id of a resource comes from an argument",
                "write id = \"args.name\"",
            );
            return None;
        };
        let (path, always) = find(report, item.at, path, args)?;
        if !always {
            let what = "the id of a resource comes from an argument that may be left out";
            report.add(item.at, what, "add it, and whatever holds it, to `required`");
            return None;
        }
        Some(path)
    });
    Some((ty?, id?))
}

fn required<'d>(
    report: &mut Report<'_>,
    item: Item<'_>,
    fields: Fields<'d>,
    name: &str,
    help: &str,
) -> Option<Item<'d>> {
    let found = fields.get(name);
    if found.is_none() {
        report.add(item.name_at, format!("`{}` has no `{name}`", item.name), help);
    }
    found
}

fn entity_type(report: &mut Report<'_>, item: Item<'_>) -> Option<String> {
    let text = item.text(report)?;
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        head && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') && name != "__cedar"
    };
    if text.len() <= MAX_LITERAL && text.split("::").all(is_name) {
        return Some(text.to_owned());
    }
    let what = format!("`{}` is not the name of an entity type", shown(text));
    report.add(
        item.at,
        what,
        "write it as in schema.cedarschema: Service, or Shop::Service",
    );
    None
}

/// What a window grant holds fixed: facts of the target, and arguments that every call has.
fn pins(report: &mut Report<'_>, item: Item<'_>, args: &[ArgField], target: &[(&'static str, Origin)]) -> Vec<PinFact> {
    let mut pins = Vec::new();
    for (at, text) in item.texts(report).unwrap_or_default() {
        if let Some(path) = text.strip_prefix("args.") {
            pins.extend(pinned_arg(report, at, path, args));
            continue;
        }
        match target.iter().find(|(name, _)| *name == text) {
            _ if text == "kind" => report.add(at, "`kind` is always held fixed", "leave it out"),
            Some((name, _)) => pins.push(PinFact::Target(name)),
            // A pin that holds nothing fixed would only look like one.
            None if Target::NAMES.contains(&text) => {
                let what =
                    format!("the tool's `target` does not say its `{text}`, so that `pin` would hold nothing fixed");
                report.add(
                    at,
                    what,
                    format!("write target = {{ {text} = \"args.<name>\" }}, or leave the pin out"),
                );
            }
            None => {
                let bare = text.strip_prefix("target.").unwrap_or(text);
                let can = Target::NAMES.into_iter().filter(|name| *name != "kind");
                let help = match nearest(bare, can) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `namespace`, `name`, `owner` or `args.<name>`".to_owned(),
                };
                report.add(at, format!("`{}` cannot be held fixed", shown(text)), help);
            }
        }
    }
    pins
}

fn pinned_arg(report: &mut Report<'_>, at: usize, path: &str, args: &[ArgField]) -> Option<PinFact> {
    let (_, ty, always) = walk(report, at, path, args)?;
    if !matches!(ty, ArgType::Str { .. } | ArgType::Int { .. } | ArgType::Bool) {
        let what = format!("`args.{}` is not one value", shown(path));
        report.add(at, what, "name an argument that is a string, an integer or a boolean");
        return None;
    }
    if !always {
        let what = format!(
            "`args.{}` may be left out, and then nothing would be held fixed",
            shown(path)
        );
        report.add(at, what, "add it, and whatever holds it, to `required`");
        return None;
    }
    Some(PinFact::Arg(path.into()))
}

/// The way to the text at `path`, and whether every call has it.
fn find(report: &mut Report<'_>, at: usize, path: &str, args: &[ArgField]) -> Option<(Path, bool)> {
    let (way, ty, always) = walk(report, at, path, args)?;
    if matches!(ty, ArgType::Str { .. }) {
        return Some((way, always));
    }
    let what = format!("`args.{}` is not a string", shown(path));
    report.add(at, what, "name an argument of type string, through objects only");
    None
}

/// The way to what is at `path` or holds it, its type, and whether every call has it.
fn walk<'a>(report: &mut Report<'_>, at: usize, path: &str, args: &'a [ArgField]) -> Option<(Path, &'a ArgType, bool)> {
    let mut fields = args;
    let mut way: Vec<Box<str>> = Vec::new();
    let mut always = true;
    let mut names = path.split('.').peekable();
    loop {
        let name = names.next()?;
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let help = match nearest(name, fields.iter().map(|field| field.name.as_str())) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "name an argument of the schema".to_owned(),
            };
            report.add(at, format!("there is no argument `{}`", shown(name)), help);
            return None;
        };
        always &= field.required;
        way.push(name.into());
        if field.secret {
            // It would stand on cards and in records, or be told by a count.
            let what = format!("`args.{}` is secret (`writeOnly`)", shown(&way.join(".")));
            report.add(at, what, "name an argument that may be shown");
            return None;
        }
        match (&field.ty, names.peek()) {
            (ty, None) => return Some((Path(way), ty, always)),
            (ArgType::Record(inner), Some(_)) => fields = inner,
            (_, Some(_)) => {
                let what = format!("`args.{}` is not an object, so nothing is in it", shown(&way.join(".")));
                report.add(at, what, "name an argument through objects only");
                return None;
            }
        }
    }
}
