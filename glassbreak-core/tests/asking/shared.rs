//! Budgets that several sessions share, counted by the store.

use std::sync::Arc;

use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Files;
use glassbreak_core::call::Args;
use glassbreak_core::gate::{BuildError, Gate, Verdict};
use glassbreak_core::store::MemoryStore;

use super::support::{House, bundle_of, files, rules, word};

const LADDER: &str = r#"
schema = 1
[[budget]]
id = "restarts"
match = { tools = ["restart"] }
key = ["fleet"]
limit = 5
window = { sliding = "1h" }
durability = "process"
ladder = [{ at = 1, then = "audit" }, { over = 0, then = "ask" }]
ceiling = 7
ask = { group = "oncall" }
"#;

fn with(budgets: &str) -> Files {
    let mut files = files();
    files.insert("budgets.toml".to_owned(), budgets.as_bytes().to_vec());
    files
}

async fn restart(house: &House, session: &str) -> Verdict {
    house.session(session).tool(word("restart"), Args::new()).check().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_calls_at_once_over_sessions_and_processes_five_pass_and_the_others_ask() {
    let store = MemoryStore::new();
    let a = Arc::new(House::over(with(LADDER), store.clone()).await);
    let b = Arc::new(House::over(with(LADDER), store.clone()).await);
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..10 {
        let house = Arc::clone(if n % 2 == 0 { &a } else { &b });
        calls.spawn(async move { restart(&house, &format!("s-{n}")).await });
    }
    let verdicts = calls.join_all().await;
    let passed = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Allow(_)))
        .count();
    let denied = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Deny(_)))
        .count();
    // One that comes while others are still being decided may be held against them: never more than five pass.
    assert_eq!(passed, 5, "{verdicts:?}");
    assert!(denied <= 3, "{verdicts:?}");
    let text = std::fs::read_to_string(a.audit.path()).unwrap();
    assert!(text.contains("\"flagged\""), "the ladder's first rung leaves no flag");
}

#[tokio::test]
async fn past_the_ceiling_nobody_is_asked() {
    let house = House::over(with(LADDER), MemoryStore::new()).await;
    let mut permits = Vec::new();
    for n in 0..5 {
        let Verdict::Allow(permit) = restart(&house, &format!("s-{n}")).await else {
            panic!("{n}")
        };
        permits.push(permit);
    }
    for n in 5..7 {
        let Verdict::Ask(escalation) = restart(&house, &format!("s-{n}")).await else {
            panic!("{n}")
        };
        let waiting = escalation.open().await.unwrap();
        house.once("sso:bob", waiting.request()).await;
        permits.push(waiting.wait().await.unwrap());
    }
    let Verdict::Deny(denial) = restart(&house, "s-8").await else {
        panic!("past the ceiling")
    };
    assert_eq!(rules(&denial), ["budget.restarts.ceiling"]);
    // What is proven not to run is given back.
    for permit in permits.drain(..3) {
        permit.forgo().await;
    }
    assert!(matches!(restart(&house, "s-9").await, Verdict::Allow(_)));
}

#[tokio::test]
async fn an_ask_holds_nothing_while_people_think() {
    let house = House::over(with(LADDER), MemoryStore::new()).await;
    let mut permits = Vec::new();
    for n in 0..5 {
        let Verdict::Allow(permit) = restart(&house, &format!("s-{n}")).await else {
            panic!("{n}")
        };
        permits.push(permit);
    }
    for n in 0..20 {
        assert!(
            matches!(restart(&house, &format!("t-{n}")).await, Verdict::Ask(_)),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_count_that_must_survive_needs_a_store_that_does() {
    let root = std::env::temp_dir().join(format!("glassbreak-forgetful-{}", std::process::id()));
    let audit = AuditLog::open(root.join("audit")).unwrap();
    let strict = LADDER.replace("\"process\"", "\"strict\"");
    let built = Gate::builder(bundle_of(&with(&strict)))
        .store(MemoryStore::new())
        .audit(audit)
        .answered_elsewhere()
        .build()
        .await;
    assert!(matches!(built, Err(BuildError::Forgetful { budget, .. }) if budget == "restarts"));
    let _ = std::fs::remove_dir_all(root);
}
