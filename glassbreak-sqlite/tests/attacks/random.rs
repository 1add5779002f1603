//! Random events over two gates that share a store: what is settled stays so, nobody is counted who may not be, and no grant
//! is without its record or used oftener than it may be.
//!
//! Events come one at a time or several at once; a gate crashes and another one is built over the store; people and rules
//! change for one gate and not yet for the other; the store's time comes to a deadline while the machine's clock stays
//! behind. `approval/properties.rs` of the core holds each single vote to an independent count; here it is what is left in
//! store and log after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use glassbreak_core::approval::{Answer, Request, RequestId, State, expire};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::gate::{AnyPermit, Denied, Gate, Session, Ticket, Verdict};
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::lock::Target;
use glassbreak_core::store::{Decide, Store, Which};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

use crate::events::{ENVS, Event, SESSIONS, Step, Then, VOICES, folder, may_agree, step, wording};
use crate::stores::Kind;
use crate::world::{World, ballot, bundle, deploy, of_tool, text, word};

/// One gate, and what it judges by.
#[derive(Debug, Clone)]
struct Seat {
    gate: Gate,
    log: AuditLog,
    folder: usize,
}

/// A question that was asked.
#[derive(Debug, Clone, Copy)]
struct Question {
    ticket: Ticket,
}

#[derive(Debug)]
struct Play {
    world: World,
    store: Arc<dyn Store>,
    seats: Mutex<[Seat; 2]>,
    questions: Mutex<Vec<Question>>,
    effects: AtomicU32,
}

/// What was true after the step before.
#[derive(Debug, Default)]
struct Before {
    requests: BTreeMap<RequestId, Request>,
    grants: BTreeMap<GrantId, Grant>,
    /// The store's time, where it was ever told to come to one.
    time: Option<Timestamp>,
}

impl Play {
    async fn new(kind: Kind) -> Self {
        let world = World::new(kind);
        let seats = [seat(&world, 0).await, seat(&world, 0).await];
        Self {
            store: world.store().await,
            world,
            seats: Mutex::new(seats),
            questions: Mutex::default(),
            effects: AtomicU32::new(0),
        }
    }

    fn seat(&self, n: usize) -> Seat {
        self.seats.lock().unwrap()[n].clone()
    }

    fn session(&self, gate: &Gate, n: usize) -> Session {
        self.world.session(gate, SESSIONS[n])
    }

    /// One of the last that were asked, mostly.
    fn question(&self, which: usize) -> Option<Question> {
        let questions = self.questions.lock().unwrap();
        let among = if which.is_multiple_of(4) {
            questions.len()
        } else {
            questions.len().min(4)
        };
        let back = which.checked_rem(among)?;
        questions.iter().rev().nth(back).copied()
    }

    /// What happens is what may happen: refusals are answers here.
    async fn happens(&self, n: usize, event: Event) {
        let Seat { gate, .. } = self.seat(n);
        let desk = gate.desk();
        match event {
            Event::Ask(session, env) => {
                let call = deploy(&self.session(&gate, session), "web", ENVS[env]);
                if let Verdict::Ask(escalation) = call.check().await
                    && let Ok(waiting) = escalation.open().await
                {
                    let ticket = waiting.ticket();
                    let mut questions = self.questions.lock().unwrap();
                    // One that joined has the ticket of the first.
                    if questions.iter().all(|known| known.ticket.request != ticket.request) {
                        questions.push(Question { ticket });
                    }
                }
            }
            Event::Vote {
                which,
                who,
                answer,
                seen,
            } => {
                let Some(question) = self.question(which) else { return };
                let Some(request) = desk.request(question.ticket.request).await.unwrap() else {
                    return;
                };
                let mut ballot = ballot(VOICES[who], &request, answer);
                if !seen {
                    ballot.card = "another".into();
                }
                let _ = desk.vote(request.id, &ballot).await;
            }
            Event::Expire(which) => {
                if let Some(question) = self.question(which) {
                    drop(desk.expire(question.ticket.request).await);
                }
            }
            Event::Cancel(which) => {
                if let Some(question) = self.question(which) {
                    drop(desk.cancel(question.ticket.request, "nobody needs it").await);
                }
            }
            Event::RevokeRequest(which) => {
                if let Some(question) = self.question(which) {
                    let which = Which::Request(question.ticket.request);
                    drop(desk.revoke(which, text("no"), word("bob")).await);
                }
            }
            Event::RevokeSession(session) => {
                let which = Which::Under(Target::Session(word(SESSIONS[session])));
                drop(desk.revoke(which, text("no"), word("bob")).await);
            }
            Event::Lock(session) => {
                let target = Target::Session(word(SESSIONS[session]));
                drop(gate.lock(target, text("stop"), word("relay")).await);
            }
            Event::Unlock(session) => {
                let target = Target::Session(word(SESSIONS[session]));
                drop(gate.unlock(target, text("go on"), word("relay")).await);
            }
            Event::Call(session, env, then) => {
                let call = deploy(&self.session(&gate, session), "web", ENVS[env]);
                if let Verdict::Allow(permit) = call.check().await {
                    self.spend(permit, then).await;
                }
            }
            Event::Resume(which, then) => {
                let Some(question) = self.question(which) else { return };
                let Some(request) = desk.request(question.ticket.request).await.unwrap() else {
                    return;
                };
                // Nobody answers meanwhile, or somebody does at the same time: both are tried by others.
                if !request.state.is_final() {
                    return;
                }
                let session = self.world.session(&gate, request.path.session().as_str());
                let Ok(waiting) = session.resume(question.ticket).await else {
                    return;
                };
                // Where something else asks now, it would wait for people.
                let waited = tokio::time::timeout(Duration::from_millis(100), waiting.wait()).await;
                if let Ok(Ok(permit)) = waited {
                    self.spend(permit, then).await;
                }
            }
        }
    }

