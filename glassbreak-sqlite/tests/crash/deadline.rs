//! What a killed process asked ends at its deadline, whether or not anybody was there.

use std::time::Duration;

use glassbreak_core::approval::{Answer, Request, State};
use glassbreak_core::desk::VoteError;
use glassbreak_core::gate::{Gate, Ticket};
use glassbreak_core::store::Requests;
use glassbreak_sqlite::SqliteStore;

use crate::common::Scratch;
use crate::house::{self, ballot, database, runtime};
use crate::left::Left;
use crate::rounds::{Cards, Kill, live, take};

/// The shortest that a folder may say.
const DEADLINE: &str = "10s";

/// A story that was killed as soon as one request was open, and the request.
fn asked() -> (Scratch, Request) {
    let mut point = 1;
    loop {
        let scratch = Scratch::new();
        assert!(!live(scratch.path(), DEADLINE, Kill::At(point)));
        let requests = Left::read(scratch.path()).requests;
        assert!(requests.len() <= 1);
        if let Some(request) = requests.into_values().next() {
            return (scratch, request);
        }
        point += 1;
    }
}

/// It is expired, for the card, for whoever votes and for the call.
async fn is_over(gate: &Gate, scratch: &Scratch, request: &Request) {
    for answer in [Answer::Once, Answer::Deny] {
        let late = gate.desk().vote(request.id, &ballot("bob", request, answer)).await;
        let Err(VoteError::Refused(why)) = late else {
            panic!("{late:?}")
        };
        assert_eq!(why.code(), "settled");
    }
    let ticket = Ticket {
        request: request.id,
        call: request.op,
    };
    let denial = take(gate, scratch.path(), ticket, request).await.unwrap_err();
    assert_eq!(denial.rules()[0].as_str(), "store.request.expired");
    let left = Left::read(scratch.path());
    assert!(left.has("expired", &request.id.to_string()), "it is not recorded");
    assert!(left.effects.is_empty());
}

#[test]
fn what_is_still_open_after_a_kill_expires_by_itself() {
    let (scratch, request) = asked();
    runtime().block_on(async {
        let store = SqliteStore::open(database(scratch.path())).await.unwrap();
        let cards = Cards::default();
        let gate = house::gate(scratch.path(), store.clone(), DEADLINE, Some(cards.clone())).await;
        let id = request.id.to_string();
        cards.are(&[(id.clone(), State::Pending)].into()).await;
        let left = Duration::from_millis(
            request
                .deadline
                .since(glassbreak_core::clock::Timestamp::now())
                .as_millis(),
        );
        tokio::time::sleep(left + Duration::from_millis(500)).await;
        cards.are(&[(id, State::Expired)].into()).await;
        is_over(&gate, &scratch, &request).await;
        drop(gate);
        let cards = Cards::default();
        let gate = house::gate(scratch.path(), store, DEADLINE, Some(cards.clone())).await;
        is_over(&gate, &scratch, &request).await;
        assert!(cards.shown().is_empty());
    });
}

#[test]
fn what_was_due_while_nobody_was_there_is_not_shown_again() {
    let (scratch, request) = asked();
    runtime().block_on(async {
        let left = request.deadline.since(glassbreak_core::clock::Timestamp::now());
        tokio::time::sleep(Duration::from_millis(left.as_millis() + 10)).await;
        let store = SqliteStore::open(database(scratch.path())).await.unwrap();
        let cards = Cards::default();
        let gate = house::gate(scratch.path(), store.clone(), DEADLINE, Some(cards.clone())).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = store.request(request.id).await.unwrap().unwrap();
        assert_eq!(now.state, State::Expired, "nobody ended it");
        assert!(cards.shown().is_empty(), "a card that nobody can answer");
        is_over(&gate, &scratch, &request).await;
    });
}
