//! The rounds: a process is killed, and another one goes on from what it left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glassbreak_core::approval::{Answer, Request, State};
use glassbreak_core::call::CallDigest;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::finding::{Denial, RuleId};
use glassbreak_core::gate::{AnyPermit, Denied, Gate, Session, Ticket, Verdict};
use glassbreak_core::lock::{LockPath, Target};
use glassbreak_core::notify::{Notifier, NotifyError};
use glassbreak_core::store::{
    Attempt, Demand, Fate, Ledger, OpId, Outcome, Requests, Reserve, Reserved, Settle, Settled, Unlocked, Window,
};
use glassbreak_sqlite::SqliteStore;

use crate::common::Scratch;
use crate::house::{self, ROOT, ballot, database, deploy, key_of, runtime, session, take_effect, text, word};
use crate::left::Left;
use crate::story::{AT_ONCE, DEADLINE, POINT, Told, tell};

/// How many rounds there are unless `GLASSBREAK_ROUNDS` says otherwise: every point once, and some more.
const ROUNDS: u64 = 260;
/// The machine is shared: more than this at once makes none faster.
const WORKERS: usize = 2;

/// How a process of the story ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// By itself, at this point of the story told in order.
    At(u64),
    /// By itself, at this point of the story with its parts at once.
    AtOnce(u64),
    /// From outside, so long after it began; with its parts at once or not.
    Outside(Duration, bool),
}

/// Lets a process live through the story in `root`, and says whether it came to its end.
pub(crate) fn live(root: &Path, deadline: &str, kill: Kill) -> bool {
    let (point, at_once) = match kill {
        Kill::At(point) => (point, false),
        Kill::AtOnce(point) => (point, true),
        Kill::Outside(_, at_once) => (0, at_once),
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "story::victim", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(POINT, point.to_string())
        .env(DEADLINE, deadline)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if at_once {
        command.env(AT_ONCE, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    if let Kill::Outside(after, _) = kill {
        let mut line = String::new();
        // Where it fails before, its last words are told below.
        while line != "ready\n" {
            line.clear();
            if out.read_line(&mut line).unwrap() == 0 {
                break;
            }
        }
        std::thread::sleep(after);
        child.kill().unwrap();
    }
    let mut said = String::new();
    out.read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(9), "{status:?}: {said}");
    status.success()
}

/// Remembers what it was given to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cards {
    shown: Arc<Mutex<BTreeMap<String, State>>>,
}

#[async_trait]
impl Notifier for Cards {
    fn name(&self) -> &str {
        "cards"
    }

    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        assert!(
            desk.request(request.id)
                .await
                .unwrap()
                .is_some_and(|now| !now.state.is_final())
        );
        let first = self
            .shown
            .lock()
            .unwrap()
            .insert(request.id.to_string(), State::Pending);
        assert_eq!(first, None, "shown twice");
        std::future::pending().await
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        let mut shown = self.shown.lock().unwrap();
        shown.insert(request.id.to_string(), request.state.clone());
        Ok(())
    }
}

