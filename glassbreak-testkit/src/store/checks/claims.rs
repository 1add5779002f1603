//! Using grants.

use std::sync::Arc;

use glassbreak_core::call::Actor;
use glassbreak_core::finding::{Layer, RuleHash, RuleId};
use glassbreak_core::grant::{FileMark, Grant, GrantId, Mismatch, Use};
use glassbreak_core::lock::{LockPath, Target};
use glassbreak_core::store::{Claimed, Fate, Outcome, Reserve, Reserved};

use super::super::asking::{STANDS, span, time};
use super::super::rig::{LEASE, Rig, digest, fail, path, word};
use super::races::race;

/// A window of so many uses, and the use it is for.
async fn window(rig: &Rig, uses: u32) -> (Grant, Use) {
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.window(&request, uses)).await;
    (grant, rig.use_of(&request))
}

/// A grant for one call, and that call.
async fn once(rig: &Rig) -> (Grant, Use) {
    let request = rig.opened(rig.question()).await;
    let grant = rig.granted(rig.approval(&request)).await;
    (grant, rig.use_of(&request))
}

fn rule(id: &str) -> RuleId {
    match RuleId::new(Layer::Policy, id) {
        Ok(rule) => rule,
        Err(error) => fail(&error.to_string()),
    }
}

/// What is held is told which grants of its own caller stand, whatever tool they are for, and no others.
pub async fn what_is_held_names_the_callers_grants(rig: Rig) {
    let named = |rig: Rig, path: LockPath| async move {
        let held = rig.hold(rig.call().along(path)).await;
        held.grants.iter().map(|grant| grant.id).collect::<Vec<_>>()
    };
    let mine = path("s-1", "restart");
    assert!(named(rig.clone(), mine.clone()).await.is_empty());
    let (first, call) = once(&rig).await;
    rig.pass(1);
    let (second, _) = window(&rig, 2).await;
    let other = rig.opened(rig.question().along(path("s-2", "restart"))).await;
    let other = rig.granted(rig.window(&other, 2)).await;
    assert_eq!(named(rig.clone(), mine.clone()).await, [first.id, second.id]);
    assert_eq!(named(rig.turned(), mine.calling("stop")).await, [first.id, second.id]);
    assert_eq!(named(rig.clone(), path("s-2", "stop")).await, [other.id]);
    assert!(
        named(
            rig.clone(),
            LockPath::new(&Actor::new(word("ops"), word("s-1")), "restart")
        )
        .await
        .is_empty()
    );
    // Used up, revoked, ended.
    let held = rig.in_flight(&call).await;
    rig.used(&held, &first, &call).await;
    assert_eq!(named(rig.clone(), mine.clone()).await, [second.id]);
    rig.revoke(glassbreak_core::store::Which::Grant(second.id)).await;
    assert!(named(rig.clone(), mine).await.is_empty());
    rig.pass(STANDS);
    assert!(named(rig.clone(), path("s-2", "stop")).await.is_empty());
    assert!(rig.standing().await.is_empty());
}

/// A lock, then a time not believed, then a call not held, then the answer to the same claim, then the grant.
pub async fn a_claim_is_answered_in_the_order_of_the_contract(rig: Rig) {
    let (grant, call) = window(&rig, 2).await;
    let held = rig.in_flight(&call).await;
    let nobody = rig.call().using(&call).done();
    let nothing = Grant {
        id: GrantId::mint(rig.at()),
        ..grant.clone()
    };
    assert_eq!(
        rig.claim(&nobody, &nothing, &call).await,
        Claimed::NotHeld(Fate::Forgotten)
    );
    assert_eq!(
        rig.claim(&held, &nothing, &call).await,
        Claimed::Refused(Mismatch::Unknown)
    );
    let latest = time(rig.now() + 5_000);
    rig.jump(60_000);
    assert_eq!(rig.claim(&nobody, &nothing, &call).await, Claimed::Clock { latest });
    assert_eq!(rig.claim(&held, &grant, &call).await, Claimed::Clock { latest });
    let target = Target::Session(word("s-1"));
    rig.lock(target.clone()).await;
    for claimed in [
        rig.claim(&nobody, &nothing, &call).await,
        rig.claim(&held, &grant, &call).await,
        rig.turned().claim(&held, &grant, &call).await,
    ] {
        assert!(
            matches!(&claimed, Claimed::Locked(lock) if lock.target == target),
            "{claimed:?}"
        );
    }
    rig.lift(target).await;
    rig.jump(-60_000);
    let claimed = rig.claim(&held, &grant, &call).await;
    assert!(
        matches!(claimed, Claimed::Refused(Mismatch::Revoked { .. })),
        "{claimed:?}"
    );
}

