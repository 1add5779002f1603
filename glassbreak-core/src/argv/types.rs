//! What may stand in one place of a command line, and what it says about the call.

use std::sync::Arc;

use super::environment;
use super::path::{self, PathFit};
use super::pattern::Pattern;
use super::profile::{PathUse, Verdict};
use super::program::{FactRef, Names, Program};
use super::script;
use super::url::{self, UrlRule};
use super::wrapper::Command;
use crate::call::Workspace;
use crate::facts::Target;
use crate::finding::{Finding, Layer, RuleId};
use crate::label::LabelSet;

/// A type of words.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) about: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) facts: Vec<FactRef>,
    pub(crate) verdict: Verdict,
    pub(crate) why: Option<String>,
    pub(crate) labels: LabelSet,
    pub(crate) rule: RuleId,
    pub(crate) words: Vec<WordRule>,
}

/// What one word means, beyond being allowed.
#[derive(Debug)]
pub(crate) struct WordRule {
    pub(crate) word: Arc<str>,
    pub(crate) verdict: Verdict,
    pub(crate) why: Option<String>,
    pub(crate) labels: LabelSet,
    pub(crate) means: Vec<Arc<str>>,
    pub(crate) rule: RuleId,
}

/// How a type is told.
#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Box<str>),
    /// Spellings, each with the place of what it stands for.
    Words {
        spellings: Names,
        canonical: Vec<Arc<str>>,
        fold: bool,
    },
    Int {
        min: i64,
        max: i64,
    },
    Pattern(Pattern),
    Text {
        max: usize,
        lines: bool,
    },
    Duration,
    /// A number with a unit of time or none, as `sleep` and `timeout` take it.
    Seconds,
    /// A number with a unit of size or none.
    Size,
    Path(PathUse),
    Glob,
    /// A program and its words, to the end of the call.
    Command,
    /// `NAME=value`, for the environment of what is run.
    Assignment,
    Script(script::Language),
    Url(UrlRule),
    AnyOf(Vec<usize>),
    List {
        item: usize,
        separator: Box<str>,
    },
    Pair {
        left: usize,
        between: Box<str>,
        right: usize,
    },
}

impl Kind {
    /// What facts say of texts of this kind, where these are words of the profile.
    pub(crate) fn words(&self) -> Option<&[Arc<str>]> {
        match self {
            Self::Words { canonical, .. } => Some(canonical),
            _ => None,
        }
    }
}

/// The most elements of a `list`.
const MAX_LIST: usize = 64;
/// The longest text of the built-in `text` and `lines`, in bytes.
pub(crate) const MAX_TEXT: usize = 4096;

/// What the words of a call have said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) facts: Vec<(FactRef, Arc<str>)>,
    pub(crate) labels: LabelSet,
    pub(crate) findings: Vec<Finding>,
    /// The words that were taken for paths.
    pub(crate) paths: Vec<Box<str>>,
    /// The command that the program runs.
    pub(crate) command: Option<Command>,
    /// Why the last word that was tried did not fit, where that is more than what its type says.
    pub(crate) unfit: Option<String>,
}

/// How far a `Said` had come, to go back to when an alternative does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(usize, LabelSet, usize, usize);

impl Said {
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.facts.len(), self.labels, self.findings.len(), self.paths.len())
    }

    pub(crate) fn go_back(&mut self, mark: Mark) {
        self.facts.truncate(mark.0);
        self.labels = mark.1;
        self.findings.truncate(mark.2);
        self.paths.truncate(mark.3);
        self.command = None;
    }

    fn object(&mut self, verdict: Verdict, rule: &RuleId, why: impl FnOnce() -> String) {
        match verdict {
            Verdict::Allow => {}
            Verdict::Ask => self
                .findings
                .push(Finding::ask(rule.clone(), why(), super::refuse::ASK_FOR_IT, None)),
            Verdict::Deny => self.findings.push(Finding::deny(rule.clone(), why(), "leave it out")),
        }
    }
}

/// Where a call runs: what paths are measured against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) workspace: &'a Workspace,
    /// The working folder, relative to the workspace.
    pub(crate) cwd: &'a str,
}

/// Checks whether `text` is of the type at `ty`, and takes down what it says.
///
/// On `false`, `said` may have grown: the caller goes back to its mark.
pub(crate) fn fits(program: &Program, ty: usize, text: &str, ground: Ground<'_>, said: &mut Said) -> bool {
    said.unfit = None;
    fits_within(program, ty, text, ground, said, 0)
}

