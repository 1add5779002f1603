//! A rule that kills: the session is locked, its requests are resolved, and what it runs is ended.

use std::time::Duration;

use glassbreak_core::gate::{Denied, Verdict};
use glassbreak_core::store::MemoryStore;

use crate::support::{House, deploy, files, passes, rules, waiting, word};

const KILLS: &str = r#"
schema = 1
[[budget]]
id = "restarts"
match = { labels = ["mutating"], tools = ["restart"] }
key = ["session"]
limit = 1
then = "kill"
durability = "none"
"#;

#[tokio::test]
async fn a_rule_that_kills_locks_the_session_resolves_its_requests_and_ends_what_it_runs() {
    let mut all = files();
    all.insert("budgets.toml".to_owned(), KILLS.into());
    let house = House::over(all, MemoryStore::new()).await;
    let session = house.session("s-1");
    let child = session.sub_agent(word("ops"), word("child")).unwrap();
    let restart = |session: &glassbreak_core::gate::Session| session.tool(word("restart"), Default::default());

    // One call waits for people, and another one runs.
    let asked = waiting(deploy(&session, "web", "test"));
    let request = house.asked().await;
    let permit = passes(restart(&session).check().await).unwrap();
    let glassbreak_core::gate::AnyPermit::Tool(permit) = permit else {
        panic!("a tool's");
    };
    let (began, runs) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(permit.run(async move |_| {
        began.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, Denied>(())
    }));
    runs.await.unwrap();

    // The second restart, by a sub-agent: what it counts is the session's.
    let Verdict::Deny(denial) = restart(&child).check().await else {
        panic!("it passes");
    };
    assert_eq!(rules(&denial), ["budget.restarts"]);

    let ended = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap();
    assert_eq!(rules(&ended.unwrap().unwrap_err().0), ["lock.session"]);
    let refused = tokio::time::timeout(Duration::from_secs(5), asked).await.unwrap();
    assert_ne!(rules(&refused.unwrap().unwrap_err()), Vec::<&str>::new());
    let request = house.gate.desk().request(request.id).await.unwrap().unwrap();
    assert!(request.state.is_final(), "{request:?}");
    for session in [&session, &child] {
        let Verdict::Deny(denial) = deploy(session, "web", "test").check().await else {
            panic!("it passes");
        };
        assert_eq!(rules(&denial), ["lock.session"]);
    }
    // Another session goes on.
    assert!(passes(restart(&house.session("s-2")).check().await).is_some());
}

const TIRED: &str = r#"
schema = 1
[[approvals]]
id = "tired"
key = ["session"]
limit = 1
window = { sliding = "1h" }
then = "deny"
"#;

#[tokio::test]
async fn people_are_asked_as_often_as_a_rule_lets_and_a_grant_is_no_ask() {
    let mut all = files();
    all.insert("budgets.toml".to_owned(), TIRED.into());
    let house = House::over(all, MemoryStore::new()).await;
    let session = house.session("s-1");
    let first = waiting(deploy(&session, "web", "test"));
    let request = house.asked().await;
    house.vote("bob", &request, crate::support::window(5, 3)).await.unwrap();
    first.await.unwrap().unwrap();
    // What the window covers asks nobody, and is no second ask.
    assert!(passes(deploy(&session, "web", "test").check().await).is_some());
    let Verdict::Deny(denial) = deploy(&session, "web", "prod").check().await else {
        panic!("a second ask");
    };
    assert!(rules(&denial).contains(&"budget.tired"), "{denial}");
}
