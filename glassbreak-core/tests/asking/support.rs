//! A gate, people, and a program that can be asked about.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use glassbreak_core::approval::{Answer, Ballot, Request};
use glassbreak_core::audit::{AuditLog, State, VerifyOptions, verify};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Text, Word};
use glassbreak_core::clock::Span;
use glassbreak_core::desk::VoteError;
use glassbreak_core::finding::{Denial, RuleId};
use glassbreak_core::gate::{AnyPermit, Gate, GateBuilder, Session, Verdict};
use glassbreak_core::people::Account;
use glassbreak_core::store::MemoryStore;

pub(crate) const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("deploy-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource);
@id("show-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"exec:show", resource);
@id("prod-asks-two") @ask("oncall") @quorum("2") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource) when { context.args.env == "prod" };
@id("own-asks") @ask("oncall") @self("allow")
forbid (principal, action == Action::"tool:own", resource);
@id("never") forbid (principal, action == Action::"tool:deploy", resource) when { context.args.env == "moon" };
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource)
when { context.request.risk != "high" };
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
pub(crate) const SAFE_BINS: &str = r#"
schema = 1
[profiles.show]
root = { verdict = "allow", stdin = true, forms = [{ operands = [{ type = "path", max = 4 }] }] }
env = { pass = ["SHOW_MODE"] }
examples.allow = ["show a"]
"#;
pub(crate) const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
target = { kind = "service", name = "args.service", namespace = "args.env" }
pin = ["namespace"]
schema = { type = "object", required = ["service", "env"], properties = { service = { type = "string" }, env = { type = "string" } } }
[tools.own]
labels = []
schema = { type = "object", properties = {} }
[tools.restart]
labels = ["mutating"]
schema = { type = "object", properties = {} }
"#;
pub(crate) const PEOPLE: &str = r#"
[groups.oncall]
[persons.alice]
groups = ["oncall"]
accounts = ["sso:alice"]
[persons.bob]
groups = ["oncall"]
accounts = ["sso:bob", "pager:bob"]
[persons.carol]
groups = ["oncall"]
accounts = ["sso:carol"]
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
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into()))
    .collect()
}

pub(crate) fn bundle_of(files: &Files) -> Bundle {
    Bundle::from_files(files).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A gate over a fresh log, a store that others may share, and a workspace.
pub(crate) struct House {
    pub(crate) root: PathBuf,
    pub(crate) gate: Gate,
    pub(crate) audit: AuditLog,
}

static HOUSES: AtomicU32 = AtomicU32::new(0);

impl House {
    pub(crate) async fn new() -> Self {
        Self::over(files(), MemoryStore::new()).await
    }

    pub(crate) async fn over(files: Files, store: MemoryStore) -> Self {
        Self::built(files, store, |builder| builder).await
    }

    /// With something more that its gate has.
    pub(crate) async fn built(files: Files, store: MemoryStore, with: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let root = std::env::temp_dir().join(format!(
            "glassbreak-asking-{}-{}",
            std::process::id(),
            HOUSES.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(root.join("work/sub")).unwrap();
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("work/a"), "hello\n").unwrap();
        std::fs::write(root.join("work/b"), "other\n").unwrap();
        std::fs::write(root.join("work/sub/a"), "below\n").unwrap();
        std::fs::copy("/bin/cat", root.join("bin/show")).unwrap();
        std::fs::copy("/usr/bin/printenv", root.join("bin/printenv")).unwrap();
        let audit = AuditLog::open(root.join("audit")).unwrap();
        let builder = Gate::builder(bundle_of(&files))
            .store(store)
            .audit(audit.clone())
            .program_dir(root.join("bin"))
            .answered_elsewhere();
        let gate = with(builder).build().await.unwrap();
        Self { root, gate, audit }
    }

    /// A session that acts for alice.
    pub(crate) fn session(&self, name: &str) -> Session {
        self.session_of("ops-7", name)
    }

    pub(crate) fn session_of(&self, agent: &str, name: &str) -> Session {
        let mut actor = Actor::new(word("ops"), word(name));
        actor.instance = Some(word(agent));
        actor.on_behalf_of = Some(word("alice"));
        self.gate.session(actor).workspace(self.root.join("work")).unwrap()
    }

    /// The one open request, once there is one.
    pub(crate) async fn asked(&self) -> Request {
        for _ in 0..500 {
            if let Some(request) = self.gate.desk().pending().await.unwrap().pop() {
                return request;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody is asked")
    }

    pub(crate) async fn vote(&self, who: &str, request: &Request, answer: Answer) -> Result<Request, VoteError> {
        let ballot = ballot(who, request, answer);
        self.gate.desk().vote(request.id, &ballot).await
    }

    pub(crate) async fn once(&self, who: &str, request: &Request) -> Request {
        self.vote(who, request, Answer::Once).await.unwrap()
    }

    pub(crate) async fn refused(&self, who: &str, request: &Request, answer: Answer) -> &'static str {
        match self.vote(who, request, answer).await {
            Err(VoteError::Refused(why)) => why.code(),
            other => panic!("{other:?}"),
        }
    }

    /// The kinds of all records but those of the log itself, in order, after checking that the chain holds.
    pub(crate) fn records(&self) -> Vec<String> {
        self.audit.sync().unwrap();
        let report = verify(self.root.join("audit"), &VerifyOptions::default()).unwrap();
        assert_ne!(report.state(), State::Tampered, "{report:?}");
        let text = std::fs::read_to_string(self.audit.path()).unwrap();
        let kind = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["kind"].as_str().unwrap().to_owned()
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

pub(crate) fn ballot(who: &str, request: &Request, answer: Answer) -> Ballot {
    Ballot {
        account: Account::of_host(who).unwrap(),
        answer,
        reason: None,
        card: request.card.digest(),
    }
}

pub(crate) fn window(minutes: u64, uses: u32) -> Answer {
    Answer::Window {
        span: Span::from_millis(minutes * 60_000),
        uses,
        pins: Vec::new(),
    }
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

pub(crate) fn deploy(session: &Session, service: &str, env: &str) -> glassbreak_core::gate::PendingTool {
    let arguments = serde_json::json!({ "service": service, "env": env });
    let args: Args = glassbreak_core::call::wire::arguments(&arguments).unwrap();
    session.tool(word("deploy"), args)
}

pub(crate) fn rules(denial: &Denial) -> Vec<&str> {
    denial.rules().iter().map(RuleId::as_str).collect()
}

/// Whether it passes by a grant, right now.
pub(crate) fn passes(verdict: Verdict) -> Option<AnyPermit> {
    match verdict {
        Verdict::Allow(permit) => Some(permit),
        Verdict::Ask(_) => None,
        Verdict::Deny(denial) => panic!("denied: {denial}"),
    }
}

/// A call that waits for people, in a task of its own.
pub(crate) fn waiting(call: glassbreak_core::gate::PendingTool) -> tokio::task::JoinHandle<Result<(), Denial>> {
    tokio::spawn(async move {
        let permit = call.authorize().await?;
        let ran = permit.run(async |_| Ok::<_, glassbreak_core::gate::Denied>(())).await;
        ran.map_err(|denied| denied.0)
    })
}
