//! `kill -9` of the whole process between any two effects of a call.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glassbreak_core::audit::{AuditLog, ChainEnd};
use glassbreak_core::call::Operation;
use glassbreak_core::exec::{Collected, Discard, OutputSink, Stream};
use glassbreak_core::facts::Case;
use glassbreak_core::finding::{Finding, Layer, RuleId};
use glassbreak_core::gate::{Denied, Session};
use glassbreak_core::guard::Check;

use crate::support::{self, CEILING, Scratch, Story, can_run, leave_mark, marks, named, template, word};

const ROOT: &str = "GLASSBREAK_TEST_CRASH_ROOT";
const POINT: &str = "GLASSBREAK_TEST_CRASH_POINT";
const ROUND: &str = "GLASSBREAK_TEST_CRASH_ROUND";

/// Where a call can be killed from within, what must then be in the log (permitted, finished), and how many marks.
/// `None` where both are right: what is written with the next record, or within 5 ms, may be there or not.
const POINTS: [(&str, bool, Option<bool>, Option<usize>); 13] = [
    ("judged", false, Some(false), Some(0)),
    ("permitted", true, Some(false), Some(0)),
    ("polled-1", true, None, None),
    ("polled-2", true, None, None),
    ("polled-3", true, None, None),
    ("output", true, Some(false), Some(1)),
    ("ran", true, None, Some(1)),
    ("ran-synced", true, Some(true), Some(1)),
    ("body-begun", true, Some(false), Some(0)),
    ("body-waits", true, Some(false), Some(1)),
    ("body-ended", true, Some(false), Some(1)),
    ("settled", true, None, Some(1)),
    ("settled-synced", true, Some(true), Some(1)),
];

fn die() -> ! {
    let me = rustix::process::getpid();
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// Kills the process when the fatal call is judged and counted, and nothing of it is recorded.
#[derive(Debug)]
struct Fatal {
    template: Option<String>,
}

#[async_trait]
impl Check for Fatal {
    fn name(&self) -> &str {
        "fatal"
    }

    async fn inspect(&self, case: Case<'_>) -> Finding {
        if let (Some(fatal), Operation::Exec(exec)) = (&self.template, &case.call.operation)
            && exec.argv().words().iter().any(|word| **word == **fatal)
        {
            die();
        }
        Finding::clear(RuleId::new(Layer::Host, "fatal").unwrap(), "")
    }
}

struct DeadlySink;

impl OutputSink for DeadlySink {
    fn take(&mut self, _stream: Stream, _bytes: &[u8]) {
        die()
    }
}

/// Not a test: the process that the tests below kill, or that kills itself.
#[test]
#[ignore = "runs as a child of another test"]
fn victim() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    let point = std::env::var(POINT).unwrap();
    let round = std::env::var(ROUND).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let fatal = format!("k-{round}-9-9");
        let template = (point == "judged").then(|| template(&fatal));
        let (gate, audit) = support::gate(&root, |builder| builder.check(Fatal { template })).await;
        let session = support::session(&gate, &root, &format!("s{round}"));
        // On a line of its own: the harness has begun one.
        println!("\nready {}", audit.path().display());
        std::io::stdout().flush().unwrap();
        if point == "parent" {
            let tasks =
                (0..3).map(|task| tokio::spawn(calls(session.clone(), root.clone(), format!("{round}-{task}"))));
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            std::future::pending::<()>().await;
        }
        // Two whole calls, so that there is something to lose.
        exec(&session, &format!("k-{round}-0-0")).await;
        tool(&session, &root, &format!("k-{round}-0-1")).await;
        end(&point, &session, &audit, &root, &fatal).await;
    });
}

/// Calls until the budget refuses them.
async fn calls(session: Session, root: PathBuf, prefix: String) {
    for number in 0.. {
        let key = format!("k-{prefix}-{number}");
        let ran = if number % 2 == 0 {
            exec(&session, &key).await
        } else {
            tool(&session, &root, &key).await
        };
        if !ran {
            return;
        }
    }
}

async fn exec(session: &Session, key: &str) -> bool {
    session.exec(["mktemp".to_owned(), template(key)]).run().await.is_ok()
}

async fn tool(session: &Session, root: &Path, key: &str) -> bool {
    let Ok(permit) = session.tool(word("mark"), named(key)).authorize().await else {
        return false;
    };
    let body = async |_: &_| -> Result<(), Denied> {
        leave_mark(root, key);
        tokio::task::yield_now().await;
        Ok(())
    };
    permit.run(body).await.is_ok()
}

/// Makes the fatal call, and dies where it is told to.
async fn end(point: &str, session: &Session, audit: &AuditLog, root: &Path, key: &str) {
    let is_tool = ["body-begun", "body-waits", "body-ended", "settled", "settled-synced"].contains(&point);
    if is_tool {
        let permit = session.tool(word("mark"), named(key)).authorize().await.unwrap();
        let body = async |_: &_| -> Result<(), Denied> {
            if point == "body-begun" {
                die();
            }
            leave_mark(root, key);
            if point == "body-waits" {
                tokio::task::yield_now().await;
                die();
            }
            if point == "body-ended" {
                die();
            }
            Ok(())
        };
        permit.run(body).await.unwrap();
    } else {
        let permit = session
            .exec(["mktemp".to_owned(), template(key)])
            .authorize()
            .await
            .unwrap();
        match point {
            "permitted" => die(),
            "output" => drop(permit.exec_into(&mut DeadlySink).await),
            "ran" | "ran-synced" => drop(permit.exec_into(&mut Collected::default()).await.unwrap()),
            polled => {
                let most: u32 = polled.rsplit('-').next().unwrap().parse().unwrap();
                let mut sink = Discard;
                let mut running = pin!(permit.exec_into(&mut sink));
                let mut polls = 0;
                poll_fn(|context| {
                    let poll = running.as_mut().poll(context);
                    polls += 1;
                    if polls == most {
                        die();
                    }
                    poll.map(drop)
                })
                .await;
            }
        }
    }
    if point.ends_with("-synced") {
        audit.sync().unwrap();
    }
    die()
}

