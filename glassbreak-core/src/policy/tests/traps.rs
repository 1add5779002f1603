//! Cedar's traps, each with the test that keeps it shut, and the limits that hold at load.
//!
//! The numbers are those of the list in the layer's specification; the lines without one were met while building it.
//!
//! | | trap | test |
//! |---|---|---|
//! | 1 | a forbid in error is skipped: missing entity, overflow | `a_forbid_in_error_counts_as_holding`, `cedar_allows_what_a_forbid_in_error_was_to_stop_and_this_layer_does_not` |
//! | | its other sources (missing attribute, wrong type, `in` on a text) | `what_could_be_in_error_on_any_call_does_not_load` |
//! | | so is one that reads what the call leaves open | `a_target_that_is_not_one_counts_against_the_call`, `what_is_known_in_part_is_not_read` |
//! | | over random policies and calls | `no_call_is_allowed_of_which_a_forbid_could_not_be_judged` |
//! | 2 | what is in error hangs on the caller's stack | `the_verdict_does_not_hang_on_the_callers_stack`, `what_people_may_do_does_not_hang_on_the_callers_stack`, `the_callers_stack_is_small_enough_to_matter` |
//! | | long chains of `&&` are deep | `text_that_could_exhaust_the_stack_is_refused_unread` |
//! | 3 | `==` between types is false | `types_that_are_never_equal_are_refused` |
//! | 4 | strict validation leaves missing entities, overflow and extension functions | `what_the_validator_leaves_open_is_refused_or_counts_as_holding` |
//! | | a principal or action that does not exist | `the_sample_says_what_the_design_says`, `calls_that_the_bundle_does_not_declare_are_refused` |
//! | | optional attributes without `has` | `what_is_wrong_in_a_policy_is_told_with_its_place` |
//! | 5 | JSON in a call becomes an entity | `text_in_a_call_is_never_an_entity`, `arguments_arrive_as_they_were_given_or_not_at_all` |
//! | | Cedar's reader of JSON takes `"1"` for a number, and the last of two keys | `facts_that_do_not_fit_their_action_are_refused`, `unknown_and_duplicate_keys` (`tests/bad_input.rs`) |
//! | | anybody may call that reader | `disallowed-methods` in `clippy.toml` |
//! | | its errors hold the whole context | `no_refusal_holds_what_a_call_was_given` |
//! | | floats, nulls, big numbers, sizes | `floats_and_nulls_in_arguments`, `one_mebibyte_in_one_argument`, `json_a_thousand_deep` (`tests/bad_input.rs`) |
//! | | texts are not normalised, and may hold what cannot be shown | `texts_that_no_call_can_hold_or_that_look_like_others_are_refused`, `control_and_bidirectional_characters` (`tests/bad_input.rs`) |
//! | 6 | parsers recurse until the process aborts | `text_that_could_exhaust_the_stack_is_refused_unread`, `loading_does_not_hang_on_the_callers_stack` |
//! | | so do readers of a call | `a_call_that_nests_does_not_exhaust_a_small_stack` |
//! | 7 | `like` costs the text times the run of letters | `a_pattern_has_no_long_run_of_letters` |
//! | | `*` crosses `/` and `..` | `a_star_crosses_slashes_and_a_permit_must_say_what_of_dots` |
//! | | sets of any size | `a_set_over_its_size_is_refused` |
//! | 8 | annotations are not checked by anything | `annotations_are_strict`, `only_calls_can_be_asked_about` |
//! | | `@id` is not the id; ids follow the order in the file | `ids_do_not_move_on_edits`, `ids_are_unique_over_all_files` |
//! | | templates hand annotations on to what is linked | `what_is_wrong_in_a_policy_is_told_with_its_place` |
//! | | confusable words are checked apart | `what_is_wrong_in_a_policy_is_told_with_its_place` |
//! | 9 | extensions are features, and other crates turn features on | `what_features_of_cedar_would_add_does_not_load`, `what_the_validator_leaves_open_is_refused_or_counts_as_holding` |
//! | | a group twice in one list; `is_ancestor_of(x, x)`; links of templates; a condition that is no truth | `the_engine_finds_what_cedar_finds` |
//! | | a policy that can never hold is a warning | `a_policy_that_can_never_hold_is_refused` |
//! | | error texts print values | `a_forbid_in_error_counts_as_holding` |

