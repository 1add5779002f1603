//! One request, and two hundred answers, expiries and withdrawals at the same moment, from several processes: it ends
//! once, and everybody sees it end the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use glassbreak_core::approval::{Answer, Request, RequestId, State};
use glassbreak_core::audit::{self, Kind, Timeline, VerifyOptions, verify};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::gate::{Gate, Verdict};
use glassbreak_core::lock::Target;
use glassbreak_core::notify::Terminal;
use glassbreak_core::store::Which;
use glassbreak_sqlite::SqliteStore;
use glassbreak_testkit::store::{Hooked, When};
use serde::{Deserialize, Serialize};

use crate::common::Scratch;
use crate::house::{self, PERSONS, ROOT, ballot, database, deploy, runtime, session, text, window, word};
use crate::left::Left;

const WHO: &str = "GLASSBREAK_TEST_RACE_WHO";
/// The parent and its children.
const PROCESSES: usize = 3;
/// How many try to end each request, over all processes.
const TRIES: usize = 200;
const DEADLINE: &str = "10s";

/// A request that all fall upon, at a moment around its deadline.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Prize {
    request: Request,
    /// From when on, in milliseconds before the deadline, and for how long.
    before: u64,
    lasts: u64,
    by: By,
}

/// What they do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    /// All that one can do.
    Anything,
    /// Votes and expiries only.
    Deadline,
    /// Votes for it, which two persons must give.
    Votes,
    /// Withdrawals, revocations and locks.
    Operators,
}

/// What one process saw in the end.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Saw {
    requests: BTreeMap<String, Request>,
    grants: BTreeSet<String>,
}

/// Not a test: another process that falls upon the same requests.
#[test]
#[ignore = "runs as a child of another test"]
fn rival() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    let who = std::env::var(WHO).unwrap().parse().unwrap();
    runtime().block_on(fall_upon(&root, who));
}

async fn fall_upon(root: &Path, who: usize) {
    let prizes: Vec<Prize> = serde_json::from_slice(&fs::read(root.join("prizes")).unwrap()).unwrap();
    let store = SqliteStore::open(database(root)).await.unwrap();
    let gate = house::gate(root, store, DEADLINE, None::<Terminal>).await;
    let mut tries = tokio::task::JoinSet::new();
    for prize in &prizes {
        for number in (who..TRIES).step_by(PROCESSES) {
            let (desk, prize) = (gate.desk().clone(), prize.clone());
            tries.spawn(async move {
                let from = prize.request.deadline.as_millis() - i64::try_from(prize.before).unwrap();
                let within = uuid::Uuid::new_v4().as_u64_pair().0 % (prize.lasts + 1);
                let at = Timestamp::from_millis(from + i64::try_from(within).unwrap());
                tokio::time::sleep(Duration::from_millis(at.since(Timestamp::now()).as_millis())).await;
                attack(&desk, &prize, number).await;
            });
        }
    }
    while let Some(tried) = tries.join_next().await {
        tried.unwrap();
    }
    // Until the last deadline has come, and whoever follows a request has ended it.
    let last = prizes.iter().map(|prize| prize.request.deadline).max().unwrap();
    let left = last.since(Timestamp::now()).as_millis() + 1_500;
    tokio::time::sleep(Duration::from_millis(left)).await;
    let mut saw = Saw {
        requests: BTreeMap::new(),
        grants: BTreeSet::new(),
    };
    for prize in &prizes {
        let id = prize.request.id;
        let now = gate.desk().request(id).await.unwrap().unwrap();
        // Who waits hears the same, at once.
        assert_eq!(gate.desk().moved(id, 0).await.unwrap().as_ref(), Some(&now));
        saw.requests.insert(id.to_string(), now);
    }
    let grants = gate.desk().grants().await.unwrap();
    saw.grants = grants.iter().map(|grant| grant.id.to_string()).collect();
    fs::write(root.join(format!("saw-{who}")), serde_json::to_vec(&saw).unwrap()).unwrap();
}

async fn attack(desk: &Desk, prize: &Prize, number: usize) {
    let request = &prize.request;
    let id: RequestId = request.id;
    let kind = match (prize.by, number % 10) {
        (By::Anything, kind) => kind,
        (By::Deadline, kind) if kind < 5 => kind % 2,
        (By::Deadline, _) => 7,
        (By::Votes, kind) => kind % 2,
        (By::Operators, kind) => 8 + kind % 4,
    };
    let who = format!("p{}", number / 2 % PERSONS);
    let vote = async |answer| match desk.vote(id, &ballot(&who, request, answer)).await {
        Ok(_) | Err(VoteError::Refused(_) | VoteError::Busy | VoteError::Locked(_)) => {}
        Err(error) => panic!("{error}"),
    };
    match kind {
        0 | 2 | 4 | 5 => vote(Answer::Once).await,
        1 | 3 => vote(window(3)).await,
        6 => vote(Answer::Deny).await,
        7 => drop(desk.expire(id).await.unwrap()),
        8 | 9 => drop(desk.cancel(id, "nobody needs it").await.unwrap()),
        10 => {
            let ended = desk.revoke(Which::Request(id), text("no"), word("bob")).await;
            drop(ended.unwrap());
        }
        _ => {
            let target = Target::Session(request.path.session().clone());
            let _ = desk.lock(target, text("stop"), word("carol")).await.unwrap();
        }
    }
}

