//! A call through the gate: real programs, a real audit log, and everything that can go wrong between.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glassbreak_core::approval::{Request, RequestId};
use glassbreak_core::audit::{AuditLog, State, VerifyOptions, verify};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Text, Word};
use glassbreak_core::exec::{Effect, Exit};
use glassbreak_core::facts::Case;
use glassbreak_core::finding::{DenialKind, Finding, Layer, RuleId};
use glassbreak_core::gate::{Denied, Failure, Gate, GateBuilder, Session, SessionError, Verdict};
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::guard::Check;
use glassbreak_core::lock::{Lock, Target};
use glassbreak_core::store::{
    Claim, Claimed, Decide, Decided, Durability, Ended, Ledger, LockView, Locks, MemoryStore, Open, Opened, Position,
    Requests, Reserve, Reserved, Revoke, Settle, Settled, Store, StoreError, StoreErrorKind, Unlock, Unlocked,
};

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("deploy-asks") @ask("oncall") forbid (principal, action == Action::"tool:deploy", resource);
@id("locks") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const SAFE_BINS: &str = r#"
schema = 1
use = ["builtin:cat-readonly", "builtin:timeout-readonly"]
[profiles.sleep]
root = { verdict = "allow", forms = [{ operands = [{ type = "int" }] }] }
examples.allow = ["sleep 1"]
[profiles.myscript]
interpreter = "perl"
root = { verdict = "allow", forms = [{ operands = [{ type = "text" }] }] }
examples.allow = ["myscript a"]
[profiles.unpinned]
root = { verdict = "allow", forms = [{ operands = [{ type = "text" }] }] }
examples.allow = ["unpinned a"]
[profiles.mycat]
root = { verdict = "allow", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.allow = ["mycat a"]
"#;
const TOOLS: &str = r#"
[tools.note]
labels = []
schema = { type = "object", required = ["text"], properties = { text = { type = "string" } } }
[tools.drop]
labels = ["mutating"]
schema = { type = "object", properties = {} }
[tools.deploy]
labels = ["mutating"]
schema = { type = "object", properties = {} }
"#;
const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "drops"
match = { labels = ["mutating"] }
key = ["session"]
limit = 10
window = { sliding = "1h" }
durability = "none"
ladder = []
ceiling = 10
"#;

/// A gate over a fresh log, and a workspace with one file in it.
struct House {
    root: PathBuf,
    gate: Gate,
    audit: AuditLog,
}

static HOUSES: AtomicU32 = AtomicU32::new(0);

impl House {
    async fn new() -> Self {
        Self::with(|builder| builder.store(MemoryStore::new())).await
    }

    async fn with(more: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let root = std::env::temp_dir().join(format!(
            "glassbreak-gate-{}-{}",
            std::process::id(),
            HOUSES.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(root.join("work")).unwrap();
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("work/a.txt"), "hello\n").unwrap();
        let files = [
            ("p.cedar", POLICY),
            ("safe-bins.toml", SAFE_BINS),
            ("tools.toml", TOOLS),
            ("budgets.toml", BUDGETS),
            (
                "people.toml",
                "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\n[persons.eve]\ngroups = []\n",
            ),
            (
                "entities.json",
                r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
            ),
        ];
        let files: Files = files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let bundle = Bundle::from_files(&files).unwrap();
        let audit = AuditLog::open(root.join("audit")).unwrap();
        let builder = Gate::builder(bundle).audit(audit.clone()).program_dir(root.join("bin"));
        let gate = more(builder).build().await.unwrap();
        Self { root, gate, audit }
    }

    fn session(&self, name: &str) -> Session {
        let mut actor = Actor::new(word("ops"), word(name));
        actor.on_behalf_of = Some(word("alice"));
        self.gate.session(actor).workspace(self.root.join("work")).unwrap()
    }

    /// The kinds of all records of calls and locks, in order, after checking that the chain holds.
    fn records(&self) -> Vec<String> {
        self.audit.sync().unwrap();
        let report = verify(self.root.join("audit"), &VerifyOptions::default()).unwrap();
        assert_ne!(report.state(), State::Tampered, "{report:?}");
        let text = std::fs::read_to_string(self.audit.path()).unwrap();
        let kind = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let outcome = record
                .get("outcome")
                .and_then(|o| o.as_str())
                .map_or(String::new(), |o| format!(" {o}"));
            format!("{}{outcome}", record["kind"].as_str().unwrap())
        };
        text.lines()
            .map(kind)
            .filter(|kind| !kind.starts_with("log."))
            .collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn rules(denial: &glassbreak_core::finding::Denial) -> Vec<&str> {
    denial.rules().iter().map(RuleId::as_str).collect()
}

#[tokio::test]
async fn an_allowed_program_runs_and_both_records_are_written() {
    let house = House::new().await;
    let (ran, output) = house
        .session("s")
        .because("I want to see")
        .exec(["cat", "a.txt"])
        .run()
        .await
        .unwrap();
    assert_eq!((ran.exit, output.stdout.as_slice()), (Exit::Code(0), &b"hello\n"[..]));
    assert_eq!(house.records(), ["call.permitted", "call.finished done"]);
}

/// `timeout` finds `cat` by itself, in the system's folders: what it would find is pinned and recorded with it, and where
/// the host has put something in its place, it does not run.
#[tokio::test]
async fn what_a_wrapper_runs_is_pinned_too_and_nothing_of_the_hosts_is_passed_over() {
    let house = House::new().await;
    let session = house.session("s");
    let wrapped = || session.exec(["timeout", "5", "cat", "a.txt"]);
    let (ran, output) = wrapped().run().await.unwrap();
    assert_eq!((ran.exit, output.stdout.as_slice()), (Exit::Code(0), &b"hello\n"[..]));
    house.audit.sync().unwrap();
    let log = std::fs::read_to_string(house.audit.path()).unwrap();
    let record = log.lines().find(|line| line.contains("\"call.permitted\"")).unwrap();
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    assert_eq!(
        (&record["pin"]["name"], &record["pin"]["runs"][0]["name"]),
        (&"timeout".into(), &"cat".into())
    );

    std::fs::copy("/bin/cat", house.root.join("bin/cat")).unwrap();
    let Verdict::Deny(denial) = wrapped().check().await else {
        panic!("the host's `cat` was passed over")
    };
    assert_eq!(rules(&denial), ["argv.timeout.program-file"]);
    assert!(
        denial.why().contains("would look for it in the system's folders alone"),
        "{}",
        denial.why()
    );
    session.exec(["cat", "a.txt"]).run().await.unwrap();
}

#[tokio::test]
async fn a_refused_call_does_not_run_and_is_recorded() {
    let house = House::new().await;
    let denied = house.session("s").exec(["cat", "/etc/passwd"]).run().await.unwrap_err();
    let Failure::Denied(Denied(denial)) = denied else {
        panic!("{denied:?}")
    };
    assert_eq!(rules(&denial), ["argv.cat.path-outside"]);
    let Verdict::Deny(denial) = house.session("s").exec(["cat", "a\0b"]).check().await else {
        panic!("allowed")
    };
    assert_eq!(rules(&denial), ["hygiene.argv.nul"]);
    assert_eq!(house.records(), ["call.refused", "call.refused"]);
}

#[tokio::test]
async fn an_ask_carries_its_requirement_and_is_a_denial_where_nobody_may_agree() {
    let house = House::new().await;
    let Verdict::Ask(ask) = house.session("s").tool(word("deploy"), Args::new()).check().await else {
        panic!("no ask")
    };
    assert_eq!(ask.requirements().next().unwrap().1.group, Some(word("oncall")));
    let denial = house
        .session("s")
        .tool(word("deploy"), Args::new())
        .authorize()
        .await
        .unwrap_err();
    assert_eq!(rules(&denial), ["store.request.quorum-impossible"]);
    assert!(denial.why().contains("policy.deploy-asks"), "{denial}");
    assert_eq!(house.records(), ["call.asked", "call.asked", "call.refused"]);
}

#[tokio::test]
async fn check_is_ready_on_the_first_poll_where_nothing_waits() {
    let house = House::new().await;
    let session = house.session("s");
    let mut check = std::pin::pin!(session.tool(word("drop"), Args::new()).check());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        check.as_mut().poll(&mut context),
        Poll::Ready(Verdict::Allow(_))
    ));
}

#[tokio::test]
async fn parallel_calls_are_admitted_up_to_the_ceiling_and_no_further() {
    let house = House::new().await;
    for round in 0..20 {
        let session = house.session(&format!("s{round}"));
        let calls = (0..32).map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.tool(word("drop"), Args::new()).authorize().await.is_ok() })
        });
        let mut admitted = 0;
        for call in calls.collect::<Vec<_>>() {
            admitted += u32::from(call.await.unwrap());
        }
        assert_eq!(admitted, 10);
    }
}

