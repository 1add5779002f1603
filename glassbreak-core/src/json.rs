//! JSON read strictly: a key that stands twice is an error, nothing is rounded, and every value knows its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::source::Step;

/// A JSON value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is not a whole one of 64 bits, as text; it is only ever refused.
    Number(String),
    Str(String),
    List(Vec<Json>),
    /// In the order written; no key stands twice.
    Record(Vec<(String, Json)>),
}

impl Json {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// For anything that is not JSON, a key that stands twice, nesting over 127, and text after the value.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        with_stack(|| serde_json::from_slice(bytes))
    }

    /// What kind of value it is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
            Self::Record(_) => "an object",
        }
    }
}

/// Runs what reads JSON with stack enough for its 127 levels, whatever is left of the caller's: a stack that runs out ends
/// the process, and the text comes from an agent.
pub(crate) fn with_stack<T>(read: impl FnOnce() -> T) -> T {
    const LEFT: usize = 512 * 1024;
    const NEW: usize = 2 * 1024 * 1024;
    stacker::maybe_grow(LEFT, NEW, read)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strict;

        impl<'de> Visitor<'de> for Strict {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(i64::try_from(value).map_or_else(|_| Json::Number(value.to_string()), Json::Int))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Number(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Str(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Json, E> {
                Ok(Json::Str(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
                let mut record: Vec<(String, Json)> = Vec::new();
                let mut names = std::collections::BTreeSet::new();
                while let Some(name) = fields.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        let name = crate::error::shown(&name);
                        return Err(A::Error::custom(format!("the key `{name}` stands twice")));
                    }
                    record.push((name, fields.next_value()?));
                }
                Ok(Json::Record(record))
            }
        }

        deserializer.deserialize_any(Strict)
    }
}

/// The byte at which what `path` leads to stands in `text`, or the nearest thing on the way; `text` is JSON.
pub(crate) fn locate(text: &str, path: &[Step<'_>]) -> usize {
    let mut at = blank(text, 0);
    for step in path {
        match entry(text, at, *step) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// Where the next thing begins.
fn blank(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
}

/// Where the value begins that one step into the record or list at `at` leads to.
fn entry(text: &str, at: usize, step: Step<'_>) -> Option<usize> {
    let behind = |at: usize, mark: char| {
        let at = blank(text, at);
        text.get(at..)?.starts_with(mark).then(|| blank(text, at + 1))
    };
    let mut at = behind(at, if matches!(step, Step::Key(_)) { '{' } else { '[' })?;
    let mut count = 0;
    loop {
        let found = match step {
            Step::Key(name) => {
                let (key, end) = value::<String>(text, at)?;
                at = behind(end, ':')?;
                key == name
            }
            Step::Index(index) => index == count,
        };
        let (_, end) = value::<IgnoredAny>(text, at)?;
        if found {
            return Some(at);
        }
        at = behind(end, ',')?;
        count += 1;
    }
}

/// The value at `at`, and where it ends.
fn value<'t, T: Deserialize<'t>>(text: &'t str, at: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(text.get(at..)?).into_iter();
    let value = with_stack(|| values.next())?.ok()?;
    Some((value, at + values.byte_offset()))
}

/// Where a value stands in a JSON text, such as `exec.argv[3]`; empty for the whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(String);

impl Place {
    pub(crate) fn field(&self, name: &str) -> Self {
        let joint = if self.0.is_empty() { "" } else { "." };
        Self([&self.0, joint, &crate::error::shown(name)].concat())
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_strict_json_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":1,"\u0061":2}"#,
            "{\"a\":\"\u{1}\"}",
            r#"["\ud800"]"#,
            "[1] 2",
            "[1,]",
            "",
        ] {
            assert!(Json::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::read(b"[\"\xff\"]").is_err());
        assert!(Json::read(("[".repeat(1000) + &"]".repeat(1000)).as_bytes()).is_err());
    }

    #[test]
    fn places_are_found_by_the_way_to_them() {
        let text = "{ \"a\": 1,\n  \"b\\u0063\": [ {}, {\"x\": \"}]\"}, -2.5e3 , \"last\"] }";
        let at = |path: &[Step<'_>]| text.get(locate(text, path)..).unwrap();
        let bc = Step::Key("bc");
        assert!(at(&[bc, Step::Index(1), Step::Key("x")]).starts_with("\"}]\""));
        assert!(at(&[bc, Step::Index(2)]).starts_with("-2.5e3"));
        assert!(at(&[bc, Step::Index(3)]).starts_with("\"last\""));
        // The nearest thing on the way.
        assert!(at(&[bc, Step::Index(4)]).starts_with("[ {}"));
        assert!(at(&[Step::Key("a"), Step::Key("z")]).starts_with("1,"));
        assert!(at(&[Step::Key("z")]).starts_with("{ \"a\""));
    }

    #[test]
    fn numbers_keep_what_they_are() {
        assert_eq!(Json::read(b"9223372036854775807").unwrap(), Json::Int(i64::MAX));
        assert!(matches!(Json::read(b"9223372036854775808").unwrap(), Json::Number(_)));
        assert!(matches!(Json::read(b"1.0").unwrap(), Json::Number(_)));
        assert!(matches!(Json::read(b"1e3").unwrap(), Json::Number(_)));
    }
}
