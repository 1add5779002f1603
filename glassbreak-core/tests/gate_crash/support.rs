//! A gate whose calls leave marks: one new file for each time one takes effect.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use glassbreak_core::audit::{AuditLog, Kind, Report, State, Timeline, VerifyOptions, verify};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Args, Text, Word, wire};
use glassbreak_core::gate::{Gate, GateBuilder, Session};
use glassbreak_core::store::MemoryStore;
use uuid::Uuid;

/// How many calls a session may make.
pub(crate) const CEILING: usize = 40;

/// `mktemp` makes a new file every time it is run, so a call that ran twice shows.
pub(crate) const PROGRAM: &str = "/usr/bin/mktemp";

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("locks") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const SAFE_BINS: &str = r#"
schema = 1
[profiles.mktemp]
root = { verdict = "allow", labels = ["mutating"], forms = [{ operands = [{ type = "path" }] }] }
examples.allow = ["mktemp k-0-0-0-XXXXXXXX"]
[profiles.sleep]
root = { verdict = "allow", forms = [{ operands = [{ type = "int" }] }] }
examples.allow = ["sleep 1"]
"#;
const TOOLS: &str = r#"
[tools.mark]
labels = ["mutating"]
schema = { type = "object", required = ["name"], properties = { name = { type = "string" } } }
"#;
const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "marks"
match = { labels = ["mutating"] }
key = ["session"]
limit = 40
window = { sliding = "1h" }
durability = "none"
ladder = []
ceiling = 40
"#;

/// A folder of its own, gone with the test.
pub(crate) struct Scratch(PathBuf);

static SCRATCHES: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    pub(crate) fn new() -> Self {
        let number = SCRATCHES.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("glassbreak-crash-{}-{number}", std::process::id()));
        std::fs::create_dir_all(root.join("work")).unwrap();
        Self(root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn bundle() -> Bundle {
    let files = [
        ("p.cedar", POLICY),
        ("safe-bins.toml", SAFE_BINS),
        ("tools.toml", TOOLS),
        ("budgets.toml", BUDGETS),
        ("people.toml", "[groups.oncall]\n[persons.bob]\ngroups = [\"oncall\"]\n"),
        (
            "entities.json",
            r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
        ),
    ];
    let files: Files = files
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    Bundle::from_files(&files).unwrap()
}

pub(crate) async fn gate(root: &Path, more: impl FnOnce(GateBuilder) -> GateBuilder) -> (Gate, AuditLog) {
    let audit = AuditLog::open(root.join("audit")).unwrap();
    let builder = Gate::builder(bundle()).store(MemoryStore::new()).audit(audit.clone());
    let builder = builder.answered_elsewhere();
    (more(builder).build().await.unwrap(), audit)
}

pub(crate) fn session(gate: &Gate, root: &Path, name: &str) -> Session {
    let actor = Actor::new(word("ops"), word(name));
    gate.session(actor).workspace(root.join("work")).unwrap()
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// The operand that makes `mktemp`, and the tool, leave a mark of this call.
pub(crate) fn template(key: &str) -> String {
    format!("{key}-XXXXXXXX")
}

pub(crate) fn named(key: &str) -> Args {
    wire::arguments(&serde_json::json!({ "name": template(key) })).unwrap()
}

/// What the tool does: one more file, as `mktemp` makes it.
pub(crate) fn leave_mark(root: &Path, key: &str) {
    let name = format!("{key}-{}", Uuid::new_v4().simple());
    std::fs::File::create_new(root.join("work").join(name)).unwrap();
}

/// How many marks each call has left.
pub(crate) fn marks(root: &Path) -> BTreeMap<String, usize> {
    let mut marks = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("work")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (key, _) = name.rsplit_once('-').unwrap();
        *marks.entry(key.to_owned()).or_default() += 1;
    }
    marks
}

/// What the log says of one call.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) finished: Option<String>,
}

/// What the log says of all calls, by the name that their marks have.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) report: Report,
    pub(crate) calls: BTreeMap<String, Told>,
}

impl Story {
    /// Reads the log and holds it to what must be true whenever a process was killed or a future dropped: nothing
    /// tampered with, one permit for each id and each call, an outcome only after its permit and only once.
    pub(crate) fn read(root: &Path) -> Self {
        let audit = root.join("audit");
        let report = verify(&audit, &VerifyOptions::default()).unwrap();
        assert_ne!(report.state(), State::Tampered, "{report:#?}");
        let mut ids = BTreeMap::new();
        let mut calls: BTreeMap<String, Told> = BTreeMap::new();
        for record in Timeline::open(&audit).unwrap() {
            let record = record.unwrap();
            let json = record.json();
            let id = json["call"].as_str().unwrap_or_default().to_owned();
            match record.kind() {
                Some(Kind::CallPermitted) => {
                    let line = json.to_string();
                    let keys: BTreeSet<&str> = line
                        .split('"')
                        .filter_map(|text| text.strip_suffix("-XXXXXXXX"))
                        .filter(|key| key.starts_with("k-"))
                        .collect();
                    let keys: Vec<&str> = keys.into_iter().collect();
                    let &[key] = keys.as_slice() else {
                        continue;
                    };
                    let first = ids.insert(id.clone(), key.to_owned()).is_none();
                    assert!(first, "two permits for the id {id}");
                    let told = Told { finished: None };
                    assert!(calls.insert(key.to_owned(), told).is_none(), "two permits for {key}");
                }
                Some(Kind::CallFinished) => {
                    let Some(key) = ids.get(&id) else {
                        panic!("an outcome without a permit: {json}");
                    };
                    let told = calls.get_mut(key).unwrap();
                    let outcome = json["outcome"].as_str().unwrap().to_owned();
                    assert!(told.finished.replace(outcome).is_none(), "two outcomes: {json}");
                }
                _ => {}
            }
        }
        Self { report, calls }
    }

    /// Holds the marks to the log: each has its permit, no call has two, and outcomes are true.
    pub(crate) fn hold(&self, marks: &BTreeMap<String, usize>) {
        for (key, count) in marks {
            assert_eq!(*count, 1, "{key} took effect {count} times");
            assert!(self.calls.contains_key(key), "{key} took effect without a record");
        }
        for (key, told) in &self.calls {
            match told.finished.as_deref() {
                Some("done") => assert!(marks.contains_key(key), "{key} is said to be done"),
                Some("not_run") => assert!(!marks.contains_key(key), "{key} is said not to have run"),
                // Failed, or nothing recorded: it may have run.
                _ => {}
            }
        }
    }

    /// Calls that are counted: permitted, and not proven not to have run.
    pub(crate) fn spent(&self) -> usize {
        let not_run = |told: &&Told| told.finished.as_deref() == Some("not_run");
        self.calls.len() - self.calls.values().filter(not_run).count()
    }
}

/// Whether the program is there; says so loudly where it is not, past the harness, which swallows what tests print.
pub(crate) fn can_run(test: &str) -> bool {
    let there = Path::new(PROGRAM).exists();
    if !there {
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: there is no {PROGRAM}");
    }
    there
}
