//! A policy folder, a store that any number of gates share, and a log.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::{Answer, Ballot, Request, State};
use glassbreak_core::audit::{self, AuditLog, Timeline, VerifyOptions, verify};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, CallDigest, Text, Tool, Word, wire};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::finding::{Denial, RuleId};
use glassbreak_core::gate::{
    AnyPermit, Denied, ExecCall, Gate, GateBuilder, PendingTool, Permit, Session, ToolCall, Verdict, Waiting,
};
use glassbreak_core::lock::LockPath;
use glassbreak_core::notify::{Notifier, NotifyError};
use glassbreak_core::people::Account;
use glassbreak_core::store::{Attempt, Clock, OpId, Reserve, Reserved, SteadyClock, Store, StoreError};
use glassbreak_testkit::store::{Hooked, When};
use serde_json::Value;

use crate::stores::{Kind, Shared};

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("deploy-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource);
@id("show-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"exec:show", resource);
@id("prod-asks-two") @ask("oncall") @quorum("2") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource) when { context.args.env == "prod" };
@id("own-asks") @ask("oncall") @self("allow")
forbid (principal, action == Action::"tool:own", resource);
@id("sign-in-asks") @ask("oncall")
forbid (principal, action == Action::"tool:sign_in", resource);
@id("empty-asks") @ask("nobody")
forbid (principal, action == Action::"tool:empty", resource);
@id("never") forbid (principal, action == Action::"tool:deploy", resource) when { context.args.env == "moon" };
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource)
when { context.request.risk != "high" };
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const SAFE_BINS: &str = r#"
schema = 1
[profiles.show]
root = { verdict = "allow", stdin = true, forms = [{ operands = [{ type = "path", max = 4 }] }] }
env = { pass = ["SHOW_MODE"] }
examples.allow = ["show a"]
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
target = { kind = "service", name = "args.service", namespace = "args.env" }
pin = ["namespace"]
schema = { type = "object", required = ["service", "env"], properties = { service = { type = "string" }, env = { type = "string" } } }
[tools.own]
labels = []
schema = { type = "object", properties = {} }
[tools.empty]
labels = []
schema = { type = "object", properties = {} }
[tools.restart]
labels = ["mutating"]
schema = { type = "object", properties = {} }
[tools.sign_in]
labels = ["mutating"]
schema = { type = "object", required = ["name", "password"], properties = { name = { type = "string" }, password = { type = "string", writeOnly = true } } }
"#;
const PEOPLE: &str = r#"
[groups.oncall]
[groups.nobody]
[persons.alice]
groups = ["oncall"]
accounts = ["sso:alice", "pager:alice"]
[persons.bob]
groups = ["oncall"]
accounts = ["sso:bob", "pager:bob"]
[persons.carol]
groups = ["oncall"]
accounts = ["sso:carol"]
[persons.relay]
groups = ["oncall"]
accounts = ["webhook:first", "webhook:second"]
[persons.dave]
accounts = ["sso:dave"]
[persons.eve]
groups = ["oncall"]
accounts = ["sso:eve"]
disabled = true
"#;

/// A folder with everything in it, as one may change it.
pub(crate) fn files() -> Files {
    [
        ("p.cedar", POLICY),
        ("safe-bins.toml", SAFE_BINS),
        ("tools.toml", TOOLS),
        ("people.toml", PEOPLE),
        ("glassbreak.toml", "[requests]\npending = 100\nper_hour = 1000\n"),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into()))
    .collect()
}

/// The same with another text in one of the files, which must hold the old one.
pub(crate) fn changed(file: &str, from: &str, to: &str) -> Files {
    let mut files = files();
    let text = String::from_utf8(files[file].clone()).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    files
}

/// The same with one more file, or another one in its place.
pub(crate) fn with(file: &str, text: &str) -> Files {
    let mut files = files();
    files.insert(file.to_owned(), text.into());
    files
}

