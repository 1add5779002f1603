//! Counts of demands whose key is not known, and of other scopes.

use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::Outcome;

use super::super::rig::{Rig, WINDOW, over};

/// Counts of other scopes are other counts, whether their keys are known or not.
pub async fn scopes_count_apart(rig: Rig) {
    rig.hold(rig.call().within("a", 1, Some(1), 1)).await;
    rig.hold(rig.call().within("a", 2, Some(1), 1)).await;
    over(rig.ask(rig.call().within("a", 1, Some(1), 1)).await);
    let unknown = rig.hold(rig.call().within("a", 3, None, 1)).await;
    assert_eq!(*unknown.counts, [1]);
    let other = rig
        .hold(rig.call().within("a", 4, Some(1), 1).within("b", 3, Some(1), 1))
        .await;
    assert_eq!(*other.counts, [1, 1]);
}

/// A call whose key is not known counts under every key of its rule and scope, also under those that come later, and
/// under none of another rule.
pub async fn a_call_of_unknown_key_counts_under_every_key(rig: Rig) {
    rig.hold(rig.call().on(1, 9)).await;
    assert_eq!(*rig.hold(rig.call().on_unknown(9)).await.counts, [2]);
    assert_eq!((rig.count(1).await, rig.count(2).await), (2, 1));
    over(rig.ask(rig.call().on(7, 1)).await);
    assert_eq!(*rig.hold(rig.call().under("others", 1, 1)).await.counts, [1]);
    // It leaves its window like any other.
    rig.pass(WINDOW);
    assert_eq!(rig.count(3).await, 1);
    rig.pass(1);
    assert_eq!((rig.count(1).await, rig.count(3).await), (0, 0));
}

/// A demand whose key is not known is held against the fullest key of its rule and scope, and all that were not known.
pub async fn a_demand_of_unknown_key_is_held_against_the_fullest(rig: Rig) {
    for (key, times) in [(1, 1), (2, 3), (3, 2)] {
        for _ in 0..times {
            rig.hold(rig.call().on(key, 9)).await;
        }
    }
    let refused = over(rig.ask(rig.call().on_unknown(3)).await);
    assert_eq!(refused.count, 4);
    assert_eq!(*rig.hold(rig.call().on_unknown(4)).await.counts, [4]);
    assert_eq!(over(rig.ask(rig.call().on_unknown(4)).await).count, 5);
    assert_eq!((rig.count(1).await, rig.count(2).await), (2, 4));
}

/// Where several keys are full, a demand whose key is not known passes when none is any more.
pub async fn a_demand_of_unknown_key_passes_when_no_key_is_full(rig: Rig) {
    let mut last = 0;
    for key in [3, 1, 4, 2] {
        for _ in 0..2 {
            last = rig.now();
            rig.hold(rig.call().on(key, 2)).await;
            rig.pass(1_000);
        }
    }
    let refused = over(rig.ask(rig.call().on_unknown(2)).await);
    assert_eq!(refused.count, 3);
    // The first of the key that was filled last.
    let free_at = last - 1_000 + WINDOW + 1;
    assert_eq!(refused.free_at.map(Timestamp::as_millis), Some(free_at));
    rig.pass(free_at - 1 - rig.now());
    over(rig.ask(rig.call().on_unknown(2)).await);
    rig.pass(1);
    rig.hold(rig.call().on_unknown(2)).await;
}

/// Demands of one call on one rule and scope count on top of each other wherever one of them has no known key.
pub async fn unknown_keys_of_one_call_count_each(rig: Rig) {
    let held = rig.hold(rig.call().on_unknown(9).on(1, 9).on_unknown(9).on(2, 9)).await;
    assert_eq!(*held.counts, [1, 2, 3, 3]);
    assert_eq!((rig.count(1).await, rig.count(2).await, rig.count(3).await), (3, 3, 2));
    let refused = over(rig.ask(rig.call().on(3, 9).on_unknown(3)).await);
    assert_eq!((refused.demand, refused.count), (1, 4));
}

/// A call whose key is not known is given back under every key.
pub async fn a_call_of_unknown_key_is_given_back(rig: Rig) {
    rig.hold(rig.call().on(1, 9)).await;
    for outcome in [Outcome::NotRun, Outcome::Asked, Outcome::Done] {
        let call = rig.call().on_unknown(9).on(1, 9).done();
        assert_eq!(*rig.hold(call.clone()).await.counts, [2, 3]);
        assert_eq!(rig.count(2).await, 1);
        let refunded = rig.settle(&call, outcome).await.refunded;
        assert_eq!(refunded, outcome != Outcome::Done);
        let left = if refunded { (1, 0) } else { (3, 1) };
        assert_eq!((rig.count(1).await, rig.count(2).await), left, "{outcome:?}");
    }
}