fn fits_within(program: &Program, ty: usize, text: &str, ground: Ground<'_>, said: &mut Said, depth: u8) -> bool {
    // Types may not contain themselves (checked when compiled); the bound is a second lock.
    let (Some(ty), false) = (program.ty(ty), depth > 16) else {
        return false;
    };
    let lines = matches!(ty.kind, Kind::Text { lines: true, .. } | Kind::Script(_));
    if !lines && text.contains(['\n', '\t']) {
        return false;
    }
    let mut canonical = None;
    let fit = match &ty.kind {
        Kind::Literal(literal) => **literal == *text,
        Kind::Words {
            spellings,
            canonical: words,
            fold,
        } => {
            let found = if *fold {
                spellings.get(&text.to_ascii_lowercase())
            } else {
                spellings.get(text)
            };
            canonical = found.and_then(|index| words.get(index)).map(Arc::clone);
            canonical.is_some()
        }
        Kind::Int { min, max } => is_int(text, *min, *max),
        Kind::Pattern(pattern) => text.len() <= MAX_TEXT && pattern.matches(text),
        Kind::Text { max, .. } => text.len() <= *max,
        Kind::Duration => is_duration(text),
        Kind::Seconds => is_seconds(text),
        Kind::Size => is_size(text),
        Kind::Path(usage) => match path::fit(text, *usage, ground) {
            PathFit::Fits => {
                said.paths.push(text.into());
                true
            }
            PathFit::Unfit => false,
            PathFit::Sensitive => {
                said.paths.push(text.into());
                path::take_secret(program, text, said);
                true
            }
            PathFit::Outside => {
                said.findings.push(path::outside(&program.name, text));
                true
            }
        },
        Kind::Glob => {
            let fit = text.len() <= MAX_TEXT && !text.is_empty();
            if fit && path::singles_out_secrets(text) {
                path::take_secret(program, text, said);
            }
            fit
        }
        // A form takes it whole; one word of it fits nowhere else.
        Kind::Command => false,
        Kind::Assignment => text.split_once('=').is_some_and(|(name, value)| {
            let variables = [(name, value)];
            let (findings, _) = environment::check_all(Some(program), variables.into_iter());
            said.findings.extend(findings);
            true
        }),
        Kind::Script(language) => {
            said.unfit = script::objection(*language, text);
            said.unfit.is_none()
        }
        Kind::Url(rule) => match url::host(text, rule) {
            Ok(host) => {
                let host: Arc<str> = host.into();
                said.facts
                    .extend(rule.host_facts.iter().map(|fact| (*fact, Arc::clone(&host))));
                true
            }
            Err(why) => {
                said.unfit = Some(why);
                false
            }
        },
        Kind::AnyOf(types) => types.iter().any(|ty| {
            let mark = said.mark();
            let fit = fits_within(program, *ty, text, ground, said, depth + 1);
            if !fit {
                said.go_back(mark);
            }
            fit
        }),
        Kind::List { item, separator } => {
            let mut items = text.split(&**separator);
            text.matches(&**separator).count() < MAX_LIST
                && items.all(|text| fits_within(program, *item, text, ground, said, depth + 1))
        }
        Kind::Pair { left, between, right } => text.split_once(&**between).is_some_and(|(a, b)| {
            fits_within(program, *left, a, ground, said, depth + 1)
                && fits_within(program, *right, b, ground, said, depth + 1)
        }),
    };
    if !fit {
        return false;
    }
    if !ty.facts.is_empty() {
        let text = canonical.clone().unwrap_or_else(|| text.into());
        said.facts
            .extend(ty.facts.iter().map(|fact| (*fact, Arc::clone(&text))));
    }
    said.labels = said.labels.union(ty.labels);
    said.object(ty.verdict, &ty.rule, || {
        let why = ty.why.as_deref().unwrap_or("a person must agree");
        format!("`{}`: {why}", crate::error::shown(text))
    });
    let word = canonical.as_deref().unwrap_or(text);
    if let Some(rule) = ty.words.iter().find(|rule| *rule.word == *word) {
        said.labels = said.labels.union(rule.labels);
        for also in &rule.means {
            said.facts.extend(ty.facts.iter().map(|fact| (*fact, Arc::clone(also))));
        }
        said.object(rule.verdict, &rule.rule, || {
            let why = rule.why.as_deref().unwrap_or("a person must agree");
            format!("`{}`: {why}", crate::error::shown(text))
        });
    }
    true
}

fn is_int(text: &str, min: i64, max: i64) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.len() <= 19
        && digits.bytes().all(|b| b.is_ascii_digit())
        && text.parse::<i64>().is_ok_and(|n| min <= n && n <= max)
}

/// A length of time as Go, systemd and coreutils write it: `90s`, `1h30m`, `250ms`, `0`; at most 32 bytes.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    if rest == "0" {
        return true;
    }
    if rest.is_empty() || rest.len() > 32 {
        return false;
    }
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if number.len() == rest.len() {
            return false;
        }
        let Some(unit) = ["ms", "us", "ns", "h", "m", "s", "d"]
            .into_iter()
            .find(|unit| number.starts_with(unit))
        else {
            return false;
        };
        rest = number.strip_prefix(unit).unwrap_or("");
    }
    true
}

/// `5`, `0.5s`, `2m`: one number, then `s`, `m`, `h`, `d` or nothing; at most 16 bytes.
fn is_seconds(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or(text);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 16 && digits(whole) && digits(part)
}

