//! What goes wrong with a server, and that nothing is allowed by it.

use std::time::{Duration, Instant};

use crate::common::pair::{Pair, until};
use crate::common::{PATIENT, Server};
use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{
    Fate, Ledger, Locks, Opened, Outcome, Requests, Reserve, Reserved, StoreErrorKind, Unlock, Unlocked,
};
use glassbreak_testkit::store::Rig;
use rustix::process::Signal;

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

/// Sixteen handles that want places in one budget, while everything happens to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_server_no_budget_is_passed_and_nothing_acknowledged_is_forgotten() {
    const PLACES: u32 = 400;
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let pair = Pair::on(&server).await;
    let mut stores = Vec::new();
    for n in 0..16_u64 {
        let builder = pair.builder(&server).call_limit(Duration::from_millis(500));
        stores.push((n, builder.connect().await.unwrap()));
    }
    let tasks: Vec<_> = stores
        .into_iter()
        .map(|(n, store)| {
            let rig = pair.rig.clone();
            tokio::spawn(async move {
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
