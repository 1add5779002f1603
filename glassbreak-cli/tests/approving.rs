//! People at work: an orchestrator with a gate, and `glassbreak approve` and its like in other processes, all at one
//! store file.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

#[path = "../../glassbreak-core/src/notify/attacks.rs"]
mod attacks;
#[path = "../../glassbreak-core/tests/terminal/pty.rs"]
mod pty;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use glassbreak_core::approval::{Request, State};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, ArgValue, Args, Word};
use glassbreak_core::finding::Denial;
use glassbreak_core::gate::{Gate, Permit, Session, ToolCall};
use glassbreak_sqlite::SqliteStore;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::pty::Seated;

const GLASSBREAK: &str = env!("CARGO_BIN_EXE_glassbreak");
const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("asks") @ask("oncall") @window("10m") forbid (principal, action == Action::"tool:deploy", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
@id("operators") permit (principal in Group::"oncall", action in Action::"operate", resource);
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
schema = { type = "object", required = ["what"], properties = { what = { type = "string" } } }
[tools.touch]
labels = ["mutating"]
schema = { type = "object", properties = {} }
"#;
const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "touches"
match = { labels = ["mutating"] }
key = ["session"]
limit = 1024
window = { sliding = "1h" }
durability = "strict"
ladder = []
ceiling = 1024
"#;
const PROFILES: &str = r#"
schema = 1
[profiles.act]
root = { verdict = "allow", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.allow = ["act script"]
[profiles.release]
root = { verdict = "ask", forms = [{ operands = [{ type = "path", max = 4 }] }] }
examples.ask = ["release script"]
"#;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn people(carol: &str) -> String {
    format!(
        "[groups.oncall]\n[persons.carol]\n{carol}\n[persons.bob]\ngroups = [\"oncall\"]\naccounts = [\"sso:bob\"]\n\
         [persons.dave]\ngroups = [\"oncall\"]\n"
    )
}

fn carol() -> String {
    let uid = rustix::process::getuid().as_raw();
    people(&format!("groups = [\"oncall\"]\nuid = {uid}"))
}

/// A policy folder, a store, a workspace and two programs.
struct House(PathBuf);

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl House {
    fn new() -> Self {
        let house = Self(std::env::temp_dir().join(format!("glassbreak-approving-{}", Uuid::now_v7())));
        for folder in ["", "work", "bin", "state"] {
            fs::DirBuilder::new().mode(0o755).create(house.0.join(folder)).unwrap();
        }
        house.policy("policy", &carol());
        for program in ["bin/act", "bin/release"] {
            fs::copy("/bin/sh", house.0.join(program)).unwrap();
            fs::set_permissions(house.0.join(program), PermissionsExt::from_mode(0o755)).unwrap();
        }
        house
    }

    /// Writes a policy folder whose people are these.
    fn policy(&self, name: &str, people: &str) {
        let folder = self.0.join(name);
        fs::DirBuilder::new().mode(0o755).create(&folder).unwrap();
        for (name, text) in [
            ("agent.cedar", POLICY),
            ("tools.toml", TOOLS),
            ("budgets.toml", BUDGETS),
            ("safe-bins.toml", PROFILES),
            ("people.toml", people),
            (
                "glassbreak.toml",
                "[ask]\ngroup = \"oncall\"\n[requests]\nper_hour = 1000\npending = 100\n",
            ),
            (
                "entities.json",
                r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#,
            ),
        ] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o644)).unwrap();
        }
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    async fn gate(&self) -> Gate {
        let gate = Gate::builder(Bundle::open(self.0.join("policy")).unwrap())
            .store(SqliteStore::open(self.0.join("state/store.db")).await.unwrap())
            .audit(AuditLog::open(self.0.join("audit")).unwrap());
        gate.answered_elsewhere().build().await.unwrap()
    }

    fn session(&self, gate: &Gate, name: &str, person: &str) -> Session {
        let mut actor = Actor::new(word("ops"), word(name));
        actor.on_behalf_of = Some(word(person));
        gate.session(actor).workspace(self.0.join("work")).unwrap()
    }

    /// The words of a command, with store, policy and audit.
    fn words(&self, policy: &str, words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        all.extend(["--store".to_owned(), self.at("state/store.db")]);
        if !policy.is_empty() {
            all.extend([
                "--policy".to_owned(),
                self.at(policy),
                "--audit".to_owned(),
                self.at("audit"),
            ]);
        }
        all
    }

    /// Runs a command away from any terminal.
    fn run(&self, policy: &str, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(GLASSBREAK).args(self.words(policy, words));
        read(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// Starts a command at a terminal.
    fn sit(&self, words: &[String]) -> Option<Seated> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Seated::start(GLASSBREAK, &words, |command| {
            command.stderr(Stdio::piped());
        })
    }
}

