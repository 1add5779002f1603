//! After the glass: whoever wants to know is told when a grant has ended, and what was done under it.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::Answer;
use glassbreak_core::audit::{AuditLog, Performed};
use glassbreak_core::clock::Span;
use glassbreak_core::gate::{AfterGlass, Closed, Denied, Ending, Gate, Session};
use glassbreak_core::store::{MemoryStore, Which};

use crate::support::{bundle_of, deploy, files, passes, text, window, word};

/// Remembers what it was told; fails or hangs as often as it is told to.
#[derive(Debug, Clone, Default)]
struct Told {
    all: Arc<Mutex<Vec<Closed>>>,
    called: Arc<AtomicU32>,
    fails: u32,
    hangs: u32,
}

#[async_trait]
impl AfterGlass for Told {
    async fn closed(&self, closed: &Closed) -> Result<(), Box<dyn Error + Send + Sync>> {
        let call = self.called.fetch_add(1, Ordering::SeqCst);
        if call < self.fails {
            return Err("the disk\u{1b}[2J is full".into());
        }
        if call < self.fails + self.hangs {
            std::future::pending::<()>().await;
        }
        self.all.lock().unwrap().push(closed.clone());
        Ok(())
    }
}

impl Told {
    fn all(&self) -> Vec<Closed> {
        self.all.lock().unwrap().clone()
    }

    /// What it was told, once there are so many.
    async fn after(&self, count: usize) -> Vec<Closed> {
        for _ in 0..2_000 {
            let all = self.all();
            if all.len() >= count {
                return all;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("told of {} in 20 seconds, and not of {count}", self.all().len())
    }
}

/// What goes wrong in a body.
#[derive(Debug)]
enum Own {
    Broke,
    Denied,
}

impl From<Denied> for Own {
    fn from(_: Denied) -> Self {
        Self::Denied
    }
}

struct Town {
    root: std::path::PathBuf,
    store: MemoryStore,
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl Town {
    fn new() -> Self {
        static TOWNS: AtomicU32 = AtomicU32::new(0);
        let count = TOWNS.fetch_add(1, Ordering::SeqCst);
        let root = std::env::temp_dir().join(format!("glassbreak-closed-{}-{count}", std::process::id()));
        std::fs::create_dir_all(root.join("work")).unwrap();
        Self {
            root,
            store: MemoryStore::new(),
        }
    }

    /// A process over the same store, with its log in this folder.
    async fn gate(&self, log: &str, hook: &Told) -> Gate {
        Gate::builder(bundle_of(&files()))
            .store(self.store.clone())
            .answered_elsewhere()
            .audit(AuditLog::open(self.root.join(log)).unwrap())
            .after_glass(hook.clone())
            .after_glass_time(Duration::from_millis(300))
            .build()
            .await
            .unwrap()
    }

    fn session(&self, gate: &Gate) -> Session {
        let mut actor = glassbreak_core::call::Actor::new(word("ops"), word("s-1"));
        actor.on_behalf_of = Some(word("alice"));
        gate.session(actor).workspace(self.root.join("work")).unwrap()
    }

    /// Has a window or one call opened, and uses it `uses` times; the last permit is left where `keep` says so.
    async fn open(&self, gate: &Gate, session: &Session, answer: Answer, uses: usize) {
        let verdict = deploy(session, "web", "test").check().await;
        let glassbreak_core::gate::Verdict::Ask(escalation) = verdict else {
            panic!("{verdict:?}")
        };
        let request = escalation.open().await.unwrap().request().clone();
        let ballot = crate::support::ballot("sso:bob", &request, answer);
        gate.desk().vote(request.id, &ballot).await.unwrap();
        for n in 0..uses {
            let Some(glassbreak_core::gate::AnyPermit::Tool(permit)) =
                passes(deploy(session, "web", "test").check().await)
            else {
                panic!("it does not pass")
            };
            let ran = permit.run(async |_| if n == 1 { Err(Own::Broke) } else { Ok(()) });
            let _ = ran.await;
        }
    }

    fn kinds(&self, log: &str) -> Vec<String> {
        kinds(&self.root.join(log))
    }
}

fn kinds(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let chain = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        all.extend(chain.lines().map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["kind"].as_str().unwrap().to_owned()
        }));
    }
    all
}

fn seconds(seconds: u64, uses: u32) -> Answer {
    Answer::Window {
        span: Span::from_millis(seconds * 1_000),
        uses,
        pins: Vec::new(),
    }
}

#[tokio::test]
async fn used_up_it_is_told_with_what_was_done() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 2), 2).await;
    let closed = told.after(1).await.remove(0);
    assert_eq!((&closed.ending, closed.grant.uses), (&Ending::UsedUp, 2));
    assert!(closed.is_all());
    let outcomes: Vec<_> = closed.calls.iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Some(Performed::Done), Some(Performed::Failed)]);
    for call in &closed.calls {
        assert_eq!(&*call.what, "deploy {\"env\":\"test\",\"service\":\"web\"}");
        assert!(call.digest.is_some());
    }
    assert!(town.kinds("audit").contains(&"grant.closed".to_owned()));
    // Once, also when another looks.
    let again = Told::default();
    let other = town.gate("audit", &again).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(again.all().is_empty());
    assert_eq!(told.all().len(), 1);
    drop((gate, other));
}

#[tokio::test]
async fn over_by_its_time_it_is_told_also_where_nothing_was_done() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    town.open(&gate, &session, seconds(1, 5), 0).await;
    let closed = told.after(1).await.remove(0);
    assert_eq!((closed.ending, closed.calls.len()), (Ending::Expired, 0));
}

