//! Whoever waits for people is woken by their answer, and does not look for it by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use glassbreak_core::approval::Answer;
use glassbreak_testkit::store::When;

use crate::world::{World, asked, files, use_up, vote};

/// How long it is watched that nothing is read: many times what a poll would take.
const WATCHED: Duration = Duration::from_millis(600);

pub(crate) async fn who_waits_reads_nothing_until_something_happens(world: World) {
    let read = Arc::new(AtomicU32::new(0));
    let reads = Arc::clone(&read);
    let hook = move |operation: &'static str, when| {
        // Locks are looked at by the clock, because the store's silence is one.
        if when == When::Before && !["locks", "changed"].contains(&operation) {
            reads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    };
    let gate = world.gate_over(&files(), |builder| builder, hook).await;
    let session = world.session(&gate, "s");
    let waiting = asked(&session, "web", "prod").await;
    let request = waiting.request().clone();
    let waits = tokio::spawn(waiting.wait());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = read.load(Ordering::SeqCst);
    tokio::time::sleep(WATCHED).await;
    assert_eq!(read.load(Ordering::SeqCst), before, "it asks the store by the clock");
    // Through another handle, as from another process where the store is one for several.
    let desk = world.desk().await;
    vote(&desk, "sso:bob", &request, Answer::Once).await.unwrap();
    tokio::time::sleep(WATCHED).await;
    let half = read.load(Ordering::SeqCst);
    assert!(
        half > before && half < before + 12,
        "{before} reads, and {half} after one vote"
    );
    vote(&desk, "sso:carol", &request, Answer::Once).await.unwrap();
    use_up(waits.await.unwrap().unwrap()).await.unwrap();
}

pub(crate) async fn who_waits_is_woken_and_does_not_look_by_the_clock(world: World) {
    const VOTES: usize = 30;
    /// A fifth of what SQLite takes to see what another process has done.
    const AT_ONCE: Duration = Duration::from_millis(10);
    let told = Arc::new(std::sync::Mutex::new(None));
    let tells = Arc::clone(&told);
    let hook = move |operation: &'static str, when| {
        if (operation, when) == ("moved", When::After) {
            tells.lock().unwrap().get_or_insert_with(Instant::now);
        }
        Ok(())
    };
    let gate = world.gate_over(&files(), |builder| builder, hook).await;
    let session = world.session(&gate, "s");
    let mut took = Vec::new();
    for n in 0..VOTES {
        let waiting = asked(&session, &format!("web-{n}"), "test").await;
        let request = waiting.request().clone();
        let waits = tokio::spawn(waiting.wait());
        // At no fixed place of any beat.
        tokio::time::sleep(Duration::from_millis(20 + 7 * n as u64 % 50)).await;
        told.lock().unwrap().take();
        vote(gate.desk(), "sso:bob", &request, Answer::Once).await.unwrap();
        let voted = Instant::now();
        use_up(waits.await.unwrap().unwrap()).await.unwrap();
        let woken = told.lock().unwrap().unwrap();
        took.push(woken.saturating_duration_since(voted));
    }
    // By a beat of 50 ms a fifth of them would be told so soon.
    let soon = took.iter().filter(|took| **took < AT_ONCE).count();
    assert!(soon >= VOTES / 2, "{soon} of {VOTES} were told at once: {took:?}");
}
