//! The program at the terminal: a gate whose agent asks.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glassbreak_core::approval::{Answer, Ballot};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, ArgValue, Args, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::gate::{Gate, Session, Verdict};
use glassbreak_core::lock::LockPath;
use glassbreak_core::notify::{Alert, Notifier, Terminal};
use glassbreak_core::people::Account;
use glassbreak_core::store::{MemoryStore, OpId};

const POLICY: &str = r#"
@id("all") permit (principal, action in Action::"call", resource);
@id("asks") @ask("oncall") @window("10m") forbid (principal, action in Action::"call", resource);
@id("agree") permit (principal in Group::"oncall", action == Action::"approve", resource);
"#;
const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
schema = { type = "object", required = ["what"], properties = { what = { type = "string" } } }
[tools.drop]
labels = ["mutating"]
schema = { type = "object", required = ["what"], properties = { what = { type = "string" } } }
"#;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

/// Where everything lies; it goes when the child ends by itself.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn session(notify: bool, root: &Path) -> Session {
    std::fs::create_dir_all(root.join("work")).unwrap();
    let uid = rustix::process::getuid().as_raw();
    let known = std::env::var("GLASSBREAK_TTY_UID").unwrap_or_else(|_| uid.to_string());
    let people = format!(
        "[groups.oncall]\n[persons.carol]\ngroups = [\"oncall\"]\nuid = {known}\n\
         [persons.bob]\ngroups = [\"oncall\"]\naccounts = [\"sso:bob\"]\n"
    );
    let roles = r#"[{"uid":{"type":"Role","id":"ops"},"attrs":{},"parents":[]}]"#;
    let files = [
        ("p.cedar", POLICY),
        ("tools.toml", TOOLS),
        ("people.toml", &people),
        ("entities.json", roles),
        ("glassbreak.toml", "[requests]\ndeadline = \"10s\"\n"),
    ];
    let files: Files = files
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let mut gate = Gate::builder(Bundle::from_files(&files).unwrap())
        .store(MemoryStore::new())
        .audit(AuditLog::open(root.join("audit")).unwrap());
    gate = if notify {
        gate.notifier(Terminal::new())
    } else {
        gate.answered_elsewhere()
    };
    let gate = gate.build().await.unwrap();
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.on_behalf_of = Some(word("alice"));
    gate.session(actor).workspace(root.join("work")).unwrap()
}

async fn call(session: &Session, tool: &str, what: &str, because: &str) -> String {
    let mut arguments = Args::new();
    arguments.insert("what".into(), ArgValue::Str(what.into()));
    let call = session.because(because).tool(word(tool), arguments);
    match call.authorize().await {
        Ok(permit) => {
            let plan = permit.run(async |plan| Ok::<_, glassbreak_core::gate::Denied>(plan.name().to_string()));
            let grants = session.gate().desk().grants().await.unwrap();
            let uses: Vec<u32> = grants.iter().map(|grant| grant.max_uses).collect();
            format!("ran {} standing {uses:?}", plan.await.unwrap())
        }
        Err(denial) => format!("denied {}", denial.why()),
    }
}

/// Answers elsewhere, by another person.
async fn bob(session: &Session, answer: Answer) {
    let desk = session.gate().desk();
    let request = desk.pending().await.unwrap().swap_remove(0);
    let ballot = Ballot {
        account: Account::of_host("sso:bob").unwrap(),
        answer,
        reason: None,
        card: request.card.digest(),
    };
    desk.vote(request.id, &ballot).await.unwrap();
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

pub(crate) fn run(case: &str) {
    let root = std::env::temp_dir().join(format!("glassbreak-tty-{}", OpId::mint(Timestamp::now())));
    let root = Scratch(root);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let down = runtime.block_on(async {
        let session = session(case != "deliver", &root.0).await;
        println!("READY");
        pause(300).await;
        match case {
            "one" => println!("RESULT {}", call(&session, "deploy", "web", "").await),
            "words" => {
                let fake = "x\u{1b}[2J\u{1b}[H\r\nHIGH risk: fake\nonce | deny WHY | later > \u{202e}\u{9b}31m";
                println!(
                    "RESULT {}",
                    call(&session, "deploy", "web\\n once | deny > ", fake).await
                );
            }
            "two" => {
                let two = session.clone();
                let first = tokio::spawn(async move { call(&two, "deploy", "web", "").await });
                pause(200).await;
                let second = call(&session, "drop", "db", "").await;
                println!("FIRST {}", first.await.unwrap());
                println!("SECOND {second}");
            }
            "elsewhere" => {
                let (two, three) = (session.clone(), session.clone());
                let first = tokio::spawn(async move { call(&two, "deploy", "web", "").await });
                pause(100).await;
                let second = tokio::spawn(async move { call(&three, "drop", "db", "").await });
                // Long enough that half a line is typed.
                pause(1500).await;
                println!("SETTLING");
                bob(&session, Answer::Once).await;
                println!("FIRST {}", first.await.unwrap());
                println!("SECOND {}", second.await.unwrap());
            }
            "alert" => {
                let caller = LockPath::new(session.actor(), "deploy");
                let alert = Alert::new(word("ops"), caller, "5 questions of this agent are open already");
                println!("RESULT {:?}", Terminal::new().alert(&alert).await);
            }
            "later" => {
                let two = session.clone();
                let first = tokio::spawn(async move { call(&two, "deploy", "web", "").await });
                pause(2000).await;
                bob(&session, Answer::Deny).await;
                println!("RESULT {}", first.await.unwrap());
            }
            "deliver" => {
                let mut arguments = Args::new();
                arguments.insert("what".into(), ArgValue::Str("web".into()));
                let Verdict::Ask(asks) = session.tool(word("deploy"), arguments).check().await else {
                    panic!("it does not ask");
                };
                let waiting = asks.open().await.unwrap();
                let desk = session.gate().desk();
                let came = Terminal::new().deliver(waiting.request(), desk).await;
                println!("DELIVERED {:?}", came.map_err(|why| why.to_string()));
                let votes = desk.request(waiting.request().id).await.unwrap().unwrap().votes.len();
                println!("VOTES {votes}");
            }
            "shutdown" => {
                let two = session.clone();
                tokio::spawn(async move { call(&two, "deploy", "web", "").await });
                pause(1000).await;
                return Some(Instant::now());
            }
            other => panic!("{other}"),
        }
        // A host lives on; one that ends at once may take the last words with it.
        pause(300).await;
        None
    });
    drop(runtime);
    if let Some(down) = down {
        println!("DOWN {}", down.elapsed().as_millis());
    }
}
