//! A tool's arguments: typed values, kept apart from JSON so that nothing in them can be taken for anything else.
//!
//! What becomes of each thing that JSON can hold; the tests are in `tests/bad_input.rs` unless another place is named:
//!
//! | in the JSON | becomes | test |
//! |---|---|---|
//! | true, false; a whole number of 64 bits; a text; a list | a value of that type | `arguments_arrive_as_they_were_given_or_not_at_all` (policy) |
//! | an object | named values, as deep as the manifest declares them and at most 8; one that is not declared is refused as `hygiene.tool.argument` | `json_a_thousand_deep`, `what_policies_can_speak_of_is_taken_from_the_listing` (tools) |
//! | a number with a fraction or an exponent, `-0` | refused as `args.number`, or as `call.json` where it is beyond any number | `floats_and_nulls_in_arguments` |
//! | a whole number beyond 64 bits | refused as `args.number`: never rounded | `floats_and_nulls_in_arguments` |
//! | null | refused as `args.null`, wherever it stands | `floats_and_nulls_in_arguments` |
//! | a key that stands twice, however it is escaped | refused as `call.json`: neither the first nor the last wins | `unknown_and_duplicate_keys` |
//! | bytes that are not UTF-8, a lone surrogate | refused as `call.json` | `invalid_utf8` |
//! | a text over 64 KiB, over 256 KiB in all, over 4,096 elements | refused as `args.too-long`, `args.too-many` | `one_mebibyte_in_one_argument` |
//! | NUL, control, bidirectional and invisible characters, texts not in normal form C | refused as `text.*` | `control_and_bidirectional_characters` |
//! | `{"__entity": …}`, `{"__extn": …}` | an object with such a name, which no manifest can declare: refused | `text_in_a_call_is_never_an_entity` (policy) |

use std::collections::BTreeMap;
use std::fmt;

use super::Malformed;
use crate::error::shown;
use crate::json::{Json, Place};
use crate::text;

/// One value among a tool's arguments.
///
/// Floats, nulls and integers beyond 64 bits have no place here: Cedar has none of them, two readers may round a
/// float apart, and a null may mean "absent" or "empty". They are refused with their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Str(Box<str>),
    /// A list.
    List(Vec<ArgValue>),
    /// Named values.
    Record(Args),
    /// A value that is judged like any other and shown nowhere: cards, records and refusals say only that it is there.
    /// It is part of the [digest](super::CallDigest), as the value within; who knows a call's digest can try out
    /// guesses of a short one.
    Secret(Secret),
}

/// A value that is not shown, by `Debug` neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<ArgValue>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Named values, by name.
pub type Args = BTreeMap<Box<str>, ArgValue>;

impl ArgValue {
    /// The longest text among arguments, in bytes.
    pub const MAX_TEXT: usize = 64 * 1024;
    /// The most bytes of names and texts in one call's arguments.
    pub const MAX_BYTES: usize = 256 * 1024;
    /// The most elements in one list or record.
    pub const MAX_ELEMENTS: usize = 4096;
    /// The deepest nesting.
    pub const MAX_DEPTH: usize = 8;

    /// This value, secret from here on.
    #[must_use]
    pub fn secret(self) -> Self {
        Self::Secret(Secret(Box::new(self)))
    }

    /// The value itself, also of one that is secret: for judging it and for calling the tool, never for showing it.
    pub fn revealed(&self) -> &Self {
        let mut value = self;
        while let Self::Secret(Secret(within)) = value {
            value = within;
        }
        value
    }

    /// Whether some of it may not be shown.
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Bool(_) | Self::Int(_) | Self::Str(_) => false,
            Self::List(items) => items.iter().any(Self::is_secret),
            Self::Record(args) => args.values().any(Self::is_secret),
            Self::Secret(_) => true,
        }
    }
}

/// Turns a JSON object into arguments.
///
/// # Errors
/// For a float, a null, an integer beyond 64 bits, and for anything over its size, with its place.
pub(super) fn from_json(json: &Json, place: &Place) -> Result<Args, Malformed> {
    let mut left = ArgValue::MAX_BYTES;
    match value(json, place, 0, &mut left)? {
        ArgValue::Record(args) => Ok(args),
        _ => Err(refused(
            "args.shape",
            place,
            "the arguments are not an object",
            "write {\"name\": value, …}",
        )),
    }
}

