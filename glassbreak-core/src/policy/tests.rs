//! The rules of this layer, each as a test; `oracle` compares it with a slow and obvious judge.

mod clauses;
mod corpus;
mod doubt;
mod loading;
mod oracle;
mod persons;
mod random;
mod shadow;
mod traps;
mod unmet;

use std::sync::Arc;

use cedar_policy::RestrictedExpression;

use super::fuzzing::facts::{Asked, expected_of, kubectl, outcome, seq, sorted};
use super::fuzzing::world::{self, ENTITIES, HOST};
use super::*;
use crate::call::{ArgValue, Args};
use crate::facts::Fact;
use crate::finding::Level;
use crate::label::LabelSet;

const SAMPLE: &str = r#"
// What ops agents may touch at all.
@id("ops-kubectl")
permit (principal in Team::"ops-agents", action == Action::"exec:kubectl", resource);

// Deleting is behind glass: someone on call must agree, and may open a five-minute window.
@id("delete-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"exec:kubectl", resource)
when { context.argv.command == "delete" };

// Never, whoever agrees.
@id("no-namespace-delete")
forbid (principal, action == Action::"exec:kubectl", resource)
when { context.argv.command == "delete" && context.argv.kinds.contains("namespace") };

// From the fourth in ten minutes two people must agree, window or not.
@id("slow-down") @ask("oncall") @quorum("2")
forbid (principal, action in Action::"call", resource)
when { context.seq.budget.pod_delete.count > 3 };

// Who may approve what is policy too.
@id("oncall-approves")
permit (principal in Group::"oncall", action == Action::"approve", resource)
when { context.request.risk != "high" };
"#;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn shape() -> Shape {
    world::shape().unwrap()
}

fn people() -> People {
    world::people().unwrap()
}

struct Folder<'a> {
    policies: Vec<(&'a str, &'a str)>,
    entities: &'a str,
    host: &'a str,
    shape: Shape,
    no_permit: Outcome,
}

impl<'a> Folder<'a> {
    fn of(policies: &'a str) -> Self {
        Self {
            policies: vec![("main.cedar", policies)],
            entities: ENTITIES,
            host: HOST,
            shape: shape(),
            no_permit: Outcome::Deny,
        }
    }

    fn load(&self) -> Result<Policies, Vec<Problem>> {
        let source = |(file, text): &(&'a str, &'a str)| Source { file, text };
        Policies::load(PolicyInput {
            policies: self.policies.iter().map(source).collect(),
            entities: Some(Source {
                file: "entities.json",
                text: self.entities,
            }),
            host_schema: Some(Source {
                file: "schema.cedarschema",
                text: self.host,
            }),
            shape: &self.shape,
            people: &people(),
            vocabulary: &Vocabulary::built_in(),
            no_permit: self.no_permit,
        })
    }
}

