//! The tools as a model is told of them, and where they and the functions of a program have come apart.

use serde_json::{Map, Value, json};

use super::{ToolEntry, Tools};
use crate::call::ArgValue;
use crate::error::{Problem, shown};
use crate::shape::{ArgField, ArgType};

impl Tools {
    /// The tools as the answer to MCP's `tools/list`: name, description and JSON Schema of the arguments, just as calls
    /// are held to them. Only `maxLength` says less than is checked: that counts bytes, and JSON Schema characters.
    pub fn list(&self) -> Value {
        let tools: Vec<Value> = self
            .entries
            .iter()
            .map(|(name, entry)| {
                json!({"name": name, "description": entry.about, "inputSchema": object(&entry.shape.args)})
            })
            .collect();
        json!({ "tools": tools })
    }

    /// Where the guarded functions of a program, as `guarded::tools_list` wrote them, and this folder have come apart.
    /// Each of these denies calls; none lets one through.
    ///
    /// # Errors
    /// When `listing` is no such list.
    pub fn compare(&self, listing: &Value) -> Result<Vec<Problem>, Problem> {
        let functions = listing.get("tools").and_then(Value::as_array).ok_or_else(|| {
            let help = "write what glassbreak_core::guarded::tools_list() gives";
            Problem::in_file("functions", "there is no list `tools`", help)
        })?;
        let mut apart = Vec::new();
        for function in functions {
            let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
            match self.entries.get(name) {
                Some(entry) => entry.compare(name, function.get("inputSchema"), &mut apart),
                None => apart.push(problem(
                    format!(
                        "`{}` is a guarded function and no tool here: every call of it is denied",
                        shown(name)
                    ),
                    "write its entry; glassbreak_core::guarded::skeleton() gives what to begin with".to_owned(),
                )),
            }
        }
        Ok(apart)
    }
}

impl ToolEntry {
    fn compare(&self, tool: &str, schema: Option<&Value>, apart: &mut Vec<Problem>) {
        let tool = shown(tool);
        let empty = Map::new();
        let word = |word: &str| schema.and_then(|schema| schema.get(word));
        let given = word("properties").and_then(Value::as_object).unwrap_or(&empty);
        let names = word("required").and_then(Value::as_array);
        let required = |name: &str| names.is_some_and(|names| names.iter().any(|known| known == name));
        let declared = |name: &str| self.shape.args.iter().find(|field| field.name == *name);
        for (name, given) in given {
            let Some(field) = declared(name) else {
                let what = format!(
                    "`{tool}` is called with `{}`, which its schema does not have",
                    shown(name)
                );
                apart.push(problem(what, "describe it, or leave it out of the function".to_owned()));
                continue;
            };
            let (is, wanted) = (given.get("type").and_then(Value::as_str), name_of(&field.ty));
            if let Some(is) = is.filter(|is| *is != wanted) {
                let what = format!(
                    "`{}` of `{tool}` is given as {}, and its schema wants {wanted}",
                    shown(name),
                    shown(is)
                );
                apart.push(problem(what, "let both be of one type".to_owned()));
            }
            if field.required && !required(name) {
                let what = format!(
                    "`{}` of `{tool}` may be left out by the function, and is required",
                    shown(name)
                );
                apart.push(problem(
                    what,
                    "leave it out of `required`, or always give it".to_owned(),
                ));
            }
        }
        for field in self.shape.args.iter().filter(|field| field.required) {
            if !given.contains_key(&field.name) {
                let what = format!("`{tool}` requires `{}`, which no function gives", shown(&field.name));
                apart.push(problem(what, "leave it out of `required`, or give it".to_owned()));
            }
        }
    }
}

fn problem(what: String, help: impl Into<String>) -> Problem {
    Problem::in_file("tools.toml", what, help.into())
}