#[tokio::test]
async fn a_dropped_permit_is_spent_and_a_forgone_one_is_not() {
    let house = House::new().await;
    let session = house.session("s");
    for _ in 0..9 {
        drop(session.tool(word("drop"), Args::new()).authorize().await.unwrap());
    }
    for _ in 0..5 {
        session
            .tool(word("drop"), Args::new())
            .authorize()
            .await
            .unwrap()
            .forgo()
            .await;
    }
    drop(session.tool(word("drop"), Args::new()).authorize().await.unwrap());
    let denial = session.tool(word("drop"), Args::new()).authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["budget.drops.ceiling"]);
}

#[tokio::test]
async fn a_body_that_panics_leaves_the_call_spent_and_the_session_usable() {
    let house = House::new().await;
    let session = house.session("s");
    let permit = session.tool(word("drop"), Args::new()).authorize().await.unwrap();
    let body = async {
        permit
            .run(async |_| -> Result<(), Denied> { panic!("a fault of the tool") })
            .await
    };
    assert!(futures_catch(body).await.is_err());
    for _ in 0..9 {
        drop(session.tool(word("drop"), Args::new()).authorize().await.unwrap());
    }
    assert!(session.tool(word("drop"), Args::new()).authorize().await.is_err());
}

async fn futures_catch<T>(future: impl Future<Output = T>) -> Result<T, ()> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(
        |context| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(())),
        },
    )
    .await
}

