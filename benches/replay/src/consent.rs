//! What a person's own request has agreed to: calls that go only where it says.
//!
//! Where a call goes is looked up among its arguments, and every address that stands anywhere else in them counts as well:
//! a mail to somebody whom the person named, with a link that they did not name, goes somewhere they did not say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Which rules a request answers, and which arguments say where a tool's calls go.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Consent {
    /// The rules whose asks it answers. Every rule that asks must be among them.
    rules: BTreeSet<String>,
    /// By tool: lists of arguments, of which the first that the call has any of says where it goes.
    places: BTreeMap<String, Vec<Vec<String>>>,
}

impl Consent {
    /// The tools that it knows where they go.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Whether `goal`, in the person's own words, names everything that this call reaches, and that is all that is asked.
    pub(crate) fn covers<'a>(
        &self,
        mut rules: impl Iterator<Item = &'a str>,
        tool: &str,
        args: &Map<String, Value>,
        goal: &str,
    ) -> bool {
        let lists = self.places.get(tool).into_iter().flatten();
        let mut places = Vec::new();
        for list in lists {
            list.iter()
                .filter_map(|name| args.get(name))
                .for_each(|value| texts(value, &mut places));
            if !places.is_empty() {
                break;
            }
        }
        let mut all = Vec::new();
        args.values().for_each(|value| texts(value, &mut all));
        let addresses = all.iter().flat_map(|text| addresses(text));
        let goal = goal.to_lowercase();
        rules.all(|rule| self.rules.contains(rule))
            && !places.is_empty()
            && places.iter().all(|place| names(&goal, place))
            && addresses.into_iter().all(|address| names(&goal, address))
    }
}

/// The texts of a value, and of what is in it.
fn texts<'v>(value: &'v Value, to: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => to.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, to)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, to)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What in a text looks like somewhere to go or somebody to write to.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| c.is_whitespace() || "<>()[]{}\"'`,;|".contains(c));
    let parts = parts.map(|part| part.trim_end_matches(['.', '!', '?', ':']));
    parts.filter(|part| part.contains("://") || part.to_lowercase().starts_with("www.") || part.contains('@'))
}

/// Whether the lower-case `goal` has `name` in it, whole: `mark@x` is not named by `bookmark@x`, nor `7` by `17`.
fn names(goal: &str, name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && goal.match_indices(&name).any(|(at, found)| {
            let before = goal.get(..at).and_then(|text| text.chars().next_back());
            let after = goal.get(at + found.len()..).and_then(|text| text.chars().next());
            !is_word(before) && !is_word(after)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        rules = ["policy.a", "policy.b"]
        [places]
        mail = [["to", "cc"]]
        meet = [["people"], ["title"]]
    "#;

    fn covers(rules: &[&str], tool: &str, args: &str, goal: &str) -> bool {
        let consent: Consent = toml::from_str(PLAN).unwrap();
        consent.covers(rules.iter().copied(), tool, &serde_json::from_str(args).unwrap(), goal)
    }

    #[test]
    fn a_call_that_goes_only_where_the_person_said_is_agreed_to() {
        let goal = "Write to ann@shop.example, and to Bob.";
        assert!(covers(
            &["policy.a"],
            "mail",
            r#"{"to":["ann@shop.example"],"body":"hello"}"#,
            goal
        ));
        assert!(covers(
            &["policy.a"],
            "mail",
            r#"{"to":["bob"],"cc":["Ann@Shop.example"]}"#,
            goal
        ));
        assert!(covers(&["policy.a"], "meet", r#"{"people":[],"title":"BOB"}"#, goal));
    }

    #[test]
    fn one_place_or_address_that_the_person_did_not_name_is_not_agreed_to() {
        let goal = "Write to ann@shop.example, and to Bob.";
        for args in [
            r#"{"to":["eve@shop.example"]}"#,
            r#"{"to":["ann@shop.example"],"cc":["eve@shop.example"]}"#,
            r#"{"to":["ann@shop.example","eve"]}"#,
            r#"{"to":["nn@shop.example"]}"#,
            r#"{"to":["bob"],"body":"look at www.evil.example now"}"#,
            r#"{"to":["bob"],"body":"look (at https://evil.example/x)"}"#,
            r#"{"to":["bob"],"with":[{"to":"eve@evil.example"}]}"#,
            r#"{"to":[""]}"#,
            r#"{"to":[]}"#,
            r#"{}"#,
        ] {
            assert!(!covers(&["policy.a"], "mail", args, goal), "{args}");
        }
    }

    #[test]
    fn a_tool_or_a_rule_that_is_not_named_is_not_agreed_to() {
        let args = r#"{"to":"Bob"}"#;
        assert!(covers(&["policy.a", "policy.b"], "mail", args, "to Bob"));
        assert!(!covers(&["policy.a", "budget.c"], "mail", args, "to Bob"));
        assert!(!covers(&["policy.a"], "delete", args, "to Bob"));
    }
}