use super::*;
use crate::policy::engine::Truth;

/// Runs `body` on a thread of its own with so much stack left when it begins.
fn with_stack_left<T: Send>(left: usize, body: impl FnOnce() -> T + Send) -> T {
    fn sink<T>(left: usize, body: impl FnOnce() -> T) -> T {
        // A frame of some KiB, which must be there when the next one is made.
        let frame = std::hint::black_box([0_u8; 2048]);
        let out = if stacker::remaining_stack().unwrap() > left + 8192 {
            sink(left, body)
        } else {
            body()
        };
        std::hint::black_box(frame);
        out
    }
    let thread = std::thread::Builder::new().stack_size(left.max(1024 * 1024) + 1024 * 1024);
    std::thread::scope(|scope| {
        let boxed: Box<dyn FnOnce() -> T + Send> = Box::new(body);
        let running = thread.spawn_scoped(scope, move || sink(left, boxed)).unwrap();
        running.join().unwrap()
    })
}

const KIB: usize = 1024;

/// As deep as a condition may be.
fn deepest() -> String {
    let parts = format!("{} && context.argv.command != \"x\"", ["true"; 55].join(" && "));
    format!("@id(\"deep\") forbid (principal, action == Action::\"exec:kubectl\", resource) when {{ {parts} }};")
}

#[test]
fn the_verdict_does_not_hang_on_the_callers_stack() {
    let policies = with_permit(&deepest());
    let ask = || {
        let asked = Asked::kubectl("get", &[]);
        let told = asked.with(|question| format!("{:?}", policies.explain(question)));
        (asked.of(&policies), told)
    };
    let (expected, told) = with_stack_left(8 * 1024 * KIB, ask);
    assert_eq!(expected, (Outcome::Deny, vec!["policy.deep deny".to_owned()]));
    // 2 MiB is a thread of tokio's; the others stand on both sides of where a stack of its own begins.
    for left in [140, 300, 500, 520, 600, 1024, 2 * 1024] {
        let (found, again) = with_stack_left(left * KIB, ask);
        assert_eq!(found, expected, "with {left} KiB left");
        assert_eq!(again, told, "with {left} KiB left");
    }
}

#[test]
fn the_callers_stack_is_small_enough_to_matter() {
    // Else the test above shows nothing: by itself, Cedar gives up.
    let policies = with_permit(&deepest());
    let fails = with_stack_left(140 * KIB, || {
        let asked = Asked::kubectl("get", &[]);
        let place = policies.rules.iter().position(|rule| &*rule.id == "deep").unwrap();
        let command = RestrictedExpression::new_string("get".to_owned());
        let argv = RestrictedExpression::new_record([("command".to_owned(), command)]).unwrap();
        let context = cedar_policy::Context::from_pairs([("argv".to_owned(), argv)]).unwrap();
        let names = asked
            .with(|question| policies.plan(question).map(|(plan, _)| plan))
            .unwrap();
        let names = &names.names;
        let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
        let request = cedar_policy::Request::new(principal, action, resource, context, None).unwrap();
        let written = policies
            .engine
            .policy(place)
            .unwrap()
            .as_ref()
            .non_scope_constraints()
            .unwrap();
        let condition = cedar_policy::Expression::from(written.clone());
        matches!(policies.engine.truth_of(&condition, &request), Truth::Error(_))
    });
    assert!(fails);
}

#[test]
fn what_people_may_do_does_not_hang_on_the_callers_stack() {
    let parts = format!("{} && context.operate.kind != \"grant\"", ["true"; 55].join(" && "));
    let policies = load(&format!(
        "@id(\"ops\") permit (principal in Group::\"oncall\", action == Action::\"lock\", resource) when {{ {parts} }};"
    ));
    let person = word("alice");
    let lock = || {
        let operation = Operation {
            person: &person,
            operate: Operate::Lock,
            kind: "all",
            id: "",
            on_behalf_of: "",
        };
        policies.may_operate(&operation)
    };
    for left in [140, 300, 500, 520, 1024, 2 * 1024, 8 * 1024] {
        assert!(with_stack_left(left * KIB, lock).is_ok(), "with {left} KiB left");
    }
}

