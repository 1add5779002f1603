//! A tool's arguments from values of the host's own types.

mod taker;

use std::fmt::Display;

use serde::Serialize;
use serde::ser::Error;

use self::taker::Taker;
use super::Malformed;
use super::args::{self, ArgValue, Args};
use crate::json::Place;

/// Collects arguments by name, each from a value that serde can write.
///
/// What JSON has and [arguments](ArgValue) do not (floats, nulls within a value, integers beyond 64 bits) is refused with
/// its place, as is what is over its size. `None` as a whole argument leaves it out.
///
/// ```
/// use glassbreak_core::call::{ArgValue, Arguments};
///
/// let args = Arguments::new()
///     .with("order", &1001_u64)
///     .with("note", &None::<&str>)
///     .with_secret("card", "4242 4242")
///     .finish()?;
/// assert_eq!(args["order"], ArgValue::Int(1001));
/// assert!(args["card"].is_secret() && !args.contains_key("note"));
///
/// let refused = Arguments::new().with("amount", &[1.5]).finish().unwrap_err();
/// assert_eq!(refused.place(), "arguments.amount[0]");
/// # Ok::<(), glassbreak_core::call::Malformed>(())
/// ```
#[derive(Debug)]
pub struct Arguments {
    args: Args,
    /// The bytes of names and texts that may still come.
    left: usize,
    /// The first that was wrong.
    wrong: Option<Malformed>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}

impl Arguments {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            args: Args::new(),
            left: ArgValue::MAX_BYTES,
            wrong: None,
        }
    }

    /// One more. The same name twice is refused.
    #[must_use]
    pub fn with(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.add(name, value, false);
        self
    }

    /// One more that is [shown nowhere](ArgValue::Secret).
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.add(name, value, true);
        self
    }

    /// The arguments.
    ///
    /// # Errors
    /// For the first that cannot be one, with its place.
    pub fn finish(self) -> Result<Args, Malformed> {
        self.wrong.map_or(Ok(self.args), Err)
    }

    fn add(&mut self, name: &str, value: &(impl Serialize + ?Sized), secret: bool) {
        if self.wrong.is_none()
            && let Err(wrong) = self.try_add(name, value, secret)
        {
            self.wrong = Some(wrong.within("arguments"));
        }
    }

    fn try_add(&mut self, name: &str, value: &(impl Serialize + ?Sized), secret: bool) -> Result<(), Malformed> {
        let taken = value.serialize(Taker::new(&mut self.left));
        let taken = taken.map_err(|wrong| wrong.refused(secret).within(name))?;
        let Some(taken) = taken else { return Ok(()) };
        let place = || Place::default().field(name);
        args::count(self.args.len() + 1, &Place::default())?;
        args::spend(&mut self.left, name.len(), &place())?;
        args::checked(name, &place())?;
        let taken = if secret { taken.secret() } else { taken };
        match self.args.insert(name.into(), taken) {
            None => Ok(()),
            Some(_) => Err(Wrong::twice().refused(secret).within(name)),
        }
    }
}

/// What is wrong with a value, found without knowing yet where it stands.
#[derive(Debug)]
struct Wrong(Box<Malformed>);

impl Wrong {
    fn new(code: &'static str, what: &str, help: &str) -> Self {
        Self(Box::new(Malformed::new(code, "", what, help)))
    }

    fn null() -> Self {
        let what = "a null, which may mean absent or empty";
        Self::new("args.null", what, "leave it out (serde: `skip_serializing_if`)")
    }

    fn number(number: impl Display) -> Self {
        let what = format!("the number {number} is not a whole number of 64 bits");
        let help = "write whole numbers (cents, milliseconds), or declare the argument as a string";
        Self::new("args.number", &what, help)
    }

    fn twice() -> Self {
        Self::new("args.twice", "it stands twice", "give each argument once")
    }

    fn key() -> Self {
        Self::new(
            "args.shape",
            "a key that is no text",
            "give the map keys that are strings",
        )
    }

    fn in_item(self, index: usize) -> Self {
        Self(Box::new(self.0.within(&format!("[{index}]"))))
    }

    fn in_field(self, name: &str) -> Self {
        Self(Box::new(self.0.within(&crate::error::shown(name))))
    }

    /// Of a secret value nothing is said but the place and the rule: a message may hold some of it.
    fn refused(self, secret: bool) -> Malformed {
        if !secret {
            return *self.0;
        }
        let help = "see the types that arguments can have";
        Malformed::new(self.0.code(), "", "this secret cannot be an argument", help)
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: Display>(why: T) -> Self {
        let what = format!("it cannot be written: {}", crate::error::shown(&why.to_string()));
        Self::new("tool.argument", &what, "give it another type")
    }
}

#[cfg(test)]
mod tests;
