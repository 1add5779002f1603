//! Regular expressions of profiles: linear in the text, whatever it is.
//!
//! The `regex` crate has no look-around and no back-references, and no search of its goes back: a text of `n` bytes costs
//! at most `n` times the size of the pattern, which is bounded. Building one costs as much as judging a hundred calls, so
//! a pattern of a shipped pack is built when it is first tried; one of a policy folder, when the folder is loaded.

use std::sync::OnceLock;

use regex::{Error, Regex, RegexBuilder};

/// The most bytes that a pattern may take once it is built.
const MOST: usize = 1 << 20;

/// A regular expression that a whole text must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: Box<str>,
    /// `None` once it is known to be none.
    built: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Builds it now.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub(crate) fn new(text: &str) -> Result<Self, Error> {
        // By itself first: a stray parenthesis must not close the group it is wrapped in.
        RegexBuilder::new(text).size_limit(MOST).build()?;
        let built = whole(text)?;
        Ok(Self {
            text: text.into(),
            built: OnceLock::from(Some(built)),
        })
    }

    /// Builds it when it is first tried. A test says of the patterns of shipped packs that each is one.
    pub(crate) fn later(text: &str) -> Self {
        Self {
            text: text.into(),
            built: OnceLock::new(),
        }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether all of `text` is like it. Nothing is like what is no pattern.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let built = self.built.get_or_init(|| whole(&self.text).ok());
        built.as_ref().is_some_and(|built| built.is_match(text))
    }
}

fn whole(text: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(MOST).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::packs::{PACKS, read};
    use crate::source::Source;

    #[test]
    fn every_pattern_of_a_shipped_pack_is_one() {
        let mut tried = 0;
        for (file, text) in PACKS {
            let (_, profile) = read(Source { file, text }).unwrap();
            for pattern in profile.types.values().filter_map(|ty| ty.pattern.as_deref()) {
                Pattern::new(pattern).unwrap_or_else(|error| panic!("{file}: {error}"));
                tried += 1;
            }
        }
        assert!(tried > 150, "{tried}");
    }

    #[test]
    fn a_pattern_is_about_the_whole_text_and_what_is_none_fits_nothing() {
        for pattern in [Pattern::new("a|b").unwrap(), Pattern::later("a|b")] {
            assert!(pattern.matches("a") && pattern.matches("b"));
            assert!(!pattern.matches("ab") && !pattern.matches("xb") && !pattern.matches("a\n"));
        }
        for broken in ["a)(b", "(", "(?=a)", r"(a)\1"] {
            assert!(Pattern::new(broken).is_err(), "{broken}");
            assert!(broken == "a)(b" || !Pattern::later(broken).matches("a"), "{broken}");
        }
    }
}
