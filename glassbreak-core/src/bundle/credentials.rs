//! `credentials.toml`: which calls are handed a credential.
//!
//! ```toml
//! [credentials.deploys]            # the gate needs a broker of this name
//! about = "what the deployment service takes"
//! tools = ["deploy"]               # their bodies are given it
//! lasts = "5m"                     # at most; it ends sooner where the grant does: 1s to 15m
//! hand = "granted"                 # only where people agreed to the call; or "always"
//!
//! [credentials.cluster]
//! programs = ["kubectl"]           # they find it in a variable
//! variable = "KUBE_TOKEN"
//! lasts = "2m"
//! ```
//!
//! A tool or program is handed one credential at most. What is not named here is handed none, whatever a host does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Tools;
use crate::argv::Programs;
use crate::call::Word;
use crate::clock::Span;
use crate::credential::Handover;
use crate::error::{Problem, nearest, shown};
use crate::source::Source;
use crate::table::{self, Fields, Item, Report, word};

/// The longest that a credential may live where no grant ends it: as long as a reservation stands.
const LONGEST: Span = Span::from_millis(15 * 60_000);
const SHORTEST: Span = Span::from_millis(1_000);

/// Which calls are handed a credential, from `credentials.toml`.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    tools: BTreeMap<Box<str>, Arc<Handover>>,
    /// By the name that the profile has.
    programs: BTreeMap<Box<str>, Arc<Handover>>,
}

impl Credentials {
    /// Reads `credentials.toml`; without one nothing is handed over.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each at its line and column.
    pub(super) fn load(source: Option<Source<'_>>, programs: &Programs, tools: &Tools) -> Result<Self, Vec<Problem>> {
        let Some(source) = source else {
            return Ok(Self::default());
        };
        table::read(source, |report, fields| {
            fields.check_keys(
                report,
                &["credentials"],
                &[("credential", "there is no such key", "write [credentials.<name>]")],
            );
            let mut all = Self::default();
            let entries = fields.get("credentials").and_then(|item| item.fields(report));
            for item in entries
                .map(|entries| entries.items().collect::<Vec<_>>())
                .unwrap_or_default()
            {
                all.read(report, item, programs, tools);
            }
            all
        })
    }

    /// What the body of a tool is handed.
    pub fn of_tool(&self, tool: &str) -> Option<&Arc<Handover>> {
        self.tools.get(tool)
    }

    /// What a program is handed, by the name that its profile has.
    pub fn of_program(&self, program: &str) -> Option<&Arc<Handover>> {
        self.programs.get(program)
    }

    /// The names of all credentials, each perhaps several times.
    pub fn names(&self) -> impl Iterator<Item = &Word> {
        self.tools
            .values()
            .chain(self.programs.values())
            .map(|handover| &handover.name)
    }

    fn read(&mut self, report: &mut Report<'_>, item: Item<'_>, programs: &Programs, tools: &Tools) {
        let name = word(report, item.name_at, item.name);
        let Some(fields) = item.fields(report) else { return };
        fields.check_keys(
            report,
            &["about", "tools", "programs", "variable", "lasts", "hand"],
            &[
                ("env", "the key is `variable`", "write variable = \"KUBE_TOKEN\""),
                ("ttl", "the key is `lasts`", "write lasts = \"5m\""),
            ],
        );
        if let Some(about) = fields.get("about") {
            about.text(report);
        }
        let lasts = lasts(report, item, fields);
        let hand = fields.get("hand");
        let granted = hand.and_then(|item| item.one_of(report, &[("granted", true), ("always", false)]));
        let variable = fields.get("variable").and_then(|item| variable(report, item));
        let all: Vec<&str> = tools.names().collect();
        let of_tools = named(
            report,
            fields,
            "tools",
            |text| tools.names().find(|name| *name == text),
            &all,
        );
        let all: Vec<&str> = programs.names().collect();
        let of_programs = named(report, fields, "programs", |text| programs.name_of(text), &all);
        if fields.get("tools").is_none() && fields.get("programs").is_none() {
            let what = format!("`{}` is handed to nothing", item.name);
            report.add(item.name_at, what, "write tools = [\"…\"] or programs = [\"…\"]");
        }
        match (fields.get("programs"), fields.get("variable")) {
            (Some(programs), None) => report.add(
                programs.name_at,
                "it is not said how the programs find it",
                "write variable = \"…\", the environment variable that they read",
            ),
            (None, Some(variable)) => report.add(
                variable.name_at,
                "`variable` is for programs, and the body of a tool is given the credential itself",
                "remove it",
            ),
            _ => {}
        }
        let (Some(name), Some(lasts)) = (name, lasts) else {
            return;
        };
        let handover = |variable| {
            Arc::new(Handover {
                name: name.clone(),
                variable,
                lasts,
                granted: granted.unwrap_or(true),
            })
        };
        for (at, tool) in of_tools {
            put(report, at, tool, handover(None), &mut self.tools);
        }
        for (at, program) in of_programs {
            put(report, at, program, handover(variable.clone()), &mut self.programs);
        }
    }
}

