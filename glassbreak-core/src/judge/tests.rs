//! Judging in two steps, with a store's counts in between.

use super::*;
use crate::bundle::Files;
use crate::call::{Word, wire};
use crate::finding::{Layer, Level};

const TOOLS: &str = "[tools.drop]\nlabels = [\"mutating\"]\nschema = { type = \"object\", properties = {} }\n\
                     [tools.look]\nlabels = []\nschema = { type = \"object\", properties = {} }\n";

const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "drops"
match = { labels = ["mutating"] }
key = ["agent"]
limit = 2
window = { sliding = "10m" }
ladder = [{ over = 0, then = "ask" }]
ceiling = 4
[[budget]]
id = "here"
match = { labels = ["mutating"] }
key = ["session"]
limit = 2
window = { sliding = "10m" }
durability = "none"
ladder = []
[[loop]]
id = "stuck"
exact_repeat = 9
"#;

fn bundle() -> Bundle {
    let files = [
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
        (
            "p.cedar",
            "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n\
             @id(\"many\") forbid (principal, action in Action::\"call\", resource)\n\
             when { context.seq.budget.drops.count > 3 };\n",
        ),
        (
            "tests/shared.toml",
            "[[case]]\nname = \"the third asks, the fifth is past the ceiling\"\nrole = \"ops\"\nsteps = [\n\
             { tool = \"drop\", expect = \"allow\", repeat = 2 },\n\
             { tool = \"drop\", expect = \"ask\", admit = true, rules = [\"budget.drops\"] },\n\
             { after = \"10m\", tool = \"drop\", expect = \"deny\", rules = [\"policy.many\"] },\n\
             { after = \"1ms\", tool = \"drop\", expect = \"allow\" },\n]\n",
        ),
    ];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
    Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

fn call(line: &str) -> Call {
    wire::read(line.as_bytes()).unwrap().call
}

fn drop_call() -> Call {
    call(r#"{"actor":{"role":"ops","session":"s"},"tool":{"name":"drop","arguments":{}}}"#)
}

fn state() -> SessionState {
    SessionState::new(Workspace::new("/work").unwrap())
}

const NOW: Timestamp = Timestamp::from_millis(0);

#[test]
fn the_tests_of_a_folder_count_shared_budgets_in_the_case() {
    for result in bundle().run_cases() {
        assert!(result.failures.is_empty(), "{result:?}");
    }
}

#[test]
fn a_store_counts_between_the_two_steps() {
    let (bundle, call, mut state) = (bundle(), drop_call(), state());
    let conclude = |state: &SessionState, counts: &[u64]| {
        let prepared = prepare(&bundle, state.workspace(), &call).unwrap();
        assert_eq!(prepared.demands().len(), 1);
        assert_eq!(prepared.digest(), judge(&bundle, state, &call, NOW).digest.unwrap());
        assert_eq!(prepared.facts().risk, Risk::Medium);
        prepared.conclude(state, NOW, Shared::Counted(counts), 0)
    };
    for (count, outcome) in [
        (1, Outcome::Allow),
        (2, Outcome::Allow),
        (3, Outcome::Ask),
        (4, Outcome::Deny),
        (5, Outcome::Deny),
    ] {
        // Policies read the store's count, not the session's.
        let judgement = conclude(&state, &[count]);
        assert_eq!(judgement.ruling.outcome(), outcome, "{count}");
        assert_eq!(judgement.seq.budgets[0].count, i64::try_from(count).unwrap());
        assert_eq!(judgement.seq.budgets[1].count, 1);
    }
    let judgement = conclude(&state, &[]);
    let denial = judgement.denial().unwrap();
    assert!(
        denial.rules().iter().any(|rule| rule.as_str() == "budget.drops"),
        "{denial}"
    );

    // What the store counted is not counted here, nor taken back here; the session's own budget is.
    let judgement = conclude(&state, &[1]);
    state.advance(&bundle, &call, &judgement, NOW, true);
    let counts = |state: &SessionState| {
        let seq = judge(&bundle, state, &call, NOW).seq;
        (seq.budgets[0].count, seq.budgets[1].count)
    };
    assert_eq!(counts(&state), (1, 2));
    state.refund(&bundle, &call, &judgement, NOW);
    assert_eq!(counts(&state), (1, 1));
    // Judged without a store, both are.
    let alone = judge(&bundle, &state, &call, NOW);
    state.advance(&bundle, &call, &alone, NOW, true);
    assert_eq!(counts(&state), (2, 2));
    state.refund(&bundle, &call, &alone, NOW);
    assert_eq!(counts(&state), (1, 1));
}

#[test]
fn a_later_attempt_counts_and_does_not_repeat() {
    let (bundle, call, mut state) = (bundle(), drop_call(), state());
    let first = judge(&bundle, &state, &call, NOW);
    state.advance(&bundle, &call, &first, NOW, false);
    for attempt in 1..3 {
        let prepared = prepare(&bundle, state.workspace(), &call).unwrap();
        let again = prepared.conclude(&state, NOW, Shared::Counted(&[3]), attempt);
        assert_eq!((again.attempt(), again.seq.loops[0].streak), (attempt, 1));
        state.advance(&bundle, &call, &again, NOW, attempt == 2);
    }
    let seq = judge(&bundle, &state, &call, NOW).seq;
    assert_eq!(
        (seq.loops[0].streak, seq.budgets[0].count, seq.budgets[1].count),
        (2, 1, 2)
    );
}

#[test]
fn what_stops_a_call_early_refuses_it() {
    let (bundle, call, mut state) = (bundle(), drop_call(), state());
    let prepared = || prepare(&bundle, state.workspace(), &call).unwrap();
    let over = prepared().over(0, 5, None, NOW);
    assert_eq!(
        (over.rule().as_str(), over.level()),
        ("budget.drops.ceiling", Level::Deny)
    );
    let stopped = prepared().stop(over, 0);
    assert_eq!(stopped.ruling.outcome(), Outcome::Deny);
    assert_eq!(stopped.ruling.findings().len(), 1);
    assert!(stopped.digest.is_some());
    // What would let it through does not.
    let rule = RuleId::known(Layer::Store, "x");
    for finding in [Finding::clear(rule.clone(), ""), Finding::ask(rule, "", "", None)] {
        let judgement = prepared().stop(finding, 0);
        assert_eq!(judgement.ruling.outcome(), Outcome::Deny);
        assert_eq!(judgement.denial().unwrap().rules()[0].as_str(), "hygiene.not-judged");
    }
    state.advance(&bundle, &call, &stopped, NOW, false);
    assert_eq!(judge(&bundle, &state, &call, NOW).seq.loops[0].streak, 2);
}

#[test]
fn a_judgement_says_what_was_done_to_what_in_cedars_words() {
    let named = |bundle: &Bundle, line: &str| {
        let judgement = judge(bundle, &state(), &call(line), NOW);
        let (ty, id) = judgement.resource();
        [judgement.action().into_string(), ty.into_string(), id.into_string()]
    };
    let tools = bundle();
    let read_only = Bundle::read_only().unwrap();
    assert_eq!(
        named(
            &tools,
            r#"{"actor":{"role":"ops"},"tool":{"name":"look","arguments":{}}}"#
        ),
        ["tool:look", "Tool", "look"]
    );
    assert_eq!(
        named(&read_only, r#"{"exec":{"argv":["kubectl","get","pods"]}}"#),
        ["exec:kubectl", "Program", "kubectl"]
    );
    assert_eq!(
        named(&read_only, r#"{"exec":{"argv":["frob"]}}"#),
        ["exec:*", "Program", "frob"]
    );
    assert_eq!(
        named(&tools, r#"{"actor":{"role":"nobody"},"exec":{"argv":["frob"]}}"#),
        ["", "", ""]
    );
}

#[test]
fn a_call_prepared_can_wait_for_a_store() {
    fn held_across_an_await<T: Send + Sync>(_: &T) {}
    let (bundle, call, state) = (bundle(), drop_call(), state());
    held_across_an_await(&prepare(&bundle, state.workspace(), &call).unwrap());
    let other = Call {
        actor: crate::call::Actor::new(Word::new("nobody").unwrap(), Word::new("s").unwrap()),
        ..call
    };
    let refusal = prepare(&bundle, state.workspace(), &other).unwrap_err();
    assert_eq!(refusal.rule().as_str(), "hygiene.role.unknown");
}