pub(crate) fn bundle(files: &Files) -> Bundle {
    Bundle::from_files(files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Has a gate judge by another folder from now on.
pub(crate) fn reload(gate: &Gate, files: &Files) {
    let bundle = bundle(files);
    let digest = bundle.digest();
    gate.reload(bundle, digest).unwrap();
}

/// A machine's steady clock, which also moves when it is told to.
#[derive(Debug, Default)]
struct Pushed {
    steady: SteadyClock,
    by: AtomicU64,
}

impl Clock for Pushed {
    fn elapsed(&self) -> Span {
        let by = self.by.load(Ordering::SeqCst);
        Span::from_millis(self.steady.elapsed().as_millis() + by)
    }
}

/// One realm: a store, a log, a workspace and a program.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) root: PathBuf,
    pub(crate) kind: Kind,
    shared: Shared,
    clock: Arc<Pushed>,
}

static WORLDS: AtomicUsize = AtomicUsize::new(0);

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("glassbreak-attacks-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        for folder in ["", "work", "work/sub", "bin"] {
            fs::DirBuilder::new().mode(0o700).create(root.join(folder)).unwrap();
        }
        for (name, text) in [("a", "hello\n"), ("b", "other\n"), ("sub/a", "below\n")] {
            fs::write(root.join("work").join(name), text).unwrap();
        }
        fs::copy("/bin/cat", root.join("bin/show")).unwrap();
        let clock = Arc::new(Pushed::default());
        let shared = Shared::new(kind, Arc::clone(&clock) as _);
        Self {
            root,
            kind,
            shared,
            clock,
        }
    }

    /// One more handle on the store.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        self.shared.handle(&self.root).await
    }

    pub(crate) fn log(&self) -> AuditLog {
        AuditLog::open(self.root.join("audit")).unwrap()
    }

    /// One more gate, as another process would build it.
    pub(crate) async fn gate(&self) -> Gate {
        self.gate_of(&files(), |builder| builder).await
    }

    pub(crate) async fn gate_of(&self, files: &Files, more: impl FnOnce(GateBuilder) -> GateBuilder) -> Gate {
        self.gate_over(files, more, |_, _| Ok(())).await
    }

    /// A gate whose store has a hook around every method.
    pub(crate) async fn gate_over(
        &self,
        files: &Files,
        more: impl FnOnce(GateBuilder) -> GateBuilder,
        hook: impl Fn(&'static str, When) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Gate {
        let builder = self.builder(files, hook).await.answered_elsewhere();
        more(builder).build().await.unwrap()
    }

    /// A gate that is still to be built, and has no way to people yet.
    pub(crate) async fn builder(
        &self,
        files: &Files,
        hook: impl Fn(&'static str, When) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> GateBuilder {
        Gate::builder(bundle(files))
            .store(Hooked::new(self.store().await, hook))
            .audit(self.log())
            .program_dir(self.root.join("bin"))
    }

    /// The desk of a process without a gate.
    pub(crate) async fn desk(&self) -> Desk {
        Desk::new(Arc::new(bundle(&files())), self.store().await, self.log())
    }

    /// A session of an agent that acts for alice.
    pub(crate) fn session(&self, gate: &Gate, name: &str) -> Session {
        self.session_of(gate, "ops-7", name)
    }

    pub(crate) fn session_of(&self, gate: &Gate, agent: &str, name: &str) -> Session {
        let mut actor = Actor::new(word("ops"), word(name));
        actor.instance = Some(word(agent));
        actor.on_behalf_of = Some(word("alice"));
        self.session_as(gate, actor)
    }

    pub(crate) fn session_as(&self, gate: &Gate, actor: Actor) -> Session {
        gate.session(actor).workspace(self.root.join("work")).unwrap()
    }

    /// Lets the store's time come to `at`, while the machine's clock stays behind.
    pub(crate) async fn store_comes_to(&self, at: Timestamp) {
        let ahead = at.since(Timestamp::now()).as_millis();
        self.clock.by.fetch_add(ahead, Ordering::SeqCst);
        let reserved = self.store().await.reserve(poke(at)).await.unwrap();
        assert!(matches!(reserved, Reserved::Held(_)), "{reserved:?}");
    }

    /// Lets time go by on the store's steady clock.
    pub(crate) fn pass(&self, millis: u64) {
        self.clock.by.fetch_add(millis, Ordering::SeqCst);
    }

    /// Every record of all chains, in order, once they are seen to hold together.
    pub(crate) fn records(&self) -> Vec<Value> {
        let dir = self.root.join("audit");
        let report = verify(&dir, &VerifyOptions::default()).unwrap();
        assert_ne!(report.state(), audit::State::Tampered, "{report:#?}");
        let records = Timeline::open(&dir).unwrap();
        records
            .map(|record| record.unwrap_or_else(|fault| panic!("{fault}")).json())
            .collect()
    }

    /// Those of one kind.
    pub(crate) fn recorded(&self, kind: &str) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| record["kind"] == kind);
        records
    }

    /// Everything that the log and the store have on disk.
    pub(crate) fn on_disk(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.starts_with(self.root.join("bin")) {
                    all.extend(fs::read(path).unwrap());
                }
            }
        }
        all
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A call of nobody's that counts nothing, at a time.
pub(crate) fn poke(at: Timestamp) -> Reserve {
    let actor = Actor::new(word("poke"), word("poke"));
    let tool = Tool {
        name: word("poke"),
        arguments: Args::new(),
    };
    Reserve {
        op: OpId::mint(at),
        attempt: Attempt::mint(),
        digest: CallDigest::of_tool(&tool),
        path: LockPath::new(&actor, "poke"),
        at,
        lease: Span::from_millis(60_000),
        demands: Vec::new(),
    }
}

/// A way to people that keeps what it was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cards(Arc<Mutex<Vec<(String, State)>>>);

