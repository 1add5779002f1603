//! Another policy folder in the place of the one in force: whole, or not at all.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::bundle::{Bundle, BundleDigest, Files};
use glassbreak_core::call::Args;
use glassbreak_core::gate::{BuildError, Gate, ReloadError, Session, Verdict};

use crate::support::{House, bundle_of, deploy, files, rules, waiting, word};

const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "changes"
match = { labels = ["mutating"] }
key = ["session"]
limit = 3
window = { sliding = "1h" }
durability = "none"
ladder = []
ceiling = 3
"#;

/// The folder, with one text of one file changed.
fn changed(file: &str, from: &str, to: &str) -> Files {
    let mut files = files();
    let text = String::from_utf8(files.get(file).cloned().unwrap_or_default()).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    files
}

fn reload(gate: &Gate, files: &Files) -> Result<BundleDigest, ReloadError> {
    let bundle = bundle_of(files);
    let expected = bundle.digest();
    gate.reload(bundle, expected)
}

fn records(house: &House) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(house.audit.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn restart(session: &Session) -> glassbreak_core::gate::PendingTool {
    session.tool(word("restart"), Args::new())
}

#[tokio::test]
async fn a_bundle_that_is_not_the_expected_one_is_not_put_in_place() {
    let house = House::new().await;
    let old = house.gate.bundle().digest();
    let other = changed("p.cedar", "@id(\"never\")", "@id(\"not-at-all\")");
    let found = bundle_of(&other).digest();
    let refused = house.gate.reload(bundle_of(&other), old).unwrap_err();
    assert!(
        matches!(&refused, ReloadError::NotExpected { expected, found: given } if *expected == old && *given == found)
    );
    let why = refused.to_string();
    assert!(
        why.contains(&old.to_string()) && why.contains(&found.to_string()),
        "{why}"
    );
    assert_eq!(house.gate.bundle().digest(), old);
    assert_eq!(house.gate.desk().bundle().digest(), old);
    assert!(house.records().is_empty());
}

#[tokio::test]
async fn a_reload_takes_effect_for_the_gate_its_desk_and_open_sessions_and_is_recorded() {
    let house = House::new().await;
    let session = house.session("s");
    let old = house.gate.bundle().digest();
    restart(&session).authorize().await.unwrap().forgo().await;
    let stricter = changed(
        "p.cedar",
        "@id(\"never\")",
        "@id(\"frozen\") forbid (principal, action == Action::\"tool:restart\", resource);\n@id(\"never\")",
    );
    assert_eq!(reload(&house.gate, &stricter).unwrap(), old);
    let new = bundle_of(&stricter).digest();
    assert_eq!(
        (house.gate.bundle().digest(), house.gate.desk().bundle().digest()),
        (new, new)
    );
    let denial = restart(&session).authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["policy.frozen"]);
    // Once more the same: nothing changes, nothing is recorded.
    assert_eq!(reload(&house.gate, &stricter).unwrap(), new);
    assert_eq!(
        house.records(),
        ["call.permitted", "call.finished", "bundle.reloaded", "call.refused"]
    );
    let records = records(&house);
    let reloaded = records
        .iter()
        .find(|record| record["kind"] == "bundle.reloaded")
        .unwrap();
    assert_eq!(reloaded["old"], old.to_string());
    assert_eq!(reloaded["new"], new.to_string());
    assert_eq!(records.last().unwrap()["bundle"], new.to_string());
}

#[tokio::test]
async fn digests_are_read_as_they_are_printed() {
    let digest = bundle_of(&files()).digest();
    let text = digest.to_string();
    assert_eq!(BundleDigest::from_text(&text).unwrap(), digest);
    for bad in [
        "",
        "ab",
        &text.to_uppercase(),
        text.split_at(1).1,
        &format!("{text}0"),
        &text.replacen(text.split_at(1).0, "+", 1),
    ] {
        assert!(BundleDigest::from_text(bad).is_err(), "{bad}");
    }
}