#[tokio::test]
async fn an_expired_permit_refuses_and_counts_nothing() {
    let house = House::with(|builder| builder.store(MemoryStore::new()).permit_time(Duration::ZERO)).await;
    let session = house.session("s");
    for _ in 0..12 {
        let permit = session.tool(word("drop"), Args::new()).authorize().await.unwrap();
        let refused = permit
            .run(async |_| -> Result<(), Denied> { panic!("must not run") })
            .await
            .unwrap_err();
        assert_eq!(rules(refused.denial()), ["lock.permit-expired"]);
    }
    assert_eq!(house.records()[1], "call.finished not_run");
}

#[tokio::test]
async fn a_lock_refuses_new_calls_and_ends_what_runs() {
    let house = House::new().await;
    let session = house.session("s");
    let permit = session.tool(word("drop"), Args::new()).authorize().await.unwrap();
    let body = tokio::spawn(permit.run(async |_| -> Result<(), Denied> { std::future::pending().await }));
    let slow = session.exec(["sleep", "600"]).authorize().await.unwrap();
    let program = tokio::spawn(slow.exec());
    tokio::time::sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    house
        .gate
        .lock(Target::Session(word("s")), text("runaway"), word("bob"))
        .await
        .unwrap();
    assert_eq!(rules(body.await.unwrap().unwrap_err().denial()), ["lock.session"]);
    let ended = program.await.unwrap().unwrap_err();
    assert!(
        matches!(&ended, Failure::Denied(denied) if rules(denied.denial()) == ["lock.came"]),
        "{ended:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));

    let denial = session.tool(word("drop"), Args::new()).authorize().await.unwrap_err();
    assert_eq!(
        (rules(&denial), denial.kind()),
        (vec!["lock.session"], DenialKind::Refused)
    );
    house.session("other").exec(["cat", "a.txt"]).run().await.unwrap();

    assert!(
        house
            .gate
            .unlock(Target::Session(word("s")), text("fine"), word("eve"))
            .await
            .is_err()
    );
    let fine = house
        .gate
        .unlock(Target::Session(word("s")), text("fine"), word("bob"))
        .await
        .unwrap();
    assert!(matches!(fine, Unlocked::Lifted { .. }), "{fine:?}");
    session.exec(["cat", "a.txt"]).run().await.unwrap();
    let locks: Vec<_> = house
        .records()
        .into_iter()
        .filter(|kind| kind.starts_with("lock."))
        .collect();
    assert_eq!(locks, ["lock.set", "lock.lifted"]);
}

#[tokio::test]
async fn only_a_person_whom_a_policy_permits_it_works_the_kill_switch() {
    let house = House::new().await;
    for by in ["eve", "nobody"] {
        assert!(house.gate.lock(Target::All, text("x"), word(by)).await.is_err());
    }
    assert_eq!(house.records(), ["operate.refused", "operate.refused"]);
    house.session("s").exec(["cat", "a.txt"]).run().await.unwrap();
}

#[derive(Debug)]
enum Odd {
    Panics,
    PanicsLate,
    Hangs,
    Denies,
    Clears,
    Locks,
}

#[async_trait]
impl Check for Odd {
    fn name(&self) -> &str {
        "odd"
    }

    async fn inspect(&self, case: Case<'_>) -> Finding {
        assert!(!case.facts.partial);
        match self {
            Self::Panics => panic!("a fault of the check"),
            Self::PanicsLate => {
                tokio::task::yield_now().await;
                panic!("a fault of the check, later")
            }
            Self::Hangs => std::future::pending().await,
            Self::Denies => Finding::deny(RuleId::new(Layer::Host, "odd.no").unwrap(), "not today", ""),
            Self::Locks => Finding::deny_and_lock(RuleId::new(Layer::Host, "odd.lock:*").unwrap(), "enough", ""),
            Self::Clears => Finding::clear(RuleId::new(Layer::Host, "odd").unwrap(), ""),
        }
    }
}

#[tokio::test]
async fn a_check_that_objects_panics_or_hangs_refuses_and_counts_nothing() {
    for (odd, rule, kind) in [
        (Odd::Panics, "host.odd.panic", DenialKind::Unavailable),
        (Odd::PanicsLate, "host.odd.panic", DenialKind::Unavailable),
        (Odd::Hangs, "host.odd.timeout", DenialKind::Unavailable),
        (Odd::Denies, "host.odd.no", DenialKind::Refused),
    ] {
        let time = Duration::from_millis(20);
        let house = House::with(|builder| builder.store(MemoryStore::new()).check(odd).check_time(time)).await;
        let session = house.session("s");
        for _ in 0..12 {
            let denial = session.tool(word("drop"), Args::new()).authorize().await.unwrap_err();
            assert_eq!((rules(&denial), denial.kind()), (vec![rule], kind));
        }
    }
    let house = House::with(|builder| builder.store(MemoryStore::new()).check(Odd::Clears)).await;
    house
        .session("s")
        .tool(word("drop"), Args::new())
        .authorize()
        .await
        .unwrap()
        .forgo()
        .await;
}

#[tokio::test]
async fn a_rule_that_locks_locks_the_session_and_no_other() {
    let house = House::with(|builder| builder.store(MemoryStore::new()).check(Odd::Locks)).await;
    let session = house.session("s");
    let first = session.exec(["cat", "a.txt"]).authorize().await.unwrap_err();
    assert_eq!(rules(&first), ["host.odd.lock:*"]);
    let second = session.exec(["cat", "a.txt"]).authorize().await.unwrap_err();
    assert_eq!(rules(&second), ["lock.session"]);
    let other = house
        .session("other")
        .exec(["cat", "a.txt"])
        .authorize()
        .await
        .unwrap_err();
    assert_eq!(rules(&other), ["host.odd.lock:*"]);
    assert_eq!(house.records()[0], "lock.set");
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_refused() {
    let house = House::new().await;
    house.audit.close().unwrap();
    let session = house.session("s");
    let denial = session.tool(word("drop"), Args::new()).authorize().await.unwrap_err();
    assert_eq!(
        (rules(&denial), denial.kind()),
        (vec!["store.audit"], DenialKind::Unavailable)
    );
    assert!(house.gate.lock(Target::All, text("x"), word("bob")).await.is_err());
}

#[tokio::test]
async fn a_program_that_changed_between_permit_and_run_is_refused() {
    let house = House::new().await;
    let mine = house.root.join("bin/mycat");
    std::fs::copy("/bin/cat", &mine).unwrap();
    let session = house.session("s");
    session.exec(["mycat", "a.txt"]).run().await.unwrap();
    let permit = session.exec(["mycat", "a.txt"]).authorize().await.unwrap();
    std::fs::copy("/bin/ls", house.root.join("bin/new")).unwrap();
    std::fs::rename(house.root.join("bin/new"), &mine).unwrap();
    let failure = permit.exec().await.unwrap_err();
    assert!(
        matches!(&failure, Failure::Exec(error) if error.effect() == Effect::NotRun),
        "{failure:?}"
    );
    assert_eq!(house.records().last().unwrap(), "call.finished not_run");

    let permit = session.exec(["mycat", "a.txt"]).authorize().await.unwrap();
    std::fs::remove_file(&mine).unwrap();
    let refused = permit
        .run(async |_| -> Result<(), Denied> { panic!("must not run") })
        .await
        .unwrap_err();
    assert_eq!(rules(refused.denial()), ["argv.program-file"]);

    let denial = session.exec(["mycat", "a.txt"]).authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["argv.mycat.program-file"]);
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_on_disk_is_refused_before_the_permit_and_before_the_run() {
    let house = House::new().await;
    let session = house.session("s");
    let work = house.root.join("work");
    let link = |to: &str, name: &str| {
        let _ = std::fs::remove_file(work.join(name));
        std::os::unix::fs::symlink(to, work.join(name)).unwrap();
    };
    let refused = |failure: Failure| match failure {
        Failure::Denied(denied) => rules(denied.denial()).join(" "),
        Failure::Exec(error) => error.to_string(),
        other => panic!("{other:?}"),
    };
    link("/etc/passwd", "out");
    assert_eq!(
        refused(session.exec(["cat", "out"]).run().await.unwrap_err()),
        "argv.cat.path-outside"
    );
    std::fs::write(work.join(".env"), "SECRET=1").unwrap();
    link(".env", "notes");
    assert_eq!(
        refused(session.exec(["cat", "notes"]).run().await.unwrap_err()),
        "argv.cat.sensitive-path"
    );
    link("a.txt", "fine");
    session.exec(["cat", "fine"]).run().await.unwrap();

    let permit = session.exec(["cat", "fine"]).authorize().await.unwrap();
    link("/etc/passwd", "fine");
    assert_eq!(refused(permit.exec().await.unwrap_err()), "argv.cat.path-outside");
    assert_eq!(house.records().last().unwrap(), "call.finished not_run");
}

#[tokio::test]
async fn a_script_runs_only_by_the_interpreter_that_its_profile_names() {
    use std::os::unix::fs::PermissionsExt;
    if !std::path::Path::new("/usr/bin/perl").exists() {
        eprintln!("NOT RUN: a script with a pinned interpreter: there is no /usr/bin/perl");
        return;
    }
    let house = House::new().await;
    for name in ["myscript", "unpinned"] {
        let file = house.root.join("bin").join(name);
        std::fs::write(&file, "#!/usr/bin/perl\nprint \"hello $ARGV[0]\";\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let session = house.session("s");
    let (ran, output) = session.exec(["myscript", "you"]).run().await.unwrap();
    assert_eq!((ran.exit, output.stdout.as_slice()), (Exit::Code(0), &b"hello you"[..]));
    let denial = session.exec(["unpinned", "you"]).authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["argv.unpinned.program-file"]);

    let permit = session.exec(["myscript", "you"]).authorize().await.unwrap();
    std::fs::write(house.root.join("bin/myscript"), "#!/usr/bin/perl\nprint 'other';\n").unwrap();
    assert!(matches!(permit.exec().await, Err(Failure::Exec(error)) if error.effect() == Effect::NotRun));
}

/// A store whose news of locks stops.
#[derive(Debug, Clone)]
struct Silent {
    inner: MemoryStore,
    silent: Arc<AtomicU32>,
}

impl Silent {
    fn gone(&self) -> Result<(), StoreError> {
        match self.silent.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "locks",
                "the store is gone",
            )),
        }
    }
}

