//! Waiting for people: joined, resumed, dropped, withdrawn, expired, and judged again at the end.

use std::time::Duration;

use glassbreak_core::approval::{Answer, State};
use glassbreak_core::gate::{Ticket, Verdict, Waiting};
use glassbreak_core::lock::Target;
use glassbreak_core::store::MemoryStore;

use super::support::{House, deploy, files, rules, text, waiting, window, word};

async fn open(house: &House, session: &str, service: &str) -> Waiting {
    let Verdict::Ask(escalation) = deploy(&house.session(session), service, "test").check().await else {
        panic!("nothing asks")
    };
    escalation.open().await.unwrap()
}

#[tokio::test]
async fn an_escalation_that_is_dropped_asks_nobody() {
    let house = House::new().await;
    let check = deploy(&house.session("s"), "web", "test").check().await;
    assert!(matches!(check, Verdict::Ask(_)));
    drop(check);
    assert!(house.gate.desk().pending().await.unwrap().is_empty());
    assert_eq!(house.records(), ["call.asked"]);
}

#[tokio::test]
async fn the_same_question_is_put_once_and_a_window_answers_both() {
    let house = House::new().await;
    let first = open(&house, "s", "web").await;
    let second = open(&house, "s", "db").await;
    assert_eq!(first.request().id, second.request().id);
    let other = open(&house, "t", "web").await;
    assert_ne!(first.request().id, other.request().id);
    house.vote("sso:bob", first.request(), window(5, 9)).await.unwrap();
    let _ = first.wait().await.unwrap();
    let _ = second.wait().await.unwrap();
}

#[tokio::test]
async fn one_approval_of_one_call_is_no_approval_of_another_that_joined() {
    let house = House::new().await;
    let first = open(&house, "s", "web").await;
    let second = open(&house, "s", "db").await;
    let asked = first.request().clone();
    house.once("sso:bob", &asked).await;
    let second = tokio::spawn(second.wait());
    let _ = first.wait().await.unwrap();
    // It asks anew, and for itself.
    let again = house.asked().await;
    assert_ne!(again.id, asked.id);
    assert!(again.card.text().contains("db"));
    house.once("sso:bob", &again).await;
    let _ = second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_is_resumed_by_its_ticket_in_another_process_and_only_once() {
    let store = MemoryStore::new();
    let house = House::over(files(), store.clone()).await;
    let waiting = open(&house, "s", "web").await;
    let (ticket, request) = (waiting.ticket(), waiting.request().clone());
    drop(waiting);
    assert_eq!(Ticket::from_text(&ticket.to_string()).unwrap(), ticket);
    house.once("sso:bob", &request).await;

    let elsewhere = House::over(files(), store.clone()).await;
    let stranger = elsewhere.session("t").resume(ticket).await.unwrap_err();
    assert_eq!(rules(&stranger), ["store.request.other-caller"]);
    let (a, b) = (elsewhere.session("s"), house.session("s"));
    let (a, b) = (a.resume(ticket).await.unwrap(), b.resume(ticket).await.unwrap());
    let (a, b) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(2), a.wait()),
        tokio::time::timeout(Duration::from_secs(2), b.wait())
    );
    let permits = [&a, &b].into_iter().filter(|won| matches!(won, Ok(Ok(_)))).count();
    assert_eq!(permits, 1, "{a:?} {b:?}");
    let third = house.session("s").resume(ticket).await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(2), third.wait())
        .await
        .unwrap();
    assert_eq!(rules(&third.unwrap_err()), ["budget.call-already-permitted"]);
}

#[tokio::test]
async fn a_call_that_needs_no_approval_any_more_still_has_one_permit() {
    let store = MemoryStore::new();
    let house = House::over(files(), store.clone()).await;
    let waiting = open(&house, "s", "web").await;
    let (ticket, request) = (waiting.ticket(), waiting.request().clone());
    house.once("sso:bob", &request).await;
    let mut eased = files();
    let policy = String::from_utf8(eased["p.cedar"].clone()).unwrap();
    eased.insert(
        "p.cedar".to_owned(),
        policy.replacen("tool:deploy", "tool:restart", 1).into_bytes(),
    );
    let eased = House::over(eased, store).await;
    let session = eased.session("s");
    let first = session.resume(ticket).await.unwrap().wait().await;
    assert!(first.is_ok(), "{first:?}");
    for _ in 0..2 {
        let denial = session.resume(ticket).await.unwrap().wait().await.unwrap_err();
        assert_eq!(rules(&denial), ["budget.call-already-permitted"]);
    }
}