/// `512`, `10K`, `4MiB`, `2GB`: one whole number of at most 15 digits, then a unit or nothing.
fn is_size(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - unit.len();
    let unit = unit
        .strip_suffix("iB")
        .or_else(|| unit.strip_suffix('B'))
        .unwrap_or(unit);
    let known = matches!(
        unit,
        "" | "b" | "c" | "w" | "k" | "K" | "m" | "M" | "g" | "G" | "t" | "T" | "P" | "E"
    );
    (1..=15).contains(&digits) && known
}

/// Adds what was said to the facts of a call.
pub(crate) fn tell(
    facts: Vec<(FactRef, Arc<str>)>,
    sets: &mut [(Arc<str>, std::collections::BTreeSet<Arc<str>>)],
    target: &mut Target,
) {
    for (fact, text) in facts {
        match fact {
            FactRef::Set(index) => {
                if let Some((_, set)) = sets.get_mut(index) {
                    set.insert(text);
                }
            }
            FactRef::Target(name) => {
                if let Some(fact) = target.get_mut(name) {
                    fact.add(&text);
                }
            }
        }
    }
}

/// The rule `argv.<program>.<id>`.
pub(crate) fn rule(program: &str, id: &str) -> RuleId {
    RuleId::known(Layer::Argv, &[program, ".", id].concat())
}

impl Type {
    /// Whether a text of this type can fill `fact`.
    pub(crate) fn fills(&self, fact: FactRef) -> bool {
        let host = matches!(&self.kind, Kind::Url(rule) if rule.host_facts.contains(&fact));
        host || self.facts.contains(&fact)
    }

    /// What fits, for the person who reads the refusal.
    pub(crate) fn describe(&self, program: &Program) -> String {
        let of = |ty: &usize| program.ty(*ty).map_or_else(String::new, |ty| ty.describe(program));
        if let Some(about) = &self.about {
            return about.clone();
        }
        match &self.kind {
            Kind::Literal(literal) => format!("`{literal}`"),
            Kind::Words { canonical, .. } => {
                let mut words: Vec<String> = canonical.iter().take(8).map(|word| format!("`{word}`")).collect();
                if canonical.len() > 8 {
                    words.push(format!("{} more", canonical.len() - 8));
                }
                format!("one of {}", words.join(", "))
            }
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Pattern(pattern) => format!("a text like /{}/", pattern.text()),
            Kind::Text { max, lines: false } => format!("one line of at most {max} bytes"),
            Kind::Text { max, lines: true } => format!("a text of at most {max} bytes"),
            Kind::Duration => "a length of time such as `90s` or `5m`".to_owned(),
            Kind::Seconds => "a length of time such as `5`, `0.5s` or `2m`".to_owned(),
            Kind::Size => "a size such as `512`, `10K` or `4MiB`".to_owned(),
            Kind::Path(PathUse::Read | PathUse::Write) => "a path beneath the workspace".to_owned(),
            Kind::Glob => "a pattern of file names".to_owned(),
            Kind::Url(rule) => {
                let private = if rule.private { "" } else { " of the public network" };
                let hosts = rule.hosts.join(" or ");
                let at = if hosts.is_empty() { "" } else { " at " };
                format!(
                    "an address{private} such as `{}://…`{at}{hosts}",
                    rule.schemes.join("://…` or `")
                )
            }
            Kind::Command => "a program with a profile, and its words".to_owned(),
            Kind::Assignment => "a variable that does no harm, such as `TZ=UTC`".to_owned(),
            Kind::Script(language) => script::describe(*language).to_owned(),
            Kind::AnyOf(types) => types.iter().map(of).collect::<Vec<_>>().join(", or "),
            Kind::List { item, separator } => format!("{}, with `{separator}` between several", of(item)),
            Kind::Pair { left, between, right } => format!("{}, then `{between}`, then {}", of(left), of(right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_plain_digits_within_bounds() {
        for good in ["0", "7", "-5", "007"] {
            assert!(is_int(good, -10, 10), "{good}");
        }
        for bad in [
            "",
            "-",
            "+5",
            "11",
            "-11",
            "1.0",
            "1e1",
            " 1",
            "99999999999999999999",
            "٣",
        ] {
            assert!(!is_int(bad, -10, 10), "{bad}");
        }
    }

    #[test]
    fn seconds_and_sizes_are_one_number_and_a_unit() {
        for good in ["5", "0.5", "0.5s", "2m", "1h", "3d"] {
            assert!(is_seconds(good), "{good}");
        }
        for bad in ["", "s", ".5", "5.", "1m30s", "-5", "+5", "5 ", "inf", "5ms", "1e3"] {
            assert!(!is_seconds(bad), "{bad}");
        }
        for good in ["0", "512", "10K", "4MiB", "2GB", "1k", "16b"] {
            assert!(is_size(good), "{good}");
        }
        for bad in [
            "",
            "K",
            "-1",
            "+1",
            "1.5K",
            "5%",
            "10 K",
            "10KK",
            "0x10",
            "1234567890123456",
        ] {
            assert!(!is_size(bad), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time_have_units() {
        for good in ["0", "90s", "1h30m", "250ms", "2d"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "90", "s", "1h30", "-5s", "1.5h", "5 m", "5x"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
