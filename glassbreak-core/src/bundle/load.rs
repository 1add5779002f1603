//! A bundle: the policy folder, checked as a whole.

use std::path::{Path, PathBuf};

use super::cases::Case;
use super::folder::{self, BundleDigest, Files};
use super::tools::ToolEntry;
use super::{Credentials, Settings, Tools};
use crate::approval::Electorate;
use crate::argv::Programs;
use crate::budget::{Name, Rules};
use crate::call::Word;
use crate::error::{Problem, Problems, nearest};
use crate::finding::Requirement;
use crate::label::{LabelSet, Vocabulary};
use crate::people::People;
use crate::policy::{Policies, PolicyInput};
use crate::shape::Shape;
use crate::source::Source;

/// A policy folder that holds together: every name in it is declared, every policy validates, every example holds.
///
/// It never changes; another folder makes another bundle.
#[derive(Debug)]
pub struct Bundle {
    digest: BundleDigest,
    settings: Settings,
    vocabulary: Vocabulary,
    people: People,
    programs: Programs,
    tools: Tools,
    credentials: Credentials,
    budgets: Rules,
    policies: Policies,
    cases: Vec<Case>,
    lints: Vec<Problem>,
    folder: Option<PathBuf>,
}

/// The files a policy folder may hold, beside `*.cedar`, `tests/*.toml` and `*.md`.
const KNOWN: [&str; 10] = [
    "glassbreak.toml",
    "people.toml",
    "safe-bins.toml",
    "safe-bins.json",
    "tools.toml",
    "tools.json",
    "budgets.toml",
    "credentials.toml",
    "schema.cedarschema",
    "entities.json",
];

impl Bundle {
    /// Reads and checks the policy folder at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with file, line and what to do. Nothing is loaded in part.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Problems> {
        let path = path.as_ref();
        let read = folder::read(path)
            .and_then(|files| Self::check(&files))
            .map_err(Problems::new)?;
        Ok(Self {
            folder: Some(path.to_owned()),
            ..read
        })
    }

    /// Checks the files of a policy folder: bytes by path, `/` between folders.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn from_files(files: &Files) -> Result<Self, Problems> {
        Self::check(files).map_err(Problems::new)
    }

    /// The built-in bundle: every shipped pack, the role `anonymous`, and one permit for running programs.
    ///
    /// # Errors
    /// When a shipped pack is broken.
    pub fn read_only() -> Result<Self, Problems> {
        let packs: Vec<String> = Programs::pack_texts().map(|(name, _)| format!("{name:?}")).collect();
        let safe_bins = format!("schema = 1\nuse = [{}]\n", packs.join(", "));
        let entities = r#"[{"uid":{"type":"Role","id":"anonymous"},"attrs":{},"parents":[]}]"#;
        let policy =
            "@id(\"read-only\")\npermit (principal == Role::\"anonymous\", action in Action::\"exec\", resource);\n";
        let files = [
            ("safe-bins.toml", safe_bins.as_str()),
            ("entities.json", entities),
            ("read-only.cedar", policy),
        ];
        Self::from_files(
            &files
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    fn check(files: &Files) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        names(files, &mut problems);
        let source = |name: &str| {
            files
                .get_key_value(name)
                .map(|(file, bytes)| Source::new(file, bytes))
                .transpose()
        };
        let mut file = |name: &str| {
            source(name).unwrap_or_else(|problem| {
                problems.push(problem);
                None
            })
        };
        let [
            glassbreak,
            people,
            toml,
            json,
            tools,
            listing,
            budgets_source,
            credentials,
            host_schema,
            entities,
        ] = KNOWN.map(&mut file);
        let mut texts = |matches: &dyn Fn(&str) -> bool| -> Vec<Source<'_>> {
            let names = files.keys().filter(|name| matches(name));
            names.filter_map(|name| file(name)).collect()
        };
        let cedar = texts(&|name| name.ends_with(".cedar"));
        let tests = texts(&|name| name.starts_with("tests/") && name.ends_with(".toml"));
        if !problems.is_empty() {
            return Err(problems);
        }

        // Each part is checked even where another is broken, so that one run shows all there is to mend; a part that
        // stands on a broken one is left out, because what it would say is noise.
        let Some(people) = keep(super::people::load(people), &mut problems) else {
            return Err(problems);
        };
        let (settings, vocabulary) = Settings::load(glassbreak, &people)?;
        let programs = keep(
            Programs::load(toml.or(json), settings.unlisted, &vocabulary),
            &mut problems,
        );
        let tools = keep(Tools::load(tools, listing, &vocabulary), &mut problems);
        let budgets = keep(Rules::load(budgets_source, &vocabulary, &people), &mut problems);
        let cases = keep(super::cases::load(&tests), &mut problems);
        let (Some((programs, mut lints)), Some(tools), Some(budgets), Some(cases)) = (programs, tools, budgets, cases)
        else {
            return Err(problems);
        };
        let credentials = keep(Credentials::load(credentials, &programs, &tools), &mut problems).unwrap_or_default();
        if let Some(source) = budgets_source {
            let known = |name: Name<'_>| match name {
                Name::Program(name) => programs.names().any(|known| known == name),
                Name::Tool(name) => tools.get(name).is_some(),
            };
            problems.extend(budgets.unknown_names(source, known));
            let carried = tools.names().filter_map(|name| tools.get(name)).map(ToolEntry::labels);
            let carried = carried.fold(LabelSet::EMPTY, LabelSet::union);
            lints.extend(budgets.unheld(source, &vocabulary, carried));
            lints.extend(budgets.observed_lints(source));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        lints.extend_from_slice(tools.lints());
        let shape = Shape {
            programs: programs.shapes(),
            tools: tools.shapes().to_vec(),
            budgets: budgets.budget_ids().map(str::to_owned).collect(),
            loops: budgets.loop_ids().map(str::to_owned).collect(),
            distincts: budgets.distinct_ids().map(str::to_owned).collect(),
            patterns: budgets.pattern_ids().map(str::to_owned).collect(),
            latches: budgets.latch_ids().map(str::to_owned).collect(),
            breakers: budgets.breaker_ids().map(str::to_owned).collect(),
        };
        let policies = Policies::load(PolicyInput {
            policies: cedar,
            entities,
            host_schema,
            shape: &shape,
            people: &people,
            vocabulary: &vocabulary,
            no_permit: settings.no_permit,
        })?;
        lints.extend_from_slice(policies.lints());
        let digest = BundleDigest::of(files, Programs::pack_texts());
        Ok(Self {
            digest,
            settings,
            vocabulary,
            people,
            programs,
            tools,
            credentials,
            budgets,
            policies,
            cases,
            lints,
            folder: None,
        })
    }

    /// The folder it was read from, if it was.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The digest over all its files and the shipped packs.
    pub const fn digest(&self) -> BundleDigest {
        self.digest
    }

    /// What `glassbreak.toml` says.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The labels it knows.
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Its people.
    pub const fn people(&self) -> &People {
        &self.people
    }

    /// The programs that have a profile.
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The tools of its manifest.
    pub const fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Which calls are handed a credential.
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Its sequence rules.
    pub const fn budgets(&self) -> &Rules {
        &self.budgets
    }

    /// Its Cedar policies.
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    #[cfg(test)]
    pub(crate) const fn policies_mut(&mut self) -> &mut Policies {
        &mut self.policies
    }

    /// What of it can put a question to people: the first rule, or `[ask]`, whose group has somebody who could answer, at
    /// any of its stages. `None` where nobody could, because what asks is then refused as impossible.
    pub fn can_ask(&self) -> Option<String> {
        let answers = |group: &Word| {
            let later = self.later(group);
            std::iter::once(group)
                .chain(&later)
                .any(|group| !self.members(group).is_empty())
        };
        let asks = |requirement: &Requirement| requirement.group.as_ref().is_some_and(answers);
        let mut rules = self.policies.asking().chain(self.budgets.asking());
        let rule = rules.find(|(_, requirement)| asks(requirement));
        let unsaid = || asks(&self.settings.ask).then(|| "[ask] in glassbreak.toml".to_owned());
        rule.map(|(rule, _)| rule.to_string()).or_else(unsaid)
    }

    /// Its own tests.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// What loads but has a hole, for people to look at.
    pub fn lints(&self) -> &[Problem] {
        &self.lints
    }
}