#[tokio::test]
async fn what_the_agent_asked_is_judged_again_after_people_agreed() {
    let house = House::new().await;
    let waiting = open(&house, "s", "web").await;
    let request = waiting.request().clone();
    house.once("sso:bob", &request).await;
    house
        .gate
        .lock(Target::Tool(word("deploy")), text("stop"), word("bob"))
        .await
        .unwrap();
    let denial = waiting.wait().await.unwrap_err();
    assert_eq!(rules(&denial), ["lock.tool"]);
}

#[tokio::test]
async fn a_lock_withdraws_what_is_asked_and_whoever_waits_hears_of_it() {
    let house = House::new().await;
    let task = waiting(deploy(&house.session("s"), "web", "test"));
    let request = house.asked().await;
    house.gate.lock(Target::All, text("stop"), word("bob")).await.unwrap();
    let denial = task.await.unwrap().unwrap_err();
    assert_eq!(rules(&denial), ["store.request.cancelled"]);
    assert_eq!(house.refused("sso:bob", &request, Answer::Once).await, "settled");
    let records = house.records();
    assert!(records.iter().any(|kind| kind == "request.settled"), "{records:?}");
}

#[tokio::test]
async fn a_session_that_ends_withdraws_what_it_asked() {
    let house = House::new().await;
    let session = house.session("s");
    let task = waiting(deploy(&session, "web", "test"));
    house.asked().await;
    session.close().await.unwrap();
    assert_eq!(rules(&task.await.unwrap().unwrap_err()), ["store.request.cancelled"]);
}

#[tokio::test]
async fn nobody_answers_and_that_is_a_no() {
    let mut files = files();
    files.insert(
        "glassbreak.toml".to_owned(),
        b"[requests]\ndeadline = \"10s\"\n".to_vec(),
    );
    let house = House::over(files, MemoryStore::new()).await;
    let task = waiting(deploy(&house.session("s"), "web", "test"));
    let request = house.asked().await;
    // One that nobody waits for ends by itself too.
    let unwatched = open(&house, "t", "web").await.request().id;
    let denial = task.await.unwrap().unwrap_err();
    assert_eq!(rules(&denial), ["store.request.expired"]);
    assert_eq!(house.refused("sso:bob", &request, Answer::Once).await, "settled");
    tokio::time::sleep(Duration::from_millis(600)).await;
    let unwatched = house.gate.desk().request(unwatched).await.unwrap().unwrap();
    assert_eq!(unwatched.state, State::Expired);
    // Silence is not remembered as a person's no.
    open(&house, "s", "web").await;
}

#[tokio::test]
async fn an_agent_that_asks_too_much_is_refused() {
    let mut files = files();
    files.insert(
        "glassbreak.toml".to_owned(),
        b"[requests]\npending = 2\nper_hour = 3\n".to_vec(),
    );
    let house = House::over(files, MemoryStore::new()).await;
    let one = open(&house, "a", "web").await;
    let two = open(&house, "b", "web").await;
    let denial = deploy(&house.session("c"), "web", "test")
        .authorize()
        .await
        .unwrap_err();
    assert_eq!(rules(&denial), ["store.request.pending"]);
    house.once("sso:bob", one.request()).await;
    house.once("sso:bob", two.request()).await;
    let three = open(&house, "c", "web").await;
    house.once("sso:bob", three.request()).await;
    let denial = deploy(&house.session("d"), "web", "test")
        .authorize()
        .await
        .unwrap_err();
    assert_eq!(rules(&denial), ["store.request.per-hour"]);
    // Another agent is not the one that asks too much.
    let other = house.session_of("ops-8", "a");
    let Verdict::Ask(escalation) = deploy(&other, "web", "test").check().await else {
        panic!("nothing asks")
    };
    escalation.open().await.unwrap();
}