fn read(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Has an agent ask, and gives the request.
async fn ask(session: &Session, what: &str) -> (Request, JoinHandle<Result<Permit<ToolCall>, Denial>>) {
    let mut arguments = Args::new();
    arguments.insert("what".into(), ArgValue::Str(what.into()));
    let asking = session.clone();
    let call = tokio::spawn(async move { asking.tool(word("deploy"), arguments).authorize().await });
    let began = Instant::now();
    loop {
        let open = session.gate().desk().pending().await.unwrap();
        let mine = open
            .into_iter()
            .find(|request| request.path.session() == &session.actor().session);
        if let Some(request) = mine {
            return (request, call);
        }
        assert!(began.elapsed() < pty::PATIENCE, "nothing is asked");
        assert!(!call.is_finished(), "{:?}", call.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_another_process_lands_at_once() {
    const RUNS: usize = 20;
    let house = House::new();
    let gate = house.gate().await;
    // One session is counted to 1,024 at most.
    let busy: Vec<Session> = (0..400)
        .map(|n| house.session(&gate, &format!("busy-{n}"), "alice"))
        .collect();
    let work = tokio::spawn(async move {
        for calls in 0.. {
            let Some(session) = busy.get(calls / 500) else { break };
            let permit = session.tool(word("touch"), Args::new()).authorize().await.unwrap();
            permit.forgo().await;
        }
    });
    let session = house.session(&gate, "s-1", "alice");
    let mut took = Vec::new();
    for run in 0..RUNS {
        let (request, call) = ask(&session, &format!("web-{run}")).await;
        let id = request.id.to_string();
        let Some(mut seated) = house.sit(&house.words("policy", &["approve", &id])) else {
            return;
        };
        let landed = tokio::task::spawn_blocking(move || {
            seated.prompt(0);
            seated.type_in("once\n");
            (Instant::now(), seated)
        });
        let (pressed, seated) = landed.await.unwrap();
        let permit = call.await.unwrap().unwrap();
        took.push(pressed.elapsed());
        permit.forgo().await;
        let (code, out, screen) = tokio::task::spawn_blocking(|| seated.end()).await.unwrap();
        assert_eq!(code, Some(0), "{screen}");
        assert!(out.starts_with("Approved by carol: grant "), "{out}");
    }
    assert!(!work.is_finished(), "{:?}", work.await);
    work.abort();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!(
        "keypress to permit: p50 {:?}, p95 {:?}, most {:?}",
        at(50),
        at(95),
        at(100)
    );
    assert!(at(95) < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_told_why_and_it_is_recorded() {
    let house = House::new();
    let gate = house.gate().await;
    let uid = rustix::process::getuid().as_raw();
    for (n, (policy, people, person, why)) in [
        (
            "unmapped",
            people("groups = [\"oncall\"]\nuid = 4000000000"),
            "alice",
            "no person in people.toml has the account uid:",
        ),
        (
            "removed",
            people(&format!("uid = {uid}")),
            "alice",
            "they are not in the group `oncall`",
        ),
        (
            "disabled",
            people(&format!("groups = [\"oncall\"]\nuid = {uid}\ndisabled = true")),
            "alice",
            "they are disabled",
        ),
        ("own", carol(), "carol", "the agent acts for them"),
    ]
    .into_iter()
    .enumerate()
    {
        house.policy(policy, &people);
        let session = house.session(&gate, &format!("s-{n}"), person);
        let (request, call) = ask(&session, "web").await;
        let id = request.id.to_string();
        let words = house.words(policy, &["approve", &id]);
        let Some(mut seated) = house.sit(&words) else { return };
        let (code, err, screen) = tokio::task::spawn_blocking(move || {
            seated.prompt(0);
            seated.type_in("once\n");
            seated.err.wait("refused: ");
            let err = seated.err.clone();
            let (code, _, screen) = seated.end();
            (code, err.text(), screen)
        })
        .await
        .unwrap();
        assert_eq!(code, Some(1), "{policy}: {err}\n{screen}");
        assert!(err.contains(why), "{policy}: {err}");
        let after = gate.desk().request(request.id).await.unwrap().unwrap();
        assert_eq!((after.state, after.votes.len()), (State::Pending, 0), "{policy}");
        let audit = Command::new(GLASSBREAK)
            .args(["audit", "show", &house.at("audit")])
            .output();
        let (_, told, _) = read(&audit.unwrap());
        let refused = told.lines().filter(|line| line.contains("  no vote  ")).count();
        assert_eq!(refused, n + 1, "{policy}: {told}");
        assert!(told.contains(why), "{policy}: {told}");
        call.abort();
    }
    let verified = Command::new(GLASSBREAK)
        .args(["audit", "verify", &house.at("audit")])
        .output();
    assert_eq!(read(&verified.unwrap()).0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_and_stopping_need_no_terminal_and_answering_does() {
    let house = House::new();
    assert_eq!(house.run("", &["pending"]).0, 3, "there is no store yet");
    let gate = house.gate().await;
    assert_eq!(
        house.run("", &["pending"]),
        (0, "Nobody asks anything.\n".to_owned(), String::new())
    );
    assert_eq!(house.run("", &["locks"]).1, "Nothing is locked.\n");
    let session = house.session(&gate, "s-1", "alice");
    let (request, call) = ask(&session, "x\\y once | deny > ").await;
    let id = request.id.to_string();

    let (code, out, _) = house.run("", &["pending", "--grants"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with(&id) && out.contains("MEDIUM  deploy  by ops for alice in s-1"),
        "{out}"
    );
    assert!(
        out.contains("(1 of oncall must agree)") && out.contains("No grant stands."),
        "{out}"
    );
    let (_, out, _) = house.run("", &["pending", "--json"]);
    let json: serde_json::Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(json["request"]["id"], id.as_str());
    let end: String = id.chars().skip(30).collect();
    let (code, out, _) = house.run("", &["show", &end]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("what = \"x\\\\y once | deny > \"") && out.contains("state       pending"),
        "{out}"
    );
    assert_eq!(house.run("", &["show", "ffff-no"]).0, 2);

    for answer in [
        vec!["approve", &id],
        vec!["deny", &id, "--reason", "no"],
        vec!["unlock", "all", "--reason", "x"],
    ] {
        let (code, _, err) = house.run("policy", &answer);
        assert_eq!(code, 4, "{answer:?}: {err}");
        assert!(err.contains("no terminal: a person must answer"), "{err}");
    }
    assert_eq!(house.run("nowhere", &["approve", &id]).0, 2);
    assert_eq!(house.run("policy", &["approve", &id, "--yes"]).0, 2);
    assert_eq!(house.run("policy", &["lock", "everything", "--reason", "x"]).0, 2);
    assert_eq!(house.run("policy", &["revoke", "--reason", "x"]).0, 2);

    let (code, out, err) = house.run("policy", &["lock", "session:s-1", "--reason", "enough"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.starts_with("Locked: session s-1 by carol at ") && out.ends_with(": enough.\n"),
        "{out}"
    );
    let denied = call.await.unwrap().unwrap_err();
    assert!(denied.why().contains("withdrawn"), "{}", denied.why());
    assert!(house.run("", &["locks"]).1.contains("session s-1  by carol"));

    let Some(mut seated) = house.sit(&house.words("policy", &["unlock", "session:s-1", "--reason", "better"])) else {
        return;
    };
    let (code, out, screen) = tokio::task::spawn_blocking(move || {
        seated.prompt(0);
        seated.type_in("unlock\n");
        seated.end()
    })
    .await
    .unwrap();
    assert_eq!(
        (code, out.starts_with("Unlocked: session s-1.")),
        (Some(0), true),
        "{screen}"
    );

    let (request, call) = ask(&house.session(&gate, "s-2", "alice"), "web").await;
    let (code, out, _) = house.run("policy", &["revoke", "--session", "s-2", "--reason", "enough"]);
    assert_eq!((code, out), (0, format!("Withdrawn: request {}.\n", request.id)));
    assert!(call.await.unwrap().is_err());

    let (request, call) = ask(&house.session(&gate, "s-3", "alice"), "web").await;
    let rule = request.rules[0].rule.to_string();
    let by = |rule: &str| house.run("policy", &["revoke", "--rule", rule, "--reason", "it was wrong"]);
    assert_eq!(by("nonsense").0, 2);
    let (code, out, _) = by("policy.unknown");
    assert_eq!((code, out.as_str()), (0, "Nothing of it was open.\n"));
    let (code, out, err) = by(&rule);
    assert_eq!(
        (code, out),
        (0, format!("Withdrawn: request {}.\n", request.id)),
        "{err}"
    );
    assert!(call.await.unwrap().is_err());

    house.policy("nobody", &people("uid = 4000000000"));
    let (code, _, err) = house.run("nobody", &["lock", "all", "--reason", "x"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no person in people.toml has the account"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_and_a_window_and_what_is_settled_elsewhere() {
    let house = House::new();
    let gate = house.gate().await;
    let type_at = |mut seated: Seated, keys: &'static str| {
        tokio::task::spawn_blocking(move || {
            let at = seated.prompt(0);
            seated.type_in("\ny\nyes\n");
            let (at, _) = seated.screen.wait_from(at, "Nothing was done.");
            seated.prompt(at);
            seated.type_in(keys);
            let err = seated.err.clone();
            let (code, out, screen) = seated.end();
            (code, out, err.text(), screen)
        })
    };
    let (request, call) = ask(&house.session(&gate, "s-1", "alice"), "web").await;
    let id = request.id.to_string();
    let words = house.words("policy", &["deny", &id, "--reason", "not on friday"]);
    let Some(seated) = house.sit(&words) else { return };
    let (code, out, err, screen) = type_at(seated, "deny\n").await.unwrap();
    assert_eq!(code, Some(0), "{err}{screen}");
    assert_eq!(out, "Denied: carol said no: not on friday.\n");
    assert!(
        call.await
            .unwrap()
            .unwrap_err()
            .why()
            .contains("carol said no: not on friday")
    );
    // Settled: nothing is asked.
    let seated = house.sit(&house.words("policy", &["approve", &id])).unwrap();
    let (code, _, screen) = tokio::task::spawn_blocking(|| seated.end()).await.unwrap();
    assert_eq!((code, screen.as_str()), (Some(1), ""));

    let (request, call) = ask(&house.session(&gate, "s-2", "alice"), "web").await;
    let id = request.id.to_string();
    let beyond = house.words("policy", &["approve", &id, "--window", "11m"]);
    let (code, _, err, _) = type_at(house.sit(&beyond).unwrap(), "window\n").await.unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("the time is beyond what is offered"), "{err}");
    let window = house.words("policy", &["approve", &id, "--window", "5m", "--uses", "3"]);
    let (code, _, err, screen) = type_at(house.sit(&window).unwrap(), "window\n").await.unwrap();
    assert_eq!(code, Some(0), "{err}{screen}");
    call.await.unwrap().unwrap().forgo().await;
    let out = house.run("", &["pending", "--grants"]).1;
    assert!(
        out.contains("2 of 3 calls left  window: tool:deploy where labels = \"mutating\", resource = \"Tool deploy\", risk = \"medium\", target.kind = \"\""),
        "{out}"
    );

    // Settled by a lock while the prompt stands.
    let (request, _call) = ask(&house.session(&gate, "s-3", "alice"), "web").await;
    let words = house.words("policy", &["approve", &request.id.to_string()]);
    let seated = house.sit(&words).unwrap();
    let began = tokio::task::spawn_blocking(move || {
        seated.prompt(0);
        (Instant::now(), seated)
    });
    let (_, seated) = began.await.unwrap();
    assert_eq!(house.run("policy", &["lock", "all", "--reason", "stop"]).0, 0);
    let locked = Instant::now();
    let err = seated.err.clone();
    let (code, _, _) = tokio::task::spawn_blocking(|| seated.end()).await.unwrap();
    assert!(locked.elapsed() < Duration::from_secs(1), "{:?}", locked.elapsed());
    assert_eq!(code, Some(1));
    assert!(err.text().contains("Withdrawn"), "{}", err.text());

    // And what it all adds up to.
    let stats = |more: &[&str]| {
        let output = Command::new(GLASSBREAK)
            .args(["stats", &house.at("audit")])
            .args(more)
            .output();
        read(&output.unwrap())
    };
    let (code, out, err) = stats(&["--json"]);
    assert_eq!(code, 0, "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let asked = ["requests", "approved", "denied", "expired", "withdrawn", "open"];
    assert_eq!(
        asked.map(|what| told["requests"][what].as_u64().unwrap()),
        [3, 1, 1, 0, 1, 0],
        "{out}"
    );
    let carol = &told["people"]["carol"];
    assert_eq!((&carol["votes"], &carol["yes"]), (&2.into(), &1.into()), "{out}");
    assert!(
        stats(&[]).1.contains("\n  carol  2 votes, 1 yes; within "),
        "{}",
        stats(&[]).1
    );
}

/// `glassbreak exec` with everything but the command.
fn guarded(house: &House, more: &[&str]) -> Vec<String> {
    let mut words = house.words(
        "policy",
        &["exec", "--role", "ops", "--session", "s-1", "--on-behalf-of", "alice"],
    );
    words.extend([
        "--workspace".to_owned(),
        house.at("work"),
        "--program-dir".to_owned(),
        house.at("bin"),
    ]);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words
}

#[test]
fn a_program_of_the_agent_cannot_write_to_the_terminal() {
    let house = House::new();
    let script = "if (echo 'Approved by carol' >/dev/tty) 2>/dev/null; then echo wrote; else echo could not; fi";
    fs::write(house.0.join("work/script"), script).unwrap();
    let Some(seated) = house.sit(&guarded(&house, &["--", "act", "script"])) else {
        return;
    };
    let (code, out, screen) = seated.end();
    assert_eq!((code, out.as_str(), screen.as_str()), (Some(0), "could not\n", ""));
}

#[test]
fn exec_asks_here_or_elsewhere_and_comes_back_by_its_ticket() {
    let house = House::new();
    fs::write(house.0.join("work/script"), "echo released").unwrap();
    // At this terminal.
    let Some(mut seated) = house.sit(&guarded(&house, &["--ask", "--", "release", "script"])) else {
        return;
    };
    seated.prompt(0);
    seated.type_in("once\n");
    let (code, out, screen) = seated.end();
    assert_eq!((code, out.as_str()), (Some(0), "released\n"), "{screen}");
    // Without --ask it is a refusal that says how to ask.
    let run = |words: Vec<String>| {
        let mut command = Command::new("setsid");
        read(
            &command
                .arg("--wait")
                .arg(GLASSBREAK)
                .args(words)
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    };
    let (code, _, err) = run(guarded(&house, &["--", "release", "script"]));
    assert_eq!(code, 120);
    assert!(err.contains("add --ask to ask them"), "{err}");
    // Elsewhere: the one that waits is ended, and another comes back.
    let mut waiting = Command::new("setsid");
    waiting
        .arg("--wait")
        .arg(GLASSBREAK)
        .args(guarded(&house, &["--ask", "--", "release", "script"]));
    let mut waiting = waiting.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let heard = pty::Heard::follow(waiting.stderr.take().unwrap());
    let at = heard.wait("ticket:   ");
    heard.wait("until:");
    let text = heard.text();
    let ticket = text.get(at..).unwrap().lines().next().unwrap().to_owned();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let id = ticket.split('.').next().unwrap();
    let mut seated = house.sit(&house.words("policy", &["approve", id])).unwrap();
    seated.prompt(0);
    seated.type_in("once\n");
    assert_eq!(seated.end().0, Some(0));
    let (code, out, err) = run(guarded(&house, &["--resume", &ticket]));
    assert_eq!((code, out.as_str()), (0, "released\n"), "{err}");
    let (code, out, _) = run(guarded(&house, &["--resume", &ticket]));
    assert_eq!((code, out.as_str()), (120, ""), "one call, one permit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_shows_what_its_own_session_asks() {
    let house = House::new();
    let gate = house.gate().await;
    let (_, _call) = ask(&house.session(&gate, "s-other", "alice"), "web").await;
    let Some(mut seated) = house.sit(&guarded(&house, &["--ask", "--", "release", "script"])) else {
        return;
    };
    let screen = tokio::task::spawn_blocking(move || {
        seated.prompt(0);
        std::thread::sleep(Duration::from_millis(300));
        seated.type_in("deny no\n");
        let (code, _, screen) = seated.end();
        assert_eq!(code, Some(120), "{screen}");
        screen
    });
    let screen = screen.await.unwrap();
    assert!(screen.contains("release") && !screen.contains("deploy"), "{screen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_no_attack_lives_in_what_commands_print() {
    let house = House::new();
    let gate = house.gate().await;
    let odd: Vec<char> = attacks::odd().collect();
    let all: Vec<String> = attacks::attacks();
    // What may stand in a call at all; in a reason anything may.
    let fit = all
        .iter()
        .filter(|attack| !attack.contains(&odd[..]) && attack.len() < 1_000);
    let what: Vec<&str> = fit
        .filter(|attack| !attack.contains('\u{301}'))
        .map(String::as_str)
        .collect();
    let mut why: String = odd.iter().collect();
    all.iter()
        .filter(|attack| attack.len() < 100)
        .for_each(|attack| why.push_str(attack));
    let session = house.session(&gate, "s-1", "alice");
    let mut arguments = Args::new();
    arguments.insert("what".into(), ArgValue::Str(what.join("|").into()));
    let asking = session.clone();
    let call = tokio::spawn(async move { asking.because(&why).tool(word("deploy"), arguments).authorize().await });
    let request = loop {
        if let Some(request) = gate.desk().pending().await.unwrap().pop() {
            break request;
        }
        assert!(!call.is_finished(), "{:?}", call.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let id = request.id.to_string();
    for words in [
        vec!["pending"],
        vec!["pending", "--json"],
        vec!["show", &id],
        vec!["show", &id, "--json"],
    ] {
        let (code, out, err) = house.run("", &words);
        assert_eq!(code, 0, "{err}");
        assert!(out.len() > 100, "{words:?}: {out}");
        for c in out.chars().filter(|c| *c != '\n') {
            let seen = glassbreak_core::error::shown_whole(&format!("a{c}"));
            assert!(c == '\\' || seen == format!("a{c}"), "{words:?}: {c:?} in {out:?}");
        }
    }
    call.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a23_what_cannot_be_shown_whole_is_not_asked_for_its_word() {
    let house = House::new();
    let gate = house.gate().await;
    let session = house.session(&gate, "s-1", "alice");
    let (request, call) = ask(&session, &"x".repeat(33_000)).await;
    let id = request.id.to_string();
    let Some(seated) = house.sit(&house.words("policy", &["approve", &id])) else {
        return;
    };
    let (code, err, screen) = tokio::task::spawn_blocking(move || {
        let err = seated.err.clone();
        let (code, _, screen) = seated.end();
        (code, err.text(), screen)
    })
    .await
    .unwrap();
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("cannot be shown whole") && !screen.contains(" > "),
        "{err}\n{screen}"
    );
    call.abort();
}
