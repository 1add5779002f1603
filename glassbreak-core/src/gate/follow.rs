//! What is done about an open request when nobody waits for it: its cards go out and follow it, and its deadline ends it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Gate;
use crate::approval::Request;
use crate::clock::Timestamp;
use crate::desk::Desk;
use crate::notify::Notifier;

/// How long it waits before it asks a store again that did not answer.
const PAUSE: Duration = Duration::from_millis(250);
/// How long notifiers may take, once a request has ended, to show that.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How long past the deadline is waited for somebody else to say so.
const GRACE: Duration = Duration::from_millis(20);

/// Follows a request to its end, or as long as the gate lives. With `deliver` its cards go out first.
pub(super) fn follow(gate: &Gate, request: &Request, deliver: bool) {
    let desk = gate.inner.desk.clone();
    let notifiers = if deliver {
        gate.inner.notifiers.clone()
    } else {
        Vec::new()
    };
    let task = to_its_end(desk, notifiers, request.clone());
    if let Ok(mut followers) = gate.inner.followers.lock() {
        // What has ended is let go, so that it does not pile up.
        while followers.try_join_next().is_some() {}
        // Not where the caller runs: that may be a runtime that ends with this call.
        followers.spawn_on(task, &gate.inner.runtime);
    }
}

async fn to_its_end(desk: Desk, notifiers: Vec<Arc<dyn Notifier>>, mut request: Request) {
    // Dropped at the end, and with it every delivery that still goes on.
    let mut deliveries = JoinSet::new();
    for notifier in &notifiers {
        let (notifier, desk, request) = (Arc::clone(notifier), desk.clone(), request.clone());
        deliveries.spawn(async move {
            // A card that reaches nobody is one that nobody answers, and that is a no; somebody should learn why.
            if let Err(error) = notifier.deliver(&request, &desk).await {
                desk.not_delivered(request.id, &error);
            }
        });
    }
    // Each notifier has a task of its own, and gets the newest state once it is done with the one before: one that hangs
    // or panics keeps neither the others nor the deadline waiting.
    let (states, _) = watch::channel(request.clone());
    let mut updates = JoinSet::new();
    for notifier in &notifiers {
        let (notifier, mut states) = (Arc::clone(notifier), states.subscribe());
        updates.spawn(async move {
            while states.changed().await.is_ok() {
                let request = states.borrow_and_update().clone();
                // What a card shows changes nothing of what is so.
                let _ = notifier.update(&request).await;
            }
        });
    }
    while !request.state.is_final() {
        let left = Duration::from_millis(request.deadline.since(Timestamp::now()).as_millis()) + GRACE;
        let news = match tokio::time::timeout(left, desk.moved(request.id, request.version)).await {
            Ok(news) => news.ok(),
            Err(_) => desk.expire(request.id).await.ok(),
        };
        match news {
            Some(Some(moved)) if moved.version != request.version => {
                request = moved;
                let _ = states.send(request.clone());
            }
            Some(Some(_)) | None => tokio::time::sleep(PAUSE).await,
            Some(None) => return,
        }
    }
    drop(states);
    let told = async { while updates.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_WORD, told).await;
}
