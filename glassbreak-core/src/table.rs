//! TOML read by hand, so that every problem of a file is reported at once, each at its line and column.

use toml::de::{DeTable, DeValue};

use crate::error::{Problem, nearest, shown};
use crate::source::Source;

mod canonical;
mod words;

pub(crate) use self::words::{known_group, unknown_group, word};

/// Reads `source` with `build`, which reports what is wrong and returns what it could make of the rest.
///
/// # Errors
/// Everything that was reported; then what was built is thrown away.
pub(crate) fn read<T>(
    source: Source<'_>,
    build: impl FnOnce(&mut Report<'_>, Fields<'_>) -> T,
) -> Result<T, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(source.text);
    let mut report = Report {
        source,
        problems: Vec::new(),
    };
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        report.add(at, error.message().replace('\n', " "), "mend the TOML; see toml.io");
    }
    if !errors.is_empty() {
        // What the parser made of the rest would only be reported twice.
        return Err(report.problems);
    }
    let built = build(
        &mut report,
        Fields {
            at: 0,
            table: document.get_ref(),
        },
    );
    if report.problems.is_empty() {
        Ok(built)
    } else {
        Err(report.problems)
    }
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) struct Report<'s> {
    source: Source<'s>,
    problems: Vec<Problem>,
}

impl Report<'_> {
    /// Something wrong at a byte of the file.
    pub(crate) fn add(&mut self, at: usize, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(self.source.problem(at, what, help));
    }
}

/// A table, and the byte it begins at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'d> {
    pub(crate) at: usize,
    table: &'d DeTable<'d>,
}

impl<'d> Fields<'d> {
    /// What stands under `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Item<'d>> {
        self.items().find(|item| item.name == name)
    }

    /// Everything in the table, by name.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'d>> + use<'d> {
        self.table.iter().map(|(key, value)| Item {
            name: key.get_ref(),
            name_at: key.span().start,
            at: value.span().start,
            value: value.get_ref(),
        })
    }

    /// Reports every key that is neither `known` nor explained: `explained` names keys of parts that are not built or
    /// that belong elsewhere, with what is wrong and what to write.
    pub(crate) fn check_keys(&self, report: &mut Report<'_>, known: &[&str], explained: &[(&str, &str, &str)]) {
        for Item { name, name_at, .. } in self.items() {
            if known.contains(&name) {
                continue;
            }
            if let Some((_, what, help)) = explained.iter().find(|(key, ..)| *key == name) {
                report.add(name_at, format!("`{name}`: {what}"), *help);
                continue;
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            report.add(name_at, format!("unknown key `{}`", shown(name)), help);
        }
    }
}

/// A value, the name it stands under, and where both begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'d> {
    pub(crate) name: &'d str,
    pub(crate) name_at: usize,
    pub(crate) at: usize,
    value: &'d DeValue<'d>,
}

impl<'d> Item<'d> {
    fn wrong(&self, report: &mut Report<'_>, wanted: &str) {
        let what = format!(
            "`{}` is {}, and {wanted} is wanted",
            shown(self.name),
            article(self.value.type_str())
        );
        report.add(self.at, what, format!("write {wanted}"));
    }

    /// Whether it is a text.
    pub(crate) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// A text.
    pub(crate) fn text(&self, report: &mut Report<'_>) -> Option<&'d str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong(report, "a text in quotes");
                None
            }
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, report: &mut Report<'_>) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong(report, "true or false");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn whole(&self, report: &mut Report<'_>, least: i64, most: i64) -> Option<i64> {
        let wanted = if (least, most) == (i64::MIN, i64::MAX) {
            "a whole number".to_owned()
        } else {
            format!("a whole number from {least} to {most}")
        };
        let DeValue::Integer(number) = self.value else {
            self.wrong(report, &wanted);
            return None;
        };
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let what = format!("`{}` is {}", self.name, number.as_str());
                report.add(self.at, what, format!("write {wanted}"));
                None
            }
        }
    }

    /// A list.
    pub(crate) fn list(&self, report: &mut Report<'_>) -> Option<Vec<Item<'d>>> {
        let DeValue::Array(items) = self.value else {
            self.wrong(report, "a list");
            return None;
        };
        let item = |value: &'d toml::Spanned<DeValue<'d>>| Item {
            name: self.name,
            name_at: value.span().start,
            at: value.span().start,
            value: value.get_ref(),
        };
        Some(items.iter().map(item).collect())
    }

    /// A list of different texts.
    pub(crate) fn texts(&self, report: &mut Report<'_>) -> Option<Vec<(usize, &'d str)>> {
        let mut texts: Vec<(usize, &str)> = Vec::new();
        for item in self.list(report)? {
            let Some(text) = item.text(report) else { continue };
            if texts.iter().any(|(_, known)| *known == text) {
                let what = format!("`{}` stands twice in `{}`", shown(text), self.name);
                report.add(item.at, what, "write it once");
            } else {
                texts.push((item.at, text));
            }
        }
        Some(texts)
    }

    /// A table.
    pub(crate) fn fields(&self, report: &mut Report<'_>) -> Option<Fields<'d>> {
        match self.value {
            DeValue::Table(table) => Some(Fields { at: self.at, table }),
            _ => {
                self.wrong(report, "a table");
                None
            }
        }
    }

    /// One of a few words, as `read` understands them.
    pub(crate) fn one_of<T>(&self, report: &mut Report<'_>, words: &[(&str, T)]) -> Option<T>
    where
        T: Copy,
    {
        let text = self.text(report)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let help = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write {}", known.join(" or ")),
            };
            report.add(self.at, format!("`{}` cannot be \"{}\"", self.name, shown(text)), help);
        }
        found
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::People;

    #[test]
    fn every_problem_is_reported_at_its_place() {
        let source = Source {
            file: "x.toml",
            text: "limmit = 1\n[ask]\ngroup = 7\nquorum = 21\n",
        };
        let problems = read(source, |report, fields| {
            fields.check_keys(report, &["limit", "ask"], &[]);
            fields
                .get("ask")
                .and_then(|item| item.requirement(report, &People::default(), true))
        })
        .unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "x.toml:1:1: unknown key `limmit`\n  help: did you mean `limit`?",
                "x.toml:3:9: `group` is an integer, and a text in quotes is wanted\n  help: write a text in quotes",
                "x.toml:4:10: `quorum` is 21\n  help: write a whole number from 1 to 20",
            ]
        );
    }
}
