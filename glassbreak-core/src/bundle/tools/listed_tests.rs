//! What of a server's listing becomes typed arguments, and what of it does not.

use super::*;
use crate::call::{Operation, wire};

fn listing(properties: &str, required: &str) -> String {
    format!(
        r##"{{"tools": [{{"name": "t", "description": "d", "annotations": {{"readOnlyHint": true}}, "inputSchema": {{
          "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "title": "T",
          "properties": {{{properties}}}, "required": [{required}],
          "$defs": {{"where": {{"type": "object", "properties": {{"zone": {{"type": "string"}}}}}},
                     "self": {{"type": "object", "properties": {{"next": {{"$ref": "#/$defs/self"}}}}}},
                     "loop": {{"$ref": "#/$defs/loop"}}}}
        }}}}], "_meta": {{}}}}"##
    )
}

const MANIFEST: &str = "[tools.t]\nlabels = [\"mutating\"]\nschema = \"tools.json\"\n";

fn load(manifest: &str, listing: &str) -> Result<Tools, Vec<String>> {
    let source = |file, text| Some(Source { file, text });
    let (manifest, listing) = (source("tools.toml", manifest), source("tools.json", listing));
    Tools::load(manifest, listing, &Vocabulary::built_in())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The tool with one argument `x` of this schema, which may be left out.
fn with(schema: &str) -> Tools {
    load(MANIFEST, &listing(&format!("\"x\": {schema}"), "")).unwrap_or_else(|problems| panic!("{schema} {problems:?}"))
}

fn takes(tools: &Tools, arguments: &str) -> bool {
    let line = format!(r#"{{"tool":{{"name":"t","arguments":{arguments}}}}}"#);
    match wire::read(line.as_bytes()).map(|line| line.call.operation) {
        Ok(Operation::Tool(tool)) => tools.get("t").unwrap().judge(&tool).is_ok(),
        _ => false,
    }
}

#[test]
fn what_policies_can_speak_of_is_taken_from_the_listing() {
    for (schema, good, bad) in [
        (r#"{"type": "string"}"#, r#""a""#, "1"),
        (r#"{"type": "string", "enum": ["a", "b"]}"#, r#""a""#, r#""c""#),
        (r#"{"enum": ["a", "b", null]}"#, r#""b""#, r#""c""#),
        (r#"{"const": "a"}"#, r#""a""#, r#""b""#),
        (r#"{"type": "string", "maxLength": 1}"#, "\"\u{1f980}\"", r#""abcde""#),
        // A pattern looks anywhere in the text, as JSON Schema has it.
        (r#"{"type": "string", "pattern": "b+"}"#, r#""abc""#, r#""ac""#),
        (
            r#"{"type": "string", "format": "date", "minLength": 3, "default": "x"}"#,
            r#""a""#,
            "true",
        ),
        (r#"{"type": "integer"}"#, "-9223372036854775808", r#""1""#),
        (r#"{"type": "integer", "minimum": 1}"#, "1", "0"),
        (r#"{"type": "integer", "exclusiveMinimum": 1}"#, "2", "1"),
        (r#"{"type": "integer", "maximum": 9, "exclusiveMaximum": 9}"#, "8", "9"),
        (r#"{"type": "boolean"}"#, "true", "0"),
        (r#"{"type": ["string", "null"]}"#, r#""a""#, "null"),
        (
            r#"{"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null}"#,
            "1",
            "null",
        ),
        (r#"{"allOf": [{"type": "integer"}]}"#, "1", r#""1""#),
        (
            r#"{"type": "array", "items": {"type": "string"}, "maxItems": 1}"#,
            r#"["a", "b"]"#,
            "[1]",
        ),
        (r##"{"$ref": "#/$defs/where"}"##, r#"{"zone": "a"}"#, r#"{"zone": 1}"#),
        (
            r##"{"oneOf": [{"type": "null"}, {"$ref": "#/$defs/where"}]}"##,
            "{}",
            r#"{"other": 1}"#,
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}"#,
            r#"{"a": "b"}"#,
            "{}",
        ),
        (
            r#"{"properties": {"a": {"type": "string"}}, "additionalProperties": true}"#,
            "{}",
            r#"{"b": 1}"#,
        ),
        (
            r#"{"type": "object", "additionalProperties": false}"#,
            "{}",
            r#"{"b": 1}"#,
        ),
    ] {
        let tools = with(schema);
        assert!(tools.lints().is_empty(), "{schema} {:?}", tools.lints());
        assert!(takes(&tools, &format!("{{\"x\": {good}}}")), "{schema} takes {good}");
        assert!(
            !takes(&tools, &format!("{{\"x\": {bad}}}")),
            "{schema} does not take {bad}"
        );
        assert!(takes(&tools, "{}"), "{schema} may be left out");
        assert!(!takes(&tools, r#"{"y": 1}"#), "what is not described is refused");
    }
}

#[test]
fn what_has_no_like_is_left_out_with_a_reason_or_keeps_the_folder_from_loading() {
    for (schema, why) in [
        (r#"{"type": "number"}"#, "number with a fraction"),
        (r#"{"type": "null"}"#, "null"),
        (r#"{"type": ["string", "integer"]}"#, "several types"),
        (
            r#"{"oneOf": [{"type": "string"}, {"type": "integer"}]}"#,
            "several types",
        ),
        (
            r#"{"anyOf": [{"type": "string"}, {"type": "boolean"}, {"type": "null"}]}"#,
            "several types",
        ),
        ("{}", "anything"),
        ("true", "anything"),
        (r#"{"type": "array"}"#, "anything"),
        (
            r#"{"type": "array", "items": {"type": "string"}, "prefixItems": []}"#,
            "several types",
        ),
        (r#"{"type": "object"}"#, "no names"),
        (
            r#"{"type": "object", "additionalProperties": {"type": "string"}}"#,
            "no names",
        ),
        (
            r#"{"type": "array", "items": {"type": "array", "items": {"type": "string"}}}"#,
            "list of lists",
        ),
        (r##"{"$ref": "#/$defs/where", "required": ["zone"]}"##, "at once"),
        (
            r#"{"anyOf": [{"type": "string"}, {"type": "null"}], "enum": ["a"]}"#,
            "at once",
        ),
        (r#"{"allOf": [{"type": "string"}], "pattern": "^a$"}"#, "at once"),
        (
            r#"{"anyOf": [{"type": "string"}, {"type": "null"}], "allOf": [{"pattern": "^a$"}]}"#,
            "at once",
        ),
        (
            r#"{"anyOf": [{"type": "string", "allOf": [{"pattern": "^a$"}]}, {"type": "null"}]}"#,
            "at once",
        ),
        (r#"{"type": "string", "allOf": [{"pattern": "^a$"}]}"#, "anything"),
        (
            r#"{"type": "array", "items": {"type": "string"}, "enum": [["a"]]}"#,
            "not all texts",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "string"}}, "const": {"a": "b"}}"#,
            "not all texts",
        ),
        (r#"{"type": "string", "maxLength": 1.5}"#, "whole number"),
        (r#"{"enum": ["a", 1]}"#, "not all texts"),
        (r#"{"type": "integer", "enum": [1]}"#, "not all texts"),
        (r#"{"type": "boolean", "const": true}"#, "not all texts"),
        (r#"{"type": "integer", "minimum": 1.5}"#, "whole number"),
        (r#"{"type": "integer", "maximum": 1e30}"#, "whole number"),
        (r#"{"type": "string", "pattern": "(?=a)"}"#, "pattern"),
        (r##"{"$ref": "#/$defs/gone"}"##, "not in the listing"),
        (r#"{"$ref": "https://example.com/x"}"#, "not in the listing"),
        (r##"{"$ref": "#/$defs/loop"}"##, "within itself"),
        (
            r#"{"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}"#,
            "fraction",
        ),
        (r#"{"type": "object", "properties": {}, "required": ["a"]}"#, "anything"),
    ] {
        let tools = with(schema);
        let lints = tools.lints();
        assert!(
            lints.len() == 1 && lints[0].what().contains(why) && lints[0].help().contains("map."),
            "{schema} {lints:?}"
        );
        assert_eq!((lints[0].file(), lints[0].line()), ("tools.toml", 3));
        assert!(takes(&tools, "{}") && !takes(&tools, r#"{"x": "a"}"#) && !takes(&tools, r#"{"x": 1}"#));
        // Where every call needs it, no call could be judged.
        let problems = load(MANIFEST, &listing(&format!("\"x\": {schema}"), "\"x\"")).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with("tools.toml:3:") && problems[0].contains(why),
            "{schema} {problems:?}"
        );
    }
    let tools = load(MANIFEST, &listing(r#""__entity": {"type": "string"}"#, "")).unwrap();
    assert!(tools.lints()[0].what().contains("name that policies cannot write"));
    let needed = load(MANIFEST, &listing(r#""x": {"type": ["string", "null"]}"#, "\"x\"")).unwrap_err();
    assert!(needed[0].contains("may be null"), "{needed:?}");
}

#[test]
fn a_schema_that_holds_itself_ends() {
    let tools = with(r##"{"$ref": "#/$defs/self"}"##);
    assert!(tools.lints().iter().any(|lint| lint.what().contains("within itself")));
    assert!(takes(&tools, r#"{"x": {"next": {}}}"#));
}

#[test]
fn the_manifest_says_what_to_take_an_argument_for() {
    let properties = r#""price": {"type": "number"}, "where": {"type": "object", "properties": {"at": {}, "zone": {"type": "string"}}}"#;
    let listing = listing(properties, "\"price\"");
    let manifest = format!(
        "{MANIFEST}map.price = {{ type = \"string\", pattern = \"[0-9]+[.][0-9]{{2}}\" }}\n\
         map.\"where.at\" = {{ type = \"integer\" }}\n"
    );
    let tools = load(&manifest, &listing).unwrap();
    assert!(tools.lints().is_empty(), "{:?}", tools.lints());
    assert!(takes(&tools, r#"{"price": "1.50", "where": {"at": 3, "zone": "a"}}"#));
    assert!(!takes(&tools, r#"{"price": "1.5"}"#));
    assert!(!takes(&tools, r#"{"price": 1.5}"#));
    let problems = load(&format!("{MANIFEST}map.prize = {{ type = \"string\" }}\n"), &listing).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.contains("no argument `prize`")),
        "{problems:?}"
    );
    let problems = load(&format!("{MANIFEST}map.price = {{ type = \"number\" }}\n"), &listing).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.contains("round a number apart")),
        "{problems:?}"
    );
}

#[test]
fn a_listing_is_whole_and_is_used() {
    let wrong = |manifest: &str, listing: &str, what: &str| {
        let problems = load(manifest, listing).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains(what),
            "{listing} {problems:?}"
        );
    };
    wrong(MANIFEST, "{", "not JSON");
    wrong(MANIFEST, r#"{"tools": [], "tools": []}"#, "stands twice");
    wrong(MANIFEST, "[]", "no list `tools`");
    wrong(MANIFEST, r#"{"tools": [], "nextCursor": "2"}"#, "more pages");
    wrong(MANIFEST, r#"{"tools": [{}]}"#, "no name");
    wrong(MANIFEST, r#"{"tools": [{"name": "t"}, {"name": "t"}]}"#, "stands twice");
    wrong(MANIFEST, r#"{"tools": [{"name": "tt"}]}"#, "did you mean `tt`?");
    wrong(
        "[tools.t]\nlabels = []\n",
        r#"{"tools": [{"name": "t"}]}"#,
        "no tool takes its schema",
    );
    let written_out = "[tools.t]\nlabels = []\nmap.x = { type = \"string\" }\n[tools.t.schema]\ntype = \"object\"\n";
    assert!(load(written_out, r#"{"tools": [{"name": "t"}]}"#).is_err());
    let alone = Source {
        file: "tools.toml",
        text: MANIFEST,
    };
    let problems = Tools::load(Some(alone), None, &Vocabulary::built_in()).unwrap_err();
    assert!(problems[0].what().contains("no listing `tools.json`"), "{problems:?}");
    // As a response of JSON-RPC, and for a tool without arguments.
    let whole = r#"{"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "t"}], "nextCursor": null}}"#;
    assert!(takes(&load(MANIFEST, whole).unwrap(), "{}"));
}

#[test]
fn what_a_listing_marks_write_only_is_secret() {
    for schema in [
        r#"{"type": "string", "writeOnly": true}"#,
        r#"{"anyOf": [{"type": "string", "writeOnly": true}, {"type": "null"}]}"#,
        r#"{"type": ["string", "null"], "writeOnly": "yes"}"#,
        r##"{"$ref": "#/$defs/hidden"}"##,
        r#"{"type": "array", "items": {"type": "string", "writeOnly": true}}"#,
        r##"{"$ref": "#/$defs/where", "writeOnly": true}"##,
    ] {
        let listing = listing(&format!("\"x\": {schema}"), "").replace(
            r#""$defs": {"#,
            r#""$defs": {"hidden": {"type": "string", "writeOnly": true}, "#,
        );
        let tools = load(MANIFEST, &listing).unwrap();
        assert!(tools.shapes()[0].args[0].secret, "{schema}");
    }
    // What is marked and has no like is refused, and not shown in the record of that.
    for (schema, given) in [
        (
            r#"{"type": ["string", "integer"], "writeOnly": true}"#,
            r#"{"x": "hunter2"}"#,
        ),
        (
            r#"{"type": "object", "properties": {"pin": {"type": "number", "writeOnly": true}}}"#,
            r#"{"x": {"pin": "hunter2"}}"#,
        ),
    ] {
        let tools = with(schema);
        let line = format!(r#"{{"tool":{{"name":"t","arguments":{given}}}}}"#);
        let mut call = wire::read(line.as_bytes()).unwrap().call;
        tools.conceal(&mut call);
        assert!(!format!("{call:?}").contains("hunter2"), "{call:?}");
        assert!(!takes(&tools, given), "{schema}");
    }
    let plain = with(r#"{"type": "string", "writeOnly": false}"#);
    assert!(!plain.shapes()[0].args[0].secret);
    let mapped = format!("{MANIFEST}map.x = {{ type = \"string\", writeOnly = true }}\n");
    let tools = load(&mapped, &listing(r#""x": {"type": "number"}"#, "")).unwrap();
    assert!(tools.shapes()[0].args[0].secret);
}
