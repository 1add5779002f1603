//! Futures dropped at each place where they wait.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;
use glassbreak_core::facts::Case;
use glassbreak_core::finding::{Finding, Layer, RuleId};
use glassbreak_core::gate::{Denied, Session};
use glassbreak_core::guard::Check;

use crate::support::{self, CEILING, Scratch, Story, can_run, leave_mark, marks, named, template, word};

/// Polls at most so often, then drops: `None` where it was dropped.
async fn dropped_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let poll = future.as_mut().poll(context).map(Some);
        if poll.is_pending() && left == 0 {
            return Poll::Ready(None);
        }
        poll
    })
    .await
}

/// A check that waits three times.
#[derive(Debug)]
struct Slow;

#[async_trait]
impl Check for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn inspect(&self, _case: Case<'_>) -> Finding {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        Finding::clear(RuleId::new(Layer::Host, "slow").unwrap(), "")
    }
}

/// A check that waits, and panics when it is let go.
#[derive(Debug)]
struct PanicsWhenDropped;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a fault of the check, as it is dropped");
        }
    }
}

#[async_trait]
impl Check for PanicsWhenDropped {
    fn name(&self) -> &str {
        "bomb"
    }

    async fn inspect(&self, _case: Case<'_>) -> Finding {
        let _bomb = Bomb;
        std::future::pending().await
    }
}

/// How many more calls the session is allowed; uses them up.
async fn left(session: &Session) -> usize {
    for number in 0..=CEILING {
        let key = format!("k-left-{number}");
        match session.tool(word("mark"), named(&key)).authorize().await {
            Ok(permit) => drop(permit),
            Err(_) => return number,
        }
    }
    panic!("more than the ceiling")
}

#[tokio::test]
async fn a_check_dropped_before_its_verdict_counts_nothing_and_permits_nothing() {
    let scratch = Scratch::new();
    let root = scratch.root();
    let (gate, audit) = support::gate(root, |builder| builder.check(Slow)).await;
    let session = support::session(&gate, root, "s");
    let mut dropped = 0;
    for round in 0..90 {
        let (tool, program) = (format!("k-t-{round}"), format!("k-p-{round}"));
        let polls = round % 4;
        let tool = session.tool(word("mark"), named(&tool));
        let program = session.exec(["mktemp".to_owned(), template(&program)]);
        dropped += match round % 3 {
            0 => u32::from(dropped_after(polls, tool.check()).await.is_none()),
            1 => u32::from(dropped_after(polls, tool.authorize()).await.is_none()),
            _ => u32::from(dropped_after(polls, program.run()).await.is_none()),
        };
    }
    assert_eq!(dropped, 90, "none came to its verdict");
    audit.sync().unwrap();
    assert!(Story::read(root).calls.is_empty());
    assert!(marks(root).is_empty());
    assert_eq!(left(&session).await, CEILING, "dropped checks were counted");
}

#[tokio::test]
async fn a_check_that_panics_as_it_is_dropped_counts_nothing() {
    let scratch = Scratch::new();
    let root = scratch.root();
    let (gate, audit) = support::gate(root, |builder| builder.check(PanicsWhenDropped)).await;
    let session = support::session(&gate, root, "s");
    for round in 0..CEILING + 2 {
        let call = session.tool(word("mark"), named(&format!("k-{round}")));
        let task = tokio::spawn(dropped_after(1, call.authorize()));
        assert!(task.await.unwrap_err().is_panic());
    }
    audit.sync().unwrap();
    let text = std::fs::read_to_string(audit.path()).unwrap();
    assert_eq!(text.matches("call.permitted").count(), 0);
    assert!(!text.contains("budget.marks.ceiling"));
}

/// A tool whose body waits before and after its effect.
async fn tool(session: &Session, root: &Path, key: &str) -> Result<(), Denied> {
    let permit = session.tool(word("mark"), named(key)).authorize().await?;
    let body = async |_: &_| -> Result<(), Denied> {
        tokio::task::yield_now().await;
        leave_mark(root, key);
        tokio::task::yield_now().await;
        Ok(())
    };
    permit.run(body).await
}

#[tokio::test]
async fn a_call_dropped_anywhere_has_its_record_before_its_effect_and_stays_within_the_budget() {
    if !can_run("a_call_dropped_anywhere_has_its_record_before_its_effect_and_stays_within_the_budget") {
        return;
    }
    let (mut effects, mut dropped, mut whole) = (0, 0, 0);
    for round in 0..4 {
        let scratch = Scratch::new();
        let root = scratch.root();
        let (gate, audit) = support::gate(root, |builder| builder.check(Slow)).await;
        let session = support::session(&gate, root, &format!("s{round}"));
        for number in 0..60 {
            let key = format!("k-{round}-{number}");
            let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
            let came = if number % 2 == 0 {
                dropped_after(random % 9, tool(&session, root, &key))
                    .await
                    .map(|ran| ran.is_ok())
            } else {
                let program = session.exec(["mktemp".to_owned(), template(&key)]);
                dropped_after(random % 14, program.run()).await.map(|ran| ran.is_ok())
            };
            match came {
                None => dropped += 1,
                Some(ran) => whole += usize::from(ran),
            }
        }
        let left = left(&session).await;
        // Programs whose future was dropped are killed; what they did before that is done.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        audit.sync().unwrap();
        let story = Story::read(root);
        let marks = marks(root);
        story.hold(&marks);
        assert!(marks.len() <= CEILING, "{} effects", marks.len());
        // Every permit that was made is counted, those that `left` made too, and nothing else is.
        assert_eq!(story.spent(), CEILING, "{left} were left");
        effects += marks.len();
    }
    println!("4 sessions: {dropped} dropped, {whole} whole, {effects} effects");
    assert!(dropped > 0 && whole > 0);
}

/// A permit forgone, a run refused by an expired permit: proven not run, so the place is free again, whenever the future
/// is dropped after its first poll. One that is never polled is spent, like a permit that is dropped.
// Threads of its own: where the only one waits for a second, the gate refuses, because it has not heard of locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_in_one_poll_is_given_back() {
    let scratch = Scratch::new();
    let root = scratch.root();
    let (gate, audit) = support::gate(root, |builder| builder).await;
    let session = support::session(&gate, root, "s");
    for number in 0..CEILING * 2 {
        let key = format!("k-f-{number}");
        let permit = session.tool(word("mark"), named(&key)).authorize().await.unwrap();
        assert!(dropped_after(1, permit.forgo()).await.is_some());
    }
    for number in 0..10 {
        let key = format!("k-u-{number}");
        let permit = session.tool(word("mark"), named(&key)).authorize().await.unwrap();
        drop(permit.forgo());
    }
    assert_eq!(left(&session).await, CEILING - 10);
    audit.sync().unwrap();
    let story = Story::read(root);
    story.hold(&marks(root));
    assert_eq!(story.spent(), CEILING);
}
