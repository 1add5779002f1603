//! Stages through the gate: questions that go on to others, notifiers that fail, and what people are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use glassbreak_core::approval::{Answer, Request, State};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Files;
use glassbreak_core::call::Actor;
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::gate::{BuildError, Gate, ReloadError, Session, Verdict, Waiting};
use glassbreak_core::notify::{Alert, Notifier, NotifyError};
use glassbreak_core::store::MemoryStore;

use super::support::{House, ballot, bundle_of, deploy, files, rules, word};

/// What a notifier was called for: how, and at which stage.
type Calls = Arc<Mutex<Vec<(&'static str, u32)>>>;

/// What it does with a card.
#[derive(Debug, Clone, Copy)]
enum Does {
    Shows,
    Fails,
    Panics,
    Hangs,
    /// Confirms that it is shown, and goes on.
    Goes,
    /// Fails once the next stage is reached; then it shows it.
    FailsLate,
}

#[derive(Debug, Clone)]
struct Way(&'static str, Does, Calls);

impl Way {
    fn new(name: &'static str, does: Does) -> Self {
        Self(name, does, Arc::default())
    }

    fn calls(&self) -> Vec<(&'static str, u32)> {
        self.2.lock().unwrap().clone()
    }

    async fn card(&self, how: &'static str, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        self.2.lock().unwrap().push((how, request.stage()));
        match self.1 {
            Does::Shows => Ok(()),
            Does::Fails => Err(NotifyError::new(self.0, "nobody is there")),
            Does::FailsLate => {
                while request.stage() == 1 {
                    let now = desk.request(request.id).await.unwrap().unwrap();
                    if now.stage() > 1 {
                        return Err(NotifyError::new(self.0, "nobody was there"));
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok(())
            }
            Does::Panics => panic!("it cannot deliver"),
            Does::Hangs => std::future::pending().await,
            Does::Goes => {
                desk.shown(request.id).await;
                desk.shown(request.id).await;
                std::future::pending().await
            }
        }
    }
}

#[async_trait::async_trait]
impl Notifier for Way {
    fn name(&self) -> &str {
        self.0
    }

    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        self.card("deliver", request, desk).await
    }

    async fn remind(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        self.card("remind", request, desk).await
    }

    async fn alert(&self, alert: &Alert) -> Result<(), NotifyError> {
        let text = alert.to_string();
        assert!(
            text.starts_with("ops-7, session ") && text.contains("open already"),
            "{text}"
        );
        self.2.lock().unwrap().push(("alert", 0));
        Ok(())
    }

    async fn update(&self, _: &Request) -> Result<(), NotifyError> {
        Ok(())
    }
}

/// A folder with leads behind whoever is on call, and these settings.
fn staged(settings: &str) -> Files {
    let mut files = files();
    let add = |files: &mut Files, name: &str, more: &str| {
        files
            .entry(name.to_owned())
            .or_default()
            .extend_from_slice(more.as_bytes());
    };
    add(
        &mut files,
        "people.toml",
        "[groups.leads]\n[persons.lee]\ngroups = [\"leads\"]\naccounts = [\"sso:lee\"]\n",
    );
    add(
        &mut files,
        "p.cedar",
        "@id(\"leads-agree\") permit (principal in Group::\"leads\", action == Action::\"approve\", resource);\n",
    );
    add(&mut files, "glassbreak.toml", settings);
    files
}

/// Another gate of the same house, with its own log.
async fn gate(
    house: &House,
    log: &str,
    files: &Files,
    store: &MemoryStore,
    ways: &[&Way],
) -> Result<(Gate, Session), BuildError> {
    let audit = AuditLog::open(house.root.join(log)).unwrap();
    let mut builder = Gate::builder(bundle_of(files)).store(store.clone()).audit(audit);
    for way in ways {
        builder = builder.notifier((*way).clone());
    }
    let gate = builder.build().await?;
    let mut actor = Actor::new(word("ops"), word("s"));
    actor.instance = Some(word("ops-7"));
    actor.on_behalf_of = Some(word("alice"));
    let session = gate.session(actor).workspace(house.root.join("work")).unwrap();
    Ok((gate, session))
}

async fn open(session: &Session, service: &str) -> Waiting {
    let Verdict::Ask(escalation) = deploy(session, service, "test").check().await else {
        panic!("nothing asks")
    };
    escalation.open().await.unwrap()
}

/// Waits until a request is at a stage.
async fn at_stage(gate: &Gate, request: &Request, stage: u32, most: Duration) -> Request {
    let looks = async {
        loop {
            let now = gate.desk().request(request.id).await.unwrap().unwrap();
            if now.stage() >= stage {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(most, looks).await;
    let Ok(reached) = reached else {
        panic!("the stage is not reached in time")
    };
    assert_eq!(reached.stage(), stage);
    reached
}

async fn says(gate: &Gate, who: &str, request: &Request, answer: Answer) -> Result<State, &'static str> {
    match gate.desk().vote(request.id, &ballot(who, request, answer)).await {
        Ok(after) => Ok(after.state),
        Err(VoteError::Refused(why)) => Err(why.code()),
        Err(other) => panic!("{other:?}"),
    }
}

/// The records of a log of one kind, as they were written.
fn records(house: &House, log: &str, kind: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(house.root.join(log)).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        found.extend(lines.filter(|record: &serde_json::Value| record["kind"] == kind));
    }
    found
}

const SOON: Duration = Duration::from_secs(4);

fn broken_first(after: &str) -> Files {
    staged(&format!(
        "[requests]\ndeadline = \"20s\"\n[stages.oncall]\nnotifiers = [\"first\"]\n\
         then = [{{ group = \"leads\", after = \"{after}\", notifiers = [\"second\"] }}]\n"
    ))
}

#[tokio::test]
async fn where_no_notifier_of_a_stage_delivers_the_next_is_reached_at_once() {
    for does in [Does::Fails, Does::Panics] {
        let house = House::new().await;
        let (first, second) = (Way::new("first", does), Way::new("second", Does::Shows));
        let (gate, session) = gate(
            &house,
            "log",
            &broken_first("15s"),
            &MemoryStore::new(),
            &[&first, &second],
        )
        .await
        .unwrap();
        let waiting = open(&session, "web").await;
        let request = at_stage(&gate, waiting.request(), 2, SOON).await;
        let answered = says(&gate, "sso:lee", &request, Answer::Once).await;
        assert!(matches!(answered, Ok(State::Approved { .. })), "{answered:?}");
        drop(waiting.wait().await.unwrap());
        let escalated = records(&house, "log", "request.escalated");
        assert_eq!(escalated.len(), 1, "{escalated:?}");
        assert_eq!(
            (&escalated[0]["because"], &escalated[0]["adds"], &escalated[0]["stage"]),
            (&"not-delivered".into(), &"leads".into(), &2.into())
        );
        let failed = records(&house, "log", "notify.failed");
        assert_eq!(
            (failed.len(), &failed[0]["notifier"], &failed[0]["stage"]),
            (1, &"first".into(), &1.into())
        );
        assert_eq!(
            (first.calls(), second.calls()),
            (vec![("deliver", 1)], vec![("deliver", 2)])
        );
    }
}

#[tokio::test]
async fn a_notifier_that_hangs_holds_no_stage_up_and_nobody_is_asked_before_its_time() {
    let house = House::new().await;
    let (first, second) = (Way::new("first", Does::Hangs), Way::new("second", Does::Goes));
    let (gate, session) = gate(
        &house,
        "log",
        &broken_first("1s"),
        &MemoryStore::new(),
        &[&first, &second],
    )
    .await
    .unwrap();
    let waiting = open(&session, "web").await;
    let early = says(&gate, "sso:lee", waiting.request(), Answer::Once).await;
    assert_eq!(early, Err("not-eligible"));
    let request = at_stage(&gate, waiting.request(), 2, SOON).await;
    let now = glassbreak_core::clock::Timestamp::now();
    assert!(now.since(request.opened_at).as_millis() >= 1_000);
    let answered = says(&gate, "sso:lee", &request, Answer::Once).await;
    assert!(matches!(answered, Ok(State::Approved { .. })), "{answered:?}");
    drop(waiting.wait().await.unwrap());
    assert_eq!(records(&house, "log", "request.escalated")[0]["because"], "delay");
    // One that goes on with it confirms it once.
    let sent = records(&house, "log", "notify.sent");
    assert_eq!(
        (sent.len(), &sent[0]["notifier"], &sent[0]["stage"]),
        (1, &"second".into(), &2.into())
    );
}

#[tokio::test]
async fn a_notifier_that_is_busy_when_a_stage_is_reached_is_called_for_it_afterwards() {
    let house = House::new().await;
    let only = Way::new("only", Does::FailsLate);
    let files = staged("[stages.oncall]\nthen = [{ group = \"leads\", after = \"1s\" }]\n");
    let (gate, session) = gate(&house, "log", &files, &MemoryStore::new(), &[&only])
        .await
        .unwrap();
    let waiting = open(&session, "web").await;
    let request = at_stage(&gate, waiting.request(), 2, SOON).await;
    let called = async {
        while only.calls().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, called).await.unwrap();
    assert_eq!(only.calls(), [("deliver", 1), ("deliver", 2)]);
    let answered = says(&gate, "sso:lee", &request, Answer::Once).await;
    assert!(matches!(answered, Ok(State::Approved { .. })), "{answered:?}");
    drop(waiting.wait().await.unwrap());
}

#[tokio::test]
async fn what_is_answered_in_time_goes_on_to_nobody() {
    let house = House::new().await;
    let (first, second) = (Way::new("first", Does::Shows), Way::new("second", Does::Shows));
    let (gate, session) = gate(
        &house,
        "log",
        &broken_first("1s"),
        &MemoryStore::new(),
        &[&first, &second],
    )
    .await
    .unwrap();
    let waiting = open(&session, "web").await;
    says(&gate, "sso:bob", waiting.request(), Answer::Once).await.unwrap();
    let id = waiting.request().id;
    drop(waiting.wait().await.unwrap());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(gate.desk().request(id).await.unwrap().unwrap().stage(), 1);
    assert!(records(&house, "log", "request.escalated").is_empty() && second.calls().is_empty());
}

#[tokio::test]
async fn a_stage_where_nobody_may_answer_goes_on_at_once() {
    let house = House::new().await;
    let way = Way::new("first", Does::Shows);
    let mut files = staged("[stages.oncall]\nthen = [{ group = \"leads\" }]\n");
    let people = String::from_utf8(files["people.toml"].clone()).unwrap();
    let people = people.replace("[persons.bob]", "[persons.bob]\ndisabled = true");
    // alice is left, for whom the agent acts, and carol, whom no policy permits it.
    let policy = String::from_utf8(files["p.cedar"].clone()).unwrap();
    let policy = policy
        + "@id(\"not-carol\") forbid (principal == Person::\"carol\", action == Action::\"approve\", resource);\n";
    files.insert("people.toml".to_owned(), people.into_bytes());
    files.insert("p.cedar".to_owned(), policy.into_bytes());
    let (gate, session) = gate(&house, "log", &files, &MemoryStore::new(), &[&way]).await.unwrap();
    let waiting = open(&session, "web").await;
    let request = at_stage(&gate, waiting.request(), 2, SOON).await;
    assert_eq!(
        records(&house, "log", "request.escalated")[0]["because"],
        "nobody-there"
    );
    assert_eq!(
        says(&gate, "sso:alice", &request, Answer::Once).await,
        Err("not-eligible")
    );
    says(&gate, "sso:lee", &request, Answer::Once).await.unwrap();
    drop(waiting.wait().await.unwrap());
}

#[tokio::test]
async fn several_processes_over_one_store_reach_a_stage_once() {
    let (house, store) = (House::new().await, MemoryStore::new());
    let files = broken_first("1s");
    let ways: Vec<Way> = (0..3)
        .flat_map(|_| [Way::new("first", Does::Shows), Way::new("second", Does::Shows)])
        .collect();
    let (one, session) = gate(&house, "a", &files, &store, &[&ways[0], &ways[1]]).await.unwrap();
    let waiting = open(&session, "web").await;
    let (_two, _) = gate(&house, "b", &files, &store, &[&ways[2], &ways[3]]).await.unwrap();
    let (_three, _) = gate(&house, "c", &files, &store, &[&ways[4], &ways[5]]).await.unwrap();
    let request = at_stage(&one, waiting.request(), 2, SOON).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let now = one.desk().request(request.id).await.unwrap().unwrap();
    assert_eq!((now.stage(), &now.stages), (2, &request.stages));
    let escalated = ["a", "b", "c"].map(|log| records(&house, log, "request.escalated").len());
    assert_eq!(escalated.iter().sum::<usize>(), 1, "{escalated:?}");
    // Each shows it to those that it can reach.
    assert!(ways.iter().all(|way| way.calls().len() == 1), "{ways:?}");
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let (house, store) = (House::new().await, MemoryStore::new());
    let files = staged(
        "[requests]\ndeadline = \"60s\"\n[stages.oncall]\nnotifiers = [\"first\"]\n\
         then = [{ group = \"leads\", after = \"1s\", notifiers = [\"second\"] }]\n",
    );
    let ways = [Way::new("first", Does::Shows), Way::new("second", Does::Shows)];
    let (before, session) = gate(&house, "a", &files, &store, &[&ways[0], &ways[1]]).await.unwrap();
    let request = open(&session, "web").await.request().clone();
    drop((before, session));
    let (after, _) = gate(&house, "b", &files, &store, &[&ways[0], &ways[1]]).await.unwrap();
    let reached = at_stage(&after, &request, 2, SOON).await;
    drop(after);
    let again = [Way::new("first", Does::Shows), Way::new("second", Does::Shows)];
    let (last, _) = gate(&house, "c", &files, &store, &[&again[0], &again[1]])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        last.desk().request(request.id).await.unwrap().unwrap().stages,
        reached.stages
    );
    // Both stages are asked anew, because the cards of before may be gone.
    assert_eq!(
        again.map(|way| way.calls()),
        [vec![("deliver", 2)], vec![("deliver", 2)]]
    );
    assert!(records(&house, "c", "request.escalated").is_empty());
    says(&last, "sso:lee", &request, Answer::Once).await.unwrap();
}

#[tokio::test]
async fn silence_that_nobody_could_hear_is_told_apart_and_people_are_reminded_once() {
    let house = House::new().await;
    let files = staged("[requests]\ndeadline = \"10s\"\n");
    let (broken, shows) = (Way::new("broken", Does::Fails), Way::new("shows", Does::Shows));
    let (_deaf, unheard) = gate(&house, "a", &files, &MemoryStore::new(), &[&broken])
        .await
        .unwrap();
    let (_good, heard) = gate(&house, "b", &files, &MemoryStore::new(), &[&broken, &shows])
        .await
        .unwrap();
    let (unheard, heard) = (open(&unheard, "web").await, open(&heard, "web").await);
    let (unheard, heard) = tokio::join!(unheard.wait(), heard.wait());
    let (unheard, heard) = (unheard.unwrap_err(), heard.unwrap_err());
    assert_eq!(
        (rules(&unheard), rules(&heard)),
        (vec!["store.request.no-route"], vec!["store.request.expired"])
    );
    assert!(unheard.why().contains("nobody could be reached"), "{unheard}");
    assert!(heard.why().contains("nobody answered in time"), "{heard}");
    let settled = ["a", "b"].map(|log| records(&house, log, "request.settled").pop().unwrap());
    assert_eq!(
        (&settled[0]["state"], &settled[0]["why"]),
        (&"expired".into(), &"no-route".into())
    );
    assert_eq!((&settled[1]["state"], settled[1].get("why")), (&"expired".into(), None));
    assert_eq!(shows.calls(), [("deliver", 1), ("remind", 1)]);
}

#[tokio::test]
async fn an_agent_that_asks_too_often_is_told_of_once() {
    let house = House::new().await;
    let way = Way::new("way", Does::Shows);
    let files = staged("[requests]\npending = 1\n");
    let (gate, session) = gate(&house, "log", &files, &MemoryStore::new(), &[&way]).await.unwrap();
    let alerts = || way.calls().iter().filter(|(how, _)| *how == "alert").count();
    let flood = async || {
        for env in ["a", "b", "c"] {
            let denial = deploy(&session, "web", env).authorize().await.unwrap_err();
            assert_eq!(rules(&denial), ["store.request.pending"]);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let first = open(&session, "web").await;
    flood().await;
    flood().await;
    assert_eq!((alerts(), records(&house, "log", "request.overflow").len()), (1, 1));
    says(&gate, "sso:bob", first.request(), Answer::Deny).await.unwrap();
    let Verdict::Ask(escalation) = deploy(&session, "web", "stage").check().await else {
        panic!("nothing asks")
    };
    let _second = escalation.open().await.unwrap();
    flood().await;
    assert_eq!((alerts(), records(&house, "log", "request.overflow").len()), (2, 2));
}

#[tokio::test]
async fn a_gate_whose_questions_would_reach_nobody_is_not_built() {
    let (house, store) = (House::new().await, MemoryStore::new());
    let (first, second) = (Way::new("first", Does::Shows), Way::new("second", Does::Shows));
    let built = async |log: &str, files: &Files, ways: &[&Way]| match gate(&house, log, files, &store, ways).await {
        Ok(_) => None,
        Err(why) => Some((why.to_string(), why)),
    };
    let (why, error) = built("a", &files(), &[]).await.unwrap();
    assert!(
        matches!(&error, BuildError::NoNotifier(rule) if rule == "policy.deploy-asks"),
        "{error:?}"
    );
    assert!(why.contains("answered_elsewhere"), "{why}");
    // Nobody could answer anyhow: what asks is refused, and says so.
    let mut nobody = files();
    nobody.insert("people.toml".to_owned(), b"[groups.oncall]\n".to_vec());
    assert!(built("b", &nobody, &[]).await.is_none());
    let (why, error) = built("c", &files(), &[&first, &first]).await.unwrap();
    assert!(
        matches!(error, BuildError::SameNotifier(_)) && why.contains("`first`"),
        "{why}"
    );
    let named = broken_first("1s");
    let (why, error) = built("d", &named, &[&first]).await.unwrap();
    assert!(matches!(&error, BuildError::UnknownNotifier { notifier, .. } if *notifier == word("second")));
    assert!(why.contains("[stages.oncall]") && why.contains("has `first`"), "{why}");
    assert!(built("e", &named, &[&first, &second]).await.is_none());
    // Others may have it, where the host says so; and no reload brings in what could not be built.
    let audit = AuditLog::open(house.root.join("f")).unwrap();
    let builder = || {
        Gate::builder(bundle_of(&named))
            .store(store.clone())
            .audit(audit.clone())
    };
    builder().answered_elsewhere().build().await.unwrap();
    let (gate, _) = gate(&house, "g", &files(), &store, &[&first]).await.unwrap();
    let digest = bundle_of(&named).digest();
    let reloaded = gate.reload(bundle_of(&named), digest);
    assert!(
        matches!(reloaded, Err(ReloadError::Unfit(BuildError::UnknownNotifier { .. }))),
        "{reloaded:?}"
    );
}

#[tokio::test]
async fn a_stage_that_a_reload_took_away_lets_nobody_in() {
    let house = House::new().await;
    let way = Way::new("way", Does::Shows);
    let stages = "[stages.oncall]\nthen = [{ group = \"leads\", after = \"1s\" }]\n";
    let (gate, session) = gate(&house, "log", &staged(stages), &MemoryStore::new(), &[&way])
        .await
        .unwrap();
    let waiting = open(&session, "web").await;
    let request = at_stage(&gate, waiting.request(), 2, SOON).await;
    let without = bundle_of(&staged(""));
    let digest = without.digest();
    gate.reload(without, digest).unwrap();
    assert_eq!(
        says(&gate, "sso:lee", &request, Answer::Once).await,
        Err("not-eligible")
    );
    assert_eq!(
        says(&gate, "sso:lee", &request, Answer::Deny).await,
        Err("not-eligible")
    );
    says(&gate, "sso:bob", &request, Answer::Once).await.unwrap();
    drop(waiting.wait().await.unwrap());
}
