//! `glassbreak.toml`: what holds where no rule says otherwise, and the labels.

use super::{RequestLimits, StagePlans};
use crate::error::Problem;
use crate::finding::{Outcome, Requirement};
use crate::label::{Risk, Vocabulary};
use crate::people::People;
use crate::source::Source;
use crate::table::{self, Fields, Report};

/// What holds where no rule says otherwise.
///
/// ```toml
/// unlisted = "deny"          # programs without a profile: "deny" unless set, or "ask"
/// no_permit = "deny"         # calls that no policy permits: "deny" unless set, or "ask"
///
/// [ask]                      # who answers an ask whose rule does not say
/// group = "oncall"
/// quorum = 1
/// window = "5m"
///
/// [requests]                 # how long people have, and how often an agent may ask: see `RequestLimits`
/// deadline = "5m"
///
/// [stages.oncall]            # whom a question to a group goes on to: see `StagePlans`
/// then = [{ group = "leads", after = "60s" }]
///
/// [labels]                   # new labels, and new risks of those that ship
/// "billing.refund" = "high"
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What becomes of programs that no profile describes: a denial, or an ask.
    pub unlisted: Outcome,
    /// What becomes of calls that no policy permits: a denial, or an ask.
    pub no_permit: Outcome,
    /// Who must agree where the asking rule does not say. Without a group nobody can.
    pub ask: Requirement,
    /// How long people have, and how often an agent may ask them.
    pub requests: RequestLimits,
    /// Whom questions go on to where nobody answers.
    pub stages: StagePlans,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unlisted: Outcome::Deny,
            no_permit: Outcome::Deny,
            ask: Requirement::default(),
            requests: RequestLimits::default(),
            stages: StagePlans::default(),
        }
    }
}

impl Settings {
    /// Reads `glassbreak.toml`; without one everything is denied, and the labels are the built-in ones.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each at its line and column.
    pub(crate) fn load(source: Option<Source<'_>>, people: &People) -> Result<(Self, Vocabulary), Vec<Problem>> {
        let Some(source) = source else {
            return Ok((Self::default(), Vocabulary::built_in()));
        };
        table::read(source, |report, fields| {
            check_keys(report, fields);
            let mut settings = Self {
                unlisted: outcome(report, fields, "unlisted"),
                no_permit: outcome(report, fields, "no_permit"),
                ..Self::default()
            };
            if let Some(item) = fields.get("ask") {
                settings.ask = item.requirement(report, people, false).unwrap_or_default();
            }
            if let Some(item) = fields.get("requests") {
                settings.requests = RequestLimits::read(report, item);
            }
            if let Some(item) = fields.get("stages") {
                settings.stages = StagePlans::read(report, item, people, settings.requests.deadline);
            }
            (settings, labels(report, fields))
        })
    }
}

fn check_keys(report: &mut Report<'_>, fields: Fields<'_>) {
    const REQUESTS: (&str, &str) = ("this is said under [requests]", "write [requests] above it");
    const HOST: (&str, &str) = (
        "the host says this where it builds the gate",
        "leave it out, and give it to the gate's builder",
    );
    const OPERATORS: (&str, &str) = (
        "who may lock, unlock, revoke and adopt is said by Cedar policies",
        "write permits on Action::\"lock\" and the like; Action::\"operate\" is all of them",
    );
    const LOCKS: (&str, &str) = (
        "locks are set while the gate runs, and lie in its store",
        "leave it out; say who may set them in a policy on Action::\"lock\"",
    );
    let elsewhere = |key, (what, help)| (key, what, help);
    fields.check_keys(
        report,
        &["unlisted", "no_permit", "ask", "requests", "stages", "labels"],
        &[
            elsewhere("deadline", REQUESTS),
            elsewhere("pending", REQUESTS),
            elsewhere("per_hour", REQUESTS),
            elsewhere("cooldown", REQUESTS),
            (
                "deadlines",
                "this is said under [requests]",
                "write deadline = \"5m\" there",
            ),
            (
                "caps",
                "this is said under [requests]",
                "write `pending` and `per_hour` there",
            ),
            ("request", "there is no such key", "write [requests]"),
            (
                "stage",
                "stages are those of a group",
                "write [stages.<group>] and in it then = [{ group = \"leads\" }]",
            ),
            (
                "escalate",
                "stages are those of a group",
                "write [stages.<group>] and in it then = [{ group = \"leads\" }]",
            ),
            elsewhere("operators", OPERATORS),
            elsewhere("operate", OPERATORS),
            elsewhere("audit", HOST),
            elsewhere("store", HOST),
            elsewhere("notify", HOST),
            elsewhere("notifier", HOST),
            elsewhere("notifiers", HOST),
            elsewhere("lock", LOCKS),
            elsewhere("locks", LOCKS),
            ("egress", "judging connections is not built", "leave it out"),
            ("roles", "roles are not declared here", "declare them in entities.json"),
            ("groups", "groups are not declared here", "declare them in people.toml"),
            (
                "persons",
                "persons are not declared here",
                "declare them in people.toml",
            ),
            ("quorum", "this is said under [ask]", "write [ask] above it"),
            ("group", "this is said under [ask]", "write [ask] above it"),
            ("window", "this is said under [ask]", "write [ask] above it"),
        ],
    );
}

fn outcome(report: &mut Report<'_>, fields: Fields<'_>, name: &str) -> Outcome {
    let words = [
        ("deny", Some(Outcome::Deny)),
        ("ask", Some(Outcome::Ask)),
        ("allow", None),
    ];
    let Some(item) = fields.get(name) else {
        return Outcome::Deny;
    };
    match item.one_of(report, &words) {
        Some(Some(outcome)) => outcome,
        Some(None) => {
            let what = format!("`{name}` cannot be \"allow\": what nobody described is not let through");
            report.add(item.at, what, "write \"deny\" or \"ask\"");
            Outcome::Deny
        }
        None => Outcome::Deny,
    }
}