type Asks = Vec<(RuleId, RuleHash)>;

/// The changes of a use that any grant notices.
fn others(call: &Use) -> Vec<(Use, Mismatch)> {
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.instance = Some(word("ops-7"));
    actor.on_behalf_of = Some(word("alice"));
    actor.parents = vec![word("planner")];
    let at = |change: &dyn Fn(&mut Actor)| {
        let mut actor = actor.clone();
        change(&mut actor);
        LockPath::new(&actor, "restart")
    };
    let paths = [
        path("s-2", "restart"),
        path("s-1", "stop"),
        at(&|actor| actor.instance = Some(word("ops-8"))),
        at(&|actor| actor.instance = None),
        at(&|actor| actor.role = word("dev")),
        at(&|actor| actor.on_behalf_of = Some(word("mallory"))),
        at(&|actor| actor.on_behalf_of = None),
        at(&|actor| actor.parents = Vec::new()),
        at(&|actor| actor.parents = vec![word("planner"), word("root")]),
    ];
    let mut all: Vec<_> = paths
        .into_iter()
        .map(|path| (Use { path, ..call.clone() }, Mismatch::OtherCaller))
        .collect();
    let asks = |change: &dyn Fn(&mut Asks)| {
        let mut call = call.clone();
        change(&mut call.asks);
        call
    };
    let more = (rule("others"), RuleHash::from_bytes([7; 32]));
    let changed = RuleHash::from_bytes([8; 32]);
    all.extend([
        (
            asks(&|asks| asks.push(more.clone())),
            Mismatch::OtherRule { rule: rule("others") },
        ),
        (
            asks(&|asks| *asks = vec![more.clone()]),
            Mismatch::OtherRule { rule: rule("others") },
        ),
        (
            asks(&|asks| asks.iter_mut().for_each(|(_, hash)| *hash = changed)),
            Mismatch::RuleChanged { rule: rule("restarts") },
        ),
        (asks(&Vec::clear), Mismatch::NothingAsked),
    ]);
    for file in [Some(FileMark::of("inode 8")), None] {
        all.push((Use { file, ..call.clone() }, Mismatch::OtherFile));
    }
    all
}

/// A grant for one call covers that call, and none that differs in any way.
pub async fn a_grant_for_one_call_covers_no_other(rig: Rig) {
    let request = rig.opened(rig.question().of_file("inode 7")).await;
    let grant = rig.granted(rig.approval(&request)).await;
    let call = rig.use_of(&request);
    let mut all = others(&call);
    let other = digest("delete");
    all.push((
        Use {
            digest: other,
            ..call.clone()
        },
        Mismatch::OtherCall,
    ));
    for (other, why) in all {
        assert_eq!(rig.unfit(&grant, &other).await, why);
    }
    let held = rig.in_flight(&call).await;
    assert_eq!(rig.used(&held, &grant, &call).await.uses, 1);
}

/// A window covers calls of its action whose pinned facts are as they were, whatever else they say, and no others.
pub async fn a_window_covers_only_what_it_holds_fixed(rig: Rig) {
    let request = rig.opened(rig.question().of_file("inode 7")).await;
    let grant = rig.granted(rig.window(&request, 50)).await;
    let call = rig.use_of(&request);
    let facts = |change: &dyn Fn(&mut glassbreak_core::grant::Pins)| {
        let mut facts = (*call.facts).clone();
        change(&mut facts);
        Use {
            facts: Arc::new(facts),
            ..call.clone()
        }
    };
    let mut all = others(&call);
    let action = "tool:stop".into();
    all.push((Use { action, ..call.clone() }, Mismatch::OtherAction));
    for name in ["target.kind", "target.namespace"] {
        let why = || Mismatch::OtherFact { name: name.into() };
        all.push((facts(&|facts| drop(facts.insert(name.into(), "db".into()))), why()));
        all.push((facts(&|facts| drop(facts.insert(name.into(), "".into()))), why()));
        all.push((facts(&|facts| drop(facts.remove(name))), why()));
    }
    for (other, why) in all {
        assert_eq!(rig.unfit(&grant, &other).await, why);
    }
    let more = facts(&|facts| drop(facts.insert("target.name".into(), "db".into())));
    let other = digest("delete");
    for call in [call.clone(), more, Use { digest: other, ..call }] {
        let held = rig.in_flight(&call).await;
        rig.used(&held, &grant, &call).await;
    }
}

/// Where nothing asks there is nothing to lift: the use would be lost.
pub async fn a_call_that_asks_nothing_uses_no_grant(rig: Rig) {
    let (grant, mut call) = window(&rig, 1).await;
    let asks = std::mem::take(&mut call.asks);
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::NothingAsked);
    let call = Use { asks, ..call };
    let held = rig.in_flight(&call).await;
    rig.used(&held, &grant, &call).await;
}