    async fn spend(&self, permit: AnyPermit, then: Then) {
        let permit = of_tool(permit);
        match then {
            Then::Runs | Then::Fails => {
                let ran = permit.run(async |_| {
                    self.effects.fetch_add(1, Ordering::SeqCst);
                    match then {
                        Then::Fails => Err(Broke),
                        _ => Ok(()),
                    }
                });
                let _ = ran.await;
            }
            Then::IsDropped => drop(permit),
            Then::IsGivenBack => permit.forgo().await,
        }
    }

    /// The store's time comes to a deadline or to just before it, and whoever looks then says so.
    async fn pass(&self, which: usize, whole: bool) -> Option<Timestamp> {
        let question = self.question(which)?;
        let request = self.store.request(question.ticket.request).await.unwrap()?;
        let back = if whole { 0 } else { 1 };
        let at = Timestamp::from_millis(request.deadline.as_millis() - back);
        self.world.store_comes_to(at).await;
        if let Some(next) = expire(&request, at) {
            let decide = Decide {
                expected: request.version,
                next,
                grant: None,
                at,
            };
            drop(self.store.decide(decide).await);
        }
        Some(at)
    }

    /// What must be so after any step.
    async fn hold(&self, before: &mut Before) {
        let folders = self.seats.lock().unwrap().each_ref().map(|seat| seat.folder);
        let questions = self.questions.lock().unwrap().clone();
        let mut ids: BTreeSet<RequestId> = questions.iter().map(|question| question.ticket.request).collect();
        ids.extend(before.requests.keys());
        ids.extend(self.store.pending().await.unwrap().iter().map(|request| request.id));
        let mut granted: BTreeMap<RequestId, GrantId> = BTreeMap::new();
        for id in ids {
            let now = self.store.request(id).await.unwrap().unwrap();
            if let Some(known) = before.requests.get(&id)
                && known.state.is_final()
            {
                assert_eq!(now, *known, "what is settled has changed");
            }
            // A no counts whatever its person said before, and alice may say it to what is done for her.
            let agreed = now.votes.iter().filter(|vote| vote.answer != Answer::Deny);
            let persons: Vec<&str> = agreed.map(|vote| vote.person.as_str()).collect();
            let distinct: BTreeSet<&str> = persons.iter().copied().collect();
            assert_eq!(distinct.len(), persons.len(), "somebody is counted twice: {now:?}");
            let known = |person: &&str| ["bob", "carol", "relay"].contains(person);
            assert!(persons.iter().all(known), "{now:?}");
            if let State::Approved { grant } = now.state {
                granted.insert(id, grant);
                let fresh = before.requests.get(&id).is_none_or(|known| !known.state.is_final());
                if fresh {
                    approved(&now, &folders, before.time);
                }
            }
            before.requests.insert(id, now);
        }
        let mut all: BTreeSet<GrantId> = granted.values().copied().collect();
        all.extend(self.store.grants().await.unwrap().iter().map(|grant| grant.id));
        all.extend(before.grants.keys());
        for id in all {
            let now = self.store.grant(id).await.unwrap().unwrap();
            assert_eq!(granted.get(&now.request), Some(&id), "a grant of no approval: {now:?}");
            assert!(now.uses <= now.max_uses, "{now:?}");
            if let Some(known) = before.grants.get(&id) {
                assert!(known.uses <= now.uses, "a use was given back: {known:?} and {now:?}");
                assert!(
                    known.revoked.is_none() || known.revoked == now.revoked,
                    "{known:?} and {now:?}"
                );
            }
            before.grants.insert(id, now);
        }
    }

