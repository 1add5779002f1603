//! Names and free text, checked once at the border.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::error::BadWord;
use crate::stored::stored_as_text;

/// A name: a role, session, agent, person, group, tool, host or model.
///
/// 1 to 128 ASCII letters, digits and `_ - . : @ / +`, beginning with a letter or digit, so that a name always
/// looks like what it is and can stand in rule ids, policies and records without quoting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Arc<str>);

impl Word {
    /// The longest name, in bytes.
    pub const MAX: usize = 128;

    /// Checks `text`.
    ///
    /// # Errors
    /// When it is not a name as described above.
    pub fn new(text: &str) -> Result<Self, BadWord> {
        let head = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let fit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':' | b'@' | b'/' | b'+');
        if head && text.len() <= Self::MAX && text.bytes().all(fit) {
            return Ok(Self(text.into()));
        }
        Err(BadWord::new(
            "name",
            text,
            "write 1 to 128 letters, digits or `_-.:@/+`, beginning with a letter or digit",
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Word {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Word {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        Self::new(text)
    }
}

stored_as_text!(Word, Word::new);

/// Free text of people or agents, at most 4 KiB. It is never judged and always shown escaped, so any character
/// may stand in it; print it through [`shown`](crate::error::shown).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Box<str>);

impl Text {
    /// The longest text, in bytes.
    pub const MAX: usize = 4096;

    /// Checks the size of `text`.
    ///
    /// # Errors
    /// When it is over [`Text::MAX`].
    pub fn new(text: &str) -> Result<Self, BadWord> {
        if text.len() <= Self::MAX {
            Ok(Self(text.into()))
        } else {
            Err(BadWord::new("text", text, "write at most 4,096 bytes"))
        }
    }

    /// The text as it came; escape it before anyone sees it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["ops-agent", "a", "alice@example.org", "mcp/server:tool", "7"] {
            assert!(Word::new(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "-x",
            "a b",
            "a\"b",
            "a\n",
            "rôle",
            ".hidden",
            "a\0",
            &"x".repeat(129),
        ] {
            assert!(Word::new(name).is_err(), "{name:?}");
        }
    }
}
