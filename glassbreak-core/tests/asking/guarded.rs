//! Functions of every shape behind `#[guard]`, and what became of their calls.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::Answer;
use glassbreak_core::audit::Performed;
use glassbreak_core::call::{ArgValue, Arguments};
use glassbreak_core::finding::Denial;
use glassbreak_core::gate::{Denied, Session, ToolPlan};
use glassbreak_core::lock::Target;
use glassbreak_core::store::MemoryStore;
use glassbreak_core::{guard, guarded};

use crate::support::{House, bundle_of, files, rules, text, word};

const TOOLS: &str = r#"
[tools.deploy]
labels = ["mutating"]
schema = { type = "object", required = ["service", "env"], properties = { service = { type = "string" }, env = { type = "string" } } }
[tools.own]
labels = []
schema = { type = "object", properties = {} }
[tools.bump]
labels = []
schema = { type = "object", properties = {} }
[tools.restart]
labels = ["mutating"]
schema = { type = "object", properties = {} }
[tools.sign_in]
labels = []
target = { kind = "account", namespace = "args.name" }
[tools.sign_in.schema]
type = "object"
required = ["name", "password"]
properties.name = { type = "string" }
properties.password = { type = "string", maxLength = 9 }
properties.hint = { type = "string" }
[tools.unlock_door]
labels = ["mutating"]
[tools.unlock_door.schema]
type = "object"
required = ["door", "code"]
properties.door = { type = "string" }
properties.code = { type = "string", pattern = "[0-9]{6}", writeOnly = true }
[tools.sum]
labels = []
schema = { type = "object", required = ["of"], properties = { of = { type = "array", items = { type = "integer" } } } }
"#;

const BUDGETS: &str = r#"
schema = 1
[[budget]]
id = "restarts"
match = { tools = ["restart"] }
key = ["fleet"]
limit = 2
window = { sliding = "1h" }
durability = "process"
ladder = []
ceiling = 2
"#;

async fn house() -> House {
    let mut files = files();
    files.insert("tools.toml".to_owned(), TOOLS.into());
    files.insert("budgets.toml".to_owned(), BUDGETS.into());
    House::over(files, MemoryStore::new()).await
}

#[derive(Debug)]
enum ToolError {
    Denied(Denial),
    Own(&'static str),
}

impl From<Denied> for ToolError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.0)
    }
}

fn denied<T: Debug>(result: Result<T, ToolError>) -> Denial {
    match result {
        Err(ToolError::Denied(denial)) => denial,
        other => panic!("{other:?}"),
    }
}

/// A client with its session in it.
struct Agent {
    session: Session,
    done: AtomicU32,
}

#[async_trait]
trait Tools {
    async fn deploy(&self, service: String, env: &str) -> Result<u32, ToolError>;
}

trait Plain {
    async fn sum(&mut self, of: &[i64]) -> Result<i64, ToolError>;
}

impl Agent {
    fn new(house: &House, session: &str) -> Self {
        Self {
            session: house.session(session),
            done: AtomicU32::new(0),
        }
    }

    fn bump(&self) -> u32 {
        self.done.fetch_add(1, Ordering::Relaxed) + 1
    }

    #[guard(tool = "sum", session = self.session)]
    async fn sum_of<T: serde::Serialize + Into<i64> + Copy>(&self, of: &[T]) -> Result<i64, ToolError> {
        Ok(of.iter().map(|one| (*one).into()).sum())
    }

    #[guard(tool = "bump", session = self.session)]
    fn own(&self) -> Result<u32, ToolError> {
        Ok(self.bump())
    }

    #[guard(tool = "restart", session = &self.session, outcome = ended)]
    fn restart(&self, #[guard(skip)] error: Option<&'static str>) -> Result<u32, ToolError> {
        match error {
            None => Ok(self.bump()),
            Some(error) => Err(ToolError::Own(error)),
        }
    }

