//! A whole call through the gate, of a tool and of a program, and its layers one by one.
//!
//! Futures are polled by hand, once: nothing in them waits, and so no runtime is in what is counted. One is entered all
//! the same, because a permit that runs asks for its timers.

use std::fmt::Write as _;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use glassbreak_core::audit::{AuditLog, Event, Finished, Performed, Permitted};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Argv, Call, Exec, Operation, Tool, Word, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::exec::{Pin, ProgramDirs};
use glassbreak_core::finding::Outcome;
use glassbreak_core::gate::{AnyPermit, Denied, Gate, Session, SessionCall, Verdict};
use glassbreak_core::guard::Guard;
use glassbreak_core::judge::{Judgement, SessionState, judge};
use glassbreak_core::policy::{Action, Question, Resource};
use glassbreak_core::store::MemoryStore;
use glassbreak_core::store::OpId;
use tokio::runtime::{Builder, Runtime};

use crate::CALL;

/// A gate with a memory store, a log in a folder of its own, and no host checks; a session in use, and one more call.
#[derive(Debug)]
pub struct Calling {
    bundle: Bundle,
    state: SessionState,
    call: Call,
    at: Timestamp,
    session: Session,
    audit: AuditLog,
    runtime: Runtime,
    folder: PathBuf,
}

/// A call that is made, and waits to be judged.
#[derive(Debug)]
pub struct Made {
    calling: &'static Calling,
    call: SessionCall,
}

/// A call that was judged, and what is left of it.
#[derive(Debug)]
pub struct Tried {
    calling: &'static Calling,
    judgement: Judgement,
    permit: Option<AnyPermit>,
}

/// The gate asks its store for locks four times a second, while its runtime runs.
const LOCKS_KNOWN: Duration = Duration::from_millis(300);

const POLICY: &str = r#"@id("notes")
permit (principal in Team::"ops-agents", action == Action::"tool:note", resource) when {
  !context.labels.containsAny(["mutating", "irreversible", "secret.read"]) &&
  context.seq.budget.notes.count + 3 <= 900
};"#;
const TOOLS: &str = r#"
[tools.note]
labels = []
schema = { type = "object", required = ["text"], properties = { text = { type = "string" } } }
"#;
const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "notes"
match = { labels = [], tools = ["note"] }
key = ["session"]
limit = 900
window = { sliding = "10m" }
durability = "none"
ladder = []
"#;
const ENTITIES: &str = r#"[{"uid":{"type":"Team","id":"ops-agents"},"attrs":{},"parents":[]},
  {"uid":{"type":"Role","id":"ops-agent"},"attrs":{},"parents":[{"type":"Team","id":"ops-agents"}]}]"#;

/// The policies of kubectl in `examples/policies/ops`: all four are relevant to a look at pods.
const KUBECTL_POLICY: &str = r#"
@id("ops-kubectl")
permit (principal in Team::"ops-agents", action == Action::"exec:kubectl", resource);
@id("delete-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"exec:kubectl", resource)
when { context.argv.command == "delete" };
@id("no-namespace-delete")
forbid (principal, action == Action::"exec:kubectl", resource)
when { context.argv.command == "delete" && context.argv.kinds.contains("namespace") };
@id("slow-down") @ask("oncall") @quorum("2")
forbid (principal, action in Action::"call", resource)
when { context.seq.budget.looks.count > 900 };
"#;
/// All of the session, those of the program, and those of the program in one namespace.
const KUBECTL_BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "calls"
match = { labels = [], programs = ["kubectl", "git"] }
key = ["session"]
limit = 900
window = { sliding = "1h" }
durability = "none"
ladder = []
[[budget]]
id = "looks"
match = { labels = [], programs = ["kubectl"] }
key = ["session", "program"]
limit = 900
window = { sliding = "10m" }
durability = "none"
ladder = []
[[budget]]
id = "namespace"
match = { labels = [], programs = ["kubectl"] }
key = ["session", "target.namespace"]
limit = 900
window = { sliding = "10m" }
durability = "none"
ladder = []
"#;
const SAFE_BINS: &str = "schema = 1\nuse = [\"builtin:kubectl-readonly\", \"builtin:git-readonly\"]\n";
const PEOPLE: &str = "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\n";

/// `policies` and `rules` are of another program.
fn kubectl_bundle(policies: usize, rules: usize) -> Bundle {
    let mut cedar = KUBECTL_POLICY.to_owned();
    for n in 0..policies {
        let _ = writeln!(
            cedar,
            "@id(\"other{n}\") permit (principal in Team::\"ops-agents\", action == Action::\"exec:git\", resource) \
             when {{ context.argv.operands.contains(\"c{n}\") }};"
        );
    }
    let mut budgets = KUBECTL_BUDGETS.to_owned();
    for n in 0..rules {
        let _ = writeln!(
            budgets,
            "[[budget]]\nid = \"other{n}\"\nmatch = {{ labels = [], programs = [\"git\"] }}\nkey = [\"session\"]\n\
             limit = 900\nwindow = {{ sliding = \"10m\" }}\ndurability = \"none\"\nladder = []"
        );
    }
    load([
        ("ops.cedar", &cedar),
        ("safe-bins.toml", SAFE_BINS),
        ("budgets.toml", &budgets),
        ("people.toml", PEOPLE),
        ("entities.json", ENTITIES),
    ])
}

fn tool_bundle() -> Bundle {
    load([
        ("ops.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        ("entities.json", ENTITIES),
    ])
}

fn load<const N: usize>(files: [(&str, &str); N]) -> Bundle {
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.into())).into();
    Bundle::from_files(&files).expect("the folder loads")
}

