//! The process that is killed: what it does, and what it was told that it did.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use glassbreak_core::approval::{Answer, Request};
use glassbreak_core::gate::{AnyPermit, Denied, Gate, PendingTool, Permit, Session, ToolCall, Verdict, Waiting};
use glassbreak_core::lock::Target;
use glassbreak_core::notify::Terminal;
use glassbreak_core::store::{Unlocked, Which};
use glassbreak_sqlite::SqliteStore;
use glassbreak_testkit::store::Hooked;
use serde::{Deserialize, Serialize};

use crate::house::{
    self, ROOT, ballot, database, deploy, key_of, restart, runtime, session, take_effect, text, window, word,
};

pub(crate) const POINT: &str = "GLASSBREAK_TEST_CRASH_POINT";
pub(crate) const DEADLINE: &str = "GLASSBREAK_TEST_CRASH_DEADLINE";
pub(crate) const AT_ONCE: &str = "GLASSBREAK_TEST_CRASH_AT_ONCE";

/// What the story was told, on disk before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// This call waits for people.
    Ticket(String, String),
    /// This vote returned: on which request, whose, and the version after it.
    Voted(String, String, u32),
    /// This call has a permit.
    Permit(String),
    /// This call's body returned, and its outcome is told to the store.
    Ran(String),
    /// This permit was given back.
    Forgone(String),
    /// These grants are revoked.
    Revoked(Vec<String>),
    /// The tool `deploy` is locked.
    Locked,
    /// It is about to be lifted.
    Unlocking,
    /// The lock is lifted.
    Unlocked,
    /// This is how many points there were.
    Whole(u64),
}

/// Where the process may end: it counts, and ends at one of them.
#[derive(Debug)]
struct Points {
    passed: AtomicU64,
    last: u64,
}