    #[guard(tool = "bump", session = self.session)]
    fn boxed<'a>(&'a self) -> Pin<Box<dyn Future<Output = Result<u32, ToolError>> + Send + 'a>> {
        if self.done.load(Ordering::Relaxed) > 5 {
            return Box::pin(async { Err(ToolError::Own("enough")) });
        }
        Box::pin(async move { Ok(self.bump()) })
    }

    #[guard(tool = "sum", session = self.session)]
    fn each(&self, of: Vec<i64>) -> impl Future<Output = Result<impl Iterator<Item = i64>, ToolError>> + Send {
        async move { Ok(of.into_iter().map(|n| n * 2)) }
    }
}

#[async_trait]
impl Tools for Agent {
    #[guard(tool = "deploy", session = self.session)]
    async fn deploy(&self, service: String, env: &str) -> Result<u32, ToolError> {
        assert!(!service.is_empty() && !env.is_empty());
        Ok(self.bump())
    }
}

impl Plain for Agent {
    #[guard(tool = "sum", session = self.session)]
    async fn sum(&mut self, of: &[i64]) -> Result<i64, ToolError> {
        *self.done.get_mut() += 1;
        Ok(of.iter().sum())
    }
}

/// `"busy"` proves that nothing was done.
fn ended<T>(result: &Result<T, ToolError>) -> Performed {
    match result {
        Ok(_) => Performed::Done,
        Err(ToolError::Own("busy")) => Performed::NotRun,
        Err(_) => Performed::Failed,
    }
}

/// Opens the door.
///
/// And shows who is in.
#[guard(tool = "sign_in")]
async fn sign_in(
    session: &Session,
    name: &str,
    #[guard(secret)] password: &str,
    #[guard(secret)] hint: Option<String>,
) -> Result<usize, ToolError> {
    Ok(name.len() + password.len() + hint.map_or(0, |hint| hint.len()))
}

#[guard(tool = "sign_in")]
async fn sign_in_unseen(
    session: &Session,
    #[guard(secret)] name: &str,
    #[guard(secret)] password: &str,
) -> Result<usize, ToolError> {
    panic!("must not run: {name} {password}")
}

#[tokio::test]
async fn methods_of_every_shape_run_inside_their_permit() {
    let house = house().await;
    let mut agent = Agent::new(&house, "s");
    assert_eq!(agent.sum_of(&[1_i32, 2]).await.unwrap(), 3);
    assert_eq!(agent.own().unwrap(), 1);
    assert_eq!(agent.boxed().await.unwrap(), 2);
    assert_eq!(agent.each(vec![1, 2]).await.unwrap().collect::<Vec<_>>(), [2, 4]);
    assert_eq!(Plain::sum(&mut agent, &[4, 5]).await.unwrap(), 9);
    assert_eq!(rules(&denied(agent.deploy("a".into(), "moon").await)), ["policy.never"]);
    let expected = ["call.permitted", "call.finished"].repeat(5);
    assert_eq!(house.records(), [expected, vec!["call.refused"]].concat());
}

#[tokio::test]
async fn making_a_future_asks_nobody() {
    let house = house().await;
    let agent = Agent::new(&house, "s");
    drop(agent.boxed());
    drop(agent.each(vec![1]));
    drop(agent.sum_of(&[1_i64]));
    drop(agent.deploy("a".into(), "prod"));
    assert!(house.records().is_empty());
}

