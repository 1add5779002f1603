//! Who may answer: persons and not accounts, named by the rule now, allowed by policy now.

use glassbreak_core::approval::{Answer, Ballot, Request, State};
use glassbreak_core::call::Actor;
use glassbreak_core::desk::VoteError;
use glassbreak_core::gate::Verdict;
use glassbreak_core::people::{Account, Email, IdentityResolver as _, Principal};
use glassbreak_core::store::MemoryStore;

use super::support::{House, ballot, bundle_of, deploy, files, rules, waiting, window, word};

async fn open(house: &House, env: &str) -> Request {
    let Verdict::Ask(escalation) = deploy(&house.session("s"), "web", env).check().await else {
        panic!("nothing asks")
    };
    escalation.open().await.unwrap().request().clone()
}

#[tokio::test]
async fn who_may_not_answer_is_refused_with_the_reason_and_recorded() {
    let house = House::new().await;
    let request = open(&house, "test").await;
    for (who, code) in [
        ("sso:alice", "not-eligible"),
        ("sso:dave", "not-eligible"),
        ("sso:eve", "not-eligible"),
        ("sso:mallory", "unknown-account"),
    ] {
        assert_eq!(house.refused(who, &request, Answer::Once).await, code, "{who}");
    }
    // A no from outside the group does not count either.
    assert_eq!(house.refused("sso:dave", &request, Answer::Deny).await, "not-eligible");
    let records = house.records();
    assert_eq!(
        records.iter().filter(|kind| *kind == "vote.refused").count(),
        5,
        "{records:?}"
    );
    assert!(!records.iter().any(|kind| kind == "vote.cast"), "{records:?}");
    house.once("sso:bob", &request).await;
}

#[tokio::test]
async fn two_accounts_are_one_person() {
    let house = House::new().await;
    let session = house.session("s");
    let task = waiting(deploy(&session, "web", "prod"));
    let request = house.asked().await;
    assert_eq!(house.once("sso:bob", &request).await.state, State::Pending);
    assert_eq!(house.refused("pager:bob", &request, Answer::Once).await, "again");
    assert_eq!(house.refused("sso:alice", &request, Answer::Once).await, "not-eligible");
    assert!(!task.is_finished());
    let settled = house.once("sso:carol", &request).await;
    assert!(matches!(settled.state, State::Approved { .. }), "{:?}", settled.state);
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_no_wins_and_its_reason_reaches_the_agent() {
    let house = House::new().await;
    let session = house.session("s");
    let task = waiting(deploy(&session, "web", "prod"));
    let request = house.asked().await;
    house.once("sso:bob", &request).await;
    let mut ballot = ballot("sso:carol", &request, Answer::Deny);
    ballot.reason = Some(super::support::text("roll back instead"));
    house.gate.desk().vote(request.id, &ballot).await.unwrap();
    let denial = task.await.unwrap().unwrap_err();
    assert_eq!(rules(&denial), ["store.request.denied"]);
    assert!(denial.why().contains("carol said no: roll back instead"), "{denial}");
    assert!(denial.why().contains("policy.prod-asks-two"), "{denial}");
    // The same question rests, whatever the service.
    let denial = deploy(&session, "db", "prod").authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["store.request.resting"]);
    assert_eq!(house.refused("sso:bob", &request, Answer::Once).await, "settled");
}

#[tokio::test]
async fn the_person_it_acts_for_agrees_only_where_the_rule_says_so() {
    let house = House::new().await;
    let session = house.session("s");
    let call = session.tool(word("own"), glassbreak_core::call::Args::new());
    let task = waiting(call);
    let request = house.asked().await;
    let settled = house.once("sso:alice", &request).await;
    assert!(matches!(settled.state, State::Approved { .. }));
    assert!(settled.votes[0].own);
    task.await.unwrap().unwrap();
    let text = std::fs::read_to_string(house.audit.path()).unwrap();
    assert!(text.contains("\"self_approved\":true"), "{text}");
}

#[tokio::test]
async fn who_left_the_group_may_not_agree_and_their_vote_is_dropped() {
    let store = MemoryStore::new();
    let house = House::over(files(), store.clone()).await;
    let request = open(&house, "prod").await;
    house.once("sso:bob", &request).await;
    // The approver's process has read the folder anew: bob has left.
    let mut changed = files();
    let people = String::from_utf8(changed["people.toml"].clone()).unwrap();
    let people = people.replacen("[persons.bob]\ngroups = [\"oncall\"]", "[persons.bob]", 1);
    changed.insert("people.toml".to_owned(), people.into_bytes());
    let later = House::over(changed, store).await;
    assert_eq!(later.refused("sso:bob", &request, Answer::Once).await, "not-eligible");
    let after = later.once("sso:carol", &request).await;
    // Of two that must agree only carol is left, and alice may not: it can never be.
    assert!(matches!(after.state, State::Denied { .. }), "{:?}", after.state);
}

#[tokio::test]
async fn a_rule_that_was_changed_since_it_asked_cannot_be_agreed_to() {
    let store = MemoryStore::new();
    let house = House::over(files(), store.clone()).await;
    let request = open(&house, "test").await;
    let mut changed = files();
    let policy = String::from_utf8(changed["p.cedar"].clone()).unwrap();
    let policy = policy.replacen(
        "@window(\"5m\")\nforbid (principal, action == Action::\"tool:deploy\", resource);",
        "@window(\"4m\")\nforbid (principal, action == Action::\"tool:deploy\", resource);",
        1,
    );
    changed.insert("p.cedar".to_owned(), policy.into_bytes());
    let later = House::over(changed, store).await;
    assert_eq!(later.refused("sso:bob", &request, Answer::Once).await, "rule-changed");
    let request = house.gate.desk().request(request.id).await.unwrap().unwrap();
    assert!(matches!(request.state, State::Cancelled { .. }), "{:?}", request.state);
}

