//! One approval from question to outcome, killed at every change to a file that it makes: each page of the database, each
//! record, each card. Two processes share it, one that asks and waits and one that votes, and each is killed in turn while the
//! other lives.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glassbreak_core::approval::{Answer, Request, State};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::gate::{AnyPermit, Denied, Gate, Permit, ToolCall};
use glassbreak_core::notify::{Notifier, NotifyError, Terminal};
use glassbreak_sqlite::SqliteStore;

use crate::common::{Scratch, deadly};
use crate::house::{self, ROOT, audit, ballot, bundle, database, deploy, key_of, lines, runtime, session, take_effect};
use crate::left::Left;
use crate::rounds::take_up;

/// How many rounds each of the two gets unless `GLASSBREAK_CHANGES` says otherwise.
const ROUNDS: u64 = 24;
/// Before a change, at half of it, after it.
const HOWS: u64 = 3;
/// A prime, so that few rounds take some of each part of a life.
const STRIDE: u64 = 7_919;
const KEY: &str = "k-web-1";
const PATIENCE: Duration = Duration::from_secs(30);

/// A card on paper: what is drawn on it is one change to a file.
#[derive(Debug)]
struct Paper(PathBuf);

#[async_trait]
impl Notifier for Paper {
    fn name(&self) -> &str {
        "paper"
    }

    async fn deliver(&self, request: &Request, _: &Desk) -> Result<(), NotifyError> {
        self.draw(request)
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        self.draw(request)
    }
}

impl Paper {
    fn draw(&self, request: &Request) -> Result<(), NotifyError> {
        let drawn = fs::write(self.0.join("card"), request.state.as_str());
        drawn.map_err(|error| NotifyError::new("paper", error.to_string()))
    }
}

fn tool(permit: AnyPermit) -> Permit<ToolCall> {
    match permit {
        AnyPermit::Tool(permit) => permit,
        AnyPermit::Exec(permit) => panic!("{permit:?}"),
    }
}

async fn run(root: &Path, permit: Permit<ToolCall>) {
    let ran = permit.run(async |plan| {
        take_effect(root, &key_of(plan), || ());
        Ok::<_, Denied>(())
    });
    ran.await.unwrap();
}

/// Not a test: the process that asks, waits, runs and settles.
#[test]
#[ignore = "runs as a child of another test"]
fn asker() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    runtime().block_on(async {
        let store = SqliteStore::open(database(&root)).await.unwrap();
        let gate = house::gate(&root, store, "5m", Some(Paper(root.clone()))).await;
        let session = session(&gate, &root, "s-window");
        let permit = deploy(&session, KEY, "test").authorize().await.unwrap();
        run(&root, permit).await;
        // The card follows by itself, and a host that ends first leaves it as it was.
        while fs::read_to_string(root.join("card")).unwrap_or_default() != "approved" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

/// Not a test: the process that votes, and says what came of it.
#[test]
#[ignore = "runs as a child of another test"]
fn voter() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    runtime().block_on(async {
        let desk = desk(&root).await;
        let request = desk.pending().await.unwrap().pop().unwrap();
        desk.vote(request.id, &ballot("bob", &request, house::window(3)))
            .await
            .unwrap();
        println!("\n#voted");
    });
}

async fn desk(root: &Path) -> Desk {
    let store = SqliteStore::open(database(root)).await.unwrap();
    Desk::new(
        Arc::new(bundle("5m")),
        Arc::new(store),
        AuditLog::open(audit(root)).unwrap(),
    )
}

fn child(who: &str, root: &Path, library: &Path, kill: Option<(u64, u64)>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("changes::{who}"), "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env("LD_PRELOAD", library)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some((at, how)) = kill {
        command.env("GLASSBREAK_KILL", format!("{at} {how} 0"));
    }
    command.spawn().unwrap()
}

/// What a child said, and how many changes it made where it came to its end.
fn ended(child: Child) -> (String, Option<u64>) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let killed = output.status.signal() == Some(9);
    assert!(
        output.status.success() || killed,
        "{:?}: {said} {errors}",
        output.status
    );
    let changes = said
        .lines()
        .find_map(|line| line.strip_prefix("#changes ")?.parse().ok());
    assert_eq!(changes.is_none(), killed, "{said}");
    (said, changes)
}