#[async_trait]
impl Ledger for Silent {
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        self.inner.reserve(reserve).await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        self.inner.settle(settle).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.inner.claim(claim).await
    }
}

#[async_trait]
impl Requests for Silent {
    async fn open(&self, open: Open) -> Result<Opened, StoreError> {
        self.inner.open(open).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.inner.request(id).await
    }

    async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        self.inner.pending().await
    }

    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        self.inner.decide(decide).await
    }

    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        self.inner.moved(id, version).await
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.inner.grants().await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        self.inner.grant(id).await
    }

    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        self.inner.revoke(revoke).await
    }
}

#[async_trait]
impl Locks for Silent {
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError> {
        self.inner.lock(lock).await
    }

    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError> {
        self.inner.unlock(unlock).await
    }

    async fn locks(&self) -> Result<LockView, StoreError> {
        self.gone()?;
        self.inner.locks().await
    }

    async fn changed(&self, since: Position) -> Result<LockView, StoreError> {
        self.gone()?;
        self.inner.changed(since).await
    }
}

impl Store for Silent {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn place(&self) -> Option<PathBuf> {
        self.inner.place()
    }
}

#[tokio::test]
async fn a_store_that_falls_silent_refuses_everything_within_its_bound_and_ends_what_runs() {
    let silent = Arc::new(AtomicU32::new(0));
    let store = Silent {
        inner: MemoryStore::new(),
        silent: Arc::clone(&silent),
    };
    let house = House::with(|builder| builder.store(store)).await;
    let session = house.session("s");
    let permit = session.tool(word("drop"), Args::new()).authorize().await.unwrap();
    let body = tokio::spawn(permit.run(async |_| -> Result<(), Denied> { std::future::pending().await }));
    silent.store(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    let denial = session.exec(["cat", "a.txt"]).authorize().await.unwrap_err();
    assert_eq!(
        (rules(&denial), denial.kind()),
        (vec!["lock.unknown"], DenialKind::Unavailable)
    );
    assert_eq!(rules(body.await.unwrap().unwrap_err().denial()), ["lock.unknown"]);
    silent.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(600)).await;
    session.exec(["cat", "a.txt"]).run().await.unwrap();
}

