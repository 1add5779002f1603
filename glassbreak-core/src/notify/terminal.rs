//! The terminal notifier: the card on the real `/dev/tty`, and the answer from its keyboard.
//!
//! It is the controlling terminal of the process, opened by that name: not standard input, which an agent may feed, and
//! not standard output, which may be a file. Programs that the gate runs are in sessions of their own and have no
//! controlling terminal: `/dev/tty` is nothing to them. One that runs as the same user can still open the terminal's device
//! by its name, write to it and read from it; against that helps only another user, or a sandbox. What was typed before the card was shown is thrown away, nothing is
//! chosen by default, and an answer is a whole word.
//!
//! A thread of its own reads the terminal, because a wait for a key must not hold up a runtime, nor its end. The vote
//! itself is cast by a task that nobody drops: the follower drops a delivery as soon as the request is settled, which may
//! be before its last record is written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::page::{came_of, choices, quoted};
use super::tty::{Tty, TtyError, Typed};
use super::{Alert, Notifier, NotifyError, Sheet};
use crate::approval::{Answer, Ballot, Request, RequestId, VoteRefused};
use crate::call::Text;
use crate::clock::{Span, Timestamp};
use crate::desk::{Desk, VoteError};
use crate::error::shown_once;
use crate::people::Account;

/// How long after a question that ended by itself the next one takes no answer: what a person was about to type then was
/// meant for the first.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Asks at the terminal that the process runs in.
///
/// Who answers is the user of the process, by the uid that `people.toml` maps. One card is shown at a time; the next waits
/// until the first is answered, left, or over. A host that reads the same terminal itself competes for what is typed, and
/// should not.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    /// Whoever holds it has the terminal: when the last question there ended by itself.
    one: Arc<tokio::sync::Mutex<Option<Instant>>>,
    asked: Arc<Mutex<HashMap<RequestId, Over>>>,
}

impl Terminal {
    /// The terminal of this process. It is looked for when there is something to show.
    pub fn new() -> Self {
        Self::default()
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Over>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Notifier for Terminal {
    fn name(&self) -> &str {
        "terminal"
    }

    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        let broke = |why: &dyn std::fmt::Display| NotifyError::new("terminal", why.to_string());
        let account = Tty::account().map_err(|why| broke(&why))?;
        if desk.person_of(&account).is_none() {
            return Err(broke(&VoteRefused::UnknownAccount(account)));
        }
        // Looked at now, so that a host hears at once that nobody can be asked here.
        drop(Tty::open().map_err(|why| broke(&why))?);
        let over = Over::default();
        self.asked().insert(request.id, over.clone());
        // Dropped with this future, when the request is settled: the thread then lets go of the terminal.
        let _end = Ends(self, request.id, over.clone());
        let last = Arc::clone(&self.one).lock_owned().await;
        let sheet = desk.sheet(request).await;
        let (said, heard) = unbounded_channel();
        let (ended, end) = tokio::sync::oneshot::channel();
        let asking = Asking {
            request: request.clone(),
            sheet,
            account,
            over,
            said,
        };
        let thread = std::thread::Builder::new().name("glassbreak-terminal".to_owned());
        let spawned = thread.spawn(move || {
            let _ = ended.send(asking.at_the_terminal(last));
        });
        spawned.map_err(|why| broke(&why))?;
        cast(desk, request.id, heard).await;
        match end.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(broke(&why)),
            Err(why) => Err(broke(&why)),
        }
    }

    async fn alert(&self, alert: &Alert) -> Result<(), NotifyError> {
        let broke = |why: &dyn std::fmt::Display| NotifyError::new("terminal", why.to_string());
        // A line of its own, also where a question stands: that goes on below it.
        let line = format!("\n{}\n", shown_once(&alert.to_string()));
        let told = tokio::task::spawn_blocking(move || Tty::open()?.say(&line));
        told.await.map_err(|why| broke(&why))?.map_err(|why| broke(&why))
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        if request.state.is_final()
            && let Some(over) = self.asked().get(&request.id)
        {
            over.end(Some(came_of(request)));
        }
        Ok(())
    }
}

type Told = mpsc::Sender<Result<Request, VoteError>>;

/// What the thread has to say.
enum Heard {
    /// The card is on the screen.
    Shown,
    /// Somebody answered.
    Ballot(Ballot, Told),
}

/// Casts what is said, until the thread has no more to say.
async fn cast(desk: &Desk, id: RequestId, mut heard: UnboundedReceiver<Heard>) {
    while let Some(heard) = heard.recv().await {
        let desk = desk.clone();
        let (ballot, told) = match heard {
            Heard::Shown => {
                desk.shown(id).await;
                continue;
            }
            Heard::Ballot(ballot, told) => (ballot, told),
        };
        // Not awaited: whoever drops this drops no vote half way.
        tokio::spawn(async move {
            let _ = told.send(desk.vote(id, &ballot).await);
        });
    }
}

/// Says to a thread that its question is over, and how it ended where that is known.
#[derive(Debug, Clone, Default)]
struct Over(Arc<(AtomicBool, Mutex<Option<String>>)>);

impl Over {
    fn is_over(&self) -> bool {
        self.0.0.load(Ordering::Acquire)
    }