impl Cards {
    pub(crate) fn shown(&self) -> BTreeMap<String, State> {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the cards are these, in these states.
    pub(crate) async fn are(&self, wanted: &BTreeMap<String, State>) {
        let begun = Instant::now();
        while self.shown() != *wanted {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:#?}, and not {wanted:#?}",
                self.shown()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What the rounds came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    effects: usize,
    resumed: usize,
    ran: usize,
    taken: usize,
    shown: usize,
    locked: usize,
}

/// The process that comes after: everything is as it must be, and goes on from there.
pub(crate) async fn take_up(root: &Path, round: u64) -> Sums {
    // First as a new process would, with the write-ahead log as it was left.
    let store = SqliteStore::open(database(root)).await.unwrap();
    let before = Left::read(root);
    probe(&store, &before).await;
    let mut sums = Sums {
        locked: before.locks.len(),
        ..Sums::default()
    };
    let pending: Vec<Request> = {
        let pending = before.requests.values();
        pending
            .filter(|request| request.state == State::Pending)
            .cloned()
            .collect()
    };
    let open = pending
        .iter()
        .map(|request| (request.id.to_string(), State::Pending))
        .collect();
    let cards = Cards::default();
    let gate = house::gate(root, store.clone(), "5m", Some(cards.clone())).await;
    cards.are(&open).await;
    sums.shown = open.len();

    let tickets: Vec<(Ticket, &Request)> = before
        .requests
        .values()
        .map(|request| {
            let call = request.op;
            (
                Ticket {
                    request: request.id,
                    call,
                },
                request,
            )
        })
        .collect();
    if !before.locks.is_empty() {
        for (ticket, request) in &tickets {
            if request.path.name() == "deploy" {
                let denial = take(&gate, root, *ticket, request).await.unwrap_err();
                assert_ne!(denial.rules(), []);
            }
        }
        let denied = deploy(&session(&gate, root, "s-last"), "k-locked", "test")
            .check()
            .await;
        let Verdict::Deny(denial) = denied else {
            panic!("{denied:?} under a lock")
        };
        assert_eq!(denial.rules().first().map(RuleId::as_str), Some("lock.tool"));
        let target = Target::Tool(word("deploy"));
        let lifted = gate.unlock(target, text("it was left"), word("bob")).await.unwrap();
        assert!(matches!(lifted, Unlocked::Lifted { .. }));
        tell(root, &Told::Unlocked);
    }
    let revoked: BTreeSet<&String> = {
        let grants = before.grants.iter();
        grants
            .filter(|(_, grant)| grant.revoked.is_some())
            .map(|(id, _)| id)
            .collect()
    };
    if !revoked.is_empty() {
        let again = deploy(&session(&gate, root, "s-window"), "k-again", "lab")
            .check()
            .await;
        assert!(matches!(again, Verdict::Ask(_)), "{again:?} by what was revoked");
    }

    // What is open is answered, one way or the other, and then takes no more answers.
    for (number, request) in (round..).zip(&pending) {
        match number % 4 {
            0 | 1 => agree(&gate, request).await,
            2 => {
                let no = ballot("carol", request, Answer::Deny);
                let after = gate.desk().vote(request.id, &no).await.unwrap();
                assert!(matches!(after.state, State::Denied { .. }));
            }
            _ => drop(gate.desk().cancel(request.id, "nobody needs it").await.unwrap()),
        }
        for answer in [Answer::Once, Answer::Deny, house::window(1)] {
            let late = gate.desk().vote(request.id, &ballot("p0", request, answer)).await;
            let Err(VoteError::Refused(why)) = late else {
                panic!("{late:?}")
            };
            assert_eq!(why.code(), "settled");
        }
    }

    for (number, (ticket, asked)) in (round..).zip(&tickets) {
        let now = store.request(ticket.request).await.unwrap().unwrap();
        let standing = match &now.state {
            State::Approved { grant } => gate.desk().grants().await.unwrap().iter().any(|one| one.id == *grant),
            _ => false,
        };
        let (outcome, _) = &before.ops[&ticket.call.to_string()];
        // Nobody has taken it up since people were asked: then it passes now, and once.
        let passes = standing && outcome.as_deref() == Some("asked");
        let (one, other) = if number % 2 == 0 {
            let one = take(&gate, root, *ticket, asked).await;
            (one, take(&gate, root, *ticket, asked).await)
        } else {
            tokio::join!(take(&gate, root, *ticket, asked), take(&gate, root, *ticket, asked))
        };
        let ran = usize::from(one.is_ok()) + usize::from(other.is_ok());
        assert_eq!(ran, usize::from(passes), "{asked:?}: {one:?} {other:?}");
        if standing && !passes {
            let rules = one.unwrap_err();
            let rule = rules.rules().first().map(RuleId::as_str);
            assert_eq!(rule, Some("budget.call-already-permitted"), "{rules}");
            sums.taken += 1;
        }
        sums.resumed += 1;
        sums.ran += ran;
    }

    let after = Left::read(root);
    for (key, permitted) in &after.permitted {
        if !before.permitted.contains_key(key)
            && let Some(grant) = &permitted.grant
        {
            assert!(!revoked.contains(grant), "{key} passed by what was revoked");
        }
    }
    assert_eq!(after.effects.len(), before.effects.len() + sums.ran);
    assert!(after.effects.starts_with(&before.effects));
    probe(&store, &after).await;
    // No card is left that could be answered, and none was shown of what was settled.
    let settled = pending
        .iter()
        .map(|request| {
            (
                request.id.to_string(),
                after.requests[&request.id.to_string()].state.clone(),
            )
        })
        .collect();
    cards.are(&settled).await;
    assert!(settled.values().all(State::is_final));
    for request in &pending {
        assert!(after.has("request.settled", &request.id.to_string()), "{request:?}");
    }
    sums.effects = after.effects.len();
    sums
}

/// Everybody who is needed agrees, some of them perhaps before.
async fn agree(gate: &Gate, request: &Request) {
    for who in ["bob", "carol", "p1"] {
        let voted = gate.desk().vote(request.id, &ballot(who, request, Answer::Once)).await;
        match voted {
            Ok(after) if after.state.is_final() => {
                assert!(matches!(after.state, State::Approved { .. }));
                return;
            }
            Ok(_) => {}
            Err(VoteError::Refused(why)) => assert_eq!(why.code(), "again"),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("all agreed, and it is not approved");
}

/// Comes back to a call, and runs it if it may.
pub(crate) async fn take(gate: &Gate, root: &Path, ticket: Ticket, asked: &Request) -> Result<(), Denial> {
    let session: Session = session(gate, root, asked.path.session().as_str());
    let waiting = session.resume(ticket).await?;
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting.wait()).await;
    let AnyPermit::Tool(permit) = waited.expect("it waits for people who have answered")? else {
        panic!("a permit for a program")
    };
    let ran = permit.run(async |plan| -> Result<(), Denied> {
        take_effect(root, &key_of(plan), || ());
        Ok(())
    });
    ran.await.map_err(|denied| denied.0)
}

/// The shared budget counts at least the effects, as the store itself says; what asks it is given back.
async fn probe(store: &SqliteStore, left: &Left) {
    for ((rule, scope, key), rows) in &left.charges {
        assert_eq!(rule, "restarts");
        let actor = glassbreak_core::call::Actor::new(word("probe"), word("probe"));
        let (op, attempt) = (OpId::mint(Timestamp::now()), Attempt::mint());
        let reserve = Reserve {
            op,
            attempt,
            digest: CallDigest::of_tool(&glassbreak_core::call::Tool {
                name: word("probe"),
                arguments: glassbreak_core::call::Args::new(),
            }),
            path: LockPath::new(&actor, "probe"),
            at: Timestamp::now(),
            lease: Span::from_millis(60_000),
            demands: vec![Demand {
                rule: rule.as_str().into(),
                scope: *scope,
                key: Some(*key),
                window: Window::Sliding(Span::from_millis(3_600_000)),
                amount: 1,
                ceiling: 1_000,
            }],
        };
        let Reserved::Held(held) = store.reserve(reserve).await.unwrap() else {
            panic!("not held")
        };
        assert_eq!(*held.counts, [u64::from(*rows) + 1]);
        assert!(
            held.counts[0] > u64::from(left.restarts()),
            "{held:?}, {:?}",
            left.effects
        );
        let settle = Settle {
            op,
            attempt,
            outcome: Outcome::NotRun,
            actual: Vec::new(),
            at: Timestamp::now(),
        };
        let Settled { outcome, refunded, .. } = store.settle(settle).await.unwrap();
        assert_eq!(
            (Fate::Settled(outcome), refunded),
            (Fate::Settled(Outcome::NotRun), true)
        );
    }
}

/// Says in which round it was, where a check fails, and ends the others.
struct Round<'a>(u64, Kill, &'a Course);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in round {}: {:?}", self.0, self.1);
            self.2.next.fetch_add(u64::MAX / 2, Ordering::SeqCst);
        }
    }
}

