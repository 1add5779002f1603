//! Positions, handles, durability.

use std::sync::Arc;

use glassbreak_core::lock::Target;
use glassbreak_core::store::{Durability, Ledger, Locks, Outcome, Reserved, Store, Unlocked};

use super::super::rig::{Rig, fail, over, word};

/// What changes something raises the epoch; what changes nothing tells where the store stands.
pub async fn epochs_tell_the_order_of_changes(rig: Rig) {
    let call = rig.call().on(1, 1).done();
    let held = rig.hold(call.clone()).await.position;
    let stands = [
        over(rig.ask(rig.call().on(1, 1)).await).position,
        rig.ask(rig.again(&call).by_another()).await.position(),
        rig.ask(rig.again(&call).of_another_call()).await.position(),
        rig.hold(rig.again(&call)).await.position,
    ];
    assert!(stands.iter().all(|position| *position == held), "{stands:?}");
    rig.jump(60_000);
    assert_eq!(rig.ask(rig.call()).await.position(), held);
    rig.jump(-60_000);
    let settled = rig.settle(&call, Outcome::Done).await.position;
    let locked = rig.lock(Target::All).await;
    let refused = rig.ask(rig.call()).await;
    assert!(matches!(refused, Reserved::Locked { position, .. } if position == locked));
    let Unlocked::Lifted { position: lifted, .. } = rig.unlock(Target::All, locked).await else {
        fail("not lifted");
    };
    let last = rig.hold(rig.call()).await.position;
    let all = [held, settled, locked, lifted, last];
    assert!(all.iter().all(|position| position.generation == held.generation));
    assert!(all.is_sorted_by(|a, b| a.epoch < b.epoch), "{all:?}");
}

/// A clone, and any other handle on the realm, sees the same counts, ops and locks.
pub async fn all_handles_see_the_same(rig: Rig) {
    let turned = rig.turned();
    let call = rig.call().on(1, 1).done();
    let held = rig.hold(call.clone()).await;
    assert_eq!(turned.count(1).await, 1);
    over(turned.ask(turned.call().on(1, 1)).await);
    assert!(turned.settle(&call, Outcome::NotRun).await.refunded);
    assert_eq!(rig.count(1).await, 0);
    let position = turned.lock(Target::Session(word("s-1"))).await;
    assert_eq!(position.generation, held.position.generation);
    let answer = rig.ask(rig.call()).await;
    assert!(matches!(answer, Reserved::Locked { .. }), "{answer:?}");
}

/// A store names its loss window, says the same through each handle, and its parts can be handed out one by one.
pub async fn what_may_be_lost_is_named(rig: Rig) {
    let durability: Durability = rig.store.durability();
    assert_eq!(durability, rig.other.durability());
    let store: Arc<dyn Store> = Arc::clone(&rig.store);
    let (ledger, locks): (Arc<dyn Ledger>, Arc<dyn Locks>) = (Arc::clone(&store) as _, store);
    assert!(locks.locks().await.is_ok_and(|view| view.locks.is_empty()));
    let held = ledger.reserve(rig.call().done()).await;
    assert!(matches!(held, Ok(Reserved::Held(_))), "{held:?}");
}
