//! `people.toml`: who may answer.
//!
//! ```toml
//! [groups.oncall]
//! about = "whoever carries the pager"
//!
//! [persons.alice]
//! groups = ["oncall"]
//! ```

use crate::call::Word;
use crate::error::Problem;
use crate::people::People;
use crate::source::Source;
use crate::table::{self, Fields, Item, Report, unknown_group, word};

/// Reads `people.toml`; without one there is nobody.
///
/// # Errors
/// Everything that is wrong with the file, each at its line and column.
pub(crate) fn load(source: Option<Source<'_>>) -> Result<People, Vec<Problem>> {
    let Some(source) = source else {
        return Ok(People::default());
    };
    table::read(source, |report, fields| {
        fields.check_keys(
            report,
            &["groups", "persons"],
            &[
                ("group", "there is no such key", "write [groups.<name>]"),
                ("person", "there is no such key", "write [persons.<name>]"),
                ("people", "there is no such key", "write [persons.<name>]"),
            ],
        );
        let mut people = People::default();
        for item in entries(report, fields, "groups") {
            read_group(report, item, &mut people);
        }
        for item in entries(report, fields, "persons") {
            read_person(report, item, &mut people);
        }
        people
    })
}

fn entries<'d>(report: &mut Report<'_>, fields: Fields<'d>, name: &str) -> Vec<Item<'d>> {
    let table = fields.get(name).and_then(|item| item.fields(report));
    table.map(|table| table.items().collect()).unwrap_or_default()
}

fn read_group(report: &mut Report<'_>, item: Item<'_>, people: &mut People) {
    const HELP: &str = "name the group at each person: [persons.alice] groups = [\"oncall\"]";
    if let Some(fields) = item.fields(report) {
        fields.check_keys(
            report,
            &["about"],
            &[
                ("persons", "groups do not list their persons", HELP),
                ("members", "groups do not list their persons", HELP),
                ("groups", "groups within groups are not built", HELP),
                ("parent", "groups within groups are not built", HELP),
            ],
        );
        check_about(report, fields);
    }
    // Declared even if something in it is wrong, so that its persons are not reported as well.
    if let Some(group) = word(report, item.name_at, item.name) {
        people.add_group(group);
    }
}

fn read_person(report: &mut Report<'_>, item: Item<'_>, people: &mut People) {
    const NOT_BUILT: &str = "mapping accounts to persons is not built";
    const HELP: &str = "leave it out: a host names the person who answers";
    let name = word(report, item.name_at, item.name);
    let Some(fields) = item.fields(report) else { return };
    fields.check_keys(
        report,
        &["groups", "about"],
        &[
            ("uid", NOT_BUILT, HELP),
            ("uids", NOT_BUILT, HELP),
            ("slack", NOT_BUILT, HELP),
            ("oidc", NOT_BUILT, HELP),
            ("email", NOT_BUILT, HELP),
        ],
    );
    check_about(report, fields);
    let mut groups = Vec::new();
    let named = fields.get("groups").and_then(|item| item.texts(report));
    for (at, text) in named.unwrap_or_default() {
        match word(report, at, text) {
            Some(group) if people.groups().any(|known| *known == group) => groups.push(group),
            Some(group) => unknown_group(report, at, group.as_str(), people.groups().map(Word::as_str)),
            None => {}
        }
    }
    if let Some(name) = name {
        people.add_person(name, groups);
    }
}

fn check_about(report: &mut Report<'_>, fields: Fields<'_>) {
    if let Some(about) = fields.get("about") {
        about.text(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<People, Vec<String>> {
        let source = Source {
            file: "people.toml",
            text,
        };
        load(Some(source)).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn persons_belong_to_declared_groups() {
        let people = read(
            "[groups.oncall]\nabout = \"pager\"\n[groups.leads]\n\
             [persons.alice]\ngroups = [\"oncall\", \"leads\"]\n[persons.bob]\n",
        )
        .unwrap();
        let groups: Vec<&str> = people.groups().map(Word::as_str).collect();
        assert_eq!(groups, ["leads", "oncall"]);
        let persons: Vec<(&str, usize)> = people
            .persons()
            .map(|(name, groups)| (name.as_str(), groups.len()))
            .collect();
        assert_eq!(persons, [("alice", 2), ("bob", 0)]);
        assert_eq!(load(None).unwrap(), People::default());
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, said) in [
            (
                "[persons.alice]\ngroups = [\"oncall\"]",
                "people.toml:2:11: unknown group `oncall`\n  help: declare it in people.toml: [groups.oncall]",
            ),
            (
                "[groups.oncall]\n[persons.a]\ngroups = [\"onkall\"]",
                "people.toml:3:11: unknown group `onkall`\n  help: did you mean `oncall`?",
            ),
            (
                "[groups.g]\n[persons.a]\ngroups = [\"g\", \"g\"]",
                "people.toml:3:16: `g` stands twice in `groups`",
            ),
            ("[groups.g]\n[groups.g]", "people.toml:2:"),
            (
                "[persons.a]\nslack = \"U1\"",
                "people.toml:2:1: `slack`: mapping accounts to persons is not built",
            ),
            ("[persons.a]\nuid = 1000", "people.toml:2:1: `uid`: mapping accounts"),
            (
                "[persons.a]\ngroup = [\"g\"]",
                "people.toml:2:1: unknown key `group`\n  help: did you mean `groups`?",
            ),
            ("[persons.\"a b\"]", "people.toml:1:10: `a b` is not a name"),
            (
                "[groups.g]\nmembers = []",
                "people.toml:2:1: `members`: groups do not list their persons",
            ),
            ("[person.a]", "people.toml:1:2: `person`: there is no such key"),
            ("persons = [\"a\"]", "people.toml:1:11: `persons` is an array"),
        ] {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].starts_with(said), "{}", problems[0]);
        }
    }
}
