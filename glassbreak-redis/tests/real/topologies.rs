//! The same on a server that sentinels watch over, and on a cluster; and what happens when another server takes over.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::common::many::{Cluster, Watched};
use crate::common::realm;
use glassbreak_core::store::{FakeClock, Ledger, Locks, Reserved, StoreErrorKind};
use glassbreak_redis::{RedisBuilder, RedisStore};
use glassbreak_testkit::store::{Rig, Subject};
use rustix::process::Signal;

/// Each round is a message.
const ROUNDS: usize = 50;

static WATCHED: LazyLock<Watched> = LazyLock::new(Watched::start);
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

async fn subject(builder: impl Fn(&str) -> RedisBuilder) -> Subject {
    let (realm, clock) = (realm(), Arc::new(FakeClock::default()));
    let one = builder(&realm).clock(Arc::clone(&clock) as _).init().await.unwrap();
    let two = builder(&realm).clock(Arc::clone(&clock) as _).connect().await.unwrap();
    Subject::new(Arc::new(one), Arc::new(two), clock).rounds(ROUNDS)
}

async fn watched() -> Subject {
    subject(|realm| WATCHED.builder(realm)).await
}

async fn cluster() -> Subject {
    subject(|realm| CLUSTER.builder(realm)).await
}

glassbreak_testkit::store_suite_whole!(a_server_behind_sentinels_keeps_the_contract, watched);
glassbreak_testkit::store_suite_whole!(a_cluster_keeps_the_contract, cluster);

/// Asks until there is an answer that is not silence.
async fn settles(store: &RedisStore) -> Result<(), StoreErrorKind> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match store.locks().await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != StoreErrorKind::Unavailable => return Err(error.kind()),
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Pair {
    one: RedisStore,
    two: RedisStore,
    rig: Rig,
}

async fn pair(builder: impl Fn() -> RedisBuilder) -> Pair {
    let clock = Arc::new(FakeClock::default());
    let limit = Duration::from_millis(800);
    let one = builder().clock(Arc::clone(&clock) as _).init().await.unwrap();
    let two = builder()
        .clock(Arc::clone(&clock) as _)
        .call_limit(limit)
        .connect()
        .await
        .unwrap();
    let (store, other) = (Arc::new(one.clone()), Arc::new(two.clone()));
    let rig = Rig::new(Subject::new(store, other, clock));
    Pair { one, two, rig }
}

#[tokio::test]
async fn a_server_that_saw_everything_takes_over_and_nothing_is_lost() {
    let mut servers = Watched::start();
    let pair = pair(|| servers.builder("main")).await;
    let call = pair.rig.call().on(1, 3).done();
    let held = pair.rig.hold(call.clone()).await;
    pair.rig.hold(pair.rig.call().on(1, 3)).await;
    pair.two.locks().await.unwrap();
    // What is acknowledged is sent on within moments.
    tokio::time::sleep(Duration::from_millis(300)).await;
    servers.master.stop();
    let silent = pair.two.reserve(pair.rig.call().on(1, 3).done()).await;
    assert!(!matches!(silent, Ok(Reserved::Held(_))), "{silent:?}");
    servers.taken_over();
    assert_eq!(settles(&pair.two).await, Ok(()));
    assert_eq!(settles(&pair.one).await, Ok(()));
    assert_eq!(pair.rig.hold(pair.rig.again(&call)).await, held);
    assert_eq!(pair.rig.count(1).await, 2);
    assert!(pair.one.fault().is_none() && pair.two.fault().is_none());
}

#[tokio::test]
async fn a_server_that_takes_over_and_missed_something_is_denied_by_all() {
    let mut servers = Watched::start();
    let pair = pair(|| servers.builder("main")).await;
    pair.rig.hold(pair.rig.call().on(1, 99)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // It cannot follow any more, and nobody notices: so the master may be ahead of it.
    servers.master.say("CONFIG SET requirepass other");
    servers.master.say("CLIENT KILL TYPE replica");
    let cut = |line: &str| {
        let mut all = String::new();
        for part in ["AUTH other", line] {
            all.push_str(part);
            all.push_str("\r\n");
        }
        servers.master.say(all.trim_end())
    };
    cut("CLIENT KILL TYPE replica");
    for _ in 0..20 {
        pair.rig.hold(pair.rig.call().on(1, 99)).await;
    }
    servers.master.stop();
    servers.taken_over();
    assert_eq!(settles(&pair.one).await, Err(StoreErrorKind::RolledBack));
    // Also by those who come now.
    let later = servers.builder("main").connect().await.unwrap();
    assert_eq!(settles(&later).await, Err(StoreErrorKind::RolledBack));
}

#[tokio::test]
async fn a_node_that_takes_over_as_planned_goes_on() {
    let servers = Cluster::start();
    let pair = pair(|| servers.builder("main")).await;
    let call = pair.rig.call().on(1, 9).done();
    let held = pair.rig.hold(call.clone()).await;
    for round in 0..2 {
        let (_, follower) = servers.of("main");
        let end = Instant::now() + Duration::from_secs(60);
        let mut asked: Option<Instant> = None;
        while !follower.say("ROLE").contains("master") {
            assert!(Instant::now() < end, "it does not take over");
            // A node that is busy gives up after five seconds.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                asked = Some(Instant::now());
                let told = follower.say("CLUSTER FAILOVER");
                assert!(told.starts_with("+OK"), "{told}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(settles(&pair.one).await, Ok(()), "{round}");
        assert_eq!(settles(&pair.two).await, Ok(()), "{round}");
        // A client may still ask a node that has not heard of it, and is refused for that moment.
        let again = pair.rig.again(&call).done();
        loop {
            match pair.one.reserve(again.clone()).await {
                Ok(answer) => break assert_eq!(answer, Reserved::Held(held.clone())),
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(pair.rig.count(1).await, 1);
}

#[tokio::test]
async fn a_node_that_is_killed_is_taken_over_for_or_denied_and_no_budget_is_passed() {
    let servers = Cluster::start();
    let pair = pair(|| servers.builder("main")).await;
    let mut held = 0;
    for _ in 0..5 {
        pair.rig.hold(pair.rig.call().on(1, 9)).await;
        held += 1;
    }
    let (master, _) = servers.of("main");
    master.signal(Signal::KILL);
    let end = Instant::now() + Duration::from_secs(30);
    let mut denied = false;
    while held < 9 && !denied && Instant::now() < end {
        match pair.two.reserve(pair.rig.call().on(1, 9).done()).await {
            Ok(Reserved::Held(_)) => held += 1,
            Err(error) => denied = error.kind() == StoreErrorKind::RolledBack,
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert!(held == 9 || denied, "{held}");
    // What was answered by an error may count as well, and never too little.
    let more = pair.two.reserve(pair.rig.call().on(1, 9).done()).await;
    assert!(!matches!(more, Ok(Reserved::Held(_))), "{more:?}");
}