    /// What the log must say in the end.
    fn hold_log(&self, before: &Before) {
        for seat in self.seats.lock().unwrap().iter() {
            seat.log.sync().unwrap();
        }
        let records = self.world.records();
        let text = |record: &serde_json::Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let of = |kind: &'static str| records.iter().filter(move |record| record["kind"] == kind);
        let cast: BTreeSet<_> = of("vote.cast")
            .map(|vote| (text(vote, "request"), text(vote, "person")))
            .collect();
        for request in before.requests.values() {
            for vote in &request.votes {
                let vote = (request.id.to_string(), vote.person.to_string());
                assert!(cast.contains(&vote), "{vote:?} is not on record");
            }
        }
        let opened: BTreeSet<String> = of("grant.opened").map(|grant| text(grant, "grant")).collect();
        let mut permitted: BTreeMap<String, u32> = BTreeMap::new();
        let mut ops = BTreeSet::new();
        for permit in of("call.permitted") {
            assert!(ops.insert(text(permit, "call")), "two permits: {permit}");
            *permitted.entry(text(permit, "grant")).or_default() += 1;
        }
        assert!(!permitted.contains_key(""), "a deployment without a grant");
        for grant in before.grants.values() {
            let id = grant.id.to_string();
            assert!(opened.contains(&id), "{grant:?} is not on record");
            let permits = permitted.remove(&id).unwrap_or_default();
            assert!(permits <= grant.uses, "{permits} permits by {grant:?}");
        }
        assert!(permitted.is_empty(), "permits by grants that are none: {permitted:?}");
        // A lock that comes before a body has begun leaves one that may have run.
        let ran = of("call.finished").filter(|end| end["outcome"] != "not_run").count();
        assert!(self.effects.load(Ordering::SeqCst) <= u32::try_from(ran).unwrap());
    }
}

/// Why a body did not return well.
#[derive(Debug)]
struct Broke;

impl From<Denied> for Broke {
    fn from(_: Denied) -> Self {
        Self
    }
}

async fn seat(world: &World, folder_of: usize) -> Seat {
    let log = world.log();
    let keeps = log.clone();
    Seat {
        gate: world.gate_of(&folder(folder_of), |builder| builder.audit(keeps)).await,
        log,
        folder: folder_of,
    }
}

/// A request that came to be approved in this step: by people who may, in time, under the wording that asked.
fn approved(request: &Request, folders: &[usize], time: Option<Timestamp>) {
    assert!(time.is_none_or(|time| time < request.deadline), "too late: {request:?}");
    let wanted = if request.facts["target.namespace"].as_ref() == "prod" {
        2
    } else {
        1
    };
    // By the request itself: while it was asked the folder may have been changed.
    let asked = request
        .rules
        .iter()
        .find(|asked| asked.rule.as_str() == "policy.deploy-asks");
    let four = glassbreak_core::clock::Span::from_millis(240_000);
    let worded = asked.map(|asked| asked.requirement.window == Some(four));
    // The last vote was cast at one of the gates, and all were looked at by its folder.
    let good = folders.iter().any(|folder| {
        let may = request
            .votes
            .iter()
            .all(|vote| may_agree(*folder, vote.person.as_str()));
        may && worded.is_none_or(|worded| worded == wording(*folder))
    });
    assert!(good && request.votes.len() >= wanted, "{request:?} by {folders:?}");
}

async fn play(kind: Kind, steps: Vec<Step>) -> (usize, u32) {
    let play = Arc::new(Play::new(kind).await);
    let mut before = Before::default();
    for step in steps {
        match step {
            Step::Events(events) => {
                let happening = events.into_iter().map(|(gate, event)| {
                    let play = Arc::clone(&play);
                    tokio::spawn(async move { play.happens(gate, event).await })
                });
                for happened in happening.collect::<Vec<_>>() {
                    happened.await.unwrap();
                }
            }
            Step::Pass(which, whole) => {
                let came = play.pass(which, whole).await;
                before.time = before.time.max(came);
            }
            Step::Reload(n, to) => {
                let seat = play.seat(n);
                let bundle = bundle(&folder(to));
                let digest = bundle.digest();
                seat.gate.reload(bundle, digest).unwrap();
                play.seats.lock().unwrap()[n].folder = to;
            }
            Step::Crash(n) => {
                let next = seat(&play.world, play.seat(n).folder).await;
                play.seats.lock().unwrap()[n] = next;
            }
        }
        play.hold(&mut before).await;
    }
    play.hold_log(&before);
    (before.grants.len(), play.effects.load(Ordering::SeqCst))
}

pub(crate) async fn random_events_over_two_gates_hold_every_invariant(world: World) {
    let kind = world.kind;
    let few = match kind {
        Kind::Memory => 40,
        Kind::Sqlite => 16,
    };
    let cases = std::env::var("GLASSBREAK_CASES").map_or(few, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let runtime = tokio::runtime::Handle::current();
    let sums = Mutex::new((0, 0));
    tokio::task::block_in_place(|| {
        let played = TestRunner::new(config).run(&vec(step(), 10..60), |steps| {
            let (grants, effects) = runtime.block_on(play(kind, steps));
            let mut sums = sums.lock().unwrap();
            *sums = (sums.0 + grants, sums.1 + effects);
            Ok(())
        });
        played.unwrap_or_else(|failure| panic!("{failure}"));
    });
    let (grants, effects) = *sums.lock().unwrap();
    println!("{cases} plays over {kind:?}: {grants} grants, {effects} effects");
    assert!(grants > 0 && effects > 0, "nothing came of it");
}
