//! What `mode = "observe"` lets off, and what it does not.

use super::*;
use crate::audit::{Event, Permitted, Refused};
use crate::bundle::Files;
use crate::call::wire;
use crate::error::Problems;
use crate::finding::{Layer, Level};
use crate::store::OpId;

const TOOLS: &str = "[tools.drop]\nlabels = [\"mutating\"]\nschema = { type = \"object\", properties = {} }\n\
                     [tools.look]\nlabels = []\nschema = { type = \"object\", properties = {} }\n";
const POLICY: &str = "@id(\"all\") permit (principal, action == Action::\"tool:drop\", resource);\n";
const NOW: Timestamp = Timestamp::from_millis(0);

/// A budget of one call, then `then`; `more` stands at its end.
fn budgets(defaults: &str, then: &str, more: &str) -> String {
    format!(
        "schema = 1\n[defaults]\n{defaults}\n[[budget]]\nid = \"drops\"\nmatch = {{ labels = [\"mutating\"] }}\n\
         key = [\"agent\"]\nlimit = 1\nwindow = {{ sliding = \"10m\" }}\nladder = [{{ over = 0, then = \"{then}\" }}]\n\
         ceiling = 4\n{more}\n"
    )
}

fn load(budgets: &str, policy: &str) -> Result<Bundle, Problems> {
    let files = [
        ("tools.toml", TOOLS),
        ("budgets.toml", budgets),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
        ("p.cedar", policy),
    ];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
    Bundle::from_files(&files)
}

fn bundle(budgets: &str) -> Bundle {
    load(budgets, POLICY).unwrap_or_else(|problems| panic!("{problems}"))
}