/// Two folders that differ in everything a record shows: the verdict, the rule, and what the tool's label is called.
fn two_folders() -> [Files; 2] {
    let allows = files();
    let mut denies = changed(
        "p.cedar",
        "@id(\"never\")",
        "@id(\"frozen\") forbid (principal, action == Action::\"tool:restart\", resource);\n@id(\"never\")",
    );
    let tools = String::from_utf8(denies["tools.toml"].clone()).unwrap();
    let tools = tools.replacen(
        "[tools.restart]\nlabels = [\"mutating\"]",
        "[tools.restart]\nlabels = [\"my.own\"]",
        1,
    );
    denies.insert("tools.toml".to_owned(), tools.into_bytes());
    denies.insert(
        "glassbreak.toml".to_owned(),
        b"[labels]\n\"my.own\" = \"medium\"\n".to_vec(),
    );
    [allows, denies]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn eight_threads_decide_while_a_policy_is_edited_and_no_record_is_torn() {
    let [allows, denies] = two_folders();
    let house = House::over(allows.clone(), glassbreak_core::store::MemoryStore::new()).await;
    let digests = [&allows, &denies].map(|files| bundle_of(files).digest().to_string());
    let over = Arc::new(AtomicBool::new(false));
    let deciding: Vec<_> = (0..8)
        .map(|n| {
            let (session, over) = (house.session(&format!("s{n}")), Arc::clone(&over));
            tokio::spawn(async move {
                let mut calls = 0_usize;
                while !over.load(Ordering::Relaxed) && calls < 4_000 {
                    match restart(&session).check().await {
                        Verdict::Allow(permit) => permit.forgo().await,
                        Verdict::Deny(denial) => assert_eq!(rules(&denial), ["policy.frozen"]),
                        Verdict::Ask(_) => panic!("neither folder asks"),
                    }
                    calls += 1;
                    tokio::task::yield_now().await;
                }
                calls
            })
        })
        .collect();
    let (least, most) = (Duration::from_secs(2), Duration::from_secs(60));
    let begun = Instant::now();
    let (mut reloads, mut n) = (0_usize, 0);
    // Longer where the machine is slow.
    while begun.elapsed() < least || reloads <= 10 && begun.elapsed() < most {
        n = 1 - n;
        let files = if n == 0 { &allows } else { &denies };
        reload(&house.gate, files).unwrap();
        reloads += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for task in deciding {
        calls += task.await.unwrap();
    }
    house.audit.sync().unwrap();
    let (mut seen, mut judged) = (BTreeSet::new(), 0);
    for record in records(&house) {
        let kind = record["kind"].as_str().unwrap();
        let expected = match record["bundle"].as_str() {
            Some(digest) if digest == digests[0] => ("call.permitted", "policy.all", "mutating"),
            Some(digest) if digest == digests[1] => ("call.refused", "policy.frozen", "my.own"),
            Some(other) => panic!("decided by {other}, which was never in force"),
            None => continue,
        };
        assert_eq!(
            (
                kind,
                record["rules"][0].as_str().unwrap(),
                record["labels"][0].as_str().unwrap()
            ),
            expected
        );
        seen.insert(expected.0);
        judged += 1;
    }
    assert_eq!(judged, calls, "every call has its record");
    assert!(
        seen.len() == 2 && reloads > 10 && calls > 100,
        "{seen:?} {reloads} {calls}"
    );
}

#[tokio::test]
async fn counters_go_on_after_a_reload_and_a_permit_from_before_it_still_runs() {
    let mut before = files();
    before.insert("budgets.toml".to_owned(), BUDGETS.into());
    let mut after = before.clone();
    // Another rule stands before it now.
    let also = BUDGETS
        .replacen("schema = 1", "", 1)
        .replace("changes", "also")
        .replace("= 3", "= 30");
    after.insert(
        "budgets.toml".to_owned(),
        BUDGETS
            .replacen("[[budget]]", &format!("{also}[[budget]]"), 1)
            .into_bytes(),
    );
    let house = House::over(before.clone(), glassbreak_core::store::MemoryStore::new()).await;
    let session = house.session("s");
    drop(restart(&session).authorize().await.unwrap());
    let (runs, given_back) = (
        restart(&session).authorize().await.unwrap(),
        restart(&session).authorize().await.unwrap(),
    );
    reload(&house.gate, &after).unwrap();
    assert_eq!(
        rules(&restart(&session).authorize().await.unwrap_err()),
        ["budget.changes.ceiling"]
    );
    runs.run(async |_| Ok::<_, glassbreak_core::gate::Denied>(()))
        .await
        .unwrap();
    // What a permit gives back goes to the rule that counted it, and to no other.
    given_back.forgo().await;
    drop(restart(&session).authorize().await.unwrap());
    assert!(restart(&session).authorize().await.is_err());
    reload(&house.gate, &before).unwrap();
    assert_eq!(
        rules(&restart(&session).authorize().await.unwrap_err()),
        ["budget.changes.ceiling"]
    );
}

#[tokio::test]
async fn what_is_pending_under_a_rule_that_changed_is_refused_at_the_vote() {
    let house = House::new().await;
    let task = waiting(deploy(&house.session("s"), "web", "test"));
    let request = house.asked().await;
    let shorter = "@id(\"deploy-asks\") @ask(\"oncall\") @window(\"4m\")";
    reload(
        &house.gate,
        &changed(
            "p.cedar",
            "@id(\"deploy-asks\") @ask(\"oncall\") @window(\"5m\")",
            shorter,
        ),
    )
    .unwrap();
    assert_eq!(house.refused("sso:bob", &request, Answer::Once).await, "rule-changed");
    let request = house.gate.desk().request(request.id).await.unwrap().unwrap();
    assert!(matches!(request.state, State::Cancelled { .. }), "{:?}", request.state);
    assert!(task.await.unwrap().is_err());
}

#[tokio::test]
async fn what_is_pending_under_a_rule_that_did_not_change_is_judged_again_by_the_new_bundle() {
    let house = House::new().await;
    let task = waiting(deploy(&house.session("s"), "web", "test"));
    let request = house.asked().await;
    // The rule that asks is the same; another now forbids it whoever agrees.
    let frozen = "@id(\"frozen\") forbid (principal, action == Action::\"tool:deploy\", resource);\n@id(\"never\")";
    reload(&house.gate, &changed("p.cedar", "@id(\"never\")", frozen)).unwrap();
    house.once("sso:bob", &request).await;
    let denial = task.await.unwrap().unwrap_err();
    assert!(rules(&denial).contains(&"policy.frozen"), "{denial}");
}

#[tokio::test]
async fn an_escalation_from_before_a_reload_asks_by_what_it_was_judged_by() {
    let house = House::new().await;
    let old = house.gate.bundle().digest();
    let Verdict::Ask(escalation) = deploy(&house.session("s"), "web", "test").check().await else {
        panic!("this asks");
    };
    let shorter = "@id(\"deploy-asks\") @ask(\"oncall\") @window(\"4m\")";
    reload(
        &house.gate,
        &changed(
            "p.cedar",
            "@id(\"deploy-asks\") @ask(\"oncall\") @window(\"5m\")",
            shorter,
        ),
    )
    .unwrap();
    let waiting = escalation.open().await.unwrap();
    assert_eq!(&*waiting.request().bundle, old.to_string());
    // Its rule hashes are as old as its card: nobody can agree to it any more.
    let request = waiting.request().clone();
    assert_eq!(house.refused("sso:bob", &request, Answer::Once).await, "rule-changed");
}

fn write_folder(folder: &std::path::Path, files: &Files) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
        std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
}

#[tokio::test]
async fn a_bundle_that_no_gate_could_be_built_over_is_not_put_in_place() {
    let house = House::new().await;
    let old = house.gate.bundle().digest();
    let mut strict = files();
    strict.insert(
        "budgets.toml".to_owned(),
        BUDGETS.replace("\"none\"", "\"strict\"").into_bytes(),
    );
    let why = reload(&house.gate, &strict).unwrap_err();
    assert!(
        matches!(&why, ReloadError::Unfit(BuildError::Forgetful { budget, .. }) if budget == "changes"),
        "{why}"
    );

    let open = |folder: &std::path::Path| {
        let bundle = Bundle::open(folder).unwrap();
        let expected = bundle.digest();
        house.gate.reload(bundle, expected)
    };
    let other = changed("p.cedar", "@id(\"never\")", "@id(\"not-at-all\")");
    let folder = house.root.join("policy");
    write_folder(&folder, &other);
    std::fs::set_permissions(folder.join("p.cedar"), PermissionsExt::from_mode(0o666)).unwrap();
    let why = open(&folder).unwrap_err();
    assert!(
        matches!(&why, ReloadError::Unfit(BuildError::Exposed(path)) if path.ends_with("p.cedar")),
        "{why}"
    );

    // Within the workspace of a session that is open, and no more once it has ended.
    let session = house.session("s");
    let inside = house.root.join("work/policy");
    write_folder(&inside, &other);
    let why = open(&inside).unwrap_err();
    assert!(matches!(&why, ReloadError::Within(path) if *path == inside), "{why}");
    assert_eq!(house.gate.bundle().digest(), old);
    assert!(house.records().is_empty());
    drop(session);
    open(&inside).unwrap();
    let again = house
        .gate
        .session(glassbreak_core::call::Actor::new(word("ops"), word("t")));
    assert!(
        again.workspace(house.root.join("work")).is_err(),
        "the judge lies in it now"
    );
}

#[tokio::test]
async fn an_agent_that_removes_its_workspace_does_not_keep_a_stricter_policy_out() {
    let house = House::new().await;
    let folder = house.root.join("policy");
    write_folder(&folder, &changed("p.cedar", "@id(\"never\")", "@id(\"not-at-all\")"));
    let _session = house.session("s");
    std::fs::remove_dir_all(house.root.join("work")).unwrap();
    let bundle = Bundle::open(&folder).unwrap();
    let expected = bundle.digest();
    house.gate.reload(bundle, expected).unwrap();
    assert_eq!(house.gate.bundle().digest(), expected);
}

#[tokio::test]
async fn a_reload_that_cannot_be_recorded_does_not_happen() {
    let house = House::new().await;
    let old = house.gate.bundle().digest();
    house.audit.clone().close().unwrap();
    let other = changed("p.cedar", "@id(\"never\")", "@id(\"not-at-all\")");
    assert!(matches!(reload(&house.gate, &other), Err(ReloadError::Audit(_))));
    assert_eq!(house.gate.bundle().digest(), old);
}