fn keep<T>(result: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|more| problems.extend(more)).ok()
}

/// A file that is not known would be a rule that nobody reads: refused.
fn names(files: &Files, problems: &mut Vec<Problem>) {
    for (name, bytes) in files {
        // Names go into errors, records and digests; they are plain, so that one cannot pass for another.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) {
            let what = format!("the name `{}` holds odd characters", crate::error::shown(name));
            problems.push(Problem::in_file(
                crate::error::shown(name),
                what,
                "use letters, digits, `.`, `_` and `-`",
            ));
            continue;
        }
        if bytes.len() as u64 > folder::MAX_FILE {
            problems.push(Problem::in_file(
                name,
                "this file is over 1 MiB",
                "split it, or keep only policy here",
            ));
        }
        let in_tests = name
            .strip_prefix("tests/")
            .is_some_and(|name| !name.contains('/') && name.ends_with(".toml"));
        let plain = !name.contains('/') && (KNOWN.contains(&name.as_str()) || name.ends_with(".cedar"));
        if in_tests || plain || name.ends_with(".md") {
            continue;
        }
        let (what, help) = match name.as_str() {
            "egress.toml" => (
                "rules for network destinations are not built".to_owned(),
                "remove the file".to_owned(),
            ),
            other => {
                let help = match nearest(other, KNOWN) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "a policy folder holds {}, *.cedar, tests/*.toml and *.md",
                        KNOWN.join(", ")
                    ),
                };
                ("this file is not part of a policy folder".to_owned(), help)
            }
        };
        problems.push(Problem::in_file(name, what, help));
    }
    if files.contains_key("safe-bins.toml") && files.contains_key("safe-bins.json") {
        problems.push(Problem::in_file(
            "safe-bins.json",
            "there is a safe-bins.toml too",
            "keep one of the two",
        ));
    }
}