#[test]
fn loading_does_not_hang_on_the_callers_stack() {
    let nested = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(60),
        ")".repeat(60)
    );
    assert!(with_stack_left(140 * KIB, || Folder::of(&nested).load().is_ok()));
}

#[test]
fn cedar_allows_what_a_forbid_in_error_was_to_stop_and_this_layer_does_not() {
    let cases = [
        (
            "resource.tier < 2",
            "tool:restart_service",
            Asked::restart("unheard-of"),
        ),
        (
            "context.seq.budget.pod_delete.count + 1 > 5",
            "exec:kubectl",
            Asked {
                seq: seq(i64::MAX),
                ..Asked::kubectl("get", &[])
            },
        ),
    ];
    for (condition, action, asked) in cases {
        let policies = with_permit(&format!(
            "@id(\"stop\") forbid (principal, action == Action::\"{action}\", resource) when {{ {condition} }};"
        ));
        let cedars = asked.with(|question| {
            let (plan, _) = policies.plan(question).unwrap();
            let names = &plan.names;
            let context = expected_of(&asked).unwrap();
            let (principal, action, resource) = (names.principal.clone(), names.action.clone(), names.resource.clone());
            let request = cedar_policy::Request::new(principal, action, resource, context, None).unwrap();
            policies.engine.oracle(&request)
        });
        assert_eq!(
            (cedars.decision, cedars.errors.len()),
            (cedar_policy::Decision::Allow, 1),
            "{condition}"
        );
        let expected = (Outcome::Deny, vec!["policy.stop.error deny".to_owned()]);
        assert_eq!(asked.of(&policies), expected, "{condition}");
    }
}

#[test]
fn what_could_be_in_error_on_any_call_does_not_load() {
    for condition in [
        "context.force == true",
        "context.argv.force",
        "context.argv.command > 3",
        "context.argv.command + 1 == 2",
        "!context.argv.command",
        "context.argv.command",
        "context.argv.command in Team::\"ops-agents\"",
        "context.argv.options.contains(1) || context.argv.command.contains(\"x\")",
        "principal.tier == 1",
        "if context.risk then true else false",
    ] {
        let text = format!(
            "@id(\"x\")\nforbid (principal, action == Action::\"exec:git\", resource)\nwhen {{ {condition} }};"
        );
        let problems = Folder::of(&text).load().expect_err(condition);
        let placed = problems.iter().all(|p| (p.file(), p.line()) == ("main.cedar", 3));
        assert!(placed, "{condition}: {problems:?}");
    }
}

#[test]
fn no_refusal_holds_what_a_call_was_given() {
    let policies = with_permit(
        "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource)\n\
         when { context.args.name == \"other\" && context.args has times && context.args.times + 1 > 5 &&\n\
         context.args.tags.contains(\"x\") && context.args has options && context.args.options[\"dry run\"] };",
    );
    let secret = || ArgValue::Str("hunter2".into());
    for (name, value) in [
        ("name", ArgValue::List(vec![secret()])),
        ("tags", secret()),
        ("hunter2", secret()),
        ("times", secret()),
        ("options", ArgValue::Record([("hunter2".into(), secret())].into())),
    ] {
        let mut asked = Asked::restart("hunter2");
        asked.facts.args.as_mut().unwrap().insert(name.into(), value);
        asked.resource = Resource::Host {
            ty: "Service",
            id: "web",
        };
        let findings = asked.with(|question| policies.decide(question));
        assert_eq!(outcome(&findings), Outcome::Deny, "{name}");
        assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
    }
}

#[test]
fn a_call_that_nests_does_not_exhaust_a_small_stack() {
    use crate::call::wire;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for deep in [9, 100, 1_000, 100_000] {
            let nested = format!("{}1{}", open.repeat(deep), close.repeat(deep));
            let line = format!("{{\"tool\":{{\"name\":\"t\",\"arguments\":{{\"x\":{nested}}}}}}}");
            let refused = with_stack_left(140 * KIB, || wire::read(line.as_bytes()).is_err());
            assert!(refused, "{open} {deep} deep");
            let line = format!("{{\"id\":{nested}}}");
            let unread = with_stack_left(140 * KIB, || wire::read_id_of(line.as_bytes()).is_none());
            assert!(unread, "{open} {deep} deep");
        }
    }
}

