//! What goes wrong with a server, and that nothing is allowed by it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PATIENT, Server, realm};
use glassbreak_core::approval::RequestId;
use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{
    Durability, FakeClock, Fate, Ledger, Locks, Opened, Outcome, Position, Requests, Reserve, Reserved, Store,
    StoreError, StoreErrorKind, Unlock, Unlocked,
};
use glassbreak_redis::{RedisBuilder, RedisStore};
use glassbreak_testkit::store::{Rig, Subject};
use rustix::process::Signal;

/// Two handles on one realm, and what to ask them.
struct Pair {
    one: RedisStore,
    two: RedisStore,
    rig: Rig,
    realm: String,
    clock: Arc<FakeClock>,
}

impl Pair {
    async fn on(server: &Server) -> Self {
        let (realm, clock) = (realm(), Arc::new(FakeClock::default()));
        let builder = || server.builder(&realm).clock(Arc::clone(&clock) as _);
        let one = builder().init().await.unwrap();
        let two = builder().connect().await.unwrap();
        let (store, other) = (Arc::new(one.clone()), Arc::new(two.clone()));
        Self {
            one,
            two,
            rig: Rig::new(Subject::new(store, other, Arc::clone(&clock))),
            realm,
            clock,
        }
    }

    fn builder(&self, server: &Server) -> RedisBuilder {
        server.builder(&self.realm).clock(Arc::clone(&self.clock) as _)
    }
}

/// Everything is denied, as an older state, and says how to go on.
async fn denies(store: &RedisStore, rig: &Rig) {
    let answers = [
        store.reserve(rig.call().on(1, 9).done()).await.err(),
        store.lock(rig.a_lock(Target::All, "bob")).await.err(),
        store.locks().await.err(),
        store.grants().await.err(),
        store.request(RequestId::from_bytes([1; 16])).await.err(),
        Requests::open(store, rig.question().done()).await.err(),
    ];
    for answer in answers {
        let error = answer.expect("an error");
        assert_eq!(error.kind(), StoreErrorKind::RolledBack, "{error}");
        assert!(error.to_string().contains("adopt"), "{error}");
    }
}

