//! `tools.json`: what a server of tools says it has, the result of MCP's `tools/list` as it came.
//!
//! It describes arguments in all of JSON Schema; policies can speak of a part of it. What is read here:
//!
//! | in the listing | here |
//! |---|---|
//! | `string`, `integer`, `boolean`, `object` with `properties`, `array` of one of them | the same |
//! | `enum` and `const` of texts, `minimum`, `maximum` and the exclusive ones, `pattern`, `maxLength`, `required` | the same; `maxLength` counts characters, and so many bytes times four are let through |
//! | `$ref` into `$defs` or `definitions` | what it names |
//! | a type or `null`, for an argument that may be left out | that type; a null itself is always refused |
//! | `additionalProperties`, and no word about it | closed: what is not described is refused |
//! | `writeOnly`, also at what a `$ref` names or at the items of a list | the argument is secret |
//! | other words that only narrow a value (`format`, `minLength`, `uniqueItems`, `not`, …) | the tool's own to check |
//!
//! Only one place is read for a value: bounds beside a `$ref` or a choice are not dropped, the argument has no like.
//!
//! What has no like here has a named reason: [`Unlike`]. An argument of that kind that may be left out is left out: a
//! call that gives it is refused, and a lint says so. One that every call needs makes the folder not load. Either way
//! `map` in `tools.toml` can say what to take it for. Labels, resource and target are always people's to say, in
//! `tools.toml`: what a server says of its own tools (`annotations`) is not believed.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;

use crate::call::ArgValue;
use crate::error::{Problem, shown};
use crate::json::Json;
use crate::shape::{ArgField, ArgType};
use crate::source::Source;

/// The file's name.
pub(super) const FILE: &str = "tools.json";

/// Why an argument has no like among the manifest's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlike {
    Number,
    Null,
    Several,
    Any,
    Open,
    ListOfLists,
    Choices,
    Bound,
    Pattern,
    Reference,
    Beside,
    Deep,
    Name,
}

impl Unlike {
    /// In a sentence that begins with the argument.
    const fn why(self) -> &'static str {
        match self {
            Self::Number => {
                "is a number with a fraction: two readers may round it apart, and policies cannot compare it"
            }
            Self::Null => "must be given and may be null, which may mean absent or empty",
            Self::Several => "may be of several types",
            Self::Any => "may be anything",
            Self::Open => "is an object whose members have no names",
            Self::ListOfLists => "is a list of lists",
            Self::Choices => "is one of values that are not all texts",
            Self::Bound => "has a bound that is no whole number of 64 bits",
            Self::Pattern => "has a pattern that cannot be checked here",
            Self::Reference => "refers to a schema that is not in the listing",
            Self::Beside => "is described at several places at once: beside a reference or a choice stand other bounds",
            Self::Deep => "nests more than 8 deep, or within itself",
            Self::Name => "has a name that policies cannot write",
        }
    }
}

impl fmt::Display for Unlike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

/// The tools of the listing, by name: the schema of each, if it has one.
#[derive(Debug, Default)]
pub(super) struct Listed {
    tools: BTreeMap<String, Json>,
}

/// An argument that was left out, the way to it from the tool, and why.
pub(super) type LeftOut = (String, Unlike);

/// What an argument may be, and whether it is secret.
pub(super) type Argument = (ArgType, bool);

/// The arguments and what was left out of them; or the argument that every call needs and that has no like.
pub(super) type Arguments = Result<(Vec<ArgField>, Vec<LeftOut>), LeftOut>;

