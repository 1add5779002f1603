//! Decisions that make no sense.

use glassbreak_core::approval::{Request, State};
use glassbreak_core::clock::Span;
use glassbreak_core::finding::RuleHash;
use glassbreak_core::grant::{FileMark, Grant, GrantId, Revoked, Scope};
use glassbreak_core::label::Risk;
use glassbreak_core::notify::Card;
use glassbreak_core::store::{Decide, StoreErrorKind};

use super::super::rig::{Rig, digest, fail, path, word};

/// What a bad decision changes, by name.
type Changes<T> = Vec<(&'static str, fn(&mut T))>;

fn of_the_request() -> Changes<Request> {
    vec![
        ("digest", |next| next.digest = digest("delete")),
        ("path", |next| next.path = path("s-2", "restart")),
        ("role", |next| next.role = word("dev")),
        ("action", |next| next.action = "tool:stop".into()),
        ("resource", |next| next.resource.1 = "db".into()),
        ("facts", |next| next.facts.clear()),
        ("pins", |next| next.pins.clear()),
        ("risk", |next| next.risk = Risk::Low),
        ("labels", |next| next.labels.clear()),
        ("rules", |next| next.rules.clear()),
        ("offer", |next| next.offer = None),
        ("file", |next| next.file = Some(FileMark::of("inode 8"))),
        ("card", |next| next.card = Card::plain("nothing at all", Risk::Low)),
        ("call", |next| next.call = Some("{}".into())),
        ("bundle", |next| next.bundle = "another".into()),
        ("opened_at", |next| {
            next.opened_at = next.opened_at.after(Span::from_millis(1));
        }),
        ("deadline", |next| {
            next.deadline = next.deadline.after(Span::from_millis(1));
        }),
        ("a stage beyond the last", |next| {
            next.stages.iter_mut().for_each(|stages| stages.reached = 3);
        }),
        ("a stage that was never reached", |next| {
            next.stages.iter_mut().for_each(|stages| stages.since = None);
        }),
        ("a stage taken back", |next| {
            next.stages.iter_mut().for_each(|stages| stages.reached = 0);
        }),
        ("a stage reached at another time", |next| {
            for stages in &mut next.stages {
                stages.since = stages.since.map(|since| since.after(Span::from_millis(1)));
            }
        }),
        ("a stage of another group", |next| {
            next.stages.iter_mut().for_each(|stages| stages.group = word("others"));
        }),
        ("another group in a stage", |next| {
            let then = next.stages.iter_mut().flat_map(|stages| &mut stages.then);
            then.for_each(|stage| stage.group = word("others"));
        }),
        ("a stage after another time", |next| {
            let then = next.stages.iter_mut().flat_map(|stages| &mut stages.then);
            then.for_each(|stage| stage.after = Span::from_millis(1));
        }),
        ("other notifiers", |next| {
            next.stages.iter_mut().for_each(|stages| stages.notifiers.clear());
        }),
        ("no stages", |next| next.stages.clear()),
        ("more stages", |next| next.stages.extend(next.stages.clone())),
        ("a confirmation taken back", |next| next.shown = false),
        ("a version too far", |next| next.version += 1),
        ("the same version", |next| next.version -= 1),
    ]
}

fn of_the_grant() -> Changes<Grant> {
    vec![
        ("another grant than is named", |grant| {
            grant.id = GrantId::mint(grant.not_before);
        }),
        ("a grant for another caller", |grant| {
            grant.path = path("s-2", "restart");
        }),
        ("a grant for another tool", |grant| grant.path = path("s-1", "stop")),
        ("a grant that was used", |grant| grant.uses = 1),
        ("a grant of a rule as it was not", |grant| {
            for (_, hash) in &mut grant.lifts {
                *hash = RuleHash::from_bytes([8; 32]);
            }
        }),
        ("a grant for another file", |grant| grant.file = None),
        ("a grant for another call", |grant| {
            let digest = digest("delete");
            grant.scope = Scope::Once { digest };
        }),
        ("a window of another action", |grant| {
            let (action, pins) = ("tool:stop".into(), std::collections::BTreeMap::new());
            grant.scope = Scope::Window { action, pins };
        }),
        ("a grant that was revoked", |grant| {
            let (by, at) = (word("bob"), grant.not_before);
            grant.revoked = Some(Revoked { by, at });
        }),
    ]
}

/// What makes no sense is an error, and changes nothing: another call, another version than the next, a grant without
/// an approval or for something else.
pub async fn a_decision_that_makes_no_sense_is_invalid_and_changes_nothing(rig: Rig) {
    let other = rig.opened(rig.question().asked_by("others")).await;
    let theirs = rig.granted(rig.approval(&other)).await;
    let request = rig.question().of_file("inode 7").staged(&["leads", "managers"]);
    let request = rig.opened(request).await;
    let request = rig.decided(rig.escalation(&request)).await;
    let request = rig.decided(rig.confirmation(&request)).await;
    let approval = rig.approval(&request);
    let mut bad: Vec<(&str, Decide)> = Vec::new();
    for (what, change) in of_the_request() {
        for mut decide in [
            approval.clone(),
            rig.progress(&request, "bob"),
            rig.cancellation(&request),
        ] {
            change(&mut decide.next);
            bad.push((what, decide));
        }
    }
    let without = Decide {
        grant: None,
        ..approval.clone()
    };
    bad.push(("an approval without a grant", without));
    for decide in [
        rig.progress(&request, "bob"),
        rig.denial(&request, None),
        rig.cancellation(&request),
    ] {
        let grant = approval.grant.clone();
        bad.push(("a grant without an approval", Decide { grant, ..decide }));
    }
    let mut with = |what, change: &dyn Fn(&mut Grant)| {
        let mut decide = approval.clone();
        decide.grant.iter_mut().for_each(change);
        bad.push((what, decide));
    };
    of_the_grant()
        .into_iter()
        .for_each(|(what, change)| with(what, &change));
    with("a grant of another request", &|grant| grant.request = other.id);
    with("a grant of another rule", &|grant| {
        grant
            .lifts
            .extend(other.rules.iter().map(|asked| (asked.rule.clone(), asked.hash)));
    });
    // An id that was given before would take the other grant's place.
    let mut taken = approval.clone();
    taken.next.state = State::Approved { grant: theirs.id };
    taken.grant.iter_mut().for_each(|grant| grant.id = theirs.id);
    bad.push(("the id of another grant", taken));
    for (what, decide) in bad {
        match rig.store.decide(decide).await {
            Err(error) => assert_eq!(
                (error.kind(), error.is_retryable()),
                (StoreErrorKind::Invalid, false),
                "{what}"
            ),
            Ok(decided) => fail(&format!("{what}: {decided:?}")),
        }
        assert_eq!(rig.look(request.id).await, request, "{what}");
        assert_eq!(rig.store.grants().await.ok(), Some(vec![theirs.clone()]), "{what}");
    }
    rig.granted(approval).await;
}
