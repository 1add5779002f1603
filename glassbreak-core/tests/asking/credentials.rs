//! Credentials: handed over with a permit, for no longer than what people agreed to, recorded before, taken back after.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::Answer;
use glassbreak_core::bundle::Files;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::credential::{BrokerError, CredentialBroker, CredentialId, Issued, Order, Secret, TakenBack};
use glassbreak_core::finding::{Denial, DenialKind};
use glassbreak_core::gate::{AnyPermit, BuildError, Denied, Failure, Gate, Permit, ReloadError, Session, ToolCall};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{MemoryStore, Which};
use serde_json::Value;

use crate::support::{House, bundle_of, deploy, files, passes, rules, text, waiting, window, word};

const VALUE: &str = "very-secret-7f3a9c";
const HANDED: &str = r#"
[credentials.deploys]
tools = ["deploy"]
lasts = "15m"
[credentials.restarts]
tools = ["restart"]
lasts = "2s"
hand = "always"
[credentials.cluster]
programs = ["printenv"]
variable = "KUBE_TOKEN"
lasts = "5m"
hand = "always"
"#;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum How {
    #[default]
    Well,
    Fails,
    Panics,
    Hangs,
    Slow,
    TooLong,
    Over,
    Empty,
    KeepsAll,
    RevokePanics,
}

#[derive(Debug, Default)]
struct Seen {
    how: How,
    orders: Vec<Order>,
    revoked: Vec<CredentialId>,
}

/// A broker that does as it is told.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Seen>>);

impl Fake {
    fn set(&self, how: How) {
        self.0.lock().unwrap().how = how;
    }

    fn last(&self) -> Order {
        self.0.lock().unwrap().orders.last().unwrap().clone()
    }

    fn counts(&self) -> (usize, usize) {
        let seen = self.0.lock().unwrap();
        (seen.orders.len(), seen.revoked.len())
    }