/// The process that asks is killed; who is there votes as soon as something is asked. Whether it came to its end.
fn asks(library: &Path, kill: Option<(u64, u64)>, round: u64) -> Option<u64> {
    let scratch = Scratch::new();
    let root = scratch.path();
    fs::create_dir_all(root.join("work")).unwrap();
    let runtime = runtime();
    let mut asker = child("asker", root, library, kill);
    let begun = Instant::now();
    let answer = if round.is_multiple_of(2) {
        Answer::Once
    } else {
        house::window(3)
    };
    let voted = runtime.block_on(async {
        // Whoever votes looks in from time to time, and does not live in the store.
        while asker.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it neither asks nor ends");
            let asked = match database(root).exists() {
                true => pending(root).await,
                false => None,
            };
            if let Some(request) = asked {
                let desk = desk(root).await;
                let voted = desk.vote(request.id, &ballot("bob", &request, answer.clone())).await;
                return Some((request, voted.unwrap()));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        None
    });
    let (_, changes) = ended(asker);
    // A line that was cut in half is the tool's own matter, and no effect.
    let effects = root.join("effects");
    if fs::read_to_string(&effects).is_ok_and(|text| !text.ends_with('\n')) {
        fs::remove_file(&effects).unwrap();
    }
    let left = Left::read(root);
    if let Some((request, after)) = &voted {
        // A vote that returned is so, whatever became of who asked.
        assert!(matches!(after.state, State::Approved { .. }));
        assert_eq!(left.requests[&request.id.to_string()], *after);
    }
    if changes.is_some() {
        assert_eq!(left.effects, [KEY]);
        assert_eq!(fs::read_to_string(root.join("card")).unwrap(), "approved");
    }
    // Whoever comes after finds what some order of events gives, and goes on from there.
    runtime.block_on(take_up(root, round));
    let after = Left::read(root);
    assert!(lines(&root.join("effects")).len() <= 1, "it ran twice");
    assert!(after.requests.values().all(|request| request.state.is_final()));
    changes
}

/// The one open request, if there is any; a store that is only being made has none.
async fn pending(root: &Path) -> Option<Request> {
    let store = SqliteStore::look(database(root)).await.ok()?;
    let mut pending = glassbreak_core::store::Requests::pending(&store).await.ok()?;
    pending.pop()
}

/// The process that votes is killed, while another one waits for the answer. Whether it came to its end.
fn votes(library: &Path, kill: Option<(u64, u64)>, _: u64) -> Option<u64> {
    let scratch = Scratch::new();
    let root = scratch.path();
    let runtime = runtime();
    let changes = runtime.block_on(async {
        let store = SqliteStore::open(database(root)).await.unwrap();
        let gate: Gate = house::gate(root, store, "5m", None::<Terminal>).await;
        let session = session(&gate, root, "s-window");
        let call = deploy(&session, KEY, "test").check().await;
        let glassbreak_core::gate::Verdict::Ask(escalation) = call else {
            panic!("{call:?}")
        };
        let waiting = escalation.open().await.unwrap();
        let request = waiting.request().clone();
        let waits = tokio::spawn(waiting.wait());
        let voter = child("voter", root, library, kill);
        let (said, changes) = tokio::task::spawn_blocking(|| ended(voter)).await.unwrap();
        let now = gate.desk().request(request.id).await.unwrap().unwrap();
        let approved = matches!(now.state, State::Approved { .. });
        assert!(approved || now == request, "neither before nor after the vote: {now:?}");
        assert!(approved || !said.contains("#voted"), "acknowledged, and not so");
        drop(Left::read(root));
        if !approved {
            assert!(!waits.is_finished(), "nobody has agreed");
            // The same person says it again, or another one does: it counts once.
            let again = gate
                .desk()
                .vote(request.id, &ballot("bob", &request, Answer::Once))
                .await;
            assert!(matches!(again.unwrap().state, State::Approved { .. }));
        }
        let late = gate
            .desk()
            .vote(request.id, &ballot("carol", &request, Answer::Deny))
            .await;
        assert!(
            matches!(&late, Err(VoteError::Refused(why)) if why.code() == "settled"),
            "{late:?}"
        );
        let permit = tokio::time::timeout(PATIENCE, waits)
            .await
            .expect("it waits on")
            .unwrap();
        run(root, tool(permit.unwrap())).await;
        changes
    });
    drop(runtime);
    // One vote, one grant, one effect, and each on record: `read` holds them to it.
    let left = Left::read(root);
    assert_eq!((left.effects.len(), left.grants.len(), left.requests.len()), (1, 1, 1));
    changes
}

/// Takes every change of a life in turn, or some of them.
fn at_every_change(who: &str, live: impl Fn(&Path, Option<(u64, u64)>, u64) -> Option<u64> + Sync) {
    let folder = Scratch::new();
    let library = deadly(folder.path());
    let begun = Instant::now();
    let whole = live(&library, None, 0).unwrap();
    assert!(whole > 10, "only {whole} changes: the library does not see them");
    // A few more than there were: how many there are differs from life to life.
    let changes = whole + whole / 10;
    let rounds = match std::env::var("GLASSBREAK_CHANGES").as_deref() {
        Ok("all") => changes * HOWS,
        Ok(rounds) => rounds.parse().unwrap(),
        Err(_) => ROUNDS,
    };
    let (next, killed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let round = next.fetch_add(1, Ordering::SeqCst);
                if round >= rounds {
                    break;
                }
                let at = 1 + round * STRIDE % changes;
                let how = (at + round / changes) % HOWS;
                let said = Said(format!("{who}: at change {at}, {how}"));
                if live(&library, Some((at, how)), round).is_none() {
                    killed.fetch_add(1, Ordering::SeqCst);
                }
                drop(said);
            }
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        for worker in workers {
            assert!(worker.join().is_ok(), "a round failed: see above");
        }
    });
    let killed = killed.into_inner();
    let took = begun.elapsed().as_secs_f64();
    println!("{who}: {killed} killed of {rounds}, over {changes} changes to files, in {took:.0} s");
    assert!(killed > rounds / 2, "hardly any was killed");
}

/// Says in which round it was, where a check fails.
struct Said(String);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

#[test]
fn whoever_asks_is_killed_at_any_change_and_the_call_runs_once_or_not() {
    at_every_change("who asks", asks);
}

#[test]
fn whoever_votes_is_killed_at_any_change_and_the_vote_counts_or_does_not() {
    at_every_change("who votes", votes);
}
