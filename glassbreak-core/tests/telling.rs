//! What a timeline says of people being asked: every kind of record, as a tired person reads it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::path::PathBuf;

use glassbreak_core::approval::{Answer, Ballot, Because, Request, RequestId, Stage, Stages};
use glassbreak_core::audit::{AuditLog, Event, NotifyFailed, NotifySent, RequestEscalated, RequestOverflow};
use glassbreak_core::audit::{Teller, Timeline};
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, ArgValue, Args, Text, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::gate::{AfterGlass, AnyPermit, Closed, Gate, Session, Verdict, Waiting};
use glassbreak_core::lock::{LockPath, Target};
use glassbreak_core::notify::Alert;
use glassbreak_core::people::Account;
use glassbreak_core::store::{MemoryStore, OpId, Which};

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("asks") @ask("oncall") @window("10m") @self("allow")
forbid (principal, action == Action::"tool:deploy", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
schema = { type = "object", required = ["what"], properties = { what = { type = "string" } } }
"#;
const PEOPLE: &str = "[groups.oncall]\n[persons.alice]\ngroups = [\"oncall\"]\nuid = 1\n\
                      [persons.bob]\ngroups = [\"oncall\"]\nuid = 2\n[persons.eve]\nuid = 3\n";

/// Never takes it that a grant has ended.
#[derive(Debug)]
struct Full;

#[async_trait::async_trait]
impl AfterGlass for Full {
    async fn closed(&self, _: &Closed) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("the disk\u{1b}[2J is full".into())
    }
}

struct House {
    root: PathBuf,
    gate: Gate,
    audit: AuditLog,
    session: Session,
    /// The same folder with a note in it.
    other: Files,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

impl House {
    async fn new() -> Self {
        let root = std::env::temp_dir().join(format!("glassbreak-tell-{}", OpId::mint(Timestamp::now())));
        std::fs::create_dir_all(root.join("work")).unwrap();
        let roles = r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#;
        let files = [
            ("p.cedar", POLICY),
            ("tools.toml", TOOLS),
            ("people.toml", PEOPLE),
            ("entities.json", roles),
        ];
        let files: Files = files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        let mut other = files.clone();
        other.insert("notes.md".to_owned(), b"reviewed\n".to_vec());
        let audit = AuditLog::open(root.join("audit")).unwrap();
        let gate = Gate::builder(Bundle::from_files(&files).unwrap())
            .store(MemoryStore::new())
            .answered_elsewhere()
            .after_glass(Full)
            .after_glass_time(std::time::Duration::from_millis(50))
            .audit(audit.clone());
        let gate = gate.build().await.unwrap();
        let mut actor = Actor::new(word("ops"), word("s-1"));
        actor.on_behalf_of = Some(word("alice"));
        actor.instance = Some(word("ops-7"));
        let session = gate.session(actor).workspace(root.join("work")).unwrap();
        Self {
            root,
            gate,
            audit,
            session,
            other,
        }
    }