#[test]
fn types_that_are_never_equal_are_refused() {
    let forbid = |condition: &str| {
        format!("@id(\"x\")\nforbid (principal, action == Action::\"exec:git\", resource)\nwhen {{ {condition} }};")
    };
    for condition in [
        "context.seq.budget.pod_delete.count == \"4\"",
        "context.argv.command == [\"push\"]",
        "context.argv.options == \"--force\"",
        "principal == \"ops-agent\"",
        "[1, 2].contains(context.risk)",
        "\"push\" in Team::\"ops-agents\"",
    ] {
        let problems = Folder::of(&forbid(condition)).load().expect_err(condition);
        assert!(
            problems.iter().all(|p| (p.file(), p.line()) == ("main.cedar", 3)),
            "{problems:?}"
        );
    }
}

#[test]
fn what_the_validator_leaves_open_is_refused_or_counts_as_holding() {
    let forbid = |condition: &str| {
        format!("@id(\"x\")\nforbid (principal, action == Action::\"exec:git\", resource)\nwhen {{ {condition} }};")
    };
    // A function that reads what a call holds could fail on any call.
    refused_with(&forbid("ip(context.argv.command).isLoopback()"), 3, "", "");
    refused_with(&forbid("context.argv.options == []"), 3, "empty set", "");
    for condition in [
        "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\")) && context.argv.command == \"x\"",
        "decimal(\"1.5\").lessThan(decimal(\"2.0\")) && context.argv.command == \"x\"",
        "datetime(\"2026-01-01\") < datetime(\"2027-01-01\") && context.argv.command == \"x\"",
    ] {
        load(&forbid(condition));
    }
    let policies = with_permit(
        "@id(\"x\") forbid (principal, action in Action::\"call\", resource) when { context.seq.budget.pod_delete.count * 2 > 8 };",
    );
    for (count, outcome) in [(1, Outcome::Allow), (5, Outcome::Deny), (i64::MAX, Outcome::Deny)] {
        let mut asked = Asked::kubectl("get", &[]);
        asked.seq = seq(count);
        assert_eq!(asked.outcome(&policies), outcome, "{count}");
    }
}

#[test]
fn text_in_a_call_is_never_an_entity() {
    let policies = with_permit(
        "@id(\"x\") forbid (principal, action == Action::\"tool:restart_service\", resource)\n\
         when { context.args has options && context.args.options has why && context.args.options.why == \"x\" };",
    );
    for key in ["__entity", "__extn", "__expr"] {
        let inner: Args = [
            ("type".into(), ArgValue::Str("Team".into())),
            ("id".into(), ArgValue::Str("ops-agents".into())),
        ]
        .into();
        let mut asked = Asked::restart("web");
        let args = asked.facts.args.as_mut().unwrap();
        let options: Args = [(key.into(), ArgValue::Record(inner))].into();
        args.insert("options".into(), ArgValue::Record(options));
        let expected = (Outcome::Deny, vec!["policy.facts deny".to_owned()]);
        assert_eq!(asked.of(&policies), expected, "{key}");
    }
    // As a text it is that text.
    let policies = load(
        "@id(\"x\") permit (principal, action == Action::\"exec:kubectl\", resource) when { context.argv.command == \"get\" };",
    );
    let asked = Asked::kubectl("{\"__entity\": {\"type\": \"Team\", \"id\": \"ops-agents\"}}", &[]);
    assert_eq!(asked.outcome(&policies), Outcome::Deny);
}

