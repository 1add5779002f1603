//! TOML read by hand, so that every problem of a file is reported at once, each at its line and column.

use regex::Regex;
use toml::de::{DeTable, DeValue};

use crate::call::Word;
use crate::clock::Span;
use crate::error::{Problem, nearest, shown};
use crate::finding::Requirement;
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::source::Source;

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

    /// A span of time.
    pub(crate) fn span(&self, report: &mut Report<'_>) -> Option<Span> {
        let text = self.text(report)?;
        Span::from_word(text)
            .map_err(|bad| report.add(self.at, bad.to_string(), bad.help()))
            .ok()
    }

    /// A name.
    pub(crate) fn word(&self, report: &mut Report<'_>) -> Option<Word> {
        let text = self.text(report)?;
        word(report, self.at, text)
    }

    /// A list of declared labels.
    pub(crate) fn labels(&self, report: &mut Report<'_>, vocabulary: &Vocabulary) -> LabelSet {
        let mut labels = LabelSet::EMPTY;
        for (at, text) in self.texts(report).unwrap_or_default() {
            match vocabulary.get(text) {
                Some(label) => labels.insert(label),
                None => {
                    let help = match nearest(text, vocabulary.words()) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => "declare it in glassbreak.toml under [labels]".to_owned(),
                    };
                    report.add(at, format!("unknown label `{}`", shown(text)), help);
                }
            }
        }
        labels
    }

    /// Who must agree: `{ group, quorum, window, self }`. `self` is a rule's own to say, so `own_rule` is false for
    /// the default of a bundle.
    pub(crate) fn requirement(&self, report: &mut Report<'_>, people: &People, own_rule: bool) -> Option<Requirement> {
        const ELSEWHERE: (&str, &str, &str) = (
            "self",
            "whether people may approve for themselves is said by each rule, not for all",
            "write self = \"allow\" in the `ask` of the rule, or @self(\"allow\") on the policy",
        );
        const NOT_BUILT: [(&str, &str, &str); 3] = [
            ("stages", "stages are not built", "name one group, quorum and window"),
            ("deadline", "deadlines are not built", "leave it out"),
            (
                "escalate",
                "escalation is not built",
                "name one group, quorum and window",
            ),
        ];
        let fields = self.fields(report)?;
        if own_rule {
            fields.check_keys(report, &["group", "quorum", "window", "self"], &NOT_BUILT);
        } else {
            let [a, b, c] = NOT_BUILT;
            fields.check_keys(report, &["group", "quorum", "window"], &[a, b, c, ELSEWHERE]);
        }
        let mut requirement = Requirement::default();
        match fields.get("group") {
            Some(item) => requirement.group = known_group(item, report, people),
            None => report.add(
                self.name_at,
                format!("`{}` names no group, so nobody could agree", self.name),
                "write group = \"<a group of people.toml>\"",
            ),
        }
        if let Some(quorum) = fields.get("quorum").and_then(|item| item.whole(report, 1, 20)) {
            requirement.quorum = u8::try_from(quorum).unwrap_or(u8::MAX);
        }
        requirement.window = fields.get("window").and_then(|item| item.span(report));
        if let Some(item) = fields.get("self").filter(|_| own_rule) {
            let allowed = item.one_of(report, &[("allow", true), ("deny", false)]);
            requirement.self_approval = allowed == Some(true);
        }
        Some(requirement)
    }

    /// A pattern that a whole text must match.
    pub(crate) fn pattern(&self, report: &mut Report<'_>) -> Option<Regex> {
        let text = self.text(report)?;
        // By itself first: `a)|(b` is no pattern, and inside the anchors it would escape them.
        let compiled = Regex::new(text).and_then(|_| Regex::new(&format!(r"\A(?:{text})\z")));
        match compiled {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                report.add(
                    self.at,
                    format!("`{}` cannot be read: {}", self.name, shown(reason)),
                    "write a pattern as in docs.rs/regex; it must match the whole text",
                );
                None
            }
        }
    }
}

/// A name that stands at `at`.
pub(crate) fn word(report: &mut Report<'_>, at: usize, text: &str) -> Option<Word> {
    Word::new(text)
        .map_err(|bad| report.add(at, bad.to_string(), bad.help()))
        .ok()
}

fn known_group(item: Item<'_>, report: &mut Report<'_>, people: &People) -> Option<Word> {
    let group = item.word(report)?;
    if people.groups().any(|known| *known == group) {
        return Some(group);
    }
    unknown_group(report, item.at, group.as_str(), people.groups().map(Word::as_str));
    None
}

/// Reports a group that nobody declared.
pub(crate) fn unknown_group<'a>(
    report: &mut Report<'_>,
    at: usize,
    group: &str,
    known: impl IntoIterator<Item = &'a str>,
) {
    let help = match nearest(group, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("declare it in people.toml: [groups.{group}]"),
    };
    report.add(at, format!("unknown group `{group}`"), help);
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

    #[test]
    fn patterns_match_the_whole_text_and_cannot_escape_that() {
        let pattern = |text: &str| {
            let text = format!("pattern = '{text}'");
            let source = Source {
                file: "x.toml",
                text: &text,
            };
            read(source, |report, fields| {
                fields.get("pattern").and_then(|item| item.pattern(report))
            })
        };
        let either = pattern("a|b").unwrap().unwrap();
        assert!(either.is_match("a") && either.is_match("b"));
        assert!(!either.is_match("ab") && !either.is_match("xb") && !either.is_match("a\n"));
        assert!(!pattern("(?m)^a$").unwrap().unwrap().is_match("a\nb"));
        assert!(pattern("a)|(b").is_err());
        assert!(pattern("(?x)a # b").is_err());
    }
}