#[tokio::test]
async fn a_guarded_future_can_be_spawned() {
    let house = house().await;
    let session = house.session("s");
    let task = tokio::spawn(async move { sign_in(&session, "ada", "hunter2", None).await });
    assert_eq!(task.await.unwrap().unwrap(), 10);
    let agent = std::sync::Arc::new(Agent::new(&house, "t"));
    let task = tokio::spawn(async move { agent.each(vec![7]).await.map(Iterator::count) });
    assert_eq!(task.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_secret_argument_is_judged_and_shown_nowhere() {
    let house = house().await;
    let session = house.session("s");
    assert_eq!(
        sign_in(&session, "ada", "hunter2", Some("dog".into())).await.unwrap(),
        13
    );
    let denial = denied(sign_in(&session, "ada", "hunter2hunter2", None).await);
    assert_eq!(rules(&denial), ["hygiene.tool.argument"]);
    assert!(denial.to_string().contains("arguments.password"), "{denial}");
    assert!(!format!("{denial:?}").contains("hunter2"), "{denial:?}");
    let denial = denied(sign_in(&session, "ada", "hun\u{202e}ter2", None).await);
    assert!(!format!("{denial:?}").contains("ter2"), "{denial:?}");
    let log = std::fs::read_to_string(house.audit.path()).unwrap();
    assert!(log.contains("(secret)") && log.contains("ada"));
    assert!(!log.contains("hunter2") && !log.contains("dog") && !log.contains("ter2"));
}

#[tokio::test]
async fn what_the_manifest_marks_is_shown_nowhere_whoever_calls() {
    let house = house().await;
    let session = house.session("s");
    let unlock = |code: &str| {
        let arguments = Arguments::new().with("door", "east").with("code", code).finish();
        session.tool(word("unlock_door"), arguments.unwrap())
    };
    let permit = unlock("424242").authorize().await.unwrap();
    let seen = permit.run(async |plan: &ToolPlan| {
        let code = plan.arguments()["code"].clone();
        assert_eq!(*code.revealed(), ArgValue::Str("424242".into()));
        Ok::<_, Denied>(code.is_secret())
    });
    assert_eq!(seen.await, Ok(true));
    let denial = unlock("guess 171717").authorize().await.unwrap_err();
    assert_eq!(rules(&denial), ["hygiene.tool.argument"]);
    assert!(!format!("{denial:?}").contains("171717"), "{denial:?}");
    let log = std::fs::read_to_string(house.audit.path()).unwrap();
    assert!(log.contains("east") && log.contains("(secret)"), "{log}");
    assert!(!log.contains("424242") && !log.contains("171717"), "{log}");
}

#[tokio::test]
async fn what_a_call_acts_on_cannot_be_secret() {
    let house = house().await;
    let denial = denied(sign_in_unseen(&house.session("s"), "ada", "x").await);
    assert!(
        denial.why().contains("it is secret, and says what the call acts on"),
        "{denial}"
    );
}

#[tokio::test]
async fn a_sync_function_that_asks_is_pending_and_passes_once_people_agreed() {
    let house = house().await;
    let session = house.session("s");
    let denial = denied(deploy(&session, "web", "staging"));
    assert!(denial.asks() && denial.request().is_some(), "{denial:?}");
    assert!(
        denial.hint().contains("once they agreed, make the same call again"),
        "{denial}"
    );
    // Asked again it is the same question.
    assert_eq!(denied(deploy(&session, "web", "staging")).request(), denial.request());
    let request = house.asked().await;
    assert_eq!(Some(request.id), denial.request());
    house.vote("sso:bob", &request, Answer::Once).await.unwrap();
    assert_eq!(deploy(&session, "web", "staging").unwrap(), "web in staging");
    // Once is once.
    assert!(denied(deploy(&session, "web", "staging")).asks());
}

#[guard(tool = "deploy")]
fn deploy(session: &Session, service: &str, env: &str) -> Result<String, ToolError> {
    Ok(format!("{service} in {env}"))
}

#[tokio::test]
async fn a_question_of_a_sync_function_is_followed_to_its_end() {
    let house = house().await;
    let session = house.session("s");
    // From a thread that no runtime knows.
    let denial = std::thread::spawn(move || denied(deploy(&session, "web", "staging")));
    let denial = tokio::task::spawn_blocking(|| denial.join().unwrap()).await.unwrap();
    let request = house.asked().await;
    assert_eq!(Some(request.id), denial.request());
}

#[tokio::test]
async fn a_shared_budget_binds_sync_functions_and_outcome_says_what_counts() {
    let house = house().await;
    let agent = Agent::new(&house, "s");
    for _ in 0..5 {
        assert!(matches!(agent.restart(Some("busy")), Err(ToolError::Own("busy"))));
    }
    assert_eq!(agent.restart(None).unwrap(), 1);
    assert!(matches!(agent.restart(Some("broken")), Err(ToolError::Own("broken"))));
    assert_eq!(rules(&denied(agent.restart(None))), ["budget.restarts.ceiling"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_stops_sync_functions() {
    let house = house().await;
    let agent = Agent::new(&house, "s");
    agent.own().unwrap();
    let target = Target::Session(word("s"));
    house.gate.desk().lock(target, text("stop"), word("bob")).await.unwrap();
    let mut denial = agent.own();
    for _ in 0..200 {
        if denial.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        denial = agent.own();
    }
    assert_eq!(rules(&denied(denial)), ["lock.session"]);
}

#[test]
fn guarded_functions_name_themselves() {
    let tools = guarded::tools();
    let sign_in = tools.iter().find(|tool| tool.function.ends_with("::sign_in")).unwrap();
    assert_eq!(sign_in.about, "Opens the door.");
    let arguments: Vec<_> = sign_in
        .arguments
        .iter()
        .map(|one| (one.name, one.required, one.secret))
        .collect();
    assert_eq!(
        arguments,
        [("name", true, false), ("password", true, true), ("hint", false, true)]
    );
    // Methods of traits too, and generic ones.
    for function in ["deploy", "sum_of", "boxed", "each"] {
        assert!(tools.iter().any(|tool| tool.function.ends_with(function)), "{function}");
    }
    let mut files = files();
    let own = "[tools.own]\nlabels = []\nschema = { type = \"object\", properties = {} }\n";
    files.insert("tools.toml".to_owned(), (guarded::skeleton() + own).into());
    let bundle = bundle_of(&files);
    let wrong: Vec<String> = guarded::check(&bundle).iter().map(ToString::to_string).collect();
    assert!(
        wrong
            .iter()
            .all(|wrong| wrong.starts_with("sum: ") && wrong.contains("`of`")),
        "{wrong:?}"
    );
    files.insert("tools.toml".to_owned(), TOOLS.into());
    assert_eq!(guarded::check(&bundle_of(&files)), []);
    let other = TOOLS
        .replace("target = { kind = \"account\", namespace = \"args.name\" }\n", "")
        .replace(
            "required = [\"name\", \"password\"]",
            "required = [\"name\", \"hint\", \"hat\"]",
        )
        .replace(
            "properties.name = { type = \"string\" }",
            "properties.name = { type = \"integer\" }\nproperties.hat = { type = \"string\" }",
        );
    files.insert("tools.toml".to_owned(), other.into());
    let wrong = guarded::check(&bundle_of(&files));
    let wrong: Vec<&str> = wrong.iter().map(|wrong| wrong.what.as_str()).collect();
    assert!(
        wrong
            .iter()
            .any(|what| what.contains("is a string, and tools.toml wants a whole number")),
        "{wrong:?}"
    );
    assert!(wrong.iter().any(|what| what.contains("may be None")), "{wrong:?}");
    assert!(wrong.iter().any(|what| what.contains("requires `hat`")), "{wrong:?}");
    let list = guarded::tools_list();
    let listed: Vec<&str> = list["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ["bump", "deploy", "restart", "sign_in", "sum"]);
    let password = list.pointer("/tools/3/inputSchema/properties/password/writeOnly");
    assert_eq!(password, Some(&true.into()), "{list}");
    assert!(guarded::skeleton().contains("properties.password = { type = \"string\", writeOnly = true }"));
    // What the command compares is the same as what a test compares.
    files.insert("tools.toml".to_owned(), TOOLS.into());
    assert_eq!(bundle_of(&files).tools().compare(&list).unwrap(), []);
}