async fn adopt(store: &RedisStore, rig: &Rig) -> Position {
    let (by, why) = (Word::new("carol").unwrap(), Text::new("the disk died").unwrap());
    store.adopt(by, why, rig.at()).await.unwrap()
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let end = Instant::now() + PATIENT;
    while !so().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn message(result: Result<RedisStore, StoreError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_server_that_forgets_or_evicts_is_refused_and_told_what_to_set() {
    let forgetful = Server::with(&["--appendonly", "no"]);
    let told = message(forgetful.builder("r").init().await);
    assert!(told.contains("appendonly yes"), "{told}");
    let taken = forgetful.builder("r").ephemeral().init().await.unwrap();
    assert_eq!(taken.durability(), Durability::Process);
    let server = Server::start();
    let store = server.builder("r").init().await.unwrap();
    assert_eq!(store.durability(), Durability::Machine);
    server.say("CONFIG SET maxmemory-policy allkeys-lru");
    let told = message(server.builder("r").connect().await);
    assert!(told.contains("maxmemory-policy noeviction"), "{told}");
    server.say("CONFIG SET maxmemory-policy noeviction");
    server.builder("r").connect().await.unwrap();
}

#[tokio::test]
async fn a_user_that_may_touch_nothing_but_the_realm_is_enough() {
    let server = Server::start();
    let told = server.say(
        "ACL SETUSER gate on >secret resetkeys ~gb1:{r}:* resetchannels &gb1:{r}:* -@all +@read +@write +@scripting -@dangerous \
         +info +time +publish +subscribe +unsubscribe +ping",
    );
    assert!(told.starts_with("+OK"), "{told}");
    server.builder("r").init().await.unwrap();
    server.builder("s").init().await.unwrap();
    let url = format!("redis://gate:secret@127.0.0.1:{}/0", server.port);
    let clock = Arc::new(FakeClock::default());
    let open = async |realm: &str| {
        let builder = RedisStore::builder(&url).realm(realm).call_limit(PATIENT);
        builder.clock(Arc::clone(&clock) as _).connect().await
    };
    let (one, two) = (open("r").await.unwrap(), open("r").await.unwrap());
    let rig = Rig::new(Subject::new(Arc::new(one.clone()), Arc::new(two), Arc::clone(&clock)));
    let call = rig.call().on(1, 9).on_unknown(9).done();
    rig.hold(call.clone()).await;
    rig.settle(&call, Outcome::NotRun).await;
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.window(&request, 2)).await;
    let held = rig.in_flight(&rig.use_of(&request)).await;
    rig.used(&held, &grant, &rig.use_of(&request)).await;
    let set = rig.lock(Target::All).await;
    assert!(matches!(rig.unlock(Target::All, set).await, Unlocked::Lifted { .. }));
    let told = message(open("s").await);
    assert!(told.contains("refuses"), "{told}");
}

#[tokio::test]
async fn a_node_of_a_cluster_is_not_taken_for_a_server() {
    let node = Server::with(&["--appendonly", "yes", "--cluster-enabled", "yes"]);
    node.say("CLUSTER ADDSLOTSRANGE 0 16383");
    until("it serves", async || {
        node.say("CLUSTER INFO").contains("cluster_state:ok")
    })
    .await;
    let told = message(node.builder("r").init().await);
    assert!(told.contains("RedisStore::cluster"), "{told}");
}

#[tokio::test]
async fn a_realm_is_made_once_and_never_by_connecting() {
    let server = Server::start();
    let told = message(server.builder("r").connect().await);
    assert!(told.contains("RedisBuilder::init") && told.contains("lost"), "{told}");
    let first = server.builder("r").init().await.unwrap().locks().await.unwrap();
    let again = server.builder("r").init().await.unwrap().locks().await.unwrap();
    assert_eq!(first.position, again.position);
    let other = server.builder("s").init().await.unwrap().locks().await.unwrap();
    assert_ne!(first.position.generation, other.position.generation);
    // What says whose it is was lost, and the rest was not.
    server.say("HSET gb1:{t}:locks all x");
    let told = message(server.builder("t").init().await);
    assert!(told.contains("was lost"), "{told}");
}

#[tokio::test]
async fn a_server_that_was_flushed_is_denied_until_it_is_adopted() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let call = pair.rig.call().on(1, 9).done();
    pair.rig.hold(call.clone()).await;
    pair.rig.lock(Target::Tool(Word::new("other").unwrap())).await;
    pair.two.locks().await.unwrap();
    server.say("FLUSHALL");
    denies(&pair.one, &pair.rig).await;
    denies(&pair.two, &pair.rig).await;
    adopt(&pair.two, &pair.rig).await;
    // The other goes on by itself; the lock that was known stands, and what was minted before is taken.
    until("the other goes on", async || pair.one.locks().await.is_ok()).await;
    let view = pair.one.locks().await.unwrap();
    assert_eq!(view.locks.iter().count(), 1);
    let again = pair
        .one
        .reserve(pair.rig.again(&call).by_another().done())
        .await
        .unwrap();
    assert!(
        matches!(
            again,
            Reserved::Taken {
                fate: Fate::Forgotten,
                ..
            }
        ),
        "{again:?}"
    );
    pair.rig.pass(1);
    pair.rig.hold(pair.rig.call().on(1, 9)).await;
}

#[tokio::test]
async fn a_realm_that_is_begun_anew_is_another_store() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    pair.rig.hold(pair.rig.call().on(1, 9)).await;
    server.say("FLUSHALL");
    let anew = pair.builder(&server).init().await.unwrap();
    denies(&pair.one, &pair.rig).await;
    denies(&pair.two, &pair.rig).await;
    anew.locks().await.unwrap();
}

