//! Arguments against their schema.

use super::Path;
use crate::call::{ArgValue, Args};
use crate::error::{nearest, shown};
use crate::finding::{Finding, Layer, RuleId};
use crate::shape::{ArgField, ArgType};

/// The most characters of a value, and the most names or choices, in a message.
const SHOWN: usize = 40;
const LISTED: usize = 10;

/// Whether `args` are as `fields` want them.
pub(super) fn arguments(fields: &[ArgField], args: &Args) -> Result<(), Finding> {
    record(fields, args).map_err(|wrong| wrong.within("arguments").finding())
}

/// The denial for an argument that had to be there.
pub(super) fn missing(path: &Path) -> Finding {
    at(path, Wrong::new("it is missing", "give it".to_owned()))
}

/// The denial for an argument that says what the call acts on, and may not be shown.
pub(super) fn secret(path: &Path) -> Finding {
    let help = "let another argument say it, or take the mark `secret` off";
    at(
        path,
        Wrong::new("it is secret, and says what the call acts on", help.to_owned()),
    )
}

fn at(path: &Path, wrong: Wrong) -> Finding {
    let wrong = path.0.iter().rev().fold(wrong, |wrong, name| wrong.within(name));
    wrong.within("arguments").finding()
}

/// What is wrong, and the way to it, the innermost step first.
struct Wrong {
    way: Vec<String>,
    what: String,
    help: String,
}

impl Wrong {
    fn new(what: impl Into<String>, help: String) -> Self {
        Self {
            way: Vec::new(),
            what: what.into(),
            help,
        }
    }

    fn within(mut self, step: &str) -> Self {
        if self.way.last().is_some_and(|inner| !inner.starts_with('[')) {
            self.way.push(".".to_owned());
        }
        self.way.push(clip(step));
        self
    }

    fn finding(self) -> Finding {
        let place: String = self.way.into_iter().rev().collect();
        let rule = RuleId::known(Layer::Hygiene, "tool.argument");
        Finding::deny(rule, format!("{place}: {}", self.what), self.help)
    }
}

fn record(fields: &[ArgField], args: &Args) -> Result<(), Wrong> {
    for name in args.keys() {
        if !fields.iter().any(|field| *field.name == **name) {
            let wrong = Wrong::new("there is no such argument", known_names(name, fields));
            return Err(wrong.within(name));
        }
    }
    for field in fields {
        match args.get(field.name.as_str()) {
            Some(given) => value(&field.ty, given).map_err(|wrong| wrong.within(&field.name))?,
            None if field.required => {
                let help = format!("give {}", described(&field.ty));
                return Err(Wrong::new("it is missing", help).within(&field.name));
            }
            None => {}
        }
    }
    Ok(())
}

fn value(ty: &ArgType, given: &ArgValue) -> Result<(), Wrong> {
    if let ArgValue::Secret(_) = given {
        // Whatever is wrong with it would show some of it.
        return value(ty, given.revealed())
            .map_err(|_| Wrong::new("it is not as the schema wants it", format!("give {}", described(ty))));
    }
    let wrong = |what: String| Err(Wrong::new(what, format!("give {}", described(ty))));
    match (ty, given) {
        (ArgType::Bool, ArgValue::Bool(_)) => Ok(()),
        (ArgType::Int { min, .. }, ArgValue::Int(given)) if given < min => wrong(format!("{given} is less than {min}")),
        (ArgType::Int { max, .. }, ArgValue::Int(given)) if given > max => wrong(format!("{given} is more than {max}")),
        (ArgType::Int { .. }, ArgValue::Int(_)) => Ok(()),
        (ArgType::Str { max, one_of, pattern }, ArgValue::Str(given)) => {
            if given.len() > *max {
                wrong(format!("a string of {} bytes", given.len()))
            } else if !one_of.is_empty() && !one_of.iter().any(|known| **known == **given) {
                let help = match nearest(given, one_of.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean \"{}\"?", clip(known)),
                    None => format!("give {}", described(ty)),
                };
                Err(Wrong::new(
                    format!("\"{}\" is not one of its values", clip(given)),
                    help,
                ))
            } else if pattern.as_ref().is_some_and(|pattern| !pattern.is_match(given)) {
                wrong(format!("\"{}\" is not as its pattern wants it", clip(given)))
            } else {
                Ok(())
            }
        }
        (ArgType::List(ty), ArgValue::List(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(n, item)| value(ty, item).map_err(|wrong| wrong.within(&format!("[{n}]")))),
        (ArgType::Record(fields), ArgValue::Record(args)) => record(fields, args),
        _ => wrong(format!("it is {}", kind(given))),
    }
}

const fn kind(given: &ArgValue) -> &'static str {
    match given {
        ArgValue::Bool(_) => "true or false",
        ArgValue::Int(_) => "a whole number",
        ArgValue::Str(_) => "a string",
        ArgValue::List(_) => "a list",
        ArgValue::Record(_) => "an object",
        ArgValue::Secret(_) => "secret",
    }
}

/// What would be allowed.
fn described(ty: &ArgType) -> String {
    match ty {
        ArgType::Bool => "true or false".to_owned(),
        ArgType::Int { min, max } => match (*min, *max) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            (min, i64::MAX) => format!("a whole number of at least {min}"),
            (i64::MIN, max) => format!("a whole number of at most {max}"),
            (min, max) => format!("a whole number from {min} to {max}"),
        },
        ArgType::Str { one_of, .. } if !one_of.is_empty() => {
            let quoted = one_of.iter().map(|known| format!("\"{}\"", clip(known)));
            format!("one of {}", listed(quoted))
        }
        ArgType::Str { max, pattern, .. } => match pattern {
            Some(pattern) => {
                let pattern = pattern.as_str();
                let bare = pattern
                    .strip_prefix(r"\A(?:")
                    .and_then(|rest| rest.strip_suffix(r")\z"));
                let bare = shown(bare.unwrap_or(pattern));
                format!("a string of at most {max} bytes that matches {bare} as a whole")
            }
            None => format!("a string of at most {max} bytes"),
        },
        ArgType::List(_) => "a list".to_owned(),
        ArgType::Record(fields) => format!("an object with {}", names(fields)),
    }
}

fn known_names(name: &str, fields: &[ArgField]) -> String {
    if fields.is_empty() {
        return "there are no arguments here".to_owned();
    }
    match nearest(name, fields.iter().map(|field| field.name.as_str())) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("known here: {}", names(fields)),
    }
}

fn names(fields: &[ArgField]) -> String {
    listed(fields.iter().map(|field| field.name.clone()))
}

fn listed(mut words: impl Iterator<Item = String>) -> String {
    let first: Vec<String> = words.by_ref().take(LISTED).collect();
    match words.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A value as a message may hold it.
fn clip(text: &str) -> String {
    let more = text.chars().count().saturating_sub(SHOWN);
    let head: String = text.chars().take(SHOWN).collect();
    match more {
        0 => shown(&head),
        more => format!("{}… ({more} more)", shown(&head)),
    }
}