    fn end(&self, how: Option<String>) {
        if let Some(how) = how {
            *self.0.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        }
        self.0.0.store(true, Ordering::Release);
    }

    fn how(&self) -> Option<String> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Ends<'a>(&'a Terminal, RequestId, Over);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.asked().remove(&self.1);
        self.2.end(None);
    }
}

/// One question at the terminal.
struct Asking {
    request: Request,
    sheet: Sheet,
    account: Account,
    over: Over,
    said: UnboundedSender<Heard>,
}

impl Asking {
    fn is_over(&self) -> bool {
        self.over.is_over() || self.request.is_late(Timestamp::now())
    }

    /// Asks, with the terminal held until it is let go.
    fn at_the_terminal(&self, mut last: OwnedMutexGuard<Option<Instant>>) -> Result<(), TtyError> {
        if self.is_over() {
            return Ok(());
        }
        let mut tty = Tty::open()?;
        let request = &self.request;
        let shown = if takes_colour() {
            self.sheet.ansi(tty.width())
        } else {
            self.sheet.text(tty.width())
        };
        tty.say(&format!("\n{shown}\n"))?;
        let _ = self.said.send(Heard::Shown);
        while last.is_some_and(|ended| ended.elapsed() < SETTLE) {
            if self.is_over() {
                return self.ended(&mut tty, &mut last);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let prompt = format!("{} > ", choices(request));
        loop {
            let line = match tty.line(&prompt, || self.is_over())? {
                Typed::Line(line) => line,
                Typed::Nothing => "later".to_owned(),
                Typed::Stopped => return self.ended(&mut tty, &mut last),
            };
            let (answer, reason) = match read_answer(&line, request) {
                Ok(Said::Later) => return tty.say("Left open for others; no answer means no.\n"),
                Ok(Said::Answer(answer, reason)) => (answer, reason),
                Err(help) => {
                    tty.say(&format!("{help}\n"))?;
                    continue;
                }
            };
            let ballot = Ballot {
                account: self.account.clone(),
                answer,
                reason,
                card: request.card.digest(),
            };
            let (told, result) = mpsc::channel();
            if self.said.send(Heard::Ballot(ballot, told)).is_err() {
                return self.ended(&mut tty, &mut last);
            }
            match result.recv().ok() {
                Some(Ok(after)) => return tty.say(&format!("{}\n", came_of(&after))),
                Some(Err(why)) => {
                    tty.say(&format!("Not taken: {}\n", shown_once(&why.to_string())))?;
                    if !can_be_mended(&why) {
                        return Ok(());
                    }
                }
                // The process ends in the midst of it.
                None => {
                    return tty.say("Nobody can say whether it was taken: look at the request again.\n");
                }
            }
        }
    }

    fn ended(&self, tty: &mut Tty, last: &mut Option<Instant>) -> Result<(), TtyError> {
        *last = Some(Instant::now());
        let how = match self.over.how() {
            Some(how) => how,
            None if self.request.is_late(Timestamp::now()) => "Its time has passed: the answer is no.".to_owned(),
            None => "It is asked no more.".to_owned(),
        };
        tty.say(&format!("\nThis question is over. {how}\n"))
    }
}

/// Whether colours are wanted: not where `NO_COLOR` says so, nor on a terminal that is said to have none.
fn takes_colour() -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !no && !dumb
}

/// Whether the same person could say something else that is taken.
const fn can_be_mended(why: &VoteError) -> bool {
    match why {
        VoteError::Refused(why) => matches!(
            why,
            VoteRefused::Ineligible(..)
                | VoteRefused::NotWhole
                | VoteRefused::NoWindow
                | VoteRefused::Beyond(_)
                | VoteRefused::UnknownPin(_)
        ),
        VoteError::Busy | VoteError::Store(_) => true,
        VoteError::Unknown(_) | VoteError::Locked(_) | VoteError::Clock { .. } | VoteError::Audit(_) => false,
    }
}

/// What somebody typed.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Answer(Answer, Option<Text>),
    Later,
}

fn read_answer(line: &str, request: &Request) -> Result<Said, String> {
    let help = || format!("Nothing was done. Write one of: {}", choices(request));
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match (verb, &request.offer) {
        ("once", _) if rest.is_empty() => Ok(Said::Answer(Answer::Once, None)),
        ("window", Some(offer)) => {
            let span = match rest {
                "" => offer.span,
                rest => Span::from_word(rest)
                    .map_err(|bad| format!("Nothing was done: {}", shown_once(&bad.to_string())))?,
            };
            let window = Answer::Window {
                span,
                uses: offer.uses,
                pins: Vec::new(),
            };
            Ok(Said::Answer(window, None))
        }
        ("deny", _) => {
            let reason = (!rest.is_empty()).then(|| Text::new(rest)).transpose();
            let bad = |_| {
                format!(
                    "Nothing was done: {} cannot be passed on; write it in plain words",
                    quoted(rest)
                )
            };
            Ok(Said::Answer(Answer::Deny, reason.map_err(bad)?))
        }
        ("later", _) if rest.is_empty() => Ok(Said::Later),
        _ => Err(help()),
    }
}