#[tokio::test]
async fn a_grant_lifts_the_rule_that_asked_and_not_a_changed_one_of_its_name() {
    let store = MemoryStore::new();
    let house = House::over(files(), store.clone()).await;
    let request = open(&house, "test").await;
    house.vote("sso:bob", &request, window(5, 9)).await.unwrap();
    let mut changed = files();
    let policy = String::from_utf8(changed["p.cedar"].clone()).unwrap();
    let policy = policy.replacen(
        "@id(\"deploy-asks\") @ask(\"oncall\")",
        "@id(\"deploy-asks\") @ask(\"oncall\") @quorum(\"2\")",
        1,
    );
    changed.insert("p.cedar".to_owned(), policy.into_bytes());
    let later = House::over(changed, store.clone()).await;
    let check = deploy(&later.session("s"), "web", "test").check().await;
    assert!(super::support::passes(check).is_none(), "a changed rule was lifted");
    // Another edit of the folder leaves it.
    let mut edited = files();
    let policy = format!(
        "{}\n// a comment\n",
        String::from_utf8(edited["p.cedar"].clone()).unwrap()
    );
    edited.insert("p.cedar".to_owned(), policy.into_bytes());
    let edited = House::over(edited, store).await;
    let check = deploy(&edited.session("s"), "web", "test").check().await;
    assert!(super::support::passes(check).is_some());
}

#[tokio::test]
async fn who_may_agree_is_policy_too() {
    let mut files = files();
    let policy = String::from_utf8(files["p.cedar"].clone()).unwrap();
    let policy = policy.replacen(
        "context.request.risk != \"high\"",
        "context.request.scope == \"once\"",
        1,
    );
    files.insert("p.cedar".to_owned(), policy.into_bytes());
    let house = House::over(files, MemoryStore::new()).await;
    let request = open(&house, "test").await;
    assert_eq!(house.refused("sso:bob", &request, window(5, 1)).await, "not-eligible");
    house.once("sso:bob", &request).await;
}

#[tokio::test]
async fn who_was_found_by_an_address_is_looked_up_again_when_votes_are_counted() {
    let people = |trusted: bool| {
        let mut files = files();
        let people = String::from_utf8(files["people.toml"].clone()).unwrap();
        let more = format!(
            "[issuers.sso]\nemail = {trusted}\n[issuers.other]\nemail = true\n\
             [persons.frank]\ngroups = [\"oncall\"]\nemail = \"frank@example.com\"\n"
        );
        files.insert("people.toml".to_owned(), format!("{people}{more}").into_bytes());
        bundle_of(&files)
    };
    let house = House::new().await;
    let first = people(true);
    let digest = first.digest();
    house.gate.reload(first, digest).unwrap();
    let request = open(&house, "prod").await;
    let account = Account::of_issuer("sso", "00u7|x").unwrap();
    let frank = Principal::new(account).verified_email(Email::new("Frank@Example.com").unwrap());
    let found = house.gate.bundle().resolve(&frank).unwrap();
    assert_eq!(found.person, word("frank"));
    let ballot = Ballot {
        account: found.account,
        ..ballot("sso:bob", &request, Answer::Once)
    };
    let after = house.gate.desk().vote(request.id, &ballot).await.unwrap();
    assert_eq!(after.votes.len(), 1);
    // The issuer is not trusted with addresses any more: frank's vote goes, and he has no other.
    let second = people(false);
    let digest = second.digest();
    house.gate.reload(second, digest).unwrap();
    assert!(house.gate.bundle().resolve(&frank).is_err());
    let after = house.once("sso:carol", &request).await;
    let voted: Vec<&str> = after.votes.iter().map(|vote| vote.person.as_str()).collect();
    assert_eq!((voted, &after.state), (vec!["carol"], &State::Pending));
    assert!(matches!(
        house.once("sso:bob", &request).await.state,
        State::Approved { .. }
    ));
}

#[tokio::test]
async fn whom_the_agent_acts_for_by_an_account_that_nobody_lists_does_not_agree_by_an_address() {
    let mut files = files();
    let people = String::from_utf8(files["people.toml"].clone()).unwrap();
    let more = "[issuers.sso]\nemail = true\n[persons.frank]\ngroups = [\"oncall\"]\nemail = \"frank@example.com\"\n";
    files.insert("people.toml".to_owned(), format!("{people}{more}").into_bytes());
    let house = House::over(files, MemoryStore::new()).await;
    let mut actor = Actor::new(word("ops"), word("s"));
    actor.instance = Some(word("ops-7"));
    // The host knows the subject of a token, and the folder an address: nothing says that they are not one person.
    actor.on_behalf_of = Some(word("sso:0a1"));
    let session = house.gate.session(actor).workspace(house.root.join("work")).unwrap();
    let task = waiting(deploy(&session, "web", "prod"));
    let request = house.asked().await;
    let account = Account::of_issuer("sso", "0a1").unwrap();
    let frank = Principal::new(account).verified_email(Email::new("frank@example.com").unwrap());
    let found = house.gate.bundle().resolve(&frank).unwrap();
    let own = Ballot {
        account: found.account,
        ..ballot("sso:bob", &request, Answer::Once)
    };
    match house.gate.desk().vote(request.id, &own).await {
        Err(VoteError::Refused(why)) => assert_eq!(why.code(), "not-eligible"),
        other => panic!("{other:?}"),
    }
    // Whoever has a listed account and no address is somebody else.
    assert_eq!(house.once("sso:bob", &request).await.votes.len(), 1);
    task.abort();
}
