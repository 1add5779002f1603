//! What is done about an open request when nobody waits for it: its cards go out and follow it, its stages are reached,
//! and its deadline ends it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Gate;
use super::carry::Carrying;
use crate::approval::{Because, Request, State};
use crate::call::Word;
use crate::clock::{Span, Timestamp};
use crate::desk::Desk;
use crate::notify::Notifier;

/// How long it waits before it asks a store again that did not answer.
const PAUSE: Duration = Duration::from_millis(250);
/// How long notifiers may take, once a request has ended, to show that.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How long past the deadline is waited for somebody else to say so.
const GRACE: Duration = Duration::from_millis(20);

/// Where a request comes from that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This gate asked it.
    Asked,
    /// It was open when the gate was built: its old cards may be gone.
    Found,
    /// The same, and nobody can answer it any more: it is only brought to its end.
    Late,
}

/// Follows a request to its end, or as long as the gate lives.
pub(super) fn follow(gate: &Gate, request: &Request, origin: Origin) {
    let desk = gate.inner.desk.clone();
    let notifiers = match origin {
        Origin::Asked | Origin::Found => gate.inner.notifiers.clone(),
        Origin::Late => Vec::new(),
    };
    let glass = gate.inner.glass.clone();
    let request = request.clone();
    gate.spawn(async move {
        let state = to_its_end(desk, notifiers, request, origin).await;
        if let (Some(glass), Some(State::Approved { grant })) = (glass, state) {
            glass.watch(grant).await;
        }
    });
}

/// Returns what became of it; `None` where it is gone.
async fn to_its_end(
    desk: Desk,
    notifiers: Vec<Arc<dyn Notifier>>,
    mut request: Request,
    origin: Origin,
) -> Option<State> {
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
    // Dropped at the very end, and with it every delivery that still goes on: it may show how it ended.
    let mut carrying = Carrying::new(desk.clone(), request.id, notifiers);
    let mut reminded = half_time(&request) <= Timestamp::now();
    while !request.state.is_final() {
        carrying.reached(&request);
        if !reminded && half_time(&request) <= Timestamp::now() {
            reminded = true;
            carrying.remind(&request);
        }
        // One that did not ask it does not know what other processes could deliver.
        let mine = origin == Origin::Asked && !request.is_late(Timestamp::now());
        let undelivered = carrying.undelivered(&request).filter(|_| mine);
        let undelivered = undelivered.map(|(group, from)| (group, from, Because::NotDelivered));
        let news = match undelivered.or_else(|| desk.due(&request)) {
            Some((group, from, because)) => go_on(&desk, &request, &group, from, because).await,
            None => {
                let wake = Duration::from_millis(next(&request, reminded).as_millis()) + GRACE;
                let moved = desk.moved(request.id, request.version);
                let moved = async { tokio::time::timeout(wake, moved).await.map_or(News::Time, News::of) };
                match either(moved, async { carrying.ended(&request).await.then_some(News::Nothing) }).await {
                    News::Time if request.is_late(Timestamp::now()) => News::of(desk.expire(request.id).await),
                    news => news,
                }
            }
        };
        match news {
            News::Moved(moved) if moved.version != request.version => {
                let told = tells_more(&request, &moved);
                request = *moved;
                if told {
                    let _ = states.send(request.clone());
                }
            }
            News::Nothing | News::Time => {}
            News::Moved(_) | News::Broken => tokio::time::sleep(PAUSE).await,
            News::Gone => return None,
        }
    }
    drop(states);
    let told = async { while updates.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_WORD, told).await;
    Some(request.state)
}

/// What has happened.
enum News {
    /// The request is at another version, or may be.
    Moved(Box<Request>),
    /// A delivery has ended.
    Nothing,
    /// Something is due.
    Time,
    /// There is no such request any more.
    Gone,
    /// The store did not answer.
    Broken,
}

impl News {
    fn of<E>(looked: Result<Option<Request>, E>) -> Self {
        match looked {
            Ok(Some(request)) => Self::Moved(Box::new(request)),
            Ok(None) => Self::Gone,
            Err(_) => Self::Broken,
        }
    }
}

async fn go_on(desk: &Desk, request: &Request, group: &Word, from: u8, because: Because) -> News {
    News::of(desk.escalate(request.id, group, from, because).await)
}

/// How long nothing is due.
fn next(request: &Request, reminded: bool) -> Span {
    let now = Timestamp::now();
    let stages = request.stages.iter();
    let stages = stages.filter_map(|stages| stages.next_at(request.opened_at));
    let half = (!reminded).then(|| half_time(request));
    let first = stages.chain(half).fold(request.deadline, Timestamp::min);
    first.since(now)
}

fn half_time(request: &Request) -> Timestamp {
    let whole = request.deadline.since(request.opened_at).as_millis();
    request.opened_at.after(Span::from_millis(whole / 2))
}

/// Whether a card would show something else: that it was shown to people is nothing that it shows.
fn tells_more(before: &Request, after: &Request) -> bool {
    let State::Pending = after.state else { return true };
    after.votes != before.votes || after.stages != before.stages
}

/// Whichever comes first; the second only where it says something.
async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = Option<T>>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let mut over = false;
    poll_fn(|context| {
        if let Poll::Ready(value) = one.as_mut().poll(context) {
            return Poll::Ready(value);
        }
        if !over && let Poll::Ready(value) = other.as_mut().poll(context) {
            over = true;
            if let Some(value) = value {
                return Poll::Ready(value);
            }
        }
        Poll::Pending
    })
    .await
}