#[test]
fn of_two_hundred_who_end_a_request_at_once_in_three_processes_one_does() {
    let scratch = Scratch::new();
    let root = scratch.path();
    let children = runtime().block_on(async {
        let store = SqliteStore::open(database(root)).await.unwrap();
        let gate = house::gate(root, store, DEADLINE, None::<Terminal>).await;
        let mut prizes = Vec::new();
        for (number, (by, before, lasts)) in [
            // Enough that the children are up.
            (By::Votes, 6_500, 40),
            (By::Anything, 5_000, 40),
            (By::Operators, 3_500, 100),
            (By::Deadline, 60, 80),
            (By::Deadline, 2, 10),
        ]
        .into_iter()
        .enumerate()
        {
            let request = ask(&gate, root, number).await;
            prizes.push(Prize {
                request,
                before,
                lasts,
                by,
            });
        }
        fs::write(root.join("prizes"), serde_json::to_vec(&prizes).unwrap()).unwrap();
        drop(gate);
        let child = |who: usize| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "race::rival", "--ignored"])
                .env(ROOT, root)
                .env(WHO, who.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (1..PROCESSES).map(child).collect();
        fall_upon(root, 0).await;
        children
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let saw = |who: usize| -> Saw {
        let text = fs::read(root.join(format!("saw-{who}"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let first = saw(0);
    for who in 1..PROCESSES {
        assert_eq!(saw(who), first);
    }
    // `read` holds that no request has two grants, and that none was given but for an approved one.
    let left = Left::read(root);
    assert_eq!(left.requests, first.requests);
    let report = verify(house::audit(root), &VerifyOptions::default()).unwrap();
    assert_ne!(report.state(), audit::State::Tampered, "{report:#?}");
    let mut settled: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in Timeline::open(house::audit(root)).unwrap() {
        let record = record.unwrap();
        if record.kind() == Some(Kind::RequestSettled) {
            let json = record.json();
            let request = json["request"].as_str().unwrap().to_owned();
            settled.entry(request).or_default().push(json["state"].to_string());
        }
    }
    let mut ends = Vec::new();
    for (id, request) in &first.requests {
        assert!(request.state.is_final(), "{request:?}");
        assert_eq!(settled[id], [format!("\"{}\"", request.state)], "{id}");
        ends.push(request.state.as_str());
    }
    assert!(matches!(
        first.requests.values().next().unwrap().state,
        State::Approved { .. }
    ));
    println!("{ends:?} after {} tries each", TRIES);
}

/// Has a session of its own ask something.
async fn ask(gate: &Gate, root: &Path, number: usize) -> Request {
    let session = session(gate, root, &format!("s-{number}"));
    let Verdict::Ask(escalation) = deploy(&session, &format!("k-{number}"), "prod").check().await else {
        panic!("nothing asks")
    };
    escalation.open().await.unwrap().request().clone()
}

async fn in_between(root: &Path) {
    let store = SqliteStore::open(database(root)).await.unwrap();
    let gate = house::gate(root, store, DEADLINE, None::<Terminal>).await;
    let first = gate.desk().pending().await.unwrap().remove(0);
    gate.desk().cancel(first.id, "nobody needs it").await.unwrap();
    ask(&gate, root, 1).await;
}

/// What comes between an operator's word and its lock: somebody withdraws what is asked, and something else is asked.
#[test]
fn a_lock_records_the_end_of_what_it_ended_and_of_nothing_else() {
    let scratch = Scratch::new();
    let root = scratch.path().to_owned();
    runtime().block_on(async {
        let store = Arc::new(SqliteStore::open(database(&root)).await.unwrap());
        let hook = move |operation: &str, when: When| {
            if (operation, when) == ("lock", When::Before) {
                let root = root.clone();
                let other = std::thread::spawn(move || runtime().block_on(in_between(&root)));
                other.join().unwrap();
            }
            Ok(())
        };
        let gate = house::gate(scratch.path(), Hooked::new(store, hook), DEADLINE, None::<Terminal>).await;
        ask(&gate, scratch.path(), 0).await;
        gate.lock(Target::All, text("stop"), word("bob")).await.unwrap();
    });
    let left = Left::read(scratch.path());
    assert_eq!(left.requests.len(), 2);
    for (id, request) in &left.requests {
        assert!(matches!(request.state, State::Cancelled { .. }), "{request:?}");
        assert!(left.has("request.settled", id), "{request:?}");
    }
}