fn random(most: u64) -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % most
}

/// What the workers share.
#[derive(Debug, Default)]
struct Course {
    next: AtomicU64,
    /// How many points the story has, once it is known; and how long it takes, in µs.
    points: AtomicU64,
    micros: AtomicU64,
    sums: Mutex<(BTreeMap<&'static str, u64>, Sums)>,
}

impl Course {
    fn next(&self, rounds: u64) -> Option<(u64, Kill)> {
        let round = self.next.fetch_add(1, Ordering::SeqCst);
        if round >= rounds {
            return None;
        }
        let points = self.points.load(Ordering::SeqCst);
        let kill = match round % 3 {
            _ if points == 0 || round < points => Kill::At(round + 1),
            0 => Kill::AtOnce(random(points) + 1),
            one => Kill::Outside(
                Duration::from_micros(random(self.micros.load(Ordering::SeqCst))),
                one == 1,
            ),
        };
        Some((round, kill))
    }

    fn run(&self, rounds: u64) {
        let runtime = runtime();
        while let Some((round, kill)) = self.next(rounds) {
            let _said = Round(round, kill, self);
            let scratch = Scratch::new();
            let root = scratch.path();
            let begun = Instant::now();
            let whole = live(root, "5m", kill);
            let sums = runtime.block_on(take_up(root, round));
            let told = Left::read(root).told;
            let kind = match kill {
                _ if whole => "whole",
                Kill::At(_) => "in order",
                Kill::AtOnce(_) => "at once",
                Kill::Outside(..) => "from outside",
            };
            if let (Kill::At(_), Some(Told::Whole(points))) = (kill, told.last()) {
                let took = u64::try_from(begun.elapsed().as_micros()).unwrap();
                self.micros.fetch_max(took / 2, Ordering::SeqCst);
                self.points.fetch_max(*points, Ordering::SeqCst);
            }
            let mut all = self.sums.lock().unwrap();
            *all.0.entry(kind).or_default() += 1;
            let sum = &mut all.1;
            sum.effects += sums.effects;
            sum.resumed += sums.resumed;
            sum.ran += sums.ran;
            sum.taken += sums.taken;
            sum.shown += sums.shown;
            sum.locked += sums.locked;
        }
    }
}

#[test]
fn killed_anywhere_what_is_left_is_what_some_order_of_events_gives() {
    let rounds = std::env::var("GLASSBREAK_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let course = Course::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| course.run(rounds))).collect();
        for worker in workers {
            assert!(worker.join().is_ok(), "a round failed: see above");
        }
    });
    let sums = course.sums.lock().unwrap();
    let points = course.points.load(Ordering::SeqCst);
    println!(
        "{rounds} rounds in {:.0} s, {points} points: {:?}; {:?}",
        begun.elapsed().as_secs_f64(),
        sums.0,
        sums.1
    );
    assert!(points > 0 && points < rounds, "not every point was taken");
    let Sums {
        ran,
        taken,
        shown,
        locked,
        ..
    } = sums.1;
    assert!(
        ran > 0 && taken > 0 && shown > 0 && locked > 0,
        "no kill fell where something is left over"
    );
}