/// An op that stands for one call uses no grant for another.
pub async fn a_claim_is_for_the_call_that_is_held(rig: Rig) {
    let (grant, call) = window(&rig, 2).await;
    let held = rig.in_flight(&call).await;
    let other = Use {
        digest: digest("delete"),
        ..call.clone()
    };
    assert_eq!(
        rig.claim(&held, &grant, &other).await,
        Claimed::Refused(Mismatch::OtherCall)
    );
    assert_eq!(rig.used(&held, &grant, &call).await.uses, 1);
}

/// After it settled, after its lease, and by another attempt, a call is not held, and uses nothing.
pub async fn a_claim_by_whoever_does_not_hold_the_call_is_not_held(rig: Rig) {
    let (grant, call) = window(&rig, 9).await;
    for outcome in [Outcome::Done, Outcome::Failed, Outcome::NotRun, Outcome::Asked] {
        let held = rig.in_flight(&call).await;
        rig.settle(&held, outcome).await;
        let fate = Fate::Settled(outcome);
        assert_eq!(rig.claim(&held, &grant, &call).await, Claimed::NotHeld(fate));
    }
    let held = rig.in_flight(&call).await;
    let stranger = rig.again(&held).by_another().done();
    assert_eq!(rig.claim(&stranger, &grant, &call).await, Claimed::NotHeld(Fate::Held));
    // Also after the holder has used it.
    assert_eq!(rig.used(&held, &grant, &call).await.uses, 1);
    assert_eq!(
        rig.turned().claim(&stranger, &grant, &call).await,
        Claimed::NotHeld(Fate::Held)
    );
    let held = rig.call().using(&call).done();
    rig.hold(held.clone()).await;
    rig.pass(LEASE);
    assert_eq!(rig.used(&held, &grant, &call).await.uses, 2);
    rig.pass(1);
    assert_eq!(
        rig.claim(&held, &grant, &call).await,
        Claimed::NotHeld(Fate::PresumedSpent)
    );
    assert_eq!(rig.standing().await, [grant.id]);
}

/// The same claim again gets the first answer, word for word, through every handle, and spends nothing.
pub async fn a_repeated_claim_gets_the_first_answer_and_spends_once(rig: Rig) {
    let (grant, call) = window(&rig, 2).await;
    let held = rig.in_flight(&call).await;
    let first = rig.claim(&held, &grant, &call).await;
    assert!(
        matches!(&first, Claimed::Used { grant, .. } if grant.uses == 1),
        "{first:?}"
    );
    let other = rig.in_flight(&call).await;
    let second = rig.claim(&other, &grant, &call).await;
    match (&first, &second) {
        (Claimed::Used { position: a, .. }, Claimed::Used { position: b, grant }) => {
            assert!(a.generation == b.generation && a.epoch < b.epoch);
            assert_eq!(grant.uses, 2);
        }
        other => fail(&format!("{other:?}")),
    }
    for _ in 0..3 {
        assert_eq!(rig.claim(&held, &grant, &call).await, first);
        assert_eq!(rig.turned().claim(&other, &grant, &call).await, second);
    }
    let last = rig.in_flight(&call).await;
    assert_eq!(
        rig.claim(&last, &grant, &call).await,
        Claimed::Refused(Mismatch::UsedUp)
    );
}

/// An op that used one grant uses no other.
pub async fn one_op_spends_one_grant(rig: Rig) {
    let (grant, call) = window(&rig, 2).await;
    let (other, _) = window(&rig, 2).await;
    let held = rig.in_flight(&call).await;
    let first = rig.claim(&held, &grant, &call).await;
    let refused = rig.claim(&held, &other, &call).await;
    assert!(matches!(refused, Claimed::Refused(_)), "{refused:?}");
    assert_eq!(rig.claim(&held, &grant, &call).await, first);
    let fresh = rig.in_flight(&call).await;
    assert_eq!(rig.used(&fresh, &other, &call).await.uses, 1);
}

/// Uses are counted, and after the last there is none.
pub async fn a_grant_is_used_as_often_as_it_may_be(rig: Rig) {
    let (grant, call) = window(&rig, 3).await;
    for uses in 1..=3 {
        assert_eq!(rig.standing().await, [grant.id]);
        let held = rig.in_flight(&call).await;
        let used = rig.used(&held, &grant, &call).await;
        let expected = Grant { uses, ..grant.clone() };
        assert_eq!(used, expected);
    }
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::UsedUp);
    assert!(rig.standing().await.is_empty());
}