impl Listed {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is no result of `tools/list`, is one page of several, or names a tool twice.
    pub(super) fn read(source: Source<'_>) -> Result<Self, Vec<Problem>> {
        let wrong = |what: &str, help: &str| vec![Problem::in_file(source.file, what, help)];
        let json = Json::read(source.text.as_bytes()).map_err(|error| {
            let what = format!("this is not JSON that can be read: {}", shown(&error.to_string()));
            wrong(&what, "write the result of `tools/list` as it came")
        })?;
        let listing = member(&json, "result").unwrap_or(&json);
        let Some(Json::List(items)) = member(listing, "tools") else {
            return Err(wrong(
                "there is no list `tools`",
                "write the result of `tools/list` as it came",
            ));
        };
        if member(listing, "nextCursor").is_some_and(|cursor| *cursor != Json::Null) {
            return Err(wrong(
                "the listing has more pages",
                "put the tools of all pages into one list",
            ));
        }
        let mut tools = BTreeMap::new();
        for item in items {
            let Some(Json::Str(name)) = member(item, "name") else {
                return Err(wrong(
                    "a tool has no name",
                    "write the result of `tools/list` as it came",
                ));
            };
            let schema = member(item, "inputSchema").cloned().unwrap_or(Json::Record(Vec::new()));
            if tools.insert(name.clone(), schema).is_some() {
                let what = format!("the tool `{}` stands twice", shown(name));
                return Err(wrong(&what, "keep one of them"));
            }
        }
        Ok(Self { tools })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The arguments of a tool, and what was left out of them. What `mapped` says by the way to an argument stands in
    /// place of what the listing says. `None` for a tool that is not listed.
    ///
    /// # Errors
    /// An argument that every call needs and that has no like.
    pub(super) fn arguments(&self, name: &str, mapped: &BTreeMap<&str, Argument>) -> Option<Arguments> {
        let root = self.tools.get(name)?;
        let mut reader = Reader {
            root,
            mapped,
            left_out: Vec::new(),
        };
        Some(match reader.object(root, "", 0, true) {
            Ok(args) => Ok((args, reader.left_out)),
            Err(left_out) => Err(left_out),
        })
    }

    /// Whether something in what the listing says of a tool is marked `writeOnly`, wherever it stands.
    pub(super) fn marks(&self, name: &str) -> bool {
        fn marked(json: &Json) -> bool {
            match json {
                Json::Record(fields) => fields
                    .iter()
                    .any(|(key, value)| key == "writeOnly" && *value != Json::Bool(false) || marked(value)),
                Json::List(items) => items.iter().any(marked),
                _ => false,
            }
        }
        self.tools.get(name).is_some_and(marked)
    }

    /// Whether the listing has an argument at this way.
    pub(super) fn has(&self, name: &str, way: &str) -> bool {
        let Some(root) = self.tools.get(name) else { return false };
        let mut at = root;
        for step in way.split('.') {
            let Ok(whole) = resolve(root, at) else { return false };
            match member(plain(whole), "properties").and_then(|all| member(all, step)) {
                Some(found) => at = found,
                None => return false,
            }
        }
        true
    }
}

struct Reader<'a> {
    root: &'a Json,
    mapped: &'a BTreeMap<&'a str, Argument>,
    left_out: Vec<LeftOut>,
}

impl Reader<'_> {
    fn object(&mut self, schema: &Json, way: &str, depth: usize, root: bool) -> Result<Vec<ArgField>, LeftOut> {
        let no = |why| Err((way.to_owned(), why));
        let required: Vec<&str> = match member(schema, "required") {
            Some(Json::List(names)) => names.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let properties = match member(schema, "properties") {
            Some(Json::Record(properties)) => properties.as_slice(),
            // Nothing is described: at the root a tool without arguments, else anything.
            _ if root || matches!(member(schema, "additionalProperties"), Some(Json::Bool(false))) => &[],
            _ => return no(Unlike::Open),
        };
        if let Some(name) = required
            .iter()
            .find(|name| !properties.iter().any(|(known, _)| known == *name))
        {
            return Err((join(way, name), Unlike::Any));
        }
        let mut fields = Vec::new();
        for (name, schema) in properties {
            let (way, required) = (join(way, name), required.contains(&name.as_str()));
            match self.property(schema, name, &way, depth, required) {
                Ok((ty, secret)) => fields.push(ArgField {
                    name: name.clone(),
                    ty,
                    required,
                    secret,
                }),
                Err(left_out) if required => return Err(left_out),
                Err(left_out) => self.left_out.push(left_out),
            }
        }
        Ok(fields)
    }

    fn property(
        &mut self,
        schema: &Json,
        name: &str,
        way: &str,
        depth: usize,
        required: bool,
    ) -> Result<Argument, LeftOut> {
        if !super::schema::is_name(name) {
            return Err((way.to_owned(), Unlike::Name));
        }
        let secret = write_only(self.root, schema, 0);
        if let Some((ty, marked)) = self.mapped.get(way) {
            return Ok((ty.clone(), *marked || secret));
        }
        Ok((self.value(schema, way, depth + 1, required)?, secret))
    }

    fn value(&mut self, schema: &Json, way: &str, depth: usize, required: bool) -> Result<ArgType, LeftOut> {
        let no = |why| (way.to_owned(), why);
        if depth > ArgValue::MAX_DEPTH {
            return Err(no(Unlike::Deep));
        }
        let schema = resolve(self.root, schema).map_err(no)?;
        let (schema, nullable) = without_null(schema).map_err(no)?;
        // What it may be besides null may be named elsewhere.
        let schema = resolve(self.root, schema).map_err(no)?;
        if ELSEWHERE.iter().any(|word| member(schema, word).is_some()) {
            return Err(no(Unlike::Beside));
        }
        if nullable && required {
            return Err(no(Unlike::Null));
        }
        let chosen = member(schema, "enum").or_else(|| member(schema, "const")).is_some();
        match kind(schema).map_err(no)? {
            "string" => string(schema).map_err(no),
            "integer" => integer(schema).map_err(no),
            "boolean" | "array" | "object" if chosen => Err(no(Unlike::Choices)),
            "boolean" => Ok(ArgType::Bool),
            "array" => {
                let Some(items @ Json::Record(_)) = member(schema, "items") else {
                    return Err(no(Unlike::Any));
                };
                if member(schema, "prefixItems").is_some() {
                    return Err(no(Unlike::Several));
                }
                match self.value(items, &format!("{way}[]"), depth + 1, true)? {
                    ArgType::List(_) => Err(no(Unlike::ListOfLists)),
                    item => Ok(ArgType::List(Box::new(item))),
                }
            }
            "object" => self.object(schema, way, depth, false).map(ArgType::Record),
            "number" => Err(no(Unlike::Number)),
            "null" => Err(no(Unlike::Null)),
            _ => Err(no(Unlike::Any)),
        }
    }
}