fn object(fields: &[ArgField]) -> Value {
    let property = |field: &ArgField| {
        let mut schema = schema(&field.ty);
        if let (true, Value::Object(words)) = (field.secret, &mut schema) {
            words.insert("writeOnly".to_owned(), true.into());
        }
        (field.name.clone(), schema)
    };
    let properties: Map<String, Value> = fields.iter().map(property).collect();
    let required = fields.iter().filter(|field| field.required);
    let required: Vec<&str> = required.map(|field| field.name.as_str()).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn schema(ty: &ArgType) -> Value {
    let mut words = Map::new();
    let mut add = |word: &str, value: Value| words.insert(word.to_owned(), value);
    match ty {
        ArgType::Record(fields) => return object(fields),
        ArgType::List(item) => {
            add("items", schema(item));
        }
        ArgType::Bool => {}
        ArgType::Int { min, max } => {
            if *min > i64::MIN {
                add("minimum", (*min).into());
            }
            if *max < i64::MAX {
                add("maximum", (*max).into());
            }
        }
        ArgType::Str { max, one_of, pattern } => {
            if *max < ArgValue::MAX_TEXT {
                add("maxLength", (*max).into());
            }
            if !one_of.is_empty() {
                add("enum", one_of.clone().into());
            }
            if let Some(pattern) = pattern {
                add("pattern", as_json_schema(pattern.as_str()).into());
            }
        }
    }
    add("type", name_of(ty).into());
    Value::Object(words)
}

/// A pattern of `tools.toml` is held against the whole text, one of JSON Schema against some of it.
fn as_json_schema(pattern: &str) -> String {
    let whole = pattern
        .strip_prefix(r"\A(?:")
        .and_then(|rest| rest.strip_suffix(r")\z"));
    whole.map_or_else(|| pattern.to_owned(), |inner| format!("^(?:{inner})$"))
}

const fn name_of(ty: &ArgType) -> &'static str {
    match ty {
        ArgType::Bool => "boolean",
        ArgType::Int { .. } => "integer",
        ArgType::Str { .. } => "string",
        ArgType::List(_) => "array",
        ArgType::Record(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Vocabulary;
    use crate::source::Source;

    const MANIFEST: &str = r#"
[tools.pay]
about = "pays an invoice"
labels = ["mutating"]
[tools.pay.schema]
type = "object"
required = ["invoice", "pin"]
properties.invoice = { type = "integer", minimum = 1 }
properties.pin = { type = "string", pattern = "[0-9]{4}", maxLength = 4, writeOnly = true }
properties.notes = { type = "array", items = { type = "string" } }
properties.kind = { type = "string", enum = ["now", "later"] }
"#;

    fn tools() -> Tools {
        let source = Source {
            file: "tools.toml",
            text: MANIFEST,
        };
        Tools::load(Some(source), None, &Vocabulary::built_in()).unwrap()
    }

    fn apart(properties: &Value, required: &Value) -> Vec<String> {
        let listing = json!({"tools": [{"name": "pay", "inputSchema": {
            "type": "object", "properties": properties, "required": required
        }}]});
        let problems = tools().compare(&listing).unwrap();
        problems.iter().map(|problem| problem.what().to_owned()).collect()
    }

    #[test]
    fn a_model_is_told_what_calls_are_held_to() {
        let expected = json!({"tools": [{
            "name": "pay", "description": "pays an invoice", "inputSchema": {
                "type": "object", "additionalProperties": false, "required": ["invoice", "pin"], "properties": {
                    "invoice": {"type": "integer", "minimum": 1},
                    "pin": {"type": "string", "pattern": "^(?:[0-9]{4})$", "maxLength": 4, "writeOnly": true},
                    "notes": {"type": "array", "items": {"type": "string"}},
                    "kind": {"type": "string", "enum": ["now", "later"]},
                }
            }
        }]});
        assert_eq!(tools().list(), expected);
        assert_eq!(tools().compare(&tools().list()).unwrap(), []);
    }

    #[test]
    fn functions_and_folder_that_came_apart_are_told() {
        let both = json!({"invoice": {"type": "integer"}, "pin": {"type": "string"}});
        assert!(apart(&both, &json!(["invoice", "pin"])).is_empty());
        assert!(apart(&both, &json!(["invoice"]))[0].contains("`pin` of `pay` may be left out"));
        let told = apart(
            &json!({"invoice": {"type": "string"}, "amount": {}}),
            &json!(["invoice"]),
        );
        for what in [
            "`pay` is called with `amount`",
            "`invoice` of `pay` is given as string, and its schema wants integer",
            "`pay` requires `pin`",
        ] {
            assert!(told.iter().any(|told| told.contains(what)), "{what}: {told:?}");
        }
        assert_eq!(told.len(), 3);
        let other = json!({"tools": [{"name": "refund", "inputSchema": {}}]});
        assert!(
            tools().compare(&other).unwrap()[0]
                .what()
                .contains("every call of it is denied")
        );
        assert!(tools().compare(&json!([])).is_err());
    }
}