    async fn ask(&self, what: &str) -> Waiting {
        let mut arguments = Args::new();
        arguments.insert("what".into(), ArgValue::Str(what.into()));
        let call = self
            .session
            .because("it is\u{1b}[2J late")
            .tool(word("deploy"), arguments);
        match call.check().await {
            Verdict::Ask(escalation) => escalation.open().await.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn vote(&self, request: &Request, uid: u32, answer: Answer, reason: Option<&str>) -> String {
        let ballot = Ballot {
            account: Account::uid(uid).unwrap(),
            answer,
            reason: reason.map(|text| Text::new(text).unwrap()),
            card: request.card.digest(),
        };
        match self.gate.desk().vote(request.id, &ballot).await {
            Ok(request) => request.state.to_string(),
            Err(why) => why.to_string(),
        }
    }

    /// Waits until so many records of a kind are written.
    async fn recorded(&self, kind: &str, count: usize) {
        for _ in 0..1_000 {
            let log = std::fs::read_to_string(self.audit.path()).unwrap();
            if log.matches(&format!("\"kind\":\"{kind}\"")).count() >= count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no {count} records {kind}")
    }

    /// The timeline, with ids, times and digests taken out.
    fn told(self) -> String {
        let log = self.audit.clone();
        log.close().unwrap();
        let mut teller = Teller::plain();
        let records = Timeline::open(self.root.join("audit")).unwrap();
        let told: String = records.map(|record| teller.tell(&record.unwrap())).collect();
        assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
        told.lines().map(plain).collect()
    }
}

/// A line without what differs from run to run.
fn plain(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| "();,:".contains(c));
        let id = bare.len() == 36 && bare.matches('-').count() == 4;
        let time = bare.ends_with('Z') && bare.contains('T') && bare.len() >= 20;
        let digest = bare.len() == 64;
        match (id, time, digest) {
            (true, ..) => word.replace(bare, "ID"),
            (_, true, _) => word.replace(bare, "TIME"),
            (.., true) => word.replace(bare, "HASH"),
            _ => word.to_owned(),
        }
    });
    format!("{}\n", words.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn every_kind_of_record_is_told_in_full() {
    let house = House::new().await;
    let first = house.ask("web").await;
    let request = first.request().clone();
    house.vote(&request, 3, Answer::Once, None).await;
    house.vote(&request, 9, Answer::Deny, None).await;
    let _joined = house.ask("web").await;
    let window = Answer::Window {
        span: Span::from_millis(300_000),
        uses: 3,
        pins: Vec::new(),
    };
    house.vote(&request, 1, window, None).await;
    match first.wait().await {
        Ok(AnyPermit::Tool(permit)) => permit.forgo().await,
        other => panic!("{other:?}"),
    }
    let (bob, why) = (word("bob"), Text::new("enough \u{202e}now").unwrap());
    let revoke = Which::Request(request.id);
    house.gate.desk().revoke(revoke, why, bob).await.unwrap();
    house.recorded("hook.failed", 3).await;
    let why = Text::new("because").unwrap();
    let refused = house.gate.desk().lock(Target::All, why, word("eve")).await;
    assert!(refused.is_err());
    let second = house.ask("web").await.request().clone();
    house.vote(&second, 2, Answer::Deny, Some("not today \"friend\"")).await;
    let other = Bundle::from_files(&house.other).unwrap();
    let expected = other.digest();
    house.gate.reload(other, expected).unwrap();
    let told = house.told();
    println!("{told}");
    assert_eq!(told, include_str!("telling.txt"));
}

#[tokio::test]
async fn how_a_question_got_to_people_is_told_in_full() {
    let house = House::new().await;
    let id = RequestId::mint(Timestamp::now());
    let stages = Stages {
        group: word("oncall"),
        notifiers: Vec::new(),
        then: vec![Stage {
            group: word("leads"),
            after: Span::from_millis(60_000),
            notifiers: vec![word("chat")],
        }],
        reached: 1,
        since: Some(Timestamp::now()),
    };
    let escalated = |because| {
        Event::RequestEscalated(RequestEscalated {
            request: id,
            stages: &stages,
            because,
        })
    };
    let caller = LockPath::new(house.session.actor(), "deploy");
    let alert = Alert::new(word("ops-7"), caller, "5 questions are open\u{1b}[2J already");
    for event in [
        Event::NotifyFailed(NotifyFailed {
            request: id,
            notifier: Some("pager"),
            stage: Some(1),
            why: "pager: \u{1b}[2Jnobody",
        }),
        escalated(Because::NotDelivered),
        Event::NotifySent(NotifySent {
            request: id,
            notifier: "chat",
            stage: 2,
        }),
        escalated(Because::Delay),
        escalated(Because::NobodyThere),
        Event::RequestOverflow(RequestOverflow { alert: &alert }),
    ] {
        house.audit.append(event).unwrap();
    }
    let told = house.told();
    let lines: Vec<&str> = told.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        lines[..12],
        [
            "TIME  no card    request ID",
            "pager: \\u{1b}[2Jnobody",
            "TIME  goes on    request ID",
            "stage 2: leads may answer for oncall too, because nobody could be shown it",
            "TIME  shown      request ID",
            "by chat, at stage 2",
            "TIME  goes on    request ID",
            "stage 2: leads may answer for oncall too, because nobody had answered",
            "TIME  goes on    request ID",
            "stage 2: leads may answer for oncall too, because nobody there may answer",
            "TIME  too often  ops-7 for alice in s-1",
            "5 questions are open\\u{1b}[2J already",
        ]
    );
}