/// Whether a value is marked so, at itself or at what it is by another name; a list, also at its items. A mark that is
/// neither true nor false counts as one.
fn write_only(root: &Json, schema: &Json, depth: usize) -> bool {
    let marked = member(schema, "writeOnly").is_some_and(|mark| *mark != Json::Bool(false));
    let below = |inner: &Json| depth <= ArgValue::MAX_DEPTH && write_only(root, inner, depth + 1);
    let named = || member(schema, "$ref").is_some() && step(root, schema).is_ok_and(below);
    let one = plain(schema);
    marked || named() || (!std::ptr::eq(one, schema) && below(one)) || member(schema, "items").is_some_and(below)
}

fn join(way: &str, name: &str) -> String {
    let joint = if way.is_empty() { "" } else { "." };
    [way, joint, name].concat()
}

fn member<'a>(json: &'a Json, name: &str) -> Option<&'a Json> {
    match json {
        Json::Record(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

fn text(json: &Json) -> Option<&str> {
    match json {
        Json::Str(text) => Some(text),
        _ => None,
    }
}

/// Words by which what describes a value stands elsewhere.
const ELSEWHERE: [&str; 4] = ["$ref", "anyOf", "oneOf", "allOf"];
/// Words that describe a value, and that are read here.
const HERE: [&str; 13] = [
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "pattern",
    "maxLength",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
];

/// Refuses what is described at more than one place: only one of them is read, and the others may say less.
fn at_one_place(schema: &Json) -> Result<(), Unlike> {
    let elsewhere = ELSEWHERE.iter().filter(|word| member(schema, word).is_some()).count();
    let here = HERE.iter().any(|word| member(schema, word).is_some());
    if elsewhere > 1 || elsewhere == 1 && here {
        return Err(Unlike::Beside);
    }
    Ok(())
}

/// The schema that `$ref` names, through any number of them.
fn resolve<'a>(root: &'a Json, schema: &'a Json) -> Result<&'a Json, Unlike> {
    let mut schema = schema;
    for _ in 0..ArgValue::MAX_DEPTH {
        if member(schema, "$ref").is_none() {
            return Ok(schema);
        }
        at_one_place(schema)?;
        schema = step(root, schema)?;
    }
    Err(Unlike::Deep)
}

/// What the `$ref` of a schema names.
fn step<'a>(root: &'a Json, schema: &Json) -> Result<&'a Json, Unlike> {
    let way = member(schema, "$ref").and_then(text);
    let steps = way.and_then(|way| way.strip_prefix("#/")).ok_or(Unlike::Reference)?;
    let named = steps.split('/').try_fold(root, |at, step| member(at, step));
    named.ok_or(Unlike::Reference)
}