fn put(
    report: &mut Report<'_>,
    at: usize,
    name: &str,
    handover: Arc<Handover>,
    all: &mut BTreeMap<Box<str>, Arc<Handover>>,
) {
    match all.get(name) {
        Some(known) => {
            let what = format!("`{}` is handed `{}` already", shown(name), known.name);
            report.add(at, what, "hand each tool and program one credential");
        }
        None => drop(all.insert(name.into(), handover)),
    }
}

fn lasts(report: &mut Report<'_>, item: Item<'_>, fields: Fields<'_>) -> Option<Span> {
    let Some(at) = fields.get("lasts") else {
        let what = format!("it is not said how long `{}` may live", item.name);
        report.add(item.name_at, what, "write lasts = \"5m\"");
        return None;
    };
    let lasts = at.span(report)?;
    if (SHORTEST..=LONGEST).contains(&lasts) {
        return Some(lasts);
    }
    report.add(at.at, format!("`lasts` is {lasts}"), "write from 1s to 15m");
    None
}

/// A variable that a program may be handed a credential in: none by which it finds or loads code.
fn variable(report: &mut Report<'_>, item: Item<'_>) -> Option<Box<str>> {
    const LOADS: [&str; 9] = [
        "PATH",
        "HOME",
        "ENV",
        "IFS",
        "SHELLOPTS",
        "PS4",
        "LANG",
        "TERM",
        "NO_COLOR",
    ];
    const BEGINS: [&str; 5] = ["LD_", "DYLD_", "GLIBC_", "BASH_", "GCONV_"];
    let text = item.text(report)?;
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let loads = LOADS.contains(&text) || BEGINS.iter().any(|prefix| text.starts_with(prefix));
    if head && plain && text.len() <= 64 && !loads {
        return Some(text.into());
    }
    let what = if loads {
        format!("`{text}` decides how a program runs")
    } else {
        format!("`{}` is not the name of a variable", shown(text))
    };
    report.add(
        item.at,
        what,
        "write capital letters, digits and `_`, such as KUBE_TOKEN",
    );
    None
}

