//! A gate whose agents ask, and people.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use glassbreak_core::approval::{Answer, Ballot, Request};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Text, Word};
use glassbreak_core::desk::VoteError;
use glassbreak_core::gate::{Gate, PendingExec, PendingTool, Session, Verdict};
use glassbreak_core::notify::Sheet;
use glassbreak_core::people::Account;
use glassbreak_core::store::MemoryStore;

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("delete-asks") @ask("oncall") @window("5m") @reason("deleting needs a person")
forbid (principal, action == Action::"exec:kubectl", resource) when { context.argv.command == "delete" };
@id("deploy-asks") @ask("oncall") @reason("people release, agents prepare")
forbid (principal, action == Action::"tool:deploy", resource);
@id("queue-asks-two") @ask("oncall") @quorum("2") @reason("restarting the queue loses what is in flight")
forbid (principal, action == Action::"tool:restart", resource);
@id("load-asks") @ask("oncall") forbid (principal, action == Action::"exec:load", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
"#;
const SAFE_BINS: &str = r#"
schema = 1
[profiles.kubectl]
extends = "builtin:kubectl-readonly"
verbs.delete.verdict = "allow"
examples.allow = ["kubectl get pods"]
examples.ask = ["kubectl logs -f web-7d4b"]
[profiles.load]
root = { verdict = "allow", stdin = true, labels = ["mutating", "bulk"], forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.allow = ["load a"]
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating", "net.egress"]
target = { kind = "service", name = "args.service", namespace = "args.env" }
schema = { type = "object", required = ["service", "env"], properties = { service = { type = "string" }, env = { type = "string" }, token = { type = "string", writeOnly = true }, steps = { type = "array", items = { type = "object", properties = { run = { type = "string" }, wait_s = { type = "integer" }, notify = { type = "array", items = { type = "string" } } } } } } }
[tools.restart]
labels = ["mutating", "irreversible"]
cost = { objects = 3 }
target = { kind = "service", name = "args.service" }
schema = { type = "object", required = ["service"], properties = { service = { type = "string" } } }
"#;
const PEOPLE: &str = r#"
[groups.oncall]
[persons.alice]
groups = ["oncall"]
accounts = ["sso:alice"]
[persons.bob]
groups = ["oncall"]
accounts = ["sso:bob"]
[persons.carol]
groups = ["oncall"]
accounts = ["sso:carol"]
"#;
const SETTINGS: &str = r#"
unlisted = "ask"
[ask]
group = "oncall"
[requests]
cooldown = "off"
"#;

static HOUSES: AtomicU32 = AtomicU32::new(0);

pub(crate) struct House {
    root: PathBuf,
    pub(crate) gate: Gate,
    pub(crate) session: Session,
}

impl House {
    pub(crate) async fn new() -> Self {
        let count = HOUSES.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("glassbreak-cards-{}-{count}", std::process::id()));
        std::fs::create_dir_all(root.join("work")).unwrap();
        std::fs::create_dir_all(root.join("bin")).unwrap();
        for name in ["kubectl", "shrink", "load"] {
            std::fs::copy("/bin/cat", root.join("bin").join(name)).unwrap();
        }
        let roles = r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#;
        let files = [
            ("p.cedar", POLICY),
            ("safe-bins.toml", SAFE_BINS),
            ("tools.toml", TOOLS),
            ("people.toml", PEOPLE),
            ("glassbreak.toml", SETTINGS),
            ("entities.json", roles),
        ];
        let files: Files = files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let gate = Gate::builder(Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}")))
            .store(MemoryStore::new())
            .answered_elsewhere()
            .audit(AuditLog::open(root.join("audit")).unwrap())
            .program_dir(root.join("bin"))
            .build()
            .await
            .unwrap();
        let session = session(&gate, &root, "ops-7");
        Self { root, gate, session }
    }

    /// A session of another agent.
    pub(crate) fn session_of(&self, agent: &str) -> Session {
        session(&self.gate, &self.root, agent)
    }

    /// The folder of the audit log.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("audit")
    }

    pub(crate) async fn ask(&self, call: impl Into<Call>) -> Request {
        let verdict = match call.into() {
            Call::Exec(call) => call.check().await,
            Call::Tool(call) => call.check().await,
        };
        match verdict {
            Verdict::Ask(escalation) => escalation.open().await.unwrap().request().clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn vote(&self, request: &Request, who: &str, answer: Answer, why: Option<&str>) {
        self.cast(request, who, answer, why).await.unwrap();
    }

    pub(crate) async fn refused(&self, request: &Request, who: &str, answer: Answer) -> &'static str {
        match self.cast(request, who, answer, None).await {
            Err(VoteError::Refused(why)) => why.code(),
            other => panic!("{other:?}"),
        }
    }

    async fn cast(
        &self,
        request: &Request,
        who: &str,
        answer: Answer,
        why: Option<&str>,
    ) -> Result<Request, VoteError> {
        let ballot = Ballot {
            account: Account::of_host(&format!("sso:{who}")).unwrap(),
            answer,
            reason: why.map(|why| Text::new(why).unwrap()),
            card: request.card.digest(),
        };
        self.gate.desk().vote(request.id, &ballot).await
    }

    /// A page without what differs from run to run.
    pub(crate) fn steady(&self, page: &str) -> String {
        let root = self.root.to_string_lossy();
        let mut lines = Vec::new();
        let mut in_file = false;
        for line in page.lines() {
            let line = line.replace(&*root, "/srv");
            // The identity of a file differs on every machine, and with it where its line is folded.
            let goes_on = line.starts_with("              …");
            if std::mem::take(&mut in_file) && goes_on {
                in_file = true;
                continue;
            }
            if let Some((before, _)) = line.split_once("/srv/bin/") {
                in_file = true;
                lines.push(format!("{before}FILE"));
                continue;
            }
            let words = line.split(' ').map(|word| {
                // A colour may end where it begins.
                let bare = word.rsplit("\u{1b}[0m").next().unwrap_or(word);
                let bare = bare.trim_matches(|c: char| "\"(),:".contains(c));
                let id = bare.len() == 36 && bare.matches('-').count() == 4;
                let time = bare.ends_with('Z') && bare.contains('T') && bare.len() >= 20;
                let digest = bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
                match (id, time, digest) {
                    (true, ..) => word.replace(bare, "ID"),
                    (_, true, _) => word.replace(bare, "TIME"),
                    (.., true) => word.replace(bare, "HASH"),
                    _ => word.to_owned(),
                }
            });
            let mut line = words.collect::<Vec<_>>().join(" ");
            if let Some((before, after)) = line.split_once("time        ")
                && let Some((_, after)) = after.split_once("left")
            {
                line = format!("{before}time        LEFT{after}");
            }
            if line.trim_start().starts_with("\"left_ms\"") {
                line = "  \"left_ms\": LEFT,".to_owned();
            }
            if let Some((before, after)) = line.split_once("s ago: ") {
                let before = before.trim_end_matches(|c: char| c.is_ascii_digit());
                line = format!("{before}SECONDS ago: {after}");
            }
            lines.push(line);
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn session(gate: &Gate, root: &Path, agent: &str) -> Session {
    let mut actor = Actor::new(word("ops"), word("incident-42"));
    actor.instance = Some(word(agent));
    actor.on_behalf_of = Some(word("alice"));
    actor.parents = vec![word("planner")];
    gate.session(actor).workspace(root.join("work")).unwrap()
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

pub(crate) enum Call {
    Exec(PendingExec),
    Tool(PendingTool),
}

impl From<PendingExec> for Call {
    fn from(call: PendingExec) -> Self {
        Self::Exec(call)
    }
}

impl From<PendingTool> for Call {
    fn from(call: PendingTool) -> Self {
        Self::Tool(call)
    }
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn text(sheet: &Sheet) -> String {
    sheet.card().text()
}