#[tokio::test]
async fn a_server_that_crashes_and_lost_nothing_goes_on() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let pair = Pair::on(&server).await;
    let call = pair.rig.call().on(1, 9).done();
    let held = pair.rig.hold(call.clone()).await;
    let set = pair.rig.lock(Target::Tool(Word::new("other").unwrap())).await;
    for _ in 0..3 {
        server.crash();
        // One message may be lost with the connection, and is an error.
        until("it answers", async || pair.one.locks().await.is_ok()).await;
        let view = pair.two.locks().await.unwrap();
        assert_eq!(view.position, set);
        assert_eq!(pair.rig.hold(pair.rig.again(&call)).await, held);
        assert!(pair.one.fault().is_none() && pair.two.fault().is_none());
    }
    assert!(pair.rig.settle(&call, Outcome::NotRun).await.refunded);
}

#[tokio::test]
async fn an_older_state_put_back_is_denied_to_everybody_also_to_those_who_saw_nothing() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let pair = Pair::on(&server).await;
    pair.rig.hold(pair.rig.call().on(1, 9)).await;
    let (now, before) = (server.folder.join("appendonlydir"), server.folder.join("before"));
    copy(&now, &before);
    let mut last = None;
    for _ in 0..5 {
        last = Some(pair.rig.hold(pair.rig.call().on(1, 9)).await.position);
    }
    pair.two.locks().await.unwrap();
    server.stop();
    std::fs::remove_dir_all(&now).unwrap();
    std::fs::rename(&before, &now).unwrap();
    server.begin();
    // Whoever connects now has seen nothing, and writes on past what was lost.
    let newcomer = pair.builder(&server).connect().await.unwrap();
    while newcomer
        .locks()
        .await
        .is_ok_and(|view| view.position.epoch <= last.unwrap().epoch)
    {
        let held = newcomer.reserve(pair.rig.call().on(2, 99).done()).await;
        if held.is_err() {
            break;
        }
    }
    until("it is denied", async || {
        pair.one
            .locks()
            .await
            .is_err_and(|e| e.kind() == StoreErrorKind::RolledBack)
    })
    .await;
    denies(&pair.one, &pair.rig).await;
    denies(&pair.two, &pair.rig).await;
    denies(&newcomer, &pair.rig).await;
    let later = pair.builder(&server).connect().await.unwrap();
    denies(&later, &pair.rig).await;
    let adopted = adopt(&later, &pair.rig).await;
    assert_ne!(adopted.generation, last.unwrap().generation);
    for store in [&pair.one, &pair.two, &newcomer] {
        until("they go on", async || store.locks().await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_within_the_limit_and_nothing_more() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let hurried = pair
        .builder(&server)
        .call_limit(Duration::from_millis(400))
        .connect()
        .await
        .unwrap();
    server.signal(Signal::STOP);
    for _ in 0..4 {
        let began = Instant::now();
        let answer = hurried.reserve(pair.rig.call().on(1, 9).done()).await;
        let error = answer.expect_err("no answer");
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (StoreErrorKind::Unavailable, true),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    server.signal(Signal::CONT);
    until("it answers", async || hurried.locks().await.is_ok()).await;
    assert!(hurried.fault().is_none());
}

#[tokio::test]
async fn a_message_sent_again_after_a_hang_is_counted_once() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let hurried = pair
        .builder(&server)
        .call_limit(Duration::from_millis(400))
        .connect()
        .await
        .unwrap();
    let call = pair.rig.call().on(1, 9).done();
    server.signal(Signal::STOP);
    hurried.reserve(call.clone()).await.expect_err("no answer");
    server.signal(Signal::CONT);
    until("it answers", async || hurried.locks().await.is_ok()).await;
    pair.rig.hold(pair.rig.again(&call)).await;
    assert_eq!(pair.rig.count(1).await, 1);
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    for n in 1..20 {
        server.say("SCRIPT FLUSH SYNC");
        pair.rig.hold(pair.rig.call().on(1, 99)).await;
        assert_eq!(pair.rig.count(1).await, n);
    }
}

#[tokio::test]
async fn a_full_server_takes_no_call_and_still_takes_a_lock() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let call = pair.rig.call().on(1, 9).done();
    pair.rig.hold(call.clone()).await;
    server.say("CONFIG SET maxmemory 1");
    let error = pair
        .one
        .reserve(pair.rig.call().on(1, 9).done())
        .await
        .expect_err("full");
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    let set = pair.rig.lock(Target::All).await;
    assert_eq!(pair.two.locks().await.unwrap().position, set);
    assert!(pair.rig.settle(&call, Outcome::NotRun).await.refunded);
    server.say("CONFIG SET maxmemory 0");
    let lifted = pair.rig.unlock(Target::All, set).await;
    assert!(matches!(lifted, Unlocked::NotLocked { .. } | Unlocked::Lifted { .. }));
    assert_eq!(pair.rig.count(1).await, 0);
}