/// The tools or programs of a list, by the names that the folder knows them by.
fn named<'n>(
    report: &mut Report<'_>,
    fields: Fields<'_>,
    key: &str,
    known: impl Fn(&str) -> Option<&'n str>,
    all: &[&str],
) -> Vec<(usize, &'n str)> {
    let texts = fields.get(key).and_then(|item| item.texts(report)).unwrap_or_default();
    let mut found = Vec::new();
    for (at, text) in texts {
        match known(text) {
            Some(name) => found.push((at, name)),
            None => {
                let help = match nearest(text, all.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a tool of tools.toml, or a program of safe-bins.toml".to_owned(),
                };
                report.add(at, format!("`{}` is not in this folder", shown(text)), help);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::bundle::{Bundle, Files};

    fn read(text: &str) -> Result<Bundle, Vec<String>> {
        let tools = "[tools.deploy]\nlabels = []\n[tools.look]\nlabels = []\n";
        let files: Files = [
            ("credentials.toml", text),
            ("tools.toml", tools),
            (
                "safe-bins.toml",
                "schema = 1\nuse = [\"builtin:kubectl-readonly\", \"builtin:python-readonly\"]\n",
            ),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .collect();
        Bundle::from_files(&files).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_handed_over_is_what_the_file_says() {
        let bundle = read(
            "[credentials.deploys]\nabout = \"x\"\ntools = [\"deploy\"]\nlasts = \"5m\"\n\
             [credentials.cluster]\nprograms = [\"kubectl\", \"python3\"]\nvariable = \"KUBE_TOKEN\"\nlasts = \"90s\"\nhand = \"always\"\n",
        )
        .unwrap();
        let credentials = bundle.credentials();
        let deploy = credentials.of_tool("deploy").unwrap();
        assert_eq!(deploy.line(), "deploys: for 5m at most, and only once people agreed");
        assert!(credentials.of_tool("look").is_none());
        let kubectl = credentials.of_program("kubectl").unwrap();
        assert_eq!(kubectl.line(), "cluster: for 90s at most, in the variable KUBE_TOKEN");
        // By the name of the profile, whatever name the file has.
        assert!(credentials.of_program("python").is_some() && credentials.of_program("python3").is_none());
        assert!(credentials.of_program("deploy").is_none());
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, said) in [
            (
                "[credential.x]",
                "credentials.toml:1:2: `credential`: there is no such key",
            ),
            (
                "[credentials.x]\nlasts = \"5m\"",
                "credentials.toml:1:14: `x` is handed to nothing",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]",
                "credentials.toml:1:14: it is not said how long `x` may live",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nlasts = \"16m\"",
                "credentials.toml:3:9: `lasts` is 16m",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nlasts = \"0s\"",
                "credentials.toml:3:9:",
            ),
            (
                "[credentials.x]\ntools = [\"deplyo\"]\nlasts = \"5m\"",
                "credentials.toml:2:10: `deplyo` is not in this folder\n  help: did you mean `deploy`?",
            ),
            (
                "[credentials.x]\nprograms = [\"git\"]\nvariable = \"T\"\nlasts = \"5m\"",
                "credentials.toml:2:13: `git` is not in this folder",
            ),
            (
                "[credentials.x]\nprograms = [\"kubectl\"]\nlasts = \"5m\"",
                "credentials.toml:2:1: it is not said how the programs find it",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nvariable = \"T\"\nlasts = \"5m\"",
                "credentials.toml:3:1: `variable` is for programs",
            ),
            (
                "[credentials.x]\nprograms = [\"kubectl\"]\nvariable = \"LD_PRELOAD\"\nlasts = \"5m\"",
                "credentials.toml:3:12: `LD_PRELOAD` decides how a program runs",
            ),
            (
                "[credentials.x]\nprograms = [\"kubectl\"]\nvariable = \"kube token\"\nlasts = \"5m\"",
                "credentials.toml:3:12: `kube token` is not the name of a variable",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nlasts = \"5m\"\n[credentials.y]\ntools = [\"deploy\"]\nlasts = \"5m\"",
                "credentials.toml:5:10: `deploy` is handed `x` already",
            ),
            (
                "[credentials.x]\nprograms = [\"python\", \"python3\"]\nvariable = \"T\"\nlasts = \"5m\"",
                "credentials.toml:2:23: `python` is handed `x` already",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nlasts = \"5m\"\nhand = \"never\"",
                "credentials.toml:4:8: `hand` cannot be \"never\"",
            ),
            (
                "[credentials.x]\ntools = [\"deploy\"]\nttl = \"5m\"\nlasts = \"5m\"",
                "credentials.toml:3:1: `ttl`: the key is `lasts`",
            ),
        ] {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].starts_with(said), "{}", problems[0]);
        }
    }
}