#[async_trait]
impl Notifier for Cards {
    fn name(&self) -> &str {
        "cards"
    }

    async fn deliver(&self, request: &Request, _: &Desk) -> Result<(), NotifyError> {
        self.keep(request);
        Ok(())
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        self.keep(request);
        Ok(())
    }
}

impl Cards {
    fn keep(&self, request: &Request) {
        let card = (request.id.to_string(), request.state.clone());
        self.0.lock().unwrap().push(card);
    }

    /// The requests that were shown.
    pub(crate) fn shown(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// Waits until the last that is told of a request is this.
    pub(crate) async fn comes_to(&self, request: &Request, state: &str) {
        let id = request.id.to_string();
        eventually(|| {
            let cards = self.0.lock().unwrap();
            let last = cards.iter().rev().find(|(card, _)| *card == id);
            last.is_some_and(|(_, last)| last.as_str() == state)
        })
        .await;
    }
}

/// Waits until it is so, which must be soon.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never comes to be so");
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn deploy(session: &Session, service: &str, env: &str) -> PendingTool {
    let arguments = serde_json::json!({ "service": service, "env": env });
    session.tool(word("deploy"), wire::arguments(&arguments).unwrap())
}

/// Has people asked about a call.
pub(crate) async fn ask(verdict: Verdict) -> Waiting {
    match verdict {
        Verdict::Ask(escalation) => escalation.open().await.unwrap(),
        other => panic!("nothing asks: {other:?}"),
    }
}

/// Has people asked about a deployment.
pub(crate) async fn asked(session: &Session, service: &str, env: &str) -> Waiting {
    ask(deploy(session, service, env).check().await).await
}

pub(crate) fn ballot(account: &str, request: &Request, answer: Answer) -> Ballot {
    Ballot {
        account: Account::of_host(account).unwrap(),
        answer,
        reason: None,
        card: request.card.digest(),
    }
}

pub(crate) async fn vote(desk: &Desk, who: &str, request: &Request, answer: Answer) -> Result<Request, VoteError> {
    let ballot = ballot(who, request, answer);
    desk.vote(request.id, &ballot).await
}

/// A yes to this one call, which is taken.
pub(crate) async fn agrees(desk: &Desk, who: &str, request: &Request) -> Request {
    vote(desk, who, request, Answer::Once).await.unwrap()
}

/// The word for why an answer is not taken.
pub(crate) async fn refused(desk: &Desk, who: &str, request: &Request, answer: Answer) -> &'static str {
    match vote(desk, who, request, answer).await {
        Err(VoteError::Refused(why)) => why.code(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn window(millis: u64, uses: u32) -> Answer {
    Answer::Window {
        span: Span::from_millis(millis),
        uses,
        pins: Vec::new(),
    }
}

/// A grant that people have opened for a session's deployments to an environment.
pub(crate) async fn opened(session: &Session, env: &str, answer: Answer) -> glassbreak_core::grant::Grant {
    let waiting = asked(session, "web", env).await;
    let desk = session.gate().desk();
    let request = vote(desk, "sso:bob", waiting.request(), answer).await.unwrap();
    let State::Approved { grant } = request.state else {
        panic!("{:?}", request.state)
    };
    let grants = desk.grants().await.unwrap();
    grants.into_iter().find(|one| one.id == grant).unwrap()
}

/// The permit of a call that passes, by a grant or by itself; `None` where it asks.
pub(crate) fn passes(verdict: Verdict) -> Option<AnyPermit> {
    match verdict {
        Verdict::Allow(permit) => Some(permit),
        Verdict::Ask(_) => None,
        Verdict::Deny(denial) => panic!("denied: {denial}"),
    }
}

pub(crate) fn of_tool(permit: AnyPermit) -> Permit<ToolCall> {
    match permit {
        AnyPermit::Tool(permit) => permit,
        AnyPermit::Exec(permit) => panic!("{permit:?}"),
    }
}

pub(crate) fn of_program(permit: AnyPermit) -> Permit<ExecCall> {
    match permit {
        AnyPermit::Exec(permit) => permit,
        AnyPermit::Tool(permit) => panic!("{permit:?}"),
    }
}

/// Uses a permit, with a body that does nothing.
pub(crate) async fn use_up(permit: AnyPermit) -> Result<(), Denial> {
    let ran = of_tool(permit).run(async |_| Ok::<_, Denied>(())).await;
    ran.map_err(|denied| denied.0)
}

pub(crate) fn rules(denial: &Denial) -> Vec<&str> {
    denial.rules().iter().map(RuleId::as_str).collect()
}

/// The refusal of a call.
pub(crate) fn denied(verdict: Verdict) -> Denial {
    match verdict {
        Verdict::Deny(denial) => denial,
        other => panic!("{other:?}"),
    }
}

/// The folder of a world's log.
pub(crate) fn audit_of(root: &Path) -> PathBuf {
    root.join("audit")
}