fn load(policies: &str) -> Policies {
    match Folder::of(policies).load() {
        Ok(policies) => policies,
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

/// The only problem of a folder with these policies.
#[track_caller]
fn refused(policies: &str) -> Problem {
    the_one(Folder::of(policies).load())
}

#[track_caller]
fn the_one(loaded: Result<Policies, Vec<Problem>>) -> Problem {
    let problems = loaded.expect_err("this should not load");
    let texts: String = problems.iter().map(|p| format!("{p}\n")).collect();
    assert_eq!(problems.len(), 1, "{texts}");
    assert!(
        !texts.contains("Rust") && problems.iter().all(|p| !p.what().contains('\n')),
        "{texts}"
    );
    problems.into_iter().next().unwrap()
}

#[track_caller]
fn refused_with(policies: &str, line: u32, what: &str, help: &str) {
    let problem = refused(policies);
    assert!(
        problem.what().contains(what) && problem.help().contains(help),
        "{problem}"
    );
    assert_eq!((problem.file(), problem.line()), ("main.cedar", line), "{problem}");
}

impl Asked {
    fn with<T>(&self, look: impl FnOnce(&Question<'_>) -> T) -> T {
        self.question(look).unwrap()
    }

    /// The outcome and the rules, sorted, each as `<rule> <level>`.
    fn of(&self, policies: &Policies) -> (Outcome, Vec<String>) {
        let findings = self.with(|question| policies.decide(question));
        // Asked again, the answer comes from the plan that was made.
        assert_eq!(
            sorted(&findings),
            sorted(&self.with(|question| policies.decide(question)))
        );
        (outcome(&findings), sorted(&findings))
    }

    fn outcome(&self, policies: &Policies) -> Outcome {
        self.of(policies).0
    }
}

const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

fn with_permit(policies: &str) -> Policies {
    load(&format!("{PERMIT_ALL}{policies}"))
}

#[test]
fn the_sample_says_what_the_design_says() {
    let policies = load(SAMPLE);
    let asked = Asked::kubectl("get", &["pod"]);
    assert_eq!(
        asked.of(&policies),
        (Outcome::Allow, vec!["policy.ops-kubectl clear".to_owned()])
    );

    let asked = Asked::kubectl("delete", &["pod"]);
    let findings = asked.with(|question| policies.decide(question));
    let ask = findings.iter().find(|finding| finding.level() == Level::Ask).unwrap();
    assert_eq!(outcome(&findings), Outcome::Ask);
    assert_eq!(ask.rule().as_str(), "policy.delete-asks");
    let expected = Requirement {
        group: Some(word("oncall")),
        quorum: 1,
        window: Some(crate::clock::Span::from_millis(300_000)),
        self_approval: false,
    };
    assert_eq!(ask.requirement(), Some(&expected));
    assert_eq!(
        ask.why(),
        "policy `delete-asks` asks: a person of `oncall` must agree, and may open a window of 5m"
    );

    let asked = Asked::kubectl("delete", &["namespace"]);
    let expected = vec![
        "policy.delete-asks ask".to_owned(),
        "policy.no-namespace-delete deny".to_owned(),
    ];
    assert_eq!(asked.of(&policies), (Outcome::Deny, expected));

    let mut asked = Asked::kubectl("delete", &["pod"]);
    asked.seq = seq(4);
    let findings = asked.with(|question| policies.decide(question));
    let quorums: Vec<u8> = (findings.iter().filter_map(Finding::requirement))
        .map(|needed| needed.quorum)
        .collect();
    assert_eq!(outcome(&findings), Outcome::Ask);
    assert!(quorums.len() == 2 && quorums.contains(&2), "{findings:?}");

    assert!(policies.has_role(&word("ops-agent")) && !policies.has_role(&word("ops-agnt")));
    let mut asked = Asked::kubectl("get", &[]);
    asked.role = "ops-agnt";
    assert_eq!(
        asked.of(&policies),
        (Outcome::Deny, vec!["policy.unknown-role deny".to_owned()])
    );
}

#[test]
fn explaining_shows_every_policy_whose_scope_matches() {
    let policies = load(SAMPLE);
    let traces = Asked::kubectl("delete", &["pod"]).with(|question| policies.explain(question));
    let seen: Vec<_> = traces
        .iter()
        .map(|t| (t.id.as_str(), t.class, t.held.clone(), t.line))
        .collect();
    assert_eq!(
        seen,
        [
            ("ops-kubectl", Class::Permit, Held::Yes, 3),
            ("delete-asks", Class::SoftForbid, Held::Yes, 7),
            ("no-namespace-delete", Class::HardForbid, Held::No, 12),
            ("slow-down", Class::SoftForbid, Held::No, 17),
        ]
    );
    let traces = Asked::kubectl("delete", &["pod"])
        .partial()
        .with(|question| policies.explain(question));
    assert_eq!(traces[1].held, Held::Partial);
    assert_eq!(traces[0].file, "main.cedar");
}

#[test]
fn where_nothing_permits_the_bundle_says_deny_or_ask() {
    let mut folder = Folder::of(SAMPLE);
    let mut asked = Asked::kubectl("get", &[]);
    asked.role = "loner";
    let no = "policy.no-permit deny".to_owned();
    assert_eq!(asked.of(&folder.load().unwrap()), (Outcome::Deny, vec![no]));
    folder.no_permit = Outcome::Ask;
    let findings = asked.with(|question| folder.load().unwrap().decide(question));
    assert_eq!((outcome(&findings), findings[0].requirement()), (Outcome::Ask, None));
    // An allow for everything is not to be had by a word in a file.
    folder.no_permit = Outcome::Allow;
    assert_eq!(asked.outcome(&folder.load().unwrap()), Outcome::Deny);
}

#[test]
fn a_soft_forbid_without_a_permit_denies() {
    let policies = load(SAMPLE);
    let mut asked = Asked::kubectl("delete", &["pod"]);
    asked.role = "loner";
    let expected = vec!["policy.delete-asks ask".to_owned(), "policy.no-permit deny".to_owned()];
    assert_eq!(asked.of(&policies), (Outcome::Deny, expected));
}

#[test]
fn tools_are_judged_by_their_typed_arguments_and_the_hosts_things() {
    let policies = with_permit(
        r#"@id("tier-one") forbid (principal, action == Action::"tool:restart_service", resource) when { resource.tier == 1 && context.args.tags.contains("a") };
           @id("often") @ask("leads") @self("allow") @reason("Not so often.") forbid (principal, action == Action::"tool:restart_service", resource)
           when { context.args has times && context.args.times > 2 && context.args.options["dry run"] == false };"#
            .replace("context.args.options[", "context.args has options && context.args.options[")
            .as_str(),
    );
    assert_eq!(Asked::restart("web").outcome(&policies), Outcome::Deny);
    let mut asked = Asked::restart("web");
    let args = asked.facts.args.as_mut().unwrap();
    args.insert("tags".into(), ArgValue::List(Vec::new()));
    args.insert("times".into(), ArgValue::Int(3));
    let options: Args = [("dry run".into(), ArgValue::Bool(false))].into();
    args.insert("options".into(), ArgValue::Record(options));
    let findings = asked.with(|question| policies.decide(question));
    let ask = findings.iter().find(|finding| finding.level() == Level::Ask).unwrap();
    assert_eq!((outcome(&findings), ask.why()), (Outcome::Ask, "Not so often."));
    assert!(ask.requirement().unwrap().self_approval);
}

#[test]
fn the_context_is_what_the_schema_says_and_as_cedar_would_build_it() {
    let policies = load("");
    let mut exec = Asked::kubectl("rollout status of something with a long name", &["pod", "service"]);
    exec.facts.labels = LabelSet::from_iter(Vocabulary::built_in().get("mutating"));
    let mut tool = Asked::restart("web");
    let options: Args = [
        ("dry run".into(), ArgValue::Bool(true)),
        ("why".into(), ArgValue::Str("é\"\\".into())),
    ]
    .into();
    let args = tool.facts.args.as_mut().unwrap();
    args.insert("options".into(), ArgValue::Record(options));
    args.insert("times".into(), ArgValue::Int(7));
    for asked in [exec, tool, Asked::restart("unheard-of")] {
        asked.with(|question| {
            let (plan, facts) = policies.plan(question).unwrap();
            let built = context::build(question, facts, &policies.calls, &reads::Tree::Whole).unwrap();
            assert_eq!(built, expected_of(&asked).unwrap());
            built.validate(&policies.schema, &plan.names.action).unwrap();
            // Nothing is read here, so nothing is built.
            let built = context::build(question, facts, &policies.calls, &plan.reads.tree).unwrap();
            assert_eq!(built, cedar_policy::Context::empty());
        });
    }
}

#[test]
fn many_resources_do_not_fill_the_memory() {
    let policies = load(PERMIT_ALL);
    let asked = Asked::restart("web");
    asked.with(|question| {
        for n in 0..5000 {
            let id = format!("s-{n}");
            let resource = Resource::Host { ty: "Service", id: &id };
            let findings = policies.decide(&Question { resource, ..*question });
            assert_eq!(outcome(&findings), Outcome::Allow);
        }
    });
    assert!(policies.plans.len() <= 512);
}

#[test]
fn any_number_of_threads_get_one_answer_from_few_plans() {
    let policies = load(PERMIT_ALL);
    let asked = Asked::kubectl("get", &[]);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                asked.with(|question| {
                    for _ in 0..3 {
                        assert_eq!(outcome(&policies.decide(question)), Outcome::Allow);
                    }
                });
            });
        }
    });
    assert!((1..=8).contains(&policies.plans.len()), "{}", policies.plans.len());
}

#[test]
fn policies_are_shared_between_threads() {
    fn shared<T: Send + Sync + fmt::Debug>(_: &T) {}
    let policies = Arc::new(load(SAMPLE));
    shared(&*policies);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50 {
                    let command = if n % 2 == 0 { "get" } else { "delete" };
                    let expected = if n % 2 == 0 { Outcome::Allow } else { Outcome::Ask };
                    assert_eq!(Asked::kubectl(command, &["pod"]).outcome(&policies), expected);
                }
            });
        }
    });
}