impl Points {
    fn step(&self) {
        if self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.last {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Teller {
    root: Arc<Path>,
    gate: Gate,
    points: Arc<Points>,
}

/// Not a test: the process that the rounds kill.
#[test]
#[ignore = "runs as a child of another test"]
fn victim() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    let last = std::env::var(POINT).unwrap().parse().unwrap();
    let deadline = std::env::var(DEADLINE).unwrap();
    let points = Arc::new(Points {
        passed: AtomicU64::new(0),
        last,
    });
    runtime().block_on(async {
        let store = Arc::new(SqliteStore::open(database(&root)).await.unwrap());
        let hook = Arc::clone(&points);
        let store = Hooked::new(store, move |operation, _| {
            // What goes on in the background comes when it likes, and only reads.
            if !["changed", "moved", "locks"].contains(&operation) {
                hook.step();
            }
            Ok(())
        });
        let gate = house::gate(&root, store, &deadline, None::<Terminal>).await;
        // On a line of its own: the harness has begun one.
        println!("\nready");
        std::io::stdout().flush().unwrap();
        let teller = Teller {
            root: root.into(),
            gate,
            points: Arc::clone(&points),
        };
        let at_once = std::env::var_os(AT_ONCE).is_some();
        teller.story(at_once).await;
        teller.told(&Told::Whole(points.passed.load(Ordering::SeqCst)));
    });
}

impl Teller {
    async fn story(&self, at_once: bool) {
        if at_once {
            tokio::join!(self.a_window(), self.two_persons(), self.a_budget());
        } else {
            self.a_window().await;
            self.two_persons().await;
            self.a_budget().await;
        }
        self.the_kill_switch().await;
    }

    async fn a_window(&self) {
        let session = self.session("s-window");
        let first = self.ask(deploy(&session, "k-web-1", "test"), "k-web-1").await;
        let request = first.request().clone();
        self.vote("bob", &request, window(3)).await;
        self.run(first.wait().await.map(tool).unwrap(), Ok(())).await;
        let second = deploy(&session, "k-web-2", "test").authorize().await.unwrap();
        self.run(second, Ok(())).await;
        let third = deploy(&session, "k-web-3", "test").authorize().await.unwrap();
        self.told(&Told::Permit("k-web-3".to_owned()));
        third.forgo().await;
        self.told(&Told::Forgone("k-web-3".to_owned()));

        let other = self.ask(deploy(&session, "k-lab-1", "lab"), "k-lab-1").await;
        self.vote("bob", other.request(), window(9)).await;
        self.run(other.wait().await.map(tool).unwrap(), Ok(())).await;
        let grant = self.gate.desk().grants().await.unwrap();
        let grant = grant
            .iter()
            .find(|grant| grant.path.session().as_str() == "s-window" && grant.max_uses == 9)
            .unwrap();
        let which = Which::Grant(grant.id);
        let ended = self.gate.desk().revoke(which, text("enough"), word("bob")).await;
        let ended = ended.unwrap().grants.iter().map(ToString::to_string).collect();
        self.told(&Told::Revoked(ended));
        // It is not lifted any more, and stays open.
        drop(self.ask(deploy(&session, "k-lab-2", "lab"), "k-lab-2").await);
    }

    async fn two_persons(&self) {
        let session = self.session("s-two");
        let both = self.ask(deploy(&session, "k-db-1", "prod"), "k-db-1").await;
        let request = both.request().clone();
        self.vote("bob", &request, Answer::Once).await;
        self.vote("carol", &request, Answer::Once).await;
        self.run(both.wait().await.map(tool).unwrap(), Err(Broke::Failed)).await;
        let refused = self.ask(deploy(&session, "k-db-2", "prod"), "k-db-2").await;
        self.vote("bob", refused.request(), Answer::Once).await;
        self.vote("carol", refused.request(), Answer::Deny).await;
        assert!(refused.wait().await.is_err());
        // One of two, and it stays open.
        let half = self.ask(deploy(&session, "k-db-3", "prod"), "k-db-3").await;
        self.vote("bob", half.request(), Answer::Once).await;
    }

    async fn a_budget(&self) {
        let session = self.session("s-budget");
        let first = restart(&session, "k-up-1").authorize().await.unwrap();
        self.run(first, Ok(())).await;
        let second = restart(&session, "k-up-2").authorize().await.unwrap();
        self.told(&Told::Permit("k-up-2".to_owned()));
        second.forgo().await;
        self.told(&Told::Forgone("k-up-2".to_owned()));
        let third = restart(&session, "k-up-3").authorize().await.unwrap();
        self.run(third, Ok(())).await;
        let past = self.ask(restart(&session, "k-up-4"), "k-up-4").await;
        self.vote("carol", past.request(), Answer::Once).await;
        self.run(past.wait().await.map(tool).unwrap(), Ok(())).await;
        drop(self.ask(restart(&session, "k-up-5"), "k-up-5").await);
    }

    async fn the_kill_switch(&self) {
        let session = self.session("s-last");
        let target = Target::Tool(word("deploy"));
        self.gate.lock(target.clone(), text("stop"), word("bob")).await.unwrap();
        self.told(&Told::Locked);
        let stopped = deploy(&session, "k-last-1", "test").check().await;
        assert!(matches!(stopped, Verdict::Deny(_)), "{stopped:?}");
        self.told(&Told::Unlocking);
        let lifted = self.gate.unlock(target, text("go on"), word("carol")).await.unwrap();
        assert!(matches!(lifted, Unlocked::Lifted { .. }));
        self.told(&Told::Unlocked);
        drop(self.ask(deploy(&session, "k-last-2", "test"), "k-last-2").await);
    }

    fn session(&self, name: &str) -> Session {
        session(&self.gate, &self.root, name)
    }

    /// What it is told is on disk; before and after that it may end.
    fn told(&self, told: &Told) {
        self.points.step();
        tell(&self.root, told);
    }

    async fn ask(&self, call: PendingTool, key: &str) -> Waiting {
        let Verdict::Ask(escalation) = call.check().await else {
            panic!("{key} does not ask")
        };
        // Recorded as asked, and nobody asked.
        self.points.step();
        let waiting = escalation.open().await.unwrap();
        self.told(&Told::Ticket(key.to_owned(), waiting.ticket().to_string()));
        waiting
    }

    async fn vote(&self, who: &str, request: &Request, answer: Answer) {
        let ballot = ballot(who, request, answer);
        let after = self.gate.desk().vote(request.id, &ballot).await.unwrap();
        self.told(&Told::Voted(after.id.to_string(), who.to_owned(), after.version));
    }

    async fn run(&self, permit: Permit<ToolCall>, ends: Result<(), Broke>) {
        let key = permit.run(async |plan| -> Result<String, Broke> {
            let key = key_of(plan);
            self.told(&Told::Permit(key.clone()));
            self.points.step();
            take_effect(&self.root, &key, || self.points.step());
            self.points.step();
            ends.map(|()| key)
        });
        match key.await {
            Ok(key) => self.told(&Told::Ran(key)),
            Err(Broke::Failed) => {}
            Err(Broke::Refused) => panic!("a permit that was just given is refused"),
        }
    }
}

/// One more thing that somebody was told, on disk.
pub(crate) fn tell(root: &Path, told: &Told) {
    let line = serde_json::to_string(told).unwrap();
    let file = house::append(&root.join("acknowledged"), &format!("{line}\n"));
    file.sync_all().unwrap();
}

/// Why a body did not return well.
#[derive(Debug)]
enum Broke {
    Refused,
    Failed,
}

impl From<Denied> for Broke {
    fn from(_: Denied) -> Self {
        Self::Refused
    }
}

fn tool(permit: AnyPermit) -> Permit<ToolCall> {
    match permit {
        AnyPermit::Tool(permit) => permit,
        AnyPermit::Exec(_) => panic!("a permit for a program"),
    }
}