/// A schema without the `null` among its types, and whether there was one.
fn without_null(schema: &Json) -> Result<(&Json, bool), Unlike> {
    for word in ["anyOf", "oneOf", "allOf"] {
        let Some(Json::List(options)) = member(schema, word) else {
            continue;
        };
        let is_null = |option: &Json| member(option, "type").and_then(text) == Some("null");
        let nullable = word != "allOf" && options.iter().any(is_null);
        let mut rest = options.iter().filter(|option| word == "allOf" || !is_null(option));
        return match (rest.next(), rest.next()) {
            (Some(one), None) => at_one_place(schema).map(|()| (one, nullable)),
            (None, _) => Err(Unlike::Null),
            _ => Err(Unlike::Several),
        };
    }
    let nullable =
        matches!(member(schema, "type"), Some(Json::List(types)) if types.iter().any(|ty| text(ty) == Some("null")));
    Ok((schema, nullable))
}

/// The one option of `anyOf` and the like, where there is one.
fn plain(schema: &Json) -> &Json {
    without_null(schema).map_or(schema, |(schema, _)| schema)
}

fn kind(schema: &Json) -> Result<&str, Unlike> {
    match member(schema, "type") {
        Some(Json::Str(ty)) => Ok(ty),
        Some(Json::List(types)) => {
            let mut types = types.iter().filter_map(text).filter(|ty| *ty != "null");
            match (types.next(), types.next()) {
                (Some(ty), None) => Ok(ty),
                (None, _) => Err(Unlike::Null),
                _ => Err(Unlike::Several),
            }
        }
        _ if member(schema, "properties").is_some() => Ok("object"),
        _ if member(schema, "enum").or_else(|| member(schema, "const")).is_some() => Ok("string"),
        _ => Err(Unlike::Any),
    }
}

fn string(schema: &Json) -> Result<ArgType, Unlike> {
    let max = match member(schema, "maxLength") {
        Some(Json::Int(most)) => usize::try_from(*most)
            .unwrap_or(0)
            .saturating_mul(4)
            .min(ArgValue::MAX_TEXT),
        None => ArgValue::MAX_TEXT,
        Some(_) => return Err(Unlike::Bound),
    };
    let pattern = match member(schema, "pattern") {
        // As JSON Schema has it: somewhere in the text.
        Some(Json::Str(pattern)) => Some(Regex::new(pattern).map_err(|_| Unlike::Pattern)?),
        Some(_) => return Err(Unlike::Pattern),
        None => None,
    };
    let one_of = match (member(schema, "enum"), member(schema, "const")) {
        (_, Some(Json::Str(one))) => vec![one.clone()],
        (_, Some(_)) => return Err(Unlike::Choices),
        (Some(Json::List(choices)), None) => {
            // A null among them is never let through, so it need not be listed.
            let choices = choices.iter().filter(|choice| **choice != Json::Null);
            let texts: Option<Vec<String>> = choices.map(|choice| text(choice).map(str::to_owned)).collect();
            texts.filter(|texts| !texts.is_empty()).ok_or(Unlike::Choices)?
        }
        (Some(_), None) => return Err(Unlike::Choices),
        (None, None) => Vec::new(),
    };
    Ok(ArgType::Str { max, one_of, pattern })
}

fn integer(schema: &Json) -> Result<ArgType, Unlike> {
    if member(schema, "enum").or_else(|| member(schema, "const")).is_some() {
        return Err(Unlike::Choices);
    }
    let bound = |name: &str, beyond: &str, step: i64, unless: i64| -> Result<i64, Unlike> {
        let whole = |name: &str| match member(schema, name) {
            Some(Json::Int(bound)) => Ok(Some(*bound)),
            Some(_) => Err(Unlike::Bound),
            None => Ok(None),
        };
        let beyond = whole(beyond)?.map(|bound| bound.saturating_add(step));
        // Where both stand, the narrower.
        Ok(match (whole(name)?, beyond) {
            (Some(a), Some(b)) if step > 0 => a.max(b),
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b).unwrap_or(unless),
        })
    };
    Ok(ArgType::Int {
        min: bound("minimum", "exclusiveMinimum", 1, i64::MIN)?,
        max: bound("maximum", "exclusiveMaximum", -1, i64::MAX)?,
    })
}