#[tokio::test]
async fn a_session_opens_only_in_a_real_folder() {
    let house = House::new().await;
    let open = |path: PathBuf| house.gate.session(Actor::new(word("ops"), word("s"))).workspace(path);
    // It says that there is none, and not that something lies in it.
    let nowhere = open(house.root.join("nowhere")).unwrap_err();
    assert!(matches!(nowhere, SessionError::Folder(_)), "{nowhere}");
    assert!(open(house.root.join("work/a.txt")).is_err());
    std::os::unix::fs::symlink(house.root.join("work"), house.root.join("link")).unwrap();
    assert!(open(house.root.join("link")).is_err());
    // The folder above holds the audit log.
    assert!(
        open(house.root.clone())
            .unwrap_err()
            .to_string()
            .contains("lies in the workspace")
    );
}

#[tokio::test]
async fn a_policy_folder_that_others_may_write_is_no_judge() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new().await;
    let policy = house.root.join("policy");
    std::fs::create_dir_all(&policy).unwrap();
    for (name, text) in [
        ("p.cedar", POLICY),
        ("safe-bins.toml", SAFE_BINS),
        ("tools.toml", TOOLS),
    ] {
        std::fs::write(policy.join(name), text).unwrap();
        std::fs::set_permissions(policy.join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
    std::fs::write(policy.join("people.toml"), "[groups.oncall]\n").unwrap();
    let build = || {
        Gate::builder(Bundle::open(&policy).unwrap())
            .store(MemoryStore::new())
            .audit(house.audit.clone())
            .build()
    };
    build().await.unwrap();
    std::fs::set_permissions(policy.join("p.cedar"), PermissionsExt::from_mode(0o666)).unwrap();
    assert!(build().await.unwrap_err().to_string().contains("p.cedar"));
    std::fs::set_permissions(policy.join("p.cedar"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::set_permissions(&policy, PermissionsExt::from_mode(0o777)).unwrap();
    assert!(build().await.unwrap_err().to_string().contains("policy"));
}

#[cfg(feature = "macros")]
mod guarded {
    use glassbreak_core::guard;

    use super::*;

    #[derive(Debug)]
    enum ToolError {
        Denied(Denied),
        Own,
    }

    impl From<Denied> for ToolError {
        fn from(denied: Denied) -> Self {
            Self::Denied(denied)
        }
    }

    struct Client(AtomicU32);

    #[guard(tool = "note")]
    async fn note(session: &Session, text: &str, #[guard(skip)] client: &Client) -> Result<usize, ToolError> {
        client.0.fetch_add(1, Ordering::Relaxed);
        if text == "bad" {
            return Err(ToolError::Own);
        }
        Ok(text.len())
    }

    #[guard(tool = "deploy")]
    async fn deploy(session: &Session) -> Result<(), ToolError> {
        panic!("must not run")
    }

    #[guard(tool = "note")]
    async fn mistyped(session: &Session, text: f64) -> Result<(), ToolError> {
        panic!("must not run with {text}")
    }

    #[tokio::test]
    async fn a_guarded_function_runs_inside_its_permit() {
        let house = House::new().await;
        let session = house.session("s");
        let client = Client(AtomicU32::new(0));
        assert_eq!(note(&session, "hello", &client).await.unwrap(), 5);
        assert!(matches!(note(&session, "bad", &client).await, Err(ToolError::Own)));
        assert_eq!(client.0.load(Ordering::Relaxed), 2);
        let refused = |result: Result<(), ToolError>| match result {
            Err(ToolError::Denied(denied)) => rules(denied.denial()).join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(deploy(&session).await), "store.request.quorum-impossible");
        assert_eq!(refused(mistyped(&session, 1.5).await), "hygiene.args.number");
        let records = house.records();
        let expected = [
            "call.permitted",
            "call.finished done",
            "call.permitted",
            "call.finished failed",
            "call.asked",
            "call.refused",
            "call.refused",
        ];
        assert_eq!(records, expected);
    }
}
