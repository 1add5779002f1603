//! Which servers are taken, by whom, and what a realm is.

use std::sync::Arc;

use crate::common::pair::{message, until};
use crate::common::{PATIENT, Server};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Durability, FakeClock, Locks, Outcome, Store, Unlocked};
use glassbreak_redis::RedisStore;
use glassbreak_testkit::store::{Rig, Subject};

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