fn labels(report: &mut Report<'_>, fields: Fields<'_>) -> Vocabulary {
    let mut vocabulary = Vocabulary::built_in();
    let declared = fields.get("labels").and_then(|item| item.fields(report));
    for item in declared.into_iter().flat_map(|labels| labels.items()) {
        let words = [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High)];
        let risk = item.one_of(report, &words).unwrap_or(Risk::High);
        if let Err(bad) = vocabulary.declare(item.name, risk) {
            report.add(item.name_at, bad.to_string(), bad.help());
        }
    }
    vocabulary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Word;
    use crate::clock::Span;

    fn load(text: &str) -> Result<(Settings, Vocabulary), Vec<String>> {
        let mut people = People::default();
        people.add_group(Word::new("oncall").unwrap());
        let source = Source {
            file: "glassbreak.toml",
            text,
        };
        Settings::load(Some(source), &people).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_said_is_a_denial() {
        let (settings, vocabulary) = load("").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!((settings.unlisted, settings.no_permit), (Outcome::Deny, Outcome::Deny));
        assert_eq!(settings.ask.group, None);
        assert_eq!(vocabulary, Vocabulary::built_in());
    }

    #[test]
    fn everything_said_is_taken() {
        let (settings, vocabulary) = load(
            "unlisted = \"ask\"\nno_permit = \"ask\"\n[ask]\ngroup = \"oncall\"\nquorum = 2\nwindow = \"5m\"\n\
             [labels]\n\"billing.refund\" = \"high\"\nmutating = \"low\"\n",
        )
        .unwrap();
        assert_eq!((settings.unlisted, settings.no_permit), (Outcome::Ask, Outcome::Ask));
        assert_eq!(settings.ask.group.as_ref().map(Word::as_str), Some("oncall"));
        assert_eq!(
            (settings.ask.quorum, settings.ask.window),
            (2, Span::from_word("5m").ok())
        );
        let risk = |word: &str| vocabulary.risk_of([vocabulary.get(word).unwrap()].into_iter().collect());
        assert_eq!((risk("billing.refund"), risk("mutating")), (Risk::High, Risk::Low));
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        for (text, said) in [
            (
                "unlisted = \"allow\"",
                "glassbreak.toml:1:12: `unlisted` cannot be \"allow\"",
            ),
            (
                "no_permit = \"aks\"",
                "glassbreak.toml:1:13: `no_permit` cannot be \"aks\"\n  help: did you mean \"ask\"?",
            ),
            (
                "unlistd = \"ask\"",
                "glassbreak.toml:1:1: unknown key `unlistd`\n  help: did you mean `unlisted`?",
            ),
            (
                "[audit]\npath = \"x\"",
                "glassbreak.toml:1:2: `audit`: the host says this where it builds the gate",
            ),
            (
                "store = \"x\"",
                "glassbreak.toml:1:1: `store`: the host says this where it builds the gate",
            ),
            (
                "[notify]",
                "glassbreak.toml:1:2: `notify`: the host says this where it builds the gate",
            ),
            (
                "deadline = \"10m\"",
                "glassbreak.toml:1:1: `deadline`: this is said under [requests]\n  help: write [requests] above it",
            ),
            (
                "cooldown = \"10m\"",
                "glassbreak.toml:1:1: `cooldown`: this is said under [requests]",
            ),
            (
                "caps = 3",
                "glassbreak.toml:1:1: `caps`: this is said under [requests]\n  help: write `pending` and `per_hour` there",
            ),
            (
                "operators = [\"alice\"]",
                "glassbreak.toml:1:1: `operators`: who may lock, unlock, revoke and adopt is said by Cedar policies\n  help: write permits on Action::\"lock\"",
            ),
            (
                "[locks]",
                "glassbreak.toml:1:2: `locks`: locks are set while the gate runs",
            ),
            (
                "requests = 5",
                "glassbreak.toml:1:12: `requests` is an integer, and a table is wanted",
            ),
            ("[requests]\npending = 0", "glassbreak.toml:2:11: `pending` is 0"),
            (
                "[ask]\ngroup = \"oncall\"\ndeadline = \"5m\"",
                "glassbreak.toml:3:1: `deadline`: one deadline holds for all requests\n  help: write it under [requests] in glassbreak.toml",
            ),
            ("[ask]\nquorum = 2", "glassbreak.toml:1:2: `ask` names no group"),
            (
                "[ask]\ngroup = \"oncal\"",
                "glassbreak.toml:2:9: unknown group `oncal`\n  help: did you mean `oncall`?",
            ),
            (
                "[ask]\ngroup = \"oncall\"\nself = \"allow\"",
                "glassbreak.toml:3:1: `self`: ",
            ),
            (
                "[ask]\ngroup = \"oncall\"\nwindow = \"5\"",
                "glassbreak.toml:3:10: `5` is not a span of time",
            ),
            (
                "[labels]\nmutating = \"hihg\"",
                "glassbreak.toml:2:12: `mutating` cannot be \"hihg\"\n  help: did you mean \"high\"?",
            ),
            (
                "[labels]\nUpper = \"high\"",
                "glassbreak.toml:2:1: `Upper` is not a label",
            ),
            (
                "labels = [\"x\"]",
                "glassbreak.toml:1:10: `labels` is an array, and a table is wanted",
            ),
        ] {
            let problems = load(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(said), "{}", problems[0]);
        }
        assert_eq!(load("a = 1\nb = 2\nunlisted = 3").unwrap_err().len(), 3);
    }
}