fn now(rig: &Rig, ahead: i64) -> Reserve {
    let at = Timestamp::from_millis(Timestamp::now().as_millis() + ahead);
    Reserve {
        at,
        op: glassbreak_core::store::OpId::mint(at),
        ..rig.call().on(1, 9).done()
    }
}

#[tokio::test]
async fn clocks_that_differ_from_the_servers_are_refused() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let store = server.builder("real").init().await.unwrap();
    let held = store.reserve(now(&pair.rig, 0)).await.unwrap();
    assert!(matches!(held, Reserved::Held(_)), "{held:?}");
    let ahead = store.reserve(now(&pair.rig, 600_000)).await.unwrap();
    assert!(matches!(ahead, Reserved::Clock { .. }), "{ahead:?}");
    let behind = store.reserve(now(&pair.rig, -600_000)).await.expect_err("behind");
    assert_eq!(behind.kind(), StoreErrorKind::Unavailable);
    assert!(behind.to_string().contains("clocks differ"), "{behind}");
    // A server whose own time went back denies until it has come again.
    let later = Timestamp::now().as_millis() + 600_000;
    server.say(&format!("HSET gb1:{{real}}:meta hw {later}"));
    let denied = store.reserve(now(&pair.rig, 0)).await.unwrap();
    assert!(matches!(denied, Reserved::Clock { .. }), "{denied:?}");
    // Or until somebody vouches for it: then it stands still until the clocks have come.
    store.adopt_time(Timestamp::now()).await.unwrap();
    match store.reserve(now(&pair.rig, 0)).await.unwrap() {
        Reserved::Held(held) => assert_eq!(held.now.as_millis(), later),
        other => panic!("{other:?}"),
    }
    let ahead = store.reserve(now(&pair.rig, 60_000)).await.unwrap();
    assert!(matches!(ahead, Reserved::Clock { .. }), "{ahead:?}");
}

#[tokio::test]
async fn a_lock_is_heard_of_by_push_and_by_asking_where_nothing_is_pushed() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let mut pushed = Vec::new();
    for round in 0..20 {
        let since = pair.two.locks().await.unwrap().position;
        let waiter = pair.two.clone();
        let waiting = tokio::spawn(async move { (waiter.changed(since).await.unwrap(), Instant::now()) });
        tokio::time::sleep(Duration::from_millis(20)).await;
        if round >= 10 {
            // Nobody listens at the moment of the lock.
            server.say("CLIENT KILL TYPE pubsub");
        }
        let began = Instant::now();
        let set = pair.rig.lock(Target::All).await;
        let (mut view, mut heard) = waiting.await.unwrap();
        while view.locks.get(&Target::All).is_none() {
            view = pair.two.changed(view.position).await.unwrap();
            heard = Instant::now();
        }
        let took = heard.duration_since(began);
        assert!(took < Duration::from_secs(2), "{took:?}");
        if round < 10 {
            pushed.push(took);
        }
        let by = Word::new("carol").unwrap();
        let reason = Text::new("over").unwrap();
        let unlock = Unlock {
            target: Target::All,
            by,
            reason,
            seen: set,
        };
        assert!(matches!(
            pair.one.unlock(unlock).await.unwrap(),
            Unlocked::Lifted { .. }
        ));
    }
    pushed.sort_unstable();
    println!("from a lock to the news of it in another handle: {pushed:?}");
    // Asking alone would take an eighth of a second on average.
    assert!(
        pushed.first().is_some_and(|least| *least < Duration::from_millis(50)),
        "{pushed:?}"
    );
}

