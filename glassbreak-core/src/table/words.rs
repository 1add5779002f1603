//! Values that are words of this crate: spans, names, labels, groups and patterns.

use regex::Regex;

use super::{Item, Report};
use crate::call::Word;
use crate::clock::Span;
use crate::error::{nearest, shown};
use crate::finding::Requirement;
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;

impl Item<'_> {
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
        const OTHERWHERE: [(&str, &str, &str); 3] = [
            (
                "stages",
                "stages are those of a group, whatever rule names it",
                "write [stages.<group>] in glassbreak.toml",
            ),
            (
                "deadline",
                "one deadline holds for all requests",
                "write it under [requests] in glassbreak.toml",
            ),
            (
                "escalate",
                "stages are those of a group, whatever rule names it",
                "write [stages.<group>] in glassbreak.toml",
            ),
        ];
        let fields = self.fields(report)?;
        if own_rule {
            fields.check_keys(report, &["group", "quorum", "window", "self"], &OTHERWHERE);
        } else {
            let [a, b, c] = OTHERWHERE;
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

pub(crate) fn known_group(item: Item<'_>, report: &mut Report<'_>, people: &People) -> Option<Word> {
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

#[cfg(test)]
mod tests {
    use crate::source::Source;
    use crate::table::read;

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
