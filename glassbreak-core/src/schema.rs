//! JSON Schemas (draft 2020-12) of what goes in and comes out, for other languages and for editors.

/// The schema of a call, one line of `glassbreak check`'s input.
pub const CALL: &str = include_str!("schema/call.json");

/// The schema of a verdict, one line of `glassbreak check`'s output.
pub const VERDICT: &str = include_str!("schema/verdict.json");

/// The schema of `budgets.toml`.
pub const BUDGETS: &str = include_str!("schema/budgets.json");

/// The schema of `safe-bins.toml`, made from the types that read it.
pub fn profile() -> serde_json::Value {
    schemars::schema_for!(crate::argv::profile::SafeBins).to_value()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::call::wire;

    /// A call that uses every key the schema knows.
    fn keys(schema: &Value, at: &str) -> Vec<String> {
        let properties = schema.pointer(at).and_then(Value::as_object);
        properties
            .unwrap_or_else(|| panic!("no {at}"))
            .keys()
            .cloned()
            .collect()
    }

    #[test]
    fn every_key_of_the_call_schema_is_read_and_no_other() {
        let schema: Value = serde_json::from_str(super::CALL).unwrap();
        for (key, place) in [
            ("", "/properties"),
            ("actor", "/properties/actor/properties"),
            ("exec", "/properties/exec/properties"),
            ("tool", "/properties/tool/properties"),
            ("connect", "/properties/connect/properties"),
            ("conversation", "/properties/conversation/properties"),
        ] {
            // The reader lists what it knows when it refuses a key.
            let line = match key {
                "" => r#"{"zzzzzzzzzz":1}"#.to_owned(),
                "actor" => r#"{"actor":{"role":"a","zzzzzzzzzz":1}}"#.to_owned(),
                "exec" => r#"{"exec":{"argv":["a"],"zzzzzzzzzz":1}}"#.to_owned(),
                "tool" => r#"{"tool":{"name":"a","zzzzzzzzzz":1}}"#.to_owned(),
                "connect" => r#"{"connect":{"host":"a","port":1,"zzzzzzzzzz":1}}"#.to_owned(),
                key => format!(r#"{{"{key}":{{"id":"a","zzzzzzzzzz":1}}}}"#),
            };
            let refusal = wire::read(line.as_bytes()).unwrap_err().finding();
            let known = refusal
                .hint()
                .split("known here: ")
                .nth(1)
                .unwrap_or_else(|| panic!("{refusal:?}"));
            let mut known: Vec<&str> = known.split(", ").collect();
            let mut described = keys(&schema, place);
            known.sort_unstable();
            described.sort_unstable();
            assert_eq!(known, described, "{place}");
        }
    }

    #[test]
    fn the_schema_of_budgets_has_the_keys_and_words_that_are_read() {
        use crate::bundle::{Bundle, Files};

        let schema: Value = serde_json::from_str(super::BUDGETS).unwrap();
        let words = |at: &str| -> Vec<String> {
            let list = schema.pointer(at).and_then(Value::as_array).unwrap();
            list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let reads = |table: &str| {
            let files: Files = [("budgets.toml".to_owned(), format!("schema = 1\n{table}\n").into())].into();
            Bundle::from_files(&files).map_err(|problems| problems.to_string())
        };
        // The reader lists what it knows when it refuses a key.
        for (table, place) in [
            ("[defaults]", "/properties/defaults/properties"),
            ("[[budget]]", "/properties/budget/items/properties"),
            ("[[loop]]", "/properties/loop/items/properties"),
            ("[[distinct]]", "/properties/distinct/items/properties"),
            ("[[pattern]]", "/properties/pattern/items/properties"),
            ("[[latch]]", "/properties/latch/items/properties"),
            ("[[breaker]]", "/properties/breaker/items/properties"),
        ] {
            let refusal = reads(&format!("{table}\nzzzzzzzzzz = 1")).unwrap_err();
            let known = refusal
                .split("known here: ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            let mut known: Vec<&str> = known.unwrap_or_else(|| panic!("{refusal}")).split(", ").collect();
            let mut described = keys(&schema, place);
            known.sort_unstable();
            described.sort_unstable();
            assert_eq!(known, described, "{table}");
        }
        for whose in words("/$defs/key/prefixItems/0/enum") {
            for durability in words("/$defs/durability/enum") {
                let budget = format!(
                    "[[budget]]\nid = \"x\"\nmatch = {{ labels = [] }}\nkey = [\"{whose}\"]\nlimit = 1\n\
                     window = {{ sliding = \"1m\" }}\ndurability = \"{durability}\""
                );
                let fits = durability != "none" || whose == "session";
                assert_eq!(reads(&budget).is_ok(), fits, "{whose} {durability}");
            }
        }
    }

    #[test]
    fn schemas_are_json() {
        for schema in [super::CALL, super::VERDICT, super::BUDGETS] {
            let schema: Value = serde_json::from_str(schema).unwrap();
            assert!(schema.get("$schema").is_some());
        }
        let profile = super::profile();
        assert!(profile.get("properties").is_some());
        assert!(profile.pointer("/$defs/Profile/properties/pin").is_some());
    }
}
