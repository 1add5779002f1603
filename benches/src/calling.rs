//! A whole call of a tool through the gate, and its layers one by one.
//!
//! Futures are polled by hand, once: nothing in them waits, and so no runtime is in what is counted. One is entered all
//! the same, because a permit that runs asks for its timers.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use glassbreak_core::audit::{AuditLog, Event, Finished, Performed, Permitted};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Call, Operation, Tool, Word, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::gate::{AnyPermit, Denied, Gate, Permit, Session, ToolCall, Verdict};
use glassbreak_core::judge::{Judgement, SessionState, judge};
use glassbreak_core::store::MemoryStore;
use glassbreak_core::store::OpId;
use tokio::runtime::{Builder, Runtime};

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

/// A call that was judged, and what is left of it.
#[derive(Debug)]
pub struct Tried {
    calling: &'static Calling,
    judgement: Judgement,
    permit: Option<Permit<ToolCall>>,
}

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

fn bundle() -> Bundle {
    let files = [
        ("ops.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        ("entities.json", ENTITIES),
    ];
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
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
    .expect("nothing here waits")
}

impl Calling {
    /// A session that has made twenty calls.
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!(
            "glassbreak-bench-{}-{}",
            std::process::id(),
            OpId::mint(Timestamp::now())
        ));
        std::fs::create_dir_all(folder.join("work")).expect("a folder");
        let work = folder.join("work");
        let actor = Actor::new(word("ops-agent"), word("s"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let audit = AuditLog::open(folder.join("audit")).expect("a log");
        let builder = Gate::builder(bundle()).store(MemoryStore::new()).audit(audit.clone());
        let workspace = Workspace::new(work.to_str().expect("UTF-8")).expect("a path");
        let (bundle, mut state) = (bundle(), SessionState::new(workspace));
        let name = word("note");
        let call = Call {
            actor: actor.clone(),
            operation: Operation::Tool(Tool {
                name,
                arguments: arguments(),
            }),
            reason: None,
            conversation: None,
        };
        for second in 0..20 {
            let at = Timestamp::from_millis(second * 1000);
            let judgement = judge(&bundle, &state, &call, at);
            assert_eq!(judgement.ruling.outcome(), Outcome::Allow, "{}", judgement.ruling.why());
            state.advance(&bundle, &call, &judgement, at, true);
        }
        // The last: what the gate knows of locks ages from here, and nothing drives the runtime that would renew it.
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
        for _ in 0..20 {
            calling.whole();
        }
        calling
    }

    /// The whole call: judged, recorded, permitted, run with a body that does nothing, settled, recorded.
    pub fn whole(&self) {
        let _runtime = self.runtime.enter();
        run(self.permit());
    }

    /// The first half: judged, recorded, permitted.
    pub fn permit(&self) -> Permit<ToolCall> {
        match now(self.session.tool(word("note"), arguments()).check()) {
            Verdict::Allow(AnyPermit::Tool(permit)) => Some(permit),
            _ => None,
        }
        .expect("it is allowed")
    }

    /// Called, and left for its layers.
    pub fn tried(self) -> Tried {
        let calling = Box::leak(Box::new(self));
        let judgement = judge(&calling.bundle, &calling.state, &calling.call, calling.at);
        Tried {
            permit: Some(calling.permit()),
            calling,
            judgement,
        }
    }
}

impl Default for Calling {
    fn default() -> Self {
        Self::new()
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

    /// Writing `call.finished` alone.
    pub fn record_finished(&self) {
        let record = Finished {
            waited_ms: Some(0),
            ..Finished::new(OpId::mint(Timestamp::now()), Performed::Done)
        };
        self.calling.audit.finish(Event::from(record)).expect("recorded");
    }
}

fn run(permit: Permit<ToolCall>) {
    now(permit.run(async |_: &_| Ok::<(), Denied>(()))).expect("it runs");
}
