//! A gate over the store and the log of a folder, people, and tools whose effects are lines in a file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use glassbreak_core::approval::{Answer, Ballot, Request};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, ArgValue, Text, Word, wire};
use glassbreak_core::clock::Span;
use glassbreak_core::gate::{Gate, PendingTool, Session, ToolPlan};
use glassbreak_core::notify::Notifier;
use glassbreak_core::people::Account;
use glassbreak_core::store::Store;

/// Which process of the test binary a child is, and where.
pub(crate) const ROOT: &str = "GLASSBREAK_TEST_CRASH_ROOT";

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("deploy-asks") @ask("oncall") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource);
@id("prod-asks-two") @ask("oncall") @quorum("2") @window("5m")
forbid (principal, action == Action::"tool:deploy", resource) when { context.args.env == "prod" };
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource)
when { context.request.risk != "high" };
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
target = { kind = "service", name = "args.service", namespace = "args.env" }
pin = ["namespace"]
schema = { type = "object", required = ["service", "env"], properties = { service = { type = "string" }, env = { type = "string" } } }
[tools.restart]
labels = ["mutating"]
schema = { type = "object", required = ["service"], properties = { service = { type = "string" } } }
"#;
/// Two restarts pass, those after them ask.
const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "restarts"
match = { tools = ["restart"] }
key = ["fleet"]
limit = 2
window = { sliding = "1h" }
durability = "strict"
ladder = [{ over = 0, then = "ask" }]
ceiling = 6
ask = { group = "oncall" }
"#;
const SETTINGS: &str = "[requests]\npending = 100\nper_hour = 1000\ncooldown = \"off\"\n";
/// Besides bob and carol, so that many can vote at once.
pub(crate) const PERSONS: usize = 12;

pub(crate) fn bundle(deadline: &str) -> Bundle {
    let mut people = "[groups.oncall]\n".to_owned();
    let others = (0..PERSONS).map(|number| format!("p{number}"));
    for name in others.chain(["alice", "bob", "carol"].map(str::to_owned)) {
        people += &format!("[persons.{name}]\ngroups = [\"oncall\"]\naccounts = [\"sso:{name}\"]\n");
    }
    let settings = format!("{SETTINGS}deadline = \"{deadline}\"\n");
    let files: Files = [
        ("p.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        ("people.toml", &people),
        ("glassbreak.toml", &settings),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.into()))
    .collect();
    Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn database(root: &Path) -> PathBuf {
    root.join("store.db")
}

pub(crate) fn audit(root: &Path) -> PathBuf {
    root.join("audit")
}

pub(crate) async fn gate(root: &Path, store: impl Store, deadline: &str, notifier: Option<impl Notifier>) -> Gate {
    fs::create_dir_all(root.join("work")).unwrap();
    let mut builder = Gate::builder(bundle(deadline))
        .store(store)
        .audit(AuditLog::open(audit(root)).unwrap());
    builder = match notifier {
        Some(notifier) => builder.notifier(notifier),
        None => builder.answered_elsewhere(),
    };
    builder.build().await.unwrap()
}

pub(crate) fn session(gate: &Gate, root: &Path, name: &str) -> Session {
    let mut actor = Actor::new(word("ops"), word(name));
    actor.instance = Some(word("ops-7"));
    actor.on_behalf_of = Some(word("alice"));
    gate.session(actor).workspace(root.join("work")).unwrap()
}

pub(crate) fn deploy(session: &Session, key: &str, env: &str) -> PendingTool {
    let arguments = wire::arguments(&serde_json::json!({ "service": key, "env": env }));
    session.tool(word("deploy"), arguments.unwrap())
}

pub(crate) fn restart(session: &Session, key: &str) -> PendingTool {
    let arguments = wire::arguments(&serde_json::json!({ "service": key }));
    session.tool(word("restart"), arguments.unwrap())
}

pub(crate) fn ballot(who: &str, request: &Request, answer: Answer) -> Ballot {
    Ballot {
        account: Account::of_host(format!("sso:{who}").as_str()).unwrap(),
        answer,
        reason: None,
        card: request.card.digest(),
    }
}

pub(crate) fn window(uses: u32) -> Answer {
    Answer::Window {
        span: Span::from_millis(5 * 60_000),
        uses,
        pins: Vec::new(),
    }
}

/// The name that the call has in the file of effects and in the log; every call of a story has its own.
pub(crate) fn key_of(plan: &ToolPlan) -> String {
    match &plan.arguments()["service"] {
        ArgValue::Str(key) => key.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The effect of a tool: one more line, on disk when this returns.
pub(crate) fn take_effect(root: &Path, key: &str, between: impl FnOnce()) {
    let file = append(&root.join("effects"), &format!("{key}\n"));
    between();
    file.sync_all().unwrap();
}

pub(crate) fn append(path: &Path, line: &str) -> File {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
    file
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("{error}"),
    };
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}
