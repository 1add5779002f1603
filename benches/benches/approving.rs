//! From a person's vote to the permit of the call that waits for it: in one process over the memory store and over SQLite, and
//! over SQLite with the voter in a process of its own.
//!
//! What the store and the log themselves take for the permit is timed beside it: the same call when a grant already covers it.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench stops where it cannot go on")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use glassbreak_core::approval::{Answer, Ballot, Request};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Word};
use glassbreak_core::clock::Span;
use glassbreak_core::desk::Desk;
use glassbreak_core::gate::{Gate, PendingTool, Session, Verdict};
use glassbreak_core::people::Account;
use glassbreak_core::store::{MemoryStore, Store};
use glassbreak_sqlite::SqliteStore;
use glassbreak_testkit::store::{Hooked, When};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 100;
const ROOT: &str = "GLASSBREAK_BENCH_APPROVING";
const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("asks") @ask("oncall") @window("5m") forbid (principal, action in Action::"call", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
"#;
const TOOLS: &str = "[tools.deploy]\nlabels = [\"mutating\"]\ntarget = { kind = \"service\" }\nschema = { type = \"object\", properties = {} }\n";
const PEOPLE: &str = "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\naccounts = [\"sso:bob\"]\n";
const ROLES: &str = r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if let Some(root) = std::env::var_os(ROOT) {
        return runtime.block_on(vote_elsewhere(Path::new(&root)));
    }
    println!("microseconds, {ROUNDS} rounds each: p50, p95, most");
    runtime.block_on(async {
        let folder = Folder::new("memory");
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        measure("memory, one process", &folder.0, store, false).await;
        let folder = Folder::new("sqlite");
        measure("SQLite, one process", &folder.0, sqlite(&folder.0).await, false).await;
        let folder = Folder::new("two");
        measure("SQLite, two processes", &folder.0, sqlite(&folder.0).await, true).await;
    });
}

/// A folder of its own, gone with the bench.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("glassbreak-approving-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a folder");
        std::fs::create_dir(path.join("work")).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn sqlite(root: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(root.join("store.db")).await.expect("a store"))
}

/// Nanoseconds on the clock that all processes of the machine share.
fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// When something was first seen since it was last cleared; 0 where it was not.
#[derive(Debug, Clone, Default)]
struct Mark(Arc<AtomicI64>);