fn drop_call() -> Call {
    wire::read(br#"{"actor":{"role":"ops","session":"s"},"tool":{"name":"drop","arguments":{}}}"#)
        .unwrap()
        .call
}

/// What the `count`th drop comes to.
fn nth(bundle: &Bundle, count: u32) -> Judgement {
    let mut state = SessionState::new(Workspace::new("/work").unwrap());
    let call = drop_call();
    for _ in 1..count {
        let judgement = judge(bundle, &state, &call, NOW);
        state.advance(bundle, &call, &judgement, NOW, true);
    }
    judge(bundle, &state, &call, NOW)
}

fn levels(judgement: &Judgement) -> Vec<(&str, Level)> {
    let findings = judgement.ruling.findings().iter();
    findings
        .map(|finding| (finding.rule().as_str(), finding.level()))
        .collect()
}

#[test]
fn what_an_observed_rule_would_do_is_said_and_not_done() {
    for (then, would) in [("ask", Level::Ask), ("deny", Level::Deny)] {
        for text in [
            budgets("", then, "mode = \"observe\""),
            budgets("mode = \"observe\"", then, ""),
        ] {
            let judgement = nth(&bundle(&text), 2);
            assert_eq!(judgement.ruling.outcome(), Outcome::Allow, "{}", judgement.ruling.why());
            let mut fired = judgement.ruling.findings().iter().filter(|f| f.would().is_some());
            let fired = (fired.next().unwrap(), fired.next());
            assert_eq!(
                (fired.0.rule().as_str(), fired.0.would()),
                ("budget.drops", Some(would))
            );
            assert!(
                fired.0.why().starts_with("OBSERVED, NOT ENFORCED, would "),
                "{}",
                fired.0.why()
            );
            assert!(fired.1.is_none());
            assert!(judgement.seq.budgets[0].fired, "facts are what they are");
        }
    }
}

#[test]
fn where_nothing_is_said_or_a_rule_says_enforce_it_is_enforced() {
    for text in [
        budgets("", "ask", ""),
        budgets("", "ask", "mode = \"enforce\""),
        budgets("mode = \"observe\"", "ask", "mode = \"enforce\""),
    ] {
        let bundle = bundle(&text);
        let judgement = nth(&bundle, 2);
        assert_eq!(judgement.ruling.outcome(), Outcome::Ask);
        assert!(!levels(&judgement).iter().any(|(_, level)| *level == Level::Note));
        assert_eq!((bundle.budgets().observed().len(), bundle.lints().len()), (0, 0));
    }
}

#[test]
fn a_mode_that_is_missing_or_mistyped_does_not_load() {
    for mode in [
        "mode = \"\"",
        "mode = \"Observe\"",
        "mode = \"observ\"",
        "mode = \"off\"",
        "mode = true",
        "mode = []",
        "mode = { observe = true }",
        "modes = \"observe\"",
        "mdoe = \"observe\"",
        "observe = true",
    ] {
        for text in [budgets("", "ask", mode), budgets(mode, "ask", "")] {
            let problems = load(&text, POLICY).unwrap_err().to_string();
            assert!(problems.contains("budgets.toml:"), "{mode}: {problems}");
        }
    }
    // Nor does one that stands where no rule is.
    for text in [
        format!("mode = \"observe\"\n{}", budgets("", "ask", "")),
        budgets("", "ask", "match.mode = \"observe\""),
    ] {
        load(&text, POLICY).unwrap_err();
    }
}

#[test]
fn a_ceiling_holds_while_its_rule_is_observed() {
    let bundle = bundle(&budgets("", "ask", "mode = \"observe\""));
    assert_eq!(nth(&bundle, 4).ruling.outcome(), Outcome::Allow);
    let judgement = nth(&bundle, 5);
    assert_eq!(judgement.ruling.outcome(), Outcome::Deny);
    let denial = judgement.denial().unwrap();
    assert_eq!(denial.rules()[0].as_str(), "budget.drops.ceiling");
    // And so where a store counts.
    let (state, call) = (SessionState::new(Workspace::new("/work").unwrap()), drop_call());
    let prepared = prepare(&bundle, state.workspace(), &call).unwrap();
    let over = prepared.over(0, 5, None, NOW);
    assert_eq!(prepared.stop(over, 0).ruling.outcome(), Outcome::Deny);
}

#[test]
fn a_store_that_does_not_answer_denies_while_its_rule_is_observed() {
    let bundle = bundle(&budgets("", "ask", "mode = \"observe\""));
    let (state, call) = (SessionState::new(Workspace::new("/work").unwrap()), drop_call());
    // Counts that are not there.
    let prepared = prepare(&bundle, state.workspace(), &call).unwrap();
    let judgement = prepared.conclude(&state, NOW, Shared::Counted(&[]), 0);
    assert_eq!(judgement.ruling.outcome(), Outcome::Deny);
    // A store that fails.
    let prepared = prepare(&bundle, state.workspace(), &call).unwrap();
    let broken = Finding::unavailable(RuleId::known(Layer::Budget, "drops"), "the store does not answer");
    assert_eq!(prepared.stop(broken, 0).ruling.outcome(), Outcome::Deny);
}

#[test]
fn observing_permits_nothing_that_no_policy_permits() {
    let text = budgets("mode = \"observe\"", "ask", "");
    for (policy, rule) in [
        ("", "policy.no-permit"),
        (
            "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n\
             @id(\"never\") forbid (principal, action == Action::\"tool:drop\", resource);",
            "policy.never",
        ),
        (
            "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n\
             @id(\"fired\") forbid (principal, action == Action::\"tool:drop\", resource)\n\
             when { context.seq.budget.drops.count > 0 };",
            "policy.fired",
        ),
    ] {
        let bundle = load(&text, policy).unwrap_or_else(|problems| panic!("{problems}"));
        let judgement = nth(&bundle, 1);
        assert_eq!(judgement.ruling.outcome(), Outcome::Deny, "{policy}");
        assert_eq!(judgement.denial().unwrap().rules()[0].as_str(), rule);
    }
}

#[test]
fn only_the_rule_that_says_so_is_observed() {
    let more = "mode = \"observe\"\n[[loop]]\nid = \"stuck\"\nexact_repeat = 3\nthen = \"deny\"";
    let bundle = bundle(&budgets("", "deny", more));
    assert_eq!(nth(&bundle, 2).ruling.outcome(), Outcome::Allow);
    let judgement = nth(&bundle, 3);
    assert_eq!(judgement.ruling.outcome(), Outcome::Deny);
    assert_eq!(levels(&judgement)[0], ("budget.stuck", Level::Deny));
}

/// One rule of each kind that stops the second drop, or the first, with this at its end.
fn kinds(mode: &str) -> [String; 7] {
    [
        "[[budget]]\nid = \"x\"\nmatch = { labels = [] }\nkey = [\"session\"]\nlimit = 0\ndurability = \"none\"\nthen = \"kill\"",
        "[[budget]]\nid = \"x\"\nmatch = { labels = [] }\ndurability = \"none\"\nthen = \"deny\"\nlevels = [{ key = [\"session\"], limit = 9 }, { key = [\"session\", \"tool\"], limit = 0 }]",
        "[[distinct]]\nid = \"x\"\nmatch = { labels = [] }\nof = \"tool\"\nlimit = 0\nkey = [\"session\"]",
        "[[pattern]]\nid = \"x\"\nsteps = [{ labels = [] }, { labels = [\"mutating\"] }]\nwithin = \"1h\"\nkey = [\"session\"]",
        "[[latch]]\nid = \"x\"\nlatch = [\"mutating\"]\nmatch = { labels = [] }\nkey = [\"session\"]\nthen = \"deny\"",
        "[[loop]]\nid = \"x\"\nexact_repeat = 2\nkey = [\"session\"]\nthen = \"kill\"",
        "[[breaker]]\nid = \"x\"\nkey = [\"session\"]\nconsecutive = 1\nopen = \"30s\"",
    ]
    .map(|rule| format!("schema = 1\n{rule}\n{mode}\n"))
}

#[test]
fn every_kind_of_rule_can_be_observed_and_stops_where_it_is_not() {
    let three = |bundle: &Bundle| -> Vec<Ruling> {
        let mut state = SessionState::new(Workspace::new("/work").unwrap());
        let (call, mut rulings) = (drop_call(), Vec::new());
        for _ in 0..3 {
            let judgement = judge(bundle, &state, &call, NOW);
            state.advance(bundle, &call, &judgement, NOW, true);
            state.ended(bundle, &call, &judgement, NOW, NOW, false);
            rulings.push(judgement.ruling);
        }
        rulings
    };
    for (enforced, observed) in kinds("").into_iter().zip(kinds("mode = \"observe\"")) {
        let stops = |ruling: &Ruling| ruling.outcome() != Outcome::Allow;
        assert!(three(&bundle(&enforced)).iter().any(stops), "{enforced}");
        let rulings = three(&bundle(&observed));
        assert!(
            !rulings.iter().any(|ruling| stops(ruling) || ruling.locks()),
            "{observed}"
        );
        let findings = rulings.iter().flat_map(Ruling::findings);
        assert!(
            findings.filter(|finding| finding.would().is_some()).count() > 0,
            "{observed}"
        );
    }
    for wrong in kinds("mode = \"observed\"") {
        load(&wrong, POLICY).unwrap_err();
    }
}

#[test]
fn a_rule_that_is_observed_does_not_hold_what_cannot_be_undone() {
    let rule = |mode: &str| {
        format!(
            "schema = 1\n[[budget]]\nid = \"x\"\nmatch = {{ labels = [\"irreversible\"] }}\nkey = [\"session\"]\n\
             limit = 3\ndurability = \"none\"\n{mode}\n[[breaker]]\nid = \"y\"\n\
             match = {{ labels = [\"irreversible\"] }}\nkey = [\"session\"]\nconsecutive = 1\nopen = \"30s\"\n"
        )
    };
    assert_eq!(bundle(&rule("")).lints().len(), 0);
    let bundle = bundle(&rule("mode = \"observe\""));
    assert!(
        bundle
            .lints()
            .iter()
            .any(|lint| lint.to_string().contains("never forgives")),
        "{:?}",
        bundle.lints()
    );
}

#[test]
fn every_ruling_and_every_record_says_what_is_not_enforced() {
    let bundle = bundle(&budgets(
        "mode = \"observe\"",
        "ask",
        "[[loop]]\nid = \"stuck\"\nexact_repeat = 9",
    ));
    let call = drop_call();
    let recorded = |judgement: &Judgement| -> serde_json::Value {
        let id = OpId::mint(NOW);
        match judgement.denial() {
            None => serde_json::to_value(Event::from(Permitted::new(id, &call, judgement, &bundle))).unwrap(),
            Some(denial) => {
                serde_json::to_value(Event::from(Refused::new(id, Some(&call), judgement, &denial, &bundle))).unwrap()
            }
        }
    };
    for count in [1, 2, 5] {
        let judgement = nth(&bundle, count);
        let mut notes = levels(&judgement);
        notes.retain(|(rule, level)| (*rule, *level) == ("budget.observe-mode", Level::Note));
        // A ceiling that denies says so as well.
        assert_eq!(notes.len(), 1, "{count}");
        let observe = &recorded(&judgement)["observe"];
        let rules = serde_json::json!(["budget.drops", "budget.stuck"]);
        assert_eq!(observe["not_enforced"], rules, "{count}");
        assert_eq!(observe["counts"], serde_json::json!({ "drops": count }));
        let would = observe["would"].as_array().unwrap();
        assert_eq!(would.len(), usize::from(count == 2), "{would:?}");
    }
    // Input that is no call, too.
    let judgement = refused(&bundle, Finding::deny(RuleId::known(Layer::Hygiene, "x"), "y", "z"));
    assert_eq!(recorded(&judgement)["observe"]["not_enforced"][0], "budget.drops");
    assert_eq!(bundle.lints().len(), 2);
    assert!(
        bundle.lints()[0]
            .to_string()
            .contains("budget.drops is observed and NOT ENFORCED")
    );
}

#[test]
fn nothing_that_judges_reads_an_environment_variable() {
    fn look(folder: &std::path::Path, looked: &mut usize, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if name.contains("test") || name.starts_with("explored") {
                continue;
            }
            if path.is_dir() {
                look(&path, looked, found);
            } else if name.ends_with(".rs") {
                // `NO_COLOR` and `TERM` say how a terminal is painted, once all is judged.
                if path.ends_with("notify/terminal.rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                *looked += 1;
                found.extend(code.contains("env::var").then_some(path));
            }
        }
    }
    let (mut looked, mut found) = (0, Vec::new());
    look(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut looked,
        &mut found,
    );
    assert!(looked > 100 && found.is_empty(), "{looked}: {found:?}");
}