#[tokio::test]
async fn revoked_by_another_process_it_is_told_and_what_runs_is_waited_for() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 5), 1).await;
    let Some(glassbreak_core::gate::AnyPermit::Tool(permit)) = passes(deploy(&session, "web", "test").check().await)
    else {
        panic!("it does not pass")
    };
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(permit.run(async move |_| {
        let _ = wait.await;
        Ok::<_, Denied>(())
    }));
    tokio::time::sleep(Duration::from_millis(100)).await;
    // A process of operators, with a log of its own and without a hook.
    let desk = glassbreak_core::desk::Desk::new(
        Arc::new(bundle_of(&files())),
        Arc::new(town.store.clone()),
        AuditLog::open(town.root.join("desk")).unwrap(),
    );
    let all = Which::Under(glassbreak_core::lock::Target::All);
    desk.revoke(all, text("enough"), word("bob")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(told.all().is_empty(), "the call still runs");
    go.send(()).unwrap();
    running.await.unwrap().unwrap();
    let closed = told.after(1).await.remove(0);
    assert_eq!(closed.ending, Ending::Revoked { by: word("bob") });
    assert_eq!(closed.calls.len(), 2);
    assert!(closed.calls.iter().all(|call| call.outcome == Some(Performed::Done)));
}

#[tokio::test]
async fn under_a_lock_on_everything_nothing_is_told_until_it_is_lifted() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 5), 1).await;
    let all = || glassbreak_core::lock::Target::All;
    gate.lock(all(), text("stop"), word("bob")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(told.all().is_empty());
    let lifted = gate.unlock(all(), text("go on"), word("carol")).await;
    assert!(lifted.is_ok(), "{lifted:?}");
    let closed = told.after(1).await.remove(0);
    assert!(matches!(closed.ending, Ending::Revoked { .. }), "{:?}", closed.ending);
    assert_eq!(closed.calls.len(), 1);
}

#[tokio::test]
async fn what_closed_while_nobody_was_there_is_told_at_the_next_start() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    // One that ends while it is away, and one that still stands when it is back.
    town.open(&gate, &session, seconds(1, 5), 1).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    town.open(&gate, &session, seconds(4, 5), 2).await;
    drop((session, gate));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = told.all().len();
    let back = Told::default();
    let _gate = town.gate("audit", &back).await;
    let mut all = back.after(2 - before).await;
    all.extend(told.all());
    all.sort_by_key(|closed| closed.grant.id);
    let counts: Vec<_> = all.iter().map(|closed| closed.calls.len()).collect();
    assert_eq!(counts, [1, 2]);
    assert!(
        all.iter()
            .all(|closed| closed.ending == Ending::Expired && closed.is_all())
    );
}

#[tokio::test]
async fn of_several_processes_one_tells() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town.gate("audit", &told).await;
    let others = [town.gate("audit", &told).await, town.gate("audit", &told).await];
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 1), 1).await;
    told.after(1).await;
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    assert_eq!(told.called.load(Ordering::SeqCst), 1);
    drop(others);
}

#[tokio::test]
async fn a_hook_that_fails_or_hangs_is_told_again_and_recorded_and_holds_nothing_up() {
    let town = Town::new();
    let told = Told {
        fails: 1,
        hangs: 1,
        ..Told::default()
    };
    let gate = town.gate("audit", &told).await;
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 1), 1).await;
    while told.called.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // It hangs now, and calls pass as ever.
    let begun = std::time::Instant::now();
    let verdict = deploy(&session, "web", "test").check().await;
    assert!(matches!(verdict, glassbreak_core::gate::Verdict::Ask(_)));
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
    told.after(1).await;
    assert_eq!(told.called.load(Ordering::SeqCst), 3);
    let kinds = town.kinds("audit");
    assert_eq!(kinds.iter().filter(|kind| *kind == "hook.failed").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| *kind == "grant.closed").count(), 1);
}

#[tokio::test]
async fn a_hook_that_never_takes_it_is_told_again_by_the_next_gate() {
    let town = Town::new();
    let broken = Told {
        fails: u32::MAX,
        ..Told::default()
    };
    let gate = town.gate("audit", &broken).await;
    let session = town.session(&gate);
    town.open(&gate, &session, window(5, 1), 1).await;
    while broken.called.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop((session, gate));
    let told = Told::default();
    let _gate = town.gate("audit", &told).await;
    let closed = told.after(1).await.remove(0);
    assert_eq!((closed.ending, closed.calls.len()), (Ending::UsedUp, 1));
    assert_eq!(broken.called.load(Ordering::SeqCst), 3, "three times, and no more");
}

#[tokio::test]
async fn a_call_recorded_elsewhere_is_missed_and_said_to_be() {
    let (town, told) = (Town::new(), Told::default());
    let gate = town
        .gate(
            "audit",
            &Told {
                fails: u32::MAX,
                ..Told::default()
            },
        )
        .await;
    let session = town.session(&gate);
    town.open(&gate, &session, seconds(2, 5), 1).await;
    // Built while the grant stands, and with a log that knows nothing of it.
    let elsewhere = town.gate("elsewhere", &told).await;
    drop((session, gate));
    let closed = told.after(1).await.remove(0);
    assert!(!closed.is_all());
    assert_eq!((closed.grant.uses, closed.calls.len()), (1, 0));
    drop(elsewhere);
}