impl Mark {
    fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    fn set(&self) {
        let _ = self.0.compare_exchange(0, now(), Ordering::SeqCst, Ordering::SeqCst);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A store that marks when a decision is done, and when whoever waits for one is told.
fn marked(store: Arc<dyn Store>, decided: &Mark, told: &Mark) -> Hooked {
    let (decided, told) = (decided.clone(), told.clone());
    Hooked::new(store, move |operation, when| {
        match (operation, when) {
            ("decide", When::After) => decided.set(),
            ("moved", When::After) => told.set(),
            _ => {}
        }
        Ok(())
    })
}

fn word(text: &str) -> Word {
    Word::new(text).expect("a word")
}

fn bundle() -> Bundle {
    let settings = "[requests]\npending = 100\nper_hour = 1000\ncooldown = \"off\"\n";
    let files = [
        ("p.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("people.toml", PEOPLE),
        ("entities.json", ROLES),
        ("glassbreak.toml", settings),
    ];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
    Bundle::from_files(&files).expect("the folder loads")
}

fn ballot(request: &Request, answer: Answer) -> Ballot {
    Ballot {
        account: Account::of_host("sso:bob").expect("an account"),
        answer,
        reason: None,
        card: request.card.digest(),
    }
}

fn deploy(session: &Session) -> PendingTool {
    session.tool(word("deploy"), Args::new())
}

/// Votes on every request whose id it reads, and says when the decision was done and when the vote returned.
async fn vote_elsewhere(root: &Path) {
    let decided = Mark::default();
    let store = marked(sqlite(root).await, &decided, &Mark::default());
    let log = AuditLog::open(root.join("audit")).expect("a log");
    let desk = Desk::new(Arc::new(bundle()), Arc::new(store), log);
    for line in std::io::stdin().lines() {
        let id = line
            .ok()
            .and_then(|line| glassbreak_core::approval::RequestId::from_text(&line).ok());
        let id = id.expect("an id");
        let request = desk.request(id).await.expect("an answer").expect("a request");
        decided.clear();
        desk.vote(id, &ballot(&request, Answer::Once)).await.expect("a vote");
        println!("{} {}", decided.get(), now());
        std::io::stdout().flush().expect("a reader");
    }
}

/// The process that votes.
struct Elsewhere {
    child: Child,
    says: ChildStdin,
    hears: mpsc::Receiver<(i64, i64)>,
}

impl Elsewhere {
    fn start(root: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .env(ROOT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let out = child.stdout.take().expect("a pipe");
        let (tell, hears) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut numbers = line.split(' ').filter_map(|number| number.parse().ok());
                if let (Some(decided), Some(voted)) = (numbers.next(), numbers.next()) {
                    let _ = tell.send((decided, voted));
                }
            }
        });
        let says = child.stdin.take().expect("a pipe");
        Self { child, says, hears }
    }
}

async fn measure(name: &str, root: &Path, store: Arc<dyn Store>, elsewhere: bool) {
    let (decided, told) = (Mark::default(), Mark::default());
    let gate = Gate::builder(bundle())
        .store(marked(store, &decided, &told))
        .audit(AuditLog::open(root.join("audit")).expect("a log"))
        .answered_elsewhere();
    let gate = gate.build().await.expect("a gate");
    let session = gate.session(Actor::new(word("ops"), word("s")));
    let session = session.workspace(root.join("work")).expect("a session");
    let mut voter = elsewhere.then(|| Elsewhere::start(root));
    let (mut until_told, mut until_permit, mut from_vote) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let Verdict::Ask(escalation) = deploy(&session).check().await else {
            panic!("nothing asks")
        };
        let waiting = escalation.open().await.expect("a request");
        let request = waiting.request().clone();
        let waits = tokio::spawn(async move {
            let permit = waiting.wait().await.expect("a permit");
            (now(), permit)
        });
        // At no fixed place of any beat.
        tokio::time::sleep(Duration::from_millis(5 + 13 * round as u64 % 53)).await;
        decided.clear();
        told.clear();
        let (done, voted) = match &mut voter {
            Some(voter) => {
                writeln!(voter.says, "{}", request.id).expect("a reader");
                let hears = &voter.hears;
                tokio::task::block_in_place(|| hears.recv()).expect("an answer")
            }
            None => {
                let ballot = ballot(&request, Answer::Once);
                gate.desk().vote(request.id, &ballot).await.expect("a vote");
                (decided.get(), now())
            }
        };
        let (permitted, permit) = waits.await.expect("a permit");
        until_told.push(told.get() - done);
        until_permit.push(permitted - done);
        from_vote.push(permitted - voted);
        permit.forgo().await;
    }
    let mut by_grant = by_a_grant(&gate, &session).await;
    println!("{name}");
    row(
        "from the decision in the store until whoever waits is told",
        &mut until_told,
    );
    row("from the decision in the store until the permit", &mut until_permit);
    row("from the vote that returned until the permit", &mut from_vote);
    row("the same call by a grant that stands, until the permit", &mut by_grant);
    if let Some(Elsewhere { mut child, says, .. }) = voter {
        drop(says);
        let _ = child.wait();
    }
}

/// What store and log take by themselves: a call that a window lets pass.
async fn by_a_grant(gate: &Gate, session: &Session) -> Vec<i64> {
    let mut took = Vec::new();
    while took.len() < ROUNDS {
        let call = deploy(session);
        let begun = now();
        match call.check().await {
            Verdict::Allow(permit) => {
                took.push(now() - begun);
                permit.forgo().await;
            }
            Verdict::Ask(escalation) => {
                let waiting = escalation.open().await.expect("a request");
                let answer = Answer::Window {
                    span: Span::from_millis(300_000),
                    uses: 50,
                    pins: Vec::new(),
                };
                let ballot = ballot(waiting.request(), answer);
                gate.desk().vote(waiting.request().id, &ballot).await.expect("a vote");
            }
            Verdict::Deny(denial) => panic!("{denial}"),
        }
    }
    took
}

fn row(what: &str, took: &mut [i64]) {
    took.sort_unstable();
    let at = |percent: usize| {
        took.get((took.len() * percent / 100).min(took.len() - 1))
            .copied()
            .unwrap_or(0)
            / 1_000
    };
    println!("  {what:<60} {:>8} {:>8} {:>8}", at(50), at(95), at(100));
}
