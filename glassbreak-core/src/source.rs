//! Text files of a bundle, read with the place of everything in them.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::error::Problem;

/// One text file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Its path in the folder, or `builtin:<name>`.
    pub(crate) file: &'a str,
    /// What stands in it.
    pub(crate) text: &'a str,
}

impl<'a> Source<'a> {
    /// Checks that `bytes` are UTF-8.
    pub(crate) fn new(file: &'a str, bytes: &'a [u8]) -> Result<Self, Problem> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(error) => {
                let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count();
                let line = u32::try_from(line).unwrap_or(u32::MAX);
                Err(Problem::at(
                    file,
                    line,
                    1,
                    "this is not UTF-8 text",
                    "save the file as UTF-8",
                ))
            }
        }
    }

    /// Where its lines begin, for finding the lines of many places.
    pub(crate) fn lines(&self) -> Lines<'a> {
        let breaks = self.text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            text: self.text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// A problem at a byte of the text.
    pub(crate) fn problem(&self, byte: usize, what: impl Into<String>, help: impl Into<String>) -> Problem {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or("").chars().count();
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Problem::at(self.file, small(line), small(column), what, help)
    }

    /// Reads the text as TOML into a type that names all its keys.
    pub(crate) fn read_toml<T: DeserializeOwned>(&self, help: &str) -> Result<T, Problem> {
        toml::from_str(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.problem(at, error.message().replace('\n', " "), help)
        })
    }

    /// A problem at the value that `path` leads to in this TOML or JSON text, or at the nearest thing on the way.
    pub(crate) fn problem_at(&self, path: &[Step<'_>], what: impl Into<String>, help: impl Into<String>) -> Problem {
        self.problem(self.locate(path), what, help)
    }

    fn locate(&self, path: &[Step<'_>]) -> usize {
        if self.file.ends_with(".json") {
            return crate::json::locate(self.text, path);
        }
        let Ok(document) = DeTable::parse(self.text) else {
            return 0;
        };
        let mut at = 0;
        let mut steps = path.iter();
        let mut value = match steps.next() {
            Some(Step::Key(name)) => match find(document.get_ref(), name) {
                Some((start, value)) => {
                    at = start;
                    value
                }
                None => return at,
            },
            _ => return at,
        };
        for step in steps {
            let found = match (step, value) {
                (Step::Key(name), DeValue::Table(table)) => find(table, name),
                (Step::Index(index), DeValue::Array(items)) => {
                    items.get(*index).map(|item| (item.span().start, item.get_ref()))
                }
                _ => None,
            };
            match found {
                Some((start, next)) => {
                    at = start;
                    value = next;
                }
                None => break,
            }
        }
        at
    }
}

/// A text, and where its lines begin.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    /// Sorted; the first is 0.
    starts: Vec<usize>,
}

impl Lines<'_> {
    /// The line and the column in characters of a byte, both from 1.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = line
            .checked_sub(1)
            .and_then(|line| self.starts.get(line))
            .copied()
            .unwrap_or(0);
        let column = 1 + self.text.get(start..byte).unwrap_or("").chars().count();
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (small(line), small(column))
    }
}

fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(usize, &'a DeValue<'i>)> {
    table
        .iter()
        .find(|(key, _)| key.get_ref() == name)
        .map(|(key, value)| (key.span().start, value.get_ref()))
}

/// One step of the way to a value in a TOML or JSON text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Into a table.
    Key(&'a str),
    /// Into an array, from 0.
    Index(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_nested_tables() {
        let text = "a = 1\n[[budget]]\nid = \"x\"\n[[budget]]\nid = \"y\"\nmatch = { labels = [\"p\",\n  \"q\"] }\n";
        let source = Source {
            file: "budgets.toml",
            text,
        };
        let at = |path: &[Step<'_>]| {
            let problem = source.problem_at(path, "", "");
            (problem.line(), problem.column())
        };
        assert_eq!(at(&[Step::Key("budget"), Step::Index(1), Step::Key("id")]), (5, 1));
        let labels = [
            Step::Key("budget"),
            Step::Index(1),
            Step::Key("match"),
            Step::Key("labels"),
        ];
        assert_eq!(at(&[&labels[..], &[Step::Index(1)]].concat()), (7, 3));
        assert_eq!(at(&[Step::Key("nothing")]), (1, 1));
    }
}