fn word(text: &str) -> Word {
    Word::new(text).expect("a word")
}

fn arguments() -> Args {
    wire::arguments(&serde_json::json!({ "text": "pods of team-a-web are fine" })).expect("arguments")
}

/// The answer of a future that does not wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
    .expect("nothing here waits")
}

impl Calling {
    /// A tool's call with one argument, one permit and one budget, in a session that has made twenty calls.
    pub fn tool() -> Self {
        let tool = Tool {
            name: word("note"),
            arguments: arguments(),
        };
        Self::new(tool_bundle, Operation::Tool(tool), 20)
    }

    /// A program's call of eight words, four policies and three budgets, in a session that has made twenty calls.
    pub fn kubectl() -> Self {
        Self::kubectl_among(0, 0, 20)
    }

    /// The same among `policies` and `rules` that do not matter, in a session that has made so many `calls`.
    pub fn kubectl_among(policies: usize, rules: usize, calls: usize) -> Self {
        let argv = Argv::new(CALL).expect("words");
        Self::new(
            || kubectl_bundle(policies, rules),
            Operation::Exec(Exec::new(argv)),
            calls,
        )
    }

    fn new(bundle: impl Fn() -> Bundle, operation: Operation, calls: usize) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "glassbreak-bench-{}-{}",
            std::process::id(),
            OpId::mint(Timestamp::now())
        ));
        let (work, bin) = (folder.join("work"), folder.join("bin"));
        for folder in [&work, &bin] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        // Any program will do: none is started.
        std::fs::copy("/bin/true", bin.join("kubectl")).expect("a program");
        let actor = Actor::new(word("ops-agent"), word("s"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let audit = AuditLog::open(folder.join("audit")).expect("a log");
        let builder = Gate::builder(bundle())
            .store(MemoryStore::new())
            .audit(audit.clone())
            .answered_elsewhere()
            .program_dir(&bin);
        let workspace = Workspace::new(work.to_str().expect("UTF-8")).expect("a path");
        let (bundle, mut state) = (bundle(), SessionState::new(workspace));
        let call = Call {
            actor: actor.clone(),
            operation,
            reason: None,
            conversation: None,
        };
        for n in 0..calls {
            let at = Timestamp::from_millis(i64::try_from(n * 10_000 / calls).expect("a time"));
            let judgement = judge(&bundle, &state, &call, at);
            assert_eq!(judgement.ruling.outcome(), Outcome::Allow, "{}", judgement.ruling.why());
            state.advance(&bundle, &call, &judgement, at, true);
        }
        let gate = runtime.block_on(builder.build()).expect("a gate");
        let session = gate.session(actor).workspace(&work).expect("a session");
        let calling = Self {
            bundle,
            state,
            call,
            at: Timestamp::from_millis(60_000),
            session,
            audit,
            runtime,
            folder,
        };
        let mut fresh = Instant::now();
        for _ in 0..calls {
            if fresh.elapsed() > LOCKS_KNOWN {
                calling.learn_locks();
                fresh = Instant::now();
            }
            calling.whole(calling.call());
        }
        calling
    }

    /// Lets the gate ask its store for locks: what it knows of them is too old after a second, and valgrind is slow.
    fn learn_locks(&self) {
        self.runtime.block_on(async { tokio::time::sleep(LOCKS_KNOWN).await });
    }

    fn call(&self) -> SessionCall {
        self.session.call(self.call.operation.clone(), None)
    }

    /// The whole call: judged, recorded, permitted, run with a body that does nothing, settled, recorded.
    fn whole(&self, call: SessionCall) {
        let _runtime = self.runtime.enter();
        run(self.permit(call));
    }

    /// The first half: judged, recorded, permitted.
    fn permit(&self, call: SessionCall) -> AnyPermit {
        match now(self.session.gate().check(call)) {
            Verdict::Allow(permit) => Some(permit),
            _ => None,
        }
        .expect("it is allowed")
    }

    /// Kept for good, knowing which locks stand.
    pub(crate) fn kept(self) -> &'static Self {
        self.learn_locks();
        Box::leak(Box::new(self))
    }

    /// What `call` makes of the session, within the runtime.
    pub(crate) fn entered<T>(&self, call: impl FnOnce(&Session) -> T) -> T {
        let _runtime = self.runtime.enter();
        call(&self.session)
    }

    /// With a call made.
    pub fn made(self) -> Made {
        let calling = self.kept();
        Made {
            call: calling.call(),
            calling,
        }
    }

    /// Called, and left for its layers.
    pub fn tried(self) -> Tried {
        let calling = self.kept();
        let judgement = judge(&calling.bundle, &calling.state, &calling.call, calling.at);
        Tried {
            permit: Some(calling.permit(calling.call())),
            calling,
            judgement,
        }
    }
}

