//! `people.toml`: who may answer.
//!
//! ```toml
//! [groups.oncall]
//! about = "whoever carries the pager"
//!
//! [persons.alice]
//! groups = ["oncall"]
//! uid = 1000                              # a user of this machine, or a list: the kernel vouches for them
//! accounts = ["sso:alice@example.com"]    # what the host vouches for: issuer, colon, subject
//! email = "alice@example.com"             # or a list: counts at the issuers that say so below
//!
//! [persons.bob]
//! groups = ["oncall"]
//! disabled = true                         # known, and refused whatever they do
//!
//! [issuers.sso]
//! email = true                            # whoever has a verified address there is the person who has it here
//! ```
//!
//! An account stands for one person: one that stands twice is an error, also at the same person, because the second
//! was most likely meant for somebody else. The same holds for addresses.

use crate::call::Word;
use crate::error::{Problem, shown};
use crate::people::{Account, Email, People};
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
            &["groups", "persons", "issuers"],
            &[
                ("issuer", "there is no such key", "write [issuers.<name>]"),
                ("group", "there is no such key", "write [groups.<name>]"),
                ("person", "there is no such key", "write [persons.<name>]"),
                ("people", "there is no such key", "write [persons.<name>]"),
            ],
        );
        let mut people = People::default();
        for item in entries(report, fields, "groups") {
            read_group(report, item, &mut people);
        }
        let issuers: Vec<Word> = entries(report, fields, "issuers")
            .into_iter()
            .filter_map(|item| read_issuer(report, item))
            .collect();
        for item in entries(report, fields, "persons") {
            read_person(report, item, &issuers, &mut people);
        }
        issuers.into_iter().for_each(|issuer| people.trust_email(issuer));
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

/// The issuer, where its addresses count.
fn read_issuer(report: &mut Report<'_>, item: Item<'_>) -> Option<Word> {
    const HELP: &str = "write the part before the colon of its accounts, such as [issuers.sso]";
    let name = word(report, item.name_at, item.name)?;
    if name.as_str() == "uid" || name.as_str().contains(':') {
        report.add(item.name_at, format!("`{name}` is not the name of an issuer"), HELP);
        return None;
    }
    let fields = item.fields(report)?;
    fields.check_keys(report, &["about", "email"], &[]);
    check_about(report, fields);
    let email = fields.get("email").and_then(|item| item.flag(report));
    (email == Some(true)).then_some(name)
}

