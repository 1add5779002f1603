//! The `match` of a rule.

use super::{MATCH_HELP, Reader};
use crate::budget::rules::{Match, Named};
use crate::call::Word;
use crate::error::{nearest, shown};
use crate::facts::Target;
use crate::table::{Item, Report};

impl Reader<'_> {
    pub(super) fn matches(&mut self, report: &mut Report<'_>, item: Item<'_>) -> Match {
        let mut matches = Match::default();
        let Some(fields) = item.fields(report) else {
            return matches;
        };
        fields.check_keys(report, &["labels", "any", "tools", "programs", "target", "cost"], &[]);
        if fields.items().next().is_none() {
            report.add(item.at, "this matches nothing in particular", MATCH_HELP);
        }
        if let Some(item) = fields.get("labels") {
            matches.labels = item.labels(report, self.vocabulary);
        }
        if let Some(item) = fields.get("any") {
            let any = item.labels(report, self.vocabulary);
            if any.is_empty() && item.is_list() {
                report.add(
                    item.at,
                    "`any` is empty, so the rule would match none",
                    "name some, or leave it out",
                );
            }
            matches.any = Some(any);
        }
        matches.cost = fields.get("cost").and_then(|item| item.text(report)).map(Into::into);
        matches.tools = self.names(report, fields.get("tools"), true);
        matches.programs = self.names(report, fields.get("programs"), false);
        if let Some(item) = fields.get("target") {
            matches.target = target(report, item);
        }
        matches
    }

    fn names(&mut self, report: &mut Report<'_>, item: Option<Item<'_>>, tool: bool) -> Vec<Box<str>> {
        let Some(item) = item else { return Vec::new() };
        let names = item.texts(report).unwrap_or_default();
        if names.is_empty() && item.is_list() {
            let what = format!("`{}` is empty, so the rule would match none", item.name);
            report.add(item.at, what, "name some, or leave it out");
        }
        for (at, name) in &names {
            if let Err(bad) = Word::new(name) {
                report.add(*at, bad.to_string(), bad.help());
            }
            self.named.push(Named {
                tool,
                name: (*name).into(),
                at: *at,
            });
        }
        names.into_iter().map(|(_, name)| name.into()).collect()
    }
}

/// `target = { namespace = "prod" }`, or a list of texts, one of which it must be.
fn target(report: &mut Report<'_>, item: Item<'_>) -> Vec<(&'static str, Vec<Box<str>>)> {
    let Some(fields) = item.fields(report) else {
        return Vec::new();
    };
    let mut target = Vec::new();
    for item in fields.items() {
        let Some(name) = Target::NAMES.into_iter().find(|known| *known == item.name) else {
            let help = match nearest(item.name, Target::NAMES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", Target::NAMES.join(", ")),
            };
            report.add(item.name_at, format!("a target has no `{}`", shown(item.name)), help);
            continue;
        };
        let texts = if item.is_list() {
            item.texts(report)
                .unwrap_or_default()
                .into_iter()
                .map(|(_, text)| text.into())
                .collect()
        } else {
            item.text(report).map(Into::into).into_iter().collect::<Vec<_>>()
        };
        target.push((name, texts));
    }
    target
}