/// A use is not given back, however the call ended, and not by the end of its lease.
pub async fn a_use_is_never_given_back(rig: Rig) {
    let (grant, call) = window(&rig, 5).await;
    for (n, outcome) in [Outcome::NotRun, Outcome::Asked, Outcome::Failed, Outcome::Done]
        .into_iter()
        .enumerate()
    {
        let held = rig.in_flight(&call).await;
        let used = rig.used(&held, &grant, &call).await;
        assert_eq!(usize::try_from(used.uses).ok(), Some(n + 1));
        rig.settle(&held, outcome).await;
    }
    let held = rig.call().using(&call).done();
    rig.hold(held.clone()).await;
    rig.used(&held, &grant, &call).await;
    rig.pass(LEASE + 1);
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::UsedUp);
}

/// A grant covers until the moment that it names, and not at it, by the store's time.
pub async fn a_grant_ends_at_the_very_moment_it_names(rig: Rig) {
    let (grant, call) = window(&rig, 9).await;
    assert_eq!(grant.expires_at.as_millis(), rig.now() + STANDS);
    let first = rig.in_flight(&call).await;
    rig.pass(STANDS - 1);
    rig.used(&first, &grant, &call).await;
    assert_eq!(rig.standing().await, [grant.id]);
    rig.pass(1);
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::Expired);
    assert!(rig.standing().await.is_empty());
    // A clock that is behind does not bring it back.
    rig.jump(-STANDS);
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::Expired);
}

/// A grant covers from the moment that it names.
pub async fn a_grant_does_not_begin_before_its_time(rig: Rig) {
    let request = rig.opened(rig.question()).await;
    let mut approval = rig.window(&request, 9);
    let begins = rig.at().after(span(1_000));
    approval.grant.iter_mut().for_each(|grant| grant.not_before = begins);
    let grant = rig.granted(approval).await;
    let call = rig.use_of(&request);
    rig.pass(999);
    assert_eq!(rig.unfit(&grant, &call).await, Mismatch::NotYet);
    rig.pass(1);
    let held = rig.in_flight(&call).await;
    rig.used(&held, &grant, &call).await;
}

async fn fleet(rig: &Rig, call: &Use, size: usize) -> Vec<Reserve> {
    let mut all = Vec::new();
    for _ in 0..size {
        all.push(rig.in_flight(call).await);
    }
    all
}

async fn claims(rig: &Rig, grant: &Grant, call: &Use, size: u64) -> Vec<Claimed> {
    let held = fleet(rig, call, usize::try_from(size).unwrap_or(0)).await;
    let claims = race(rig, size, |rig, n| {
        let held = usize::try_from(n).ok().and_then(|n| held.get(n)).cloned();
        let (grant, call) = (grant.clone(), call.clone());
        async move {
            match held {
                Some(held) => rig.claim(&held, &grant, &call).await,
                None => fail("no call"),
            }
        }
    });
    claims.await
}

fn uses(claimed: &[Claimed]) -> Vec<u32> {
    let uses = claimed.iter().filter_map(|claimed| match claimed {
        Claimed::Used { grant, .. } => Some(grant.uses),
        Claimed::Refused(Mismatch::UsedUp) => None,
        other => fail(&format!("{other:?}")),
    });
    let mut uses: Vec<u32> = uses.collect();
    uses.sort_unstable();
    uses
}

/// Of 50 calls that race over both handles for a grant for one call, one gets it.
pub async fn of_many_claims_that_race_for_one_use_one_gets_it(rig: Rig) {
    for _ in 0..10 {
        let (grant, call) = once(&rig).await;
        assert_eq!(uses(&claims(&rig, &grant, &call, 50).await), [1]);
    }
}

/// Of calls that race for a window, as many get a use as it has, each another one; and of repeats that race, all get
/// the same one.
pub async fn claims_that_race_for_a_window_use_it_up_exactly(rig: Rig) {
    for _ in 0..10 {
        let (grant, call) = window(&rig, 7).await;
        assert_eq!(uses(&claims(&rig, &grant, &call, 50).await), [1, 2, 3, 4, 5, 6, 7]);
        let (grant, call) = window(&rig, 7).await;
        let held = rig.in_flight(&call).await;
        let same = race(&rig, 20, |rig, _| {
            let (held, grant, call) = (held.clone(), grant.clone(), call.clone());
            async move { rig.claim(&held, &grant, &call).await }
        });
        let same = same.await;
        assert_eq!(uses(&same), [1; 20]);
        assert!(same.windows(2).all(|pair| pair.first() == pair.last()));
        let answer = rig.ask(rig.again(&held).by_another()).await;
        assert!(matches!(answer, Reserved::Taken { .. }), "{answer:?}");
    }
}