fn read_person(report: &mut Report<'_>, item: Item<'_>, issuers: &[Word], people: &mut People) {
    const ACCOUNTS: &str = "write accounts = [\"issuer:subject\"], as the host names the account";
    const NOT_BUILT: &str = "there is no key for this kind of account";
    const ENABLED: &str = "write disabled = true for a person who may do nothing";
    let name = word(report, item.name_at, item.name);
    let Some(fields) = item.fields(report) else { return };
    fields.check_keys(
        report,
        &["groups", "about", "uid", "accounts", "email", "disabled"],
        &[
            ("uids", "the key is `uid`", "write uid = 1000, or uid = [1000, 1001]"),
            ("slack", NOT_BUILT, ACCOUNTS),
            ("oidc", NOT_BUILT, ACCOUNTS),
            (
                "emails",
                "the key is `email`",
                "write email = \"alice@example.com\", or a list",
            ),
            ("enabled", "persons are enabled unless said otherwise", ENABLED),
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
    let mut accounts = uids(report, fields);
    accounts.extend(of_host(report, fields));
    let emails = emails(report, fields, issuers);
    let disabled = fields.get("disabled").and_then(|item| item.flag(report));
    let Some(name) = name else { return };
    for (at, account) in accounts {
        let text = account.to_string();
        if let Err(known) = people.add_account(account, name.clone()) {
            let what = if known == name {
                format!("the account `{text}` stands twice at `{name}`")
            } else {
                format!("the account `{text}` is that of `{known}` already")
            };
            report.add(at, what, "let each account stand once: it is one person's");
        }
    }
    for (at, email) in emails {
        let text = email.to_string();
        if let Err(known) = people.add_email(email, name.clone()) {
            let what = if known == name {
                format!("the address `{text}` stands twice at `{name}`")
            } else {
                format!("the address `{text}` is that of `{known}` already")
            };
            report.add(at, what, "let each address stand once: it is one person's");
        }
    }
    if disabled == Some(true) {
        people.disable(name.clone());
    }
    people.add_person(name, groups);
}

/// One user id of this machine, or a list of them.
fn uids(report: &mut Report<'_>, fields: Fields<'_>) -> Vec<(usize, Account)> {
    let Some(item) = fields.get("uid") else {
        return Vec::new();
    };
    let items = if item.is_list() {
        item.list(report).unwrap_or_default()
    } else {
        vec![item]
    };
    items
        .into_iter()
        .filter_map(|item| {
            let uid = item.whole(report, 0, u32::MAX.into())?;
            match u32::try_from(uid) {
                // The kernel's own word for "no user": some calls take it for "leave as it is".
                Ok(u32::MAX) => {
                    let what = format!("`uid` is {uid}, which means nobody");
                    report.add(item.at, what, "write the uid of one user; `id -u alice` tells it");
                    None
                }
                Ok(uid) => Some((item.at, Account::uid(uid).ok()?)),
                Err(_) => None,
            }
        })
        .collect()
}

/// The accounts that the host vouches for.
fn of_host(report: &mut Report<'_>, fields: Fields<'_>) -> Vec<(usize, Account)> {
    let named = fields.get("accounts").and_then(|item| item.texts(report));
    let read = |(at, text): (usize, &str)| match Account::of_host(text) {
        Ok(account) => Some((at, account)),
        Err(_) if text.starts_with("uid:") => {
            let what = format!("`{}` is an account of the machine", shown(text));
            report.add(at, what, "write uid = 1000 beside `accounts`");
            None
        }
        Err(bad) => {
            report.add(at, format!("`{}` is not an account", shown(text)), bad.help());
            None
        }
    };
    named.unwrap_or_default().into_iter().filter_map(read).collect()
}

/// The addresses of a person: one, or a list of them.
fn emails(report: &mut Report<'_>, fields: Fields<'_>, issuers: &[Word]) -> Vec<(usize, Email)> {
    let Some(item) = fields.get("email") else {
        return Vec::new();
    };
    if issuers.is_empty() {
        let what = "no issuer is trusted with e-mail addresses, so nobody would be found by this one";
        report.add(item.name_at, what, "write [issuers.<name>] email = true, or remove it");
    }
    let texts = if item.is_list() {
        item.texts(report).unwrap_or_default()
    } else {
        item.text(report).map(|text| (item.at, text)).into_iter().collect()
    };
    let mut read = |(at, text): (usize, &str)| {
        let email = Email::new(text).and_then(|email| {
            let fits = issuers.iter().map(|issuer| Account::of_email(issuer.as_str(), &email));
            fits.collect::<Result<Vec<_>, _>>().map(|_| email)
        });
        email
            .map_err(|bad| report.add(at, bad.to_string(), bad.help()))
            .ok()
            .map(|email| (at, email))
    };
    texts.into_iter().filter_map(&mut read).collect()
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
    fn an_account_leads_to_one_person_also_to_one_who_is_disabled() {
        let people = read(
            "[groups.oncall]\n\
             [persons.alice]\ngroups = [\"oncall\"]\nuid = [0, 4294967294]\naccounts = [\"sso:alice@example.com\"]\n\
             [persons.bob]\nuid = 1001\ndisabled = true\n[persons.carol]\ndisabled = false\n",
        )
        .unwrap();
        let of = |account: Result<Account, _>| people.person_of(&account.unwrap()).map(Word::as_str);
        assert_eq!(of(Account::uid(0)), Some("alice"));
        assert_eq!(of(Account::uid(4_294_967_294)), Some("alice"));
        assert_eq!(of(Account::uid(u32::MAX)), None);
        assert_eq!(of(Account::of_host("sso:alice@example.com")), Some("alice"));
        // Exactly: no case folding, no other issuer.
        assert_eq!(of(Account::of_host("sso:Alice@example.com")), None);
        assert_eq!(of(Account::of_host("slack:alice@example.com")), None);
        assert_eq!(of(Account::uid(1001)), Some("bob"));
        let word = |name: &str| Word::new(name).unwrap();
        let disabled: Vec<&str> = people.disabled().map(Word::as_str).collect();
        assert_eq!(disabled, ["bob"]);
        assert!(people.is_disabled(&word("bob")) && !people.is_disabled(&word("dave")));
        assert!(people.groups_of(&word("alice")).unwrap().contains("oncall"));
        assert!(people.groups_of(&word("bob")).unwrap().is_empty());
        assert_eq!(people.groups_of(&word("dave")), None);
        assert_eq!(people.accounts().count(), 4);
    }

    #[test]
    fn an_address_leads_to_a_person_only_where_an_issuer_is_trusted_with_it() {
        let text = |trusted| {
            format!(
                "[persons.alice]\nemail = [\"Alice@Example.com\", \"al@example.org\"]\n\
                 [issuers.sso]\nemail = true\n[issuers.chat]\nemail = {trusted}\n"
            )
        };
        let email = Email::new("alice@example.com").unwrap();
        for trusted in [true, false] {
            let people = read(&text(trusted)).unwrap();
            let of = |issuer| {
                people
                    .person_of(&Account::of_email(issuer, &email).unwrap())
                    .map(Word::as_str)
            };
            assert_eq!(of("sso"), Some("alice"));
            assert_eq!(of("chat"), trusted.then_some("alice"));
            assert_eq!(of("pager"), None);
            assert!(people.can_answer(&Word::new("alice").unwrap()));
        }
    }

    #[test]
    fn a_name_that_is_none_takes_no_account() {
        let problems = read("[persons.\"a b\"]\nuid = 7\n[persons.c]\nuid = 7\n").unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
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
                "people.toml:2:1: `slack`: there is no key for this kind of account\n  help: write accounts = [",
            ),
            ("[persons.a]\noidc = \"x\"", "people.toml:2:1: `oidc`: there is no key"),
            (
                "[persons.a]\nemail = \"a@x.org\"",
                "people.toml:2:1: no issuer is trusted with e-mail addresses",
            ),
            (
                "[issuers.s]\nemail = true\n[persons.a]\nemail = \"x\"",
                "people.toml:4:9: `x` is not a mail address",
            ),
            (
                "[issuers.s]\nemail = true\n[persons.a]\nemail = \"a@x.org\"\n[persons.b]\nemail = [\"A@x.org\"]",
                "people.toml:6:10: the address `a@x.org` is that of `a` already",
            ),
            (
                "[issuers.s]\nemail = true\n[persons.a]\nemail = [\"a@x.org\", \"A@x.org\"]",
                "people.toml:4:21: the address `a@x.org` stands twice at `a`",
            ),
            (
                "[issuers.uid]\nemail = true",
                "people.toml:1:10: `uid` is not the name of an issuer",
            ),
            (
                "[issuers.s]\nmail = true",
                "people.toml:2:1: unknown key `mail`\n  help: did you mean `email`?",
            ),
            ("[issuers.s]\nemail = \"yes\"", "people.toml:2:9: `email` is a string"),
            (
                "[persons.a]\naccounts = [\"s:email:a@x.org\"]",
                "people.toml:2:13: `s:email:a@x.org` is not an account\n  help: write email =",
            ),
            ("[persons.a]\nuids = [1]", "people.toml:2:1: `uids`: the key is `uid`"),
            ("[persons.a]\nenabled = true", "people.toml:2:1: `enabled`: persons are"),
            (
                "[persons.a]\ndisabled = \"yes\"",
                "people.toml:2:12: `disabled` is a string",
            ),
            (
                "[persons.a]\nuid = -1",
                "people.toml:2:7: `uid` is -1\n  help: write a whole number",
            ),
            ("[persons.a]\nuid = 4294967296", "people.toml:2:7: `uid` is 4294967296"),
            (
                "[persons.a]\nuid = 4294967295",
                "people.toml:2:7: `uid` is 4294967295, which means nobody",
            ),
            (
                "[persons.a]\nuid = [1, 0xFFFFFFFF]",
                "people.toml:2:11: `uid` is 4294967295, which",
            ),
            ("[persons.a]\nuid = \"1000\"", "people.toml:2:7: `uid` is a string"),
            ("[persons.a]\nuid = [[1]]", "people.toml:2:8: `uid` is an array"),
            ("[persons.a]\nuid = 1.0", "people.toml:2:7: `uid` is a float"),
            (
                "[persons.a]\nuid = [7, 0x7]",
                "people.toml:2:11: the account `uid:7` stands twice at `a`",
            ),
            (
                "[persons.a]\nuid = 7\n[persons.b]\nuid = [6, 7]",
                "people.toml:4:11: the account `uid:7` is that of `a` already",
            ),
            (
                "[persons.a]\naccounts = [\"s:x\"]\n[persons.b]\naccounts = [\"s:x\"]",
                "people.toml:4:13: the account `s:x` is that of `a` already",
            ),
            (
                "[persons.a]\naccounts = [\"s:x\", \"s:x\"]",
                "people.toml:2:20: `s:x` stands twice in `accounts`",
            ),
            (
                "[persons.a]\naccounts = [\"uid:1000\"]",
                "people.toml:2:13: `uid:1000` is an account of the machine\n  help: write uid = 1000",
            ),
            (
                "[persons.a]\naccounts = [\"alice\"]",
                "people.toml:2:13: `alice` is not an account",
            ),
            (
                "[persons.a]\naccounts = [\"s:\"]",
                "people.toml:2:13: `s:` is not an account",
            ),
            (
                "[persons.a]\naccounts = [\":x\"]",
                "people.toml:2:13: `:x` is not an account",
            ),
            (
                "[persons.a]\naccounts = [\"s:\u{202e}x\"]",
                "people.toml:2:13: `s:\\u{202e}x` is not an account",
            ),
            (
                "[persons.a]\naccounts = \"s:x\"",
                "people.toml:2:12: `accounts` is a string",
            ),
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