impl Made {
    /// The whole call: judged, recorded, permitted, run with a body that does nothing, settled, recorded.
    pub fn whole(self) {
        self.calling.whole(self.call);
    }

    /// The first half: judged, recorded, permitted.
    pub fn permit(self) -> AnyPermit {
        self.calling.permit(self.call)
    }
}

impl Calling {
    fn programs(&self) -> ProgramDirs {
        ProgramDirs::new()
            .program_dir(self.folder.join("bin"))
            .expect("a folder")
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Tried {
    /// Judging alone.
    pub fn judge(&self) -> Judgement {
        judge(
            &self.calling.bundle,
            &self.calling.state,
            &self.calling.call,
            self.calling.at,
        )
    }

    /// Writing `call.permitted` alone.
    pub fn record_permitted(&self) {
        let record = Permitted::new(
            OpId::mint(Timestamp::now()),
            &self.calling.call,
            &self.judgement,
            &self.calling.bundle,
        );
        self.calling.audit.append(Event::from(record)).expect("recorded");
    }

    /// The second half: run with a body that does nothing, settled, recorded.
    pub fn run(&mut self) {
        let _runtime = self.calling.runtime.enter();
        run(self.permit.take().expect("once"));
    }

    /// The file of the program alone, looked at when the call is permitted and again when it runs.
    pub fn looked_at(&self) -> Pin {
        let pin = Pin::take(&self.calling.programs(), "kubectl", false).expect("a program");
        pin.check_again().expect("the same program");
        pin
    }

    /// Cedar's `is_authorized` on the policies that are relevant to the call, its request made; how many decide.
    pub fn cedar(&'static self) -> impl Fn() -> usize {
        let calling = self.calling;
        let question = Question {
            actor: &calling.call.actor,
            action: Action::Exec("kubectl"),
            resource: Resource::Program("kubectl"),
            facts: &self.judgement.facts,
            seq: &self.judgement.seq,
            vocabulary: calling.bundle.vocabulary(),
        };
        let ready = calling.bundle.policies().ready(&question).expect("a question");
        Box::leak(Box::new(ready)).cedar_of_relevant()
    }

    /// All that is hashed for one call, each as long as the real thing: what its digest is over, and both its records.
    pub fn hashed(&self) -> Vec<Vec<u8>> {
        let Operation::Exec(exec) = &self.calling.call.operation else {
            return Vec::new();
        };
        let words = exec.argv().words().iter().map(|word| word.len() + 5).sum::<usize>();
        // Version, kind, program and folder go before and after the words.
        let digest = words + (18 + 5) + (4 + 5) + (7 + 5) + 5;
        self.calling.audit.sync().expect("on disk");
        let log = std::fs::read_to_string(self.calling.audit.path()).expect("a log");
        let pair = log.lines().rev().skip_while(|line| !line.contains("\"call.finished\""));
        // The version, the hash above, the length and the record; its own hash is behind it.
        let records = pair.take(2).map(|line| 1 + 32 + 8 + line.len() - (9 + 64 + 1));
        records.chain([digest]).map(|length| vec![b'x'; length]).collect()
    }

    /// Writing `call.finished` alone.
    pub fn record_finished(&self) {
        let record = Finished {
            waited_ms: Some(0),
            ..Finished::new(OpId::mint(Timestamp::now()), Performed::Done)
        };
        self.calling.audit.finish(Event::from(record)).expect("recorded");
    }
}

fn run(permit: AnyPermit) {
    match permit {
        AnyPermit::Tool(permit) => now(permit.run(async |_: &_| Ok::<(), Denied>(()))),
        AnyPermit::Exec(permit) => now(permit.run(async |_: &_| Ok::<(), Denied>(()))),
    }
    .expect("it runs");
}
