//! A server that lost something is denied to everybody, until an operator adopts what is left.

use crate::common::Server;
use crate::common::pair::{Pair, adopt, denies, message, until};
use glassbreak_core::call::Word;
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Fate, Ledger, Locks, Outcome, Reserved, Store, StoreErrorKind};

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
async fn what_was_lost_while_nobody_ran_is_noticed_by_the_file_that_says_what_was_there() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let file = server.folder.join("position");
    let pair = Pair::on(&server).await;
    let rig = pair.rig.clone();
    let (now, before) = (server.folder.join("appendonlydir"), server.folder.join("before"));
    rig.hold(rig.call().on(1, 9)).await;
    copy(&now, &before);
    {
        let remembering = pair.builder(&server).remember_in(&file).connect().await.unwrap();
        assert_eq!(remembering.place().as_deref(), Some(&*file));
        let held = remembering.reserve(rig.call().on(1, 9).done()).await.unwrap();
        assert!(matches!(held, Reserved::Held(_)), "{held:?}");
    }
    // Nothing is lost, and nothing is said.
    pair.builder(&server)
        .remember_in(&file)
        .connect()
        .await
        .unwrap()
        .locks()
        .await
        .unwrap();
    let said = std::fs::read_to_string(&file).unwrap();
    server.stop();
    std::fs::remove_dir_all(&now).unwrap();
    std::fs::rename(&before, &now).unwrap();
    server.begin();
    let later = pair.builder(&server).remember_in(&file).connect().await.unwrap();
    denies(&later, &rig).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), said);
    adopt(&later, &rig).await;
    drop(later);
    pair.builder(&server)
        .remember_in(&file)
        .connect()
        .await
        .unwrap()
        .locks()
        .await
        .unwrap();
    // A file that was cut says nothing, and that is not taken for nothing.
    std::fs::write(&file, "glass").unwrap();
    let told = message(pair.builder(&server).remember_in(&file).connect().await);
    assert!(told.contains("position"), "{told}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