/// Arguments as JSON; read back, they are the same. `None` where one of them may not be written down.
pub(super) fn to_json(args: &Args) -> Option<serde_json::Value> {
    let fields = args
        .iter()
        .map(|(name, value)| Some((name.to_string(), value_to_json(value)?)));
    fields.collect::<Option<_>>().map(serde_json::Value::Object)
}

fn value_to_json(value: &ArgValue) -> Option<serde_json::Value> {
    Some(match value {
        ArgValue::Bool(value) => (*value).into(),
        ArgValue::Int(value) => (*value).into(),
        ArgValue::Str(text) => (&**text).into(),
        ArgValue::List(items) => serde_json::Value::Array(items.iter().map(value_to_json).collect::<Option<_>>()?),
        ArgValue::Record(args) => to_json(args)?,
        ArgValue::Secret(_) => return None,
    })
}

fn value(json: &Json, place: &Place, depth: usize, left: &mut usize) -> Result<ArgValue, Malformed> {
    if depth > ArgValue::MAX_DEPTH {
        return Err(refused(
            "args.too-deep",
            place,
            "nested more than 8 deep",
            "flatten the arguments",
        ));
    }
    Ok(match json {
        Json::Null => {
            return Err(refused(
                "args.null",
                place,
                "a null, which may mean absent or empty",
                "leave the argument out",
            ));
        }
        Json::Bool(value) => ArgValue::Bool(*value),
        Json::Int(value) => ArgValue::Int(*value),
        Json::Number(text) => {
            let what = format!("the number {} is not a whole number of 64 bits", shown(text));
            let help = "write whole numbers (cents, milliseconds), or declare the argument as a string";
            return Err(refused("args.number", place, &what, help));
        }
        Json::Str(value) => {
            spend(left, value.len(), place)?;
            ArgValue::Str(checked(value, place)?.into())
        }
        Json::List(items) => {
            count(items.len(), place)?;
            let items = items.iter().enumerate();
            ArgValue::List(
                items
                    .map(|(n, item)| value(item, &place.item(n), depth + 1, left))
                    .collect::<Result<_, _>>()?,
            )
        }
        Json::Record(fields) => {
            count(fields.len(), place)?;
            let mut args = Args::new();
            for (name, field) in fields {
                let place = place.field(name);
                spend(left, name.len(), &place)?;
                checked(name, &place)?;
                args.insert(name.as_str().into(), value(field, &place, depth + 1, left)?);
            }
            ArgValue::Record(args)
        }
    })
}

pub(super) fn checked<'a>(value: &'a str, place: &Place) -> Result<&'a str, Malformed> {
    if value.len() > ArgValue::MAX_TEXT {
        let what = format!("a text of {} bytes", value.len());
        return Err(refused(
            "args.too-long",
            place,
            &what,
            "write at most 65,536 bytes; put large input in a file",
        ));
    }
    text::check(value).map_err(|unfit| super::exec::unfit_word(unfit, &place.to_string(), value, "text"))?;
    Ok(value)
}

pub(super) fn count(elements: usize, place: &Place) -> Result<(), Malformed> {
    if elements > ArgValue::MAX_ELEMENTS {
        return Err(refused(
            "args.too-many",
            place,
            &format!("{elements} elements"),
            "write at most 4,096",
        ));
    }
    Ok(())
}

pub(super) fn spend(left: &mut usize, bytes: usize, place: &Place) -> Result<(), Malformed> {
    *left = left.checked_sub(bytes).ok_or_else(|| {
        refused(
            "args.too-long",
            place,
            "the arguments are over 262,144 bytes in all",
            "put large input in a file",
        )
    })?;
    Ok(())
}

fn refused(code: &'static str, place: &Place, what: &str, help: &str) -> Malformed {
    Malformed::new(code, place.to_string(), what, help)
}
