//! The persons on call, as a notifier: whoever is asked is shown the card, and answers through the desk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::{Answer, Ballot, Request};
use glassbreak_core::call::Text;
use glassbreak_core::clock::Span;
use glassbreak_core::desk::{Desk, VoteError};
use glassbreak_core::notify::{Notifier, NotifyError, Terminal};
use glassbreak_core::people::Account;
use tokio::task::JoinHandle;

use super::options::{Approver, Options};
use super::page::{Ink, quote, say};

/// How wide a card is shown.
const CARD: usize = 160;

/// What somebody says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    Once,
    Window { minutes: u64, uses: u32 },
    No(&'static str),
}

impl Says {
    fn answer(self) -> Answer {
        match self {
            Self::Once => Answer::Once,
            Self::Window { minutes, uses } => Answer::Window {
                span: Span::from_millis(minutes * 60_000),
                uses,
                pins: Vec::new(),
            },
            Self::No(_) => Answer::Deny,
        }
    }

    /// As it is typed at a terminal.
    fn typed(self) -> String {
        match self {
            Self::Once => "once".to_owned(),
            Self::Window { minutes, .. } => format!("window {minutes}m"),
            Self::No(why) => format!("deny {why}"),
        }
    }

    /// As it is typed at a second terminal.
    fn command(self, request: &str) -> String {
        match self {
            Self::Once => format!("approve {request}"),
            Self::Window { minutes, .. } => format!("approve {request} --window {minutes}m"),
            Self::No(why) => format!("deny {request} --reason '{why}'"),
        }
    }

    fn told(self) -> String {
        match self {
            Self::Once => "yes, to exactly this call".to_owned(),
            Self::Window { minutes, uses } => format!("yes, and for {minutes} minutes, at most {uses} calls like it"),
            Self::No(why) => format!("no: {why}"),
        }
    }
}

/// What happens when the next question comes.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Whether the card is shown whole, and not only what is asked and why.
    pub(super) whole: bool,
    /// Somebody tries who may not.
    pub(super) vainly: Option<(&'static str, Says)>,
    /// Somebody answers: from the script, or, where a person is there, in this way if the story is to go on.
    pub(super) then: (&'static str, Says),
}

/// Where a second terminal finds what it needs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) policy: PathBuf,
    pub(super) store: PathBuf,
    pub(super) audit: PathBuf,
}

impl Place {
    /// A whole command line, of the `glassbreak` that was built beside this program, or of cargo's.
    fn command(&self, what: &str) -> String {
        let Self { policy, store, audit } = self;
        let beside = std::env::current_exe().ok().map(|own| own.with_file_name("glassbreak"));
        let program = match beside.filter(|path| path.is_file()) {
            Some(path) => path.display().to_string(),
            None => "cargo run -q -p glassbreak-cli --".to_owned(),
        };
        format!(
            "{program} {what} --store {} --policy {} --audit {}",
            store.display(),
            policy.display(),
            audit.display()
        )
    }
}

/// The persons on call.
#[derive(Debug, Clone)]
pub(super) struct People {
    approver: Approver,
    /// How long somebody looks at a card.
    moment: Duration,
    place: Place,
    scenes: Arc<Mutex<VecDeque<Scene>>>,
    playing: Arc<Mutex<Option<JoinHandle<()>>>>,
    terminal: Terminal,
}

impl People {
    pub(super) fn new(options: &Options, place: Place) -> Self {
        Self {
            approver: options.approver,
            moment: Duration::from_millis(if options.pace { 2_000 } else { 20 }),
            place,
            scenes: Arc::default(),
            playing: Arc::default(),
            terminal: Terminal::new(),
        }
    }

    /// Says what happens when the next question comes.
    pub(super) fn prepare(&self, scene: Scene) {
        locked(&self.scenes).push_back(scene);
    }

    /// How many scenes have not been played.
    pub(super) fn left(&self) -> usize {
        locked(&self.scenes).len()
    }

    /// Waits until everybody has said what they had to say.
    pub(super) async fn heard(&self) {
        let playing = locked(&self.playing).take();
        if let Some(playing) = playing {
            let _ = playing.await;
        }
    }

    async fn play(self, scene: Scene, request: Request, desk: Desk) {
        // The terminal shows it by itself.
        if self.approver != Approver::Terminal {
            show(&desk, &request, scene.whole).await;
        }
        if let Some((who, says)) = scene.vainly {
            self.vote(who, says, &request, &desk).await;
        }
        let (who, says) = scene.then;
        match self.approver {
            Approver::Script => self.vote(who, says, &request, &desk).await,
            Approver::Terminal => say(Ink::Asks, "you", &format!("for the story, answer: {}", says.typed())),
            Approver::Second => {
                say(Ink::Asks, "you", "for the story, type this at a second terminal:");
                println!("{}", self.place.command(&says.command(&request.id.to_string())));
            }
        }
    }

    /// One person's answer, by their own account, and what comes of it.
    async fn vote(&self, who: &str, says: Says, request: &Request, desk: &Desk) {
        tokio::time::sleep(self.moment).await;
        let reason = match says {
            Says::No(why) => Text::new(why).ok(),
            _ => None,
        };
        let Ok(account) = Account::of_host(&format!("incident:{who}")) else {
            return;
        };
        let ballot = Ballot {
            account,
            answer: says.answer(),
            reason,
            card: request.card.digest(),
        };
        match desk.vote(request.id, &ballot).await {
            Ok(after) => say(
                Ink::Good,
                who,
                &format!("{}. The request is {}.", says.told(), after.state),
            ),
            Err(VoteError::Refused(why)) => say(Ink::Bad, who, &format!("{}. Not taken: {why}.", says.told())),
            Err(why) => say(Ink::Bad, who, &format!("{}. It came to nothing: {why}.", says.told())),
        }
    }
}

#[async_trait]
impl Notifier for People {
    fn name(&self) -> &str {
        "people"
    }

    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        let Some(scene) = locked(&self.scenes).pop_front() else {
            return Err(NotifyError::new("people", "nobody expects this question"));
        };
        // A task of its own: this future is dropped as soon as the vote has settled the request.
        let (said, hear) = tokio::sync::oneshot::channel();
        let play = self.clone().play(scene, request.clone(), desk.clone());
        let playing = tokio::spawn(async move {
            play.await;
            let _ = said.send(());
        });
        *locked(&self.playing) = Some(playing);
        let _ = hear.await;
        if self.approver == Approver::Terminal {
            return self.terminal.deliver(request, desk).await;
        }
        Ok(())
    }

    // The script says who answers what, and when: a reminder is no new scene.
    async fn remind(&self, _request: &Request, _desk: &Desk) -> Result<(), NotifyError> {
        Ok(())
    }

    async fn update(&self, _request: &Request) -> Result<(), NotifyError> {
        Ok(())
    }
}

/// The card exactly as an approver sees it; where it was seen before, what differs.
async fn show(desk: &Desk, request: &Request, whole: bool) {
    if whole {
        say(Ink::Asks, "card", "what everybody who may answer is shown:");
        quote(&desk.sheet(request).await.text(CARD), usize::MAX);
        return;
    }
    say(Ink::Asks, "card", &request.card.headline);
    let sections = request.card.sections.iter();
    for section in sections.filter(|section| &*section.title == "stopped by") {
        section.lines.iter().for_each(|line| say(Ink::Asks, "", line));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