    async fn revoked(&self) -> CredentialId {
        for _ in 0..500 {
            if let Some(id) = self.0.lock().unwrap().revoked.last() {
                return *id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is not taken back")
    }
}

#[async_trait]
impl CredentialBroker for Fake {
    fn kind(&self) -> &str {
        "fake"
    }

    async fn issue(&self, order: &Order) -> Result<Issued, BrokerError> {
        let how = {
            let mut seen = self.0.lock().unwrap();
            seen.orders.push(order.clone());
            seen.how
        };
        let (value, expires_at) = match how {
            How::Fails => return Err(BrokerError::new("the vault is sealed")),
            How::Panics => panic!("as told"),
            How::Hangs => std::future::pending().await,
            How::Slow => {
                tokio::time::sleep(Duration::from_millis(150)).await;
                (VALUE, order.not_after)
            }
            How::TooLong => (VALUE, Timestamp::from_millis(order.not_after.as_millis() + 1)),
            How::Over => (VALUE, order.now),
            How::Empty => ("", order.not_after),
            How::Well | How::KeepsAll | How::RevokePanics => (VALUE, order.not_after),
        };
        Ok(Issued {
            secret: Secret::new(value),
            expires_at,
        })
    }

    async fn revoke(&self, id: CredentialId) -> Result<TakenBack, BrokerError> {
        let mut seen = self.0.lock().unwrap();
        seen.revoked.push(id);
        match seen.how {
            How::KeepsAll => Ok(TakenBack::Lives),
            How::RevokePanics => {
                drop(seen);
                panic!("as told")
            }
            How::Fails => Err(BrokerError::new("the vault is sealed")),
            _ => Ok(TakenBack::Gone),
        }
    }
}

fn handing() -> Files {
    let mut files = files();
    files.insert("credentials.toml".into(), HANDED.into());
    let bins = String::from_utf8(files["safe-bins.toml"].clone()).unwrap();
    let bins = format!(
        "{bins}\n[profiles.printenv]\nroot = {{ verdict = \"allow\", forms = [{{ operands = [{{ type = \"text\", max = 2 }}] }}] }}\n\
         env = {{ pass = [\"KUBE_TOKEN\"] }}\nexamples.allow = [\"printenv HOME\"]\n"
    );
    files.insert("safe-bins.toml".into(), bins.into());
    files
}

async fn house(store: MemoryStore) -> (House, Fake) {
    let broker = Fake::default();
    let (a, b, c) = (broker.clone(), broker.clone(), broker.clone());
    let house = House::built(handing(), store, |builder| {
        let time = Duration::from_millis(300);
        builder
            .broker(word("deploys"), a)
            .broker(word("restarts"), b)
            .broker(word("cluster"), c)
            .broker_time(time)
    })
    .await;
    (house, broker)
}

/// A permit that carol agreed to.
async fn agreed(house: &House, session: &Session, answer: Answer) -> Permit<ToolCall> {
    let call = deploy(session, "web", "test");
    let asked = tokio::spawn(call.authorize());
    let request = house.asked().await;
    house.vote("sso:carol", &request, answer).await.unwrap();
    asked.await.unwrap().unwrap()
}

/// The records of one kind.
fn records(house: &House, kind: &str) -> Vec<Value> {
    house.audit.sync().unwrap();
    let text = std::fs::read_to_string(house.audit.path()).unwrap();
    assert!(!text.contains(VALUE), "the value is in the log");
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|record| record["kind"] == kind).collect()
}

async fn record(house: &House, kind: &str) -> Value {
    for _ in 0..500 {
        if let Some(record) = records(house, kind).pop() {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no {kind}")
}

fn denied<T: std::fmt::Debug>(result: Result<T, Denied>) -> Denial {
    result.unwrap_err().0
}

#[tokio::test]
async fn a_call_is_handed_its_credential_and_gives_it_back() {
    let (house, broker) = house(MemoryStore::new()).await;
    let session = house.session("s-1");
    let permit = agreed(&house, &session, Answer::Once).await;
    let ran = permit
        .run_with_credential(async |plan, credential| {
            assert_eq!(plan.name().as_str(), "deploy");
            assert_eq!(credential.reveal(), VALUE);
            assert_eq!(broker.counts(), (1, 0), "not before the call is over");
            // On disk before the body sees it.
            let issued = records(&house, "credential.issued").pop().unwrap();
            assert_eq!(issued["credential"], credential.id().to_string());
            Ok::<_, Denied>(credential.expires_at())
        })
        .await
        .unwrap();
    let order = broker.last();
    let grant = order.grant.clone().unwrap();
    // Fifteen minutes are written, and what people agreed to ends after five.
    assert_eq!((ran, order.not_after), (grant.expires_at, grant.expires_at));
    assert_eq!((&*order.action, &*order.tool), ("tool:deploy", "deploy"));
    assert_eq!(broker.revoked().await, order.id);
    let issued = record(&house, "credential.issued").await;
    for (key, value) in [
        ("name", "deploys".to_owned()),
        ("type", "fake".to_owned()),
        ("delivery", "body".to_owned()),
        ("grant", grant.id.to_string()),
        ("call", order.call.to_string()),
        ("digest", order.digest.to_string()),
        ("fingerprint", glassbreak_core::credential::fingerprint(VALUE)),
    ] {
        assert_eq!(issued[key], value, "{key}");
    }
    assert!(issued["ttl_ms"].as_u64().unwrap() <= 300_000);
    let revoked = record(&house, "credential.revoked").await;
    assert_eq!(revoked["why"], "the call ended");
    assert_eq!(revoked["residual_until"], Value::Null);
    let kinds = house.records();
    let tail: Vec<&str> = kinds.iter().rev().take(4).rev().map(String::as_str).collect();
    assert_eq!(
        tail,
        [
            "call.permitted",
            "credential.issued",
            "credential.revoked",
            "call.finished"
        ]
    );
}

#[tokio::test]
async fn people_are_shown_that_a_credential_is_handed_over() {
    let (house, _) = house(MemoryStore::new()).await;
    let session = house.session("s-1");
    let _waiting = waiting(deploy(&session, "web", "test"));
    let card = house.asked().await.card.text();
    assert!(
        card.contains("hands over  deploys: for 15m at most, and only once people agreed"),
        "{card}"
    );
}

#[tokio::test]
async fn without_people_a_credential_is_handed_over_only_where_the_file_says_always() {
    let (house, broker) = house(MemoryStore::new()).await;
    let session = house.session("s-1");
    let restart = session.tool(word("restart"), Default::default());
    let before = Timestamp::now();
    let until = restart
        .authorize()
        .await
        .unwrap()
        .run_with_credential(async |_, credential| Ok::<_, Denied>(credential.expires_at()))
        .await
        .unwrap();
    assert!(
        until.since(before) <= Span::from_millis(4_000),
        "two seconds, as the file says"
    );
    assert_eq!(broker.last().grant, None);
    // A tool that no file names is handed none, whatever the host does.
    let request = tokio::spawn(session.tool(word("own"), Default::default()).authorize());
    let asked = house.asked().await;
    house.once("sso:alice", &asked).await;
    let own = request.await.unwrap().unwrap();
    let refused = denied(own.run_with_credential(async |_, _| Ok::<_, Denied>(())).await);
    assert_eq!(rules(&refused), ["store.credential.none"]);
    assert_eq!(broker.counts().0, 1);
}

#[tokio::test]
async fn a_broker_that_does_not_do_as_it_should_is_a_refusal() {
    for how in [How::Fails, How::Panics, How::Hangs, How::TooLong, How::Over, How::Empty] {
        let (house, broker) = house(MemoryStore::new()).await;
        broker.set(how);
        let permit = agreed(&house, &house.session("s-1"), Answer::Once).await;
        let refused = permit
            .run_with_credential(async |_, _| -> Result<(), Denied> { panic!("{how:?}: the body began") })
            .await;
        let refused = denied(refused);
        assert_eq!(rules(&refused), ["store.credential.broker"], "{how:?}");
        assert_eq!(refused.kind(), DenialKind::Unavailable, "{how:?}");
        // It may have been made all the same.
        assert_eq!(broker.revoked().await, broker.last().id, "{how:?}");
        assert_eq!(record(&house, "call.finished").await["outcome"], "not_run", "{how:?}");
        assert!(records(&house, "credential.issued").is_empty(), "{how:?}");
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_recorded_is_not_handed_over() {
    let (house, broker) = house(MemoryStore::new()).await;
    let permit = agreed(&house, &house.session("s-1"), Answer::Once).await;
    house.audit.clone().close().unwrap();
    let refused = permit
        .run_with_credential(async |_, _| -> Result<(), Denied> { panic!("the body began") })
        .await;
    assert_eq!(rules(&denied(refused)), ["store.credential.audit"]);
    assert_eq!(broker.revoked().await, broker.last().id);
}

#[tokio::test]
async fn what_a_broker_cannot_take_back_is_recorded_as_living_to_its_end() {
    for (how, failed) in [(How::KeepsAll, false), (How::RevokePanics, true)] {
        let (house, broker) = house(MemoryStore::new()).await;
        broker.set(how);
        let permit = agreed(&house, &house.session("s-1"), Answer::Once).await;
        permit
            .run_with_credential(async |_, _| Ok::<_, Denied>(()))
            .await
            .unwrap();
        let revoked = record(&house, "credential.revoked").await;
        assert_eq!(
            revoked["residual_until"],
            broker.last().not_after.to_string(),
            "{how:?}"
        );
        assert_eq!(revoked["failed"].is_string(), failed, "{how:?}");
    }
}

#[tokio::test]
async fn a_grant_that_is_revoked_takes_the_credential_and_the_body_with_it() {
    let (house, broker) = house(MemoryStore::new()).await;
    let permit = agreed(&house, &house.session("s-1"), window(5, 3)).await;
    let grant = house.gate.desk().grants().await.unwrap().pop().unwrap();
    let desk = house.gate.desk().clone();
    let revoking = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        desk.revoke(Which::Grant(grant.id), text("enough"), word("bob")).await
    });
    let never = permit
        .run_with_credential(async |_, _| -> Result<(), Denied> { std::future::pending().await })
        .await;
    assert_eq!(rules(&denied(never)), ["store.grant.revoked"]);
    revoking.await.unwrap().unwrap();
    assert_eq!(broker.revoked().await, broker.last().id);
    let revoked = record(&house, "credential.revoked").await;
    assert_eq!(revoked["why"], "its grant was revoked");
    assert_eq!(
        record(&house, "credential.issued").await["pins"]["credential"],
        "deploys: for 15m at most, and only once people agreed"
    );
}

#[tokio::test]
async fn a_lock_and_a_caller_who_goes_away_take_the_credential_back() {
    let (house, broker) = house(MemoryStore::new()).await;
    let permit = agreed(&house, &house.session("s-1"), Answer::Once).await;
    let desk = house.gate.desk().clone();
    let locking = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        desk.lock(Target::All, text("stop"), word("bob")).await
    });
    let locked = permit
        .run_with_credential(async |_, _| -> Result<(), Denied> { std::future::pending().await })
        .await;
    assert!(rules(&denied(locked))[0].starts_with("lock."));
    locking.await.unwrap().unwrap();
    assert_eq!(broker.revoked().await, broker.last().id);

    let (house, broker) = self::house(MemoryStore::new()).await;
    let permit = agreed(&house, &house.session("s-1"), Answer::Once).await;
    let gone = permit.run_with_credential(async |_, _| -> Result<(), Denied> { std::future::pending().await });
    assert!(tokio::time::timeout(Duration::from_millis(300), gone).await.is_err());
    assert_eq!(broker.revoked().await, broker.last().id);
    let revoked = record(&house, "credential.revoked").await;
    assert_eq!(revoked["why"], "the call was ended before its time");
}

#[tokio::test]
async fn a_program_finds_its_credential_in_its_variable_and_nowhere_else() {
    let (house, broker) = house(MemoryStore::new()).await;
    let session = house.session("s-1");
    let (ran, output) = session.exec(["printenv", "KUBE_TOKEN"]).run().await.unwrap();
    assert!(ran.exit.is_success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{VALUE}\n"));
    assert_eq!(broker.revoked().await, broker.last().id);
    let issued = record(&house, "credential.issued").await;
    assert_eq!(issued["delivery"], "variable KUBE_TOKEN");
    assert!(issued["ttl_ms"].as_u64().unwrap() <= 300_000);
    // A call that brings the variable along is not handed the credential in its place, nor run without.
    let own = session
        .exec(["printenv", "KUBE_TOKEN"])
        .env("KUBE_TOKEN", "mine")
        .run()
        .await;
    match own {
        Err(Failure::Denied(denied)) => assert_eq!(rules(&denied.0), ["store.credential.variable"]),
        other => panic!("{other:?}"),
    }
    broker.set(How::Fails);
    match session.exec(["printenv", "KUBE_TOKEN"]).run().await {
        Err(Failure::Denied(denied)) => assert_eq!(rules(&denied.0), ["store.credential.broker"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(records(&house, "call.finished").pop().unwrap()["outcome"], "not_run");
}

#[tokio::test]
async fn a_program_that_is_stopped_while_its_broker_works_does_not_begin() {
    let (house, broker) = house(MemoryStore::new()).await;
    broker.set(How::Slow);
    let session = house.session("s-1");
    let desk = house.gate.desk().clone();
    let locking = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        desk.lock(Target::Session(word("s-1")), text("enough"), word("bob"))
            .await
    });
    let ran = session.exec(["printenv", "KUBE_TOKEN"]).run().await;
    locking.await.unwrap().unwrap();
    assert!(matches!(ran, Err(Failure::Denied(_))), "{ran:?}");
    assert_eq!(broker.revoked().await, broker.last().id);
    assert_eq!(records(&house, "call.finished").pop().unwrap()["outcome"], "not_run");
}

#[tokio::test]
async fn what_was_agreed_to_without_a_credential_is_not_agreed_with_one() {
    let store = MemoryStore::new();
    let broker = Fake::default();
    let house = House::built(files(), store, |builder| {
        ["deploys", "restarts", "cluster"]
            .into_iter()
            .fold(builder, |builder, name| builder.broker(word(name), broker.clone()))
    })
    .await;
    let session = house.session("s-1");
    let permit = agreed(&house, &session, window(5, 9)).await;
    let bare = permit.digest();
    permit.forgo().await;
    assert!(
        passes(deploy(&session, "web", "test").check().await).is_some(),
        "the window covers it"
    );
    let handing = bundle_of(&handing());
    let digest = handing.digest();
    house.gate.reload(handing, digest).unwrap();
    assert!(
        passes(deploy(&session, "web", "test").check().await).is_none(),
        "not with a credential"
    );
    let request = tokio::spawn(deploy(&session, "web", "test").authorize());
    let asked = house.asked().await;
    assert_ne!(Some(asked.digest), bare);
    house.vote("sso:carol", &asked, window(5, 9)).await.unwrap();
    request.await.unwrap().unwrap().forgo().await;
    // And the other way round: the rules of the first folder, and the window of the second.
    let mut other = self::handing();
    let handed = HANDED.replace("15m", "14m");
    other.insert("credentials.toml".into(), handed.into());
    let other = bundle_of(&other);
    let digest = other.digest();
    house.gate.reload(other, digest).unwrap();
    assert!(
        passes(deploy(&session, "web", "test").check().await).is_none(),
        "not one that lives otherwise"
    );
}

#[tokio::test]
async fn a_gate_is_not_built_without_the_brokers_that_its_folder_names() {
    let (house, _) = house(MemoryStore::new()).await;
    let audit = glassbreak_core::audit::AuditLog::open(house.root.join("audit-2")).unwrap();
    let built = Gate::builder(bundle_of(&handing()))
        .store(MemoryStore::new())
        .audit(audit)
        .answered_elsewhere()
        .build()
        .await;
    assert!(matches!(built, Err(BuildError::NoBroker(_))), "{built:?}");
    let plain = House::new().await;
    let handing = bundle_of(&handing());
    let digest = handing.digest();
    let reloaded = plain.gate.reload(handing, digest);
    assert!(
        matches!(reloaded, Err(ReloadError::Unfit(BuildError::NoBroker(_)))),
        "{reloaded:?}"
    );
    match plain
        .session("s-1")
        .tool(word("restart"), Default::default())
        .check()
        .await
    {
        glassbreak_core::gate::Verdict::Allow(AnyPermit::Tool(permit)) => permit.forgo().await,
        other => panic!("{other:?}"),
    }
}