#[tokio::test]
async fn what_nobody_may_ask_for_any_more_is_forgotten_and_stays_taken() {
    let server = Server::start();
    let pair = Pair::on(&server).await;
    let call = pair.rig.call().on(1, 9).within("others", 1, None, 9).done();
    pair.rig.hold(call.clone()).await;
    let groups = || server.say(&format!("KEYS gb1:{{{}}}:t:*", pair.realm));
    assert!(groups().starts_with("*2"));
    let request = pair.rig.question().done();
    assert!(matches!(pair.one.open(request.clone()).await, Ok(Opened::Opened(_))));
    pair.rig.pass(4 * 86_400_000);
    let young = pair.rig.call().on(2, 9).done();
    pair.rig.hold(young.clone()).await;
    // Whoever opens a store begins with it.
    let third = pair.builder(&server).connect().await.unwrap();
    let gone = async || third.request(request.request.id).await.unwrap().is_none();
    until("the request is forgotten", gone).await;
    let fate = async |call: &Reserve| match pair
        .one
        .reserve(pair.rig.again(call).by_another().done())
        .await
        .unwrap()
    {
        Reserved::Taken { fate, .. } => fate,
        other => panic!("{other:?}"),
    };
    assert_eq!(fate(&call).await, Fate::Forgotten);
    assert_eq!(fate(&young).await, Fate::Held);
    assert_eq!(pair.rig.count(2).await, 1);
    until("the counters are dropped", async || groups().starts_with("*1")).await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Sixteen handles that want places in one budget, while everything happens to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_server_no_budget_is_passed_and_nothing_acknowledged_is_forgotten() {
    const PLACES: u32 = 400;
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let pair = Pair::on(&server).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let builder = pair.builder(&server).call_limit(Duration::from_millis(500));
            let rig = pair.rig.clone();
            tokio::spawn(async move {
                let store = builder.connect().await.unwrap();
                let (mut held, mut given_back, mut unknown) = (0_u64, 0_u64, 0_u64);
                let end = Instant::now() + PATIENT;
                while Instant::now() < end {
                    let call = rig.call().on(1, PLACES).done();
                    match store.reserve(call.clone()).await {
                        Ok(Reserved::Held(answer)) => {
                            assert!(answer.counts.iter().all(|count| *count <= u64::from(PLACES)));
                            held += 1;
                            // Some end at once, and give their place to another.
                            if (held + n) % 3 == 0 {
                                match store.settle(rig.settling(&call, Outcome::NotRun)).await {
                                    Ok(settled) => given_back += u64::from(settled.refunded),
                                    Err(_) => unknown += 1,
                                }
                            }
                        }
                        Ok(Reserved::Over(_)) => break,
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => {
                            assert_ne!(error.kind(), StoreErrorKind::RolledBack, "{error}");
                            unknown += 1;
                        }
                    }
                }
                (held, given_back, unknown)
            })
        })
        .collect();
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        match round {
            0 => drop(server.say("SCRIPT FLUSH")),
            1 => server.crash(),
            2 => {
                server.signal(Signal::STOP);
                tokio::time::sleep(Duration::from_millis(700)).await;
                server.signal(Signal::CONT);
            }
            _ => drop(server.say("CLIENT KILL TYPE normal")),
        }
    }
    let (mut held, mut given_back, mut unknown) = (0, 0, 0);
    for task in tasks {
        let (more, back, lost) = task.await.unwrap();
        (held, given_back, unknown) = (held + more, given_back + back, unknown + lost);
    }
    let counted = pair.rig.count(1).await;
    println!("{held} held, {given_back} given back, {unknown} without an answer; {counted} count");
    assert_eq!(counted, u64::from(PLACES), "everybody went on until it was full");
    assert!(held - given_back <= counted && counted <= held - given_back + unknown);
    println!(
        "{}",
        server
            .say("INFO commandstats")
            .lines()
            .filter(|line| line.contains("eval"))
            .collect::<String>()
    );
}