struct Victim {
    child: Child,
    log: PathBuf,
}

impl Victim {
    fn start(root: &Path, point: &str, round: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::victim", "--ignored", "--nocapture"])
            .env(ROOT, root)
            .env(POINT, point)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let log = lines.find_map(|line| line.unwrap().strip_prefix("ready ").map(PathBuf::from));
        let log = log.unwrap();
        Self { child, log }
    }

    /// Kills it as soon as `seen`, or, so that a test never hangs, after two seconds.
    fn kill_when(&mut self, mut seen: impl FnMut(&Path) -> bool) -> bool {
        let begun = Instant::now();
        let mut was_seen = false;
        while !was_seen && begun.elapsed() < Duration::from_secs(2) {
            was_seen = seen(&self.log);
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        was_seen
    }
}

/// Programs outlive the guard that started them: waits until all that were started have left their marks.
fn settle() {
    std::thread::sleep(Duration::from_millis(200));
}

/// Reads the log, of which the last chain must be cut. A program that was forked and has not yet begun still holds the
/// lock on the chain with all else of its parent, so for some milliseconds it may look as if it were being written.
fn cut(root: &Path) -> Story {
    let begun = Instant::now();
    loop {
        let story = Story::read(root);
        match story.report.chains.last().unwrap().end {
            Ok(ChainEnd::Open | ChainEnd::Cut { .. }) => return story,
            Ok(ChainEnd::Writing) if begun.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            ref end => panic!("{end:?}"),
        }
    }
}

#[test]
fn killed_from_within_at_each_point() {
    if !can_run("killed_from_within_at_each_point") {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.root();
    for (round, (point, permitted, finished, effects)) in POINTS.into_iter().enumerate() {
        let mut victim = Victim::start(root, point, round);
        let status = victim.child.wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{point}"
        );
        settle();
        let story = cut(root);
        let marks = marks(root);
        story.hold(&marks);
        let fatal = format!("k-{round}-9-9");
        let told = story.calls.get(&fatal);
        assert_eq!(told.is_some(), permitted, "{point}: {story:#?}");
        let count = marks.get(&fatal).copied().unwrap_or(0);
        assert!(effects.is_none_or(|effects| effects == count), "{point}: {count} marks");
        let ended = told.is_some_and(|told| told.finished.is_some());
        assert!(finished.is_none_or(|finished| finished == ended), "{point}: {told:?}");
        let whole = |number: usize| {
            let key = format!("k-{round}-0-{number}");
            marks.contains_key(&key) && story.calls.contains_key(&key)
        };
        assert!(whole(0) && whole(1), "{point}: an earlier call is lost");
    }
}

#[test]
fn killed_from_outside_at_any_moment() {
    if !can_run("killed_from_outside_at_any_moment") {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.root();
    let begun = Instant::now();
    let mut rounds = 0;
    // On sight: a record is there (its permit perhaps not yet), a mark is there, an outcome is there.
    for number in 0..8 {
        for what in ["permitted", "mark", "finished"] {
            let round = rounds;
            rounds += 1;
            let mut victim = Victim::start(root, "parent", round);
            let key = format!("k-{round}-{}-{number}", number % 3);
            let seen = victim.kill_when(|log| match what {
                "permitted" => std::fs::read_to_string(log).unwrap().contains(&template(&key)),
                "mark" => marks(root).contains_key(&key),
                _ => std::fs::read_to_string(log).unwrap().matches("call.finished").count() > number,
            });
            assert!(seen, "{what} of {key} never came");
            cut(root);
        }
    }
    // And blindly.
    while rounds < 72 && begun.elapsed() < Duration::from_secs(60) {
        let mut victim = Victim::start(root, "parent", rounds);
        let random = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
        let wait = Duration::from_micros(200 * random);
        let start = Instant::now();
        assert!(victim.kill_when(|_| start.elapsed() >= wait));
        cut(root);
        rounds += 1;
    }
    settle();
    let story = Story::read(root);
    let marks = marks(root);
    story.hold(&marks);
    for round in 0..rounds {
        let prefix = format!("k-{round}-");
        let effects = marks.keys().filter(|key| key.starts_with(&prefix)).count();
        assert!(effects <= CEILING, "{effects} effects in round {round}");
    }
    let open: Vec<_> = story.calls.iter().filter(|(_, told)| told.finished.is_none()).collect();
    let ran = open.iter().filter(|(key, _)| marks.contains_key(*key)).count();
    println!(
        "{rounds} kills in {:.1} s: {} permits, {} effects; {} without an outcome, of which {ran} ran",
        begun.elapsed().as_secs_f64(),
        story.calls.len(),
        marks.len(),
        open.len(),
    );
    assert!(rounds >= 60, "only {rounds} rounds in time");
    assert!(!open.is_empty(), "no kill fell between a permit and its outcome");
}