#[test]
fn texts_that_no_call_can_hold_or_that_look_like_others_are_refused() {
    let forbid = |text: &str| {
        format!(
            "@id(\"x\")\nforbid (principal, action == Action::\"exec:kubectl\", resource)\nwhen {{ context.argv.operands.contains(\"{text}\") }};"
        )
    };
    let like = |text: &str| {
        format!(
            "@id(\"x\")\nforbid (principal, action == Action::\"exec:kubectl\", resource)\nwhen {{\n  context.target.name like \"*{text}*\" }};"
        )
    };
    for (text, what) in [
        ("we\u{200b}b", "U+200B"),
        ("we\\u{200b}b", "U+200B"),
        ("we\u{ad}b", "U+00AD"),
        ("we\u{200f}b", "U+200F"),
        ("we\\0b", "NUL"),
        ("cafe\u{301}", "normal form C"),
        ("\u{ff57}eb", "looks like `w`"),
        ("\u{1d430}eb", "looks like `w`"),
        ("\u{fb01}le", "looks like `fi`"),
    ] {
        refused_with(&forbid(text), 3, what, "");
        refused_with(&like(text), 4, what, "");
    }
    for text in [
        "web",
        "caf\u{e9}",
        "\u{434}\u{43e}\u{43c}",
        "\u{6771}\u{4eac}",
        "50 %",
        "a\u{2026}",
    ] {
        load(&forbid(text));
        load(&like(text));
    }
}

#[test]
fn a_pattern_has_no_long_run_of_letters() {
    let like = |run: usize| {
        format!(
            "@id(\"x\")\nforbid (principal, action == Action::\"exec:kubectl\", resource)\nwhen {{ context.target.name like \"*{}*\" }};",
            "x".repeat(run)
        )
    };
    load(&like(256));
    refused_with(&like(257), 3, "256 letters", "split");
    let wide = format!(
        "@id(\"x\")\nforbid (principal, action == Action::\"exec:kubectl\", resource)\nwhen {{ [{}].contains(context.target.name) }};",
        (0..300).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")
    );
    refused_with(
        &wide,
        3,
        "policy `x`: this condition holds more than 256 expressions",
        "split",
    );
}

#[test]
fn a_star_crosses_slashes_and_a_permit_must_say_what_of_dots() {
    let permit = |condition: &str| {
        format!(
            "@id(\"x\")\npermit (principal, action == Action::\"tool:restart_service\", resource)\nwhen {{ {condition} }};"
        )
    };
    let wide = "context.args.name like \"/srv/*\"";
    refused_with(
        &permit(wide),
        3,
        "policy `x`: this pattern also matches texts with `/../`",
        "\"*..*\"",
    );
    let policies = load(&permit(&format!("{wide} && !(context.args.name like \"*..*\")")));
    let outcome = |name: &'static str| Asked::restart(name).outcome(&policies);
    assert_eq!(outcome("/srv/app/data"), Outcome::Allow);
    assert_eq!(outcome("/srv/../etc/passwd"), Outcome::Deny);
}

#[test]
fn ids_do_not_move_on_edits() {
    let text = "@id(\"x\") forbid (principal, action == Action::\"exec:kubectl\", resource);";
    let before = with_permit(text);
    let after = with_permit(&format!(
        "@id(\"new\") forbid (principal, action == Action::\"exec:git\", resource);\n{text}"
    ));
    let rule = RuleId::new(crate::finding::Layer::Policy, "x").unwrap();
    assert_eq!(before.text_of(&rule), after.text_of(&rule));
    let asked = Asked::kubectl("get", &[]);
    assert_eq!(asked.of(&before), asked.of(&after));
}

#[test]
fn what_features_of_cedar_would_add_does_not_load() {
    // `partial-eval` has a function whose result nothing here has judged; `tolerant-ast` takes broken text. That a
    // parser of the latter kind is never called is this: what does not parse is refused, whatever else is in the file.
    let broken = format!("{PERMIT_ALL}@id(\"x\")\nforbid (principal, action, resource) when {{ }};\n{PERMIT_ALL}");
    assert!(Folder::of(&broken).load().is_err());
    refused_with(
        "@id(\"x\")\nforbid (principal, action, resource)\nwhen { unknown(\"x\") };",
        3,
        "unknown",
        "",
    );
    // `variadic-is-in-range` lets one call of a function take several ranges.
    let ranges = "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\"), ip(\"11.0.0.0/8\"))";
    refused_with(
        &format!("@id(\"x\")\nforbid (principal, action == Action::\"exec:git\", resource)\nwhen {{ {ranges} }};"),
        3,
        "",
        "",
    );
}
