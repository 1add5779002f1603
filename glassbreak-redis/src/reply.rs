//! Answers of scripts, read one value after the other. Whatever is not as it should be is a fault.

use redis::Value;
use serde_json::from_slice;

use crate::error::Fault;

/// What a script answered.
#[derive(Debug)]
pub(crate) struct Reply {
    word: String,
    rest: std::vec::IntoIter<Value>,
    /// Whether the message had been sent before, and may have been done then.
    pub(crate) repeated: bool,
}

fn odd(what: impl Into<String>) -> Fault {
    Fault::Damaged(what.into())
}

impl Reply {
    pub(crate) fn read(value: Value) -> Result<Self, Fault> {
        let mut rest = list(value)?.into_iter();
        let word = match rest.next() {
            Some(word) => text(word)?,
            None => return Err(odd("an answer says nothing")),
        };
        Ok(Self {
            word,
            rest,
            repeated: false,
        })
    }

    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// The fault that an answer is which nobody knows.
    pub(crate) fn unknown(&self) -> Fault {
        odd(format!("an answer says {:?}", self.word))
    }

    fn next(&mut self) -> Result<Value, Fault> {
        let missing = || odd(format!("an answer {:?} ends too early", self.word));
        self.rest.next().ok_or_else(missing)
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        bytes(self.next()?)
    }

    pub(crate) fn text(&mut self) -> Result<String, Fault> {
        text(self.next()?)
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self) -> Result<T, Fault> {
        number(&self.text()?)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Fault> {
        Ok(self.text()? == "1")
    }

    pub(crate) fn id(&mut self) -> Result<[u8; 16], Fault> {
        id(self.bytes()?)
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Fault> {
        Ok(from_slice(&self.bytes()?)?)
    }

    /// A list of values, each read by `read`.
    pub(crate) fn all<T>(&mut self, read: impl FnMut(Value) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        list(self.next()?)?.into_iter().map(read).collect()
    }

    /// A list within the answer, read like one.
    pub(crate) fn inner(&mut self) -> Result<Self, Fault> {
        Ok(Self::of(list(self.next()?)?))
    }

    /// Values, read like an answer.
    pub(crate) fn of(values: Vec<Value>) -> Self {
        Self {
            word: "a list".to_owned(),
            rest: values.into_iter(),
            repeated: false,
        }
    }
}

pub(crate) fn list(value: Value) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(odd(format!("{other:?} is no list"))),
    }
}

pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, Fault> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        other => Err(odd(format!("{other:?} is no text"))),
    }
}

pub(crate) fn text(value: Value) -> Result<String, Fault> {
    String::from_utf8(bytes(value)?).map_err(|_| odd("a text is no text"))
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| odd(format!("{text:?} is no number")))
}

pub(crate) fn id(bytes: Vec<u8>) -> Result<[u8; 16], Fault> {
    bytes.try_into().map_err(|_| odd("an id does not have sixteen bytes"))
}
