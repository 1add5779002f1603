//! The terminal: the card on the real `/dev/tty`, and the answer from its keyboard.
//!
//! It is the controlling terminal of the process, opened by that name: not standard input, which an agent may feed, and
//! not standard output, which may be a file. Programs that the gate runs are in sessions of their own and have no
//! controlling terminal, so they cannot write here. What was typed before the card was shown is thrown away, nothing is
//! chosen by default, and an answer is a whole word.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp};

use super::{Notifier, NotifyError};
use crate::approval::{Answer, Ballot, Request, State};
use crate::call::{Text, Word};
use crate::clock::{Span, Timestamp};
use crate::desk::Desk;
use crate::error::shown;
use crate::people::Account;

/// The longest line that is taken.
const MAX_LINE: usize = 4_096;
/// How long a wait for a key lasts before it is looked whether the question still stands.
const LOOK: Duration = Duration::from_millis(100);

/// Asks at the terminal that the process runs in.
///
/// Who answers is the user of the process, by the uid that `people.toml` maps. One card is shown at a time.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    one: Arc<Mutex<()>>,
}

impl Terminal {
    /// The terminal of this process. It is looked for when there is something to show.
    pub fn new() -> Self {
        Self::default()
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
        let one = Arc::clone(&self.one);
        let over = Over::default();
        // Dropped with this future, when the request is settled: the thread then lets go of the terminal.
        let ends = over.clone();
        let (asked, desk_of) = (request.clone(), desk.clone());
        let runtime = tokio::runtime::Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let _one = one.lock().unwrap_or_else(PoisonError::into_inner);
            if ends.is_over() {
                return Ok(());
            }
            let mut tty = Tty::open()?;
            tty.ask_about(&asked, &account, &ends, |ballot| {
                runtime.block_on(desk_of.vote(asked.id, ballot))
            })
        });
        let _end = over.guard();
        match work.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(broke(&why)),
            Err(why) => Err(broke(&why)),
        }
    }

    async fn update(&self, _request: &Request) -> Result<(), NotifyError> {
        // The thread that asks sees that its question is over, and says so.
        Ok(())
    }
}

/// Says to a thread that its question is over.
#[derive(Debug, Clone, Default)]
struct Over(Arc<AtomicBool>);

impl Over {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn guard(self) -> OverGuard {
        OverGuard(self)
    }
}

struct OverGuard(Over);

impl Drop for OverGuard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// Why nobody can be asked at this terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TtyError {
    /// There is no controlling terminal.
    #[error("this process has no terminal to ask at (/dev/tty: {0})")]
    None(io::Error),
    /// The process runs in the background, where it may not read.
    #[error("this process is not in the foreground of its terminal")]
    Background,
    /// The terminal cannot be read or written.
    #[error("the terminal cannot be used: {0}")]
    Broken(#[from] io::Error),
    /// The terminal was closed.
    #[error("the terminal was closed")]
    Closed,
}

/// The controlling terminal of the process.
#[derive(Debug)]
pub struct Tty {
    file: File,
}

impl Tty {
    /// Opens it.
    ///
    /// # Errors
    /// When there is none, or the process is not in its foreground.
    pub fn open() -> Result<Self, TtyError> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let file = file.map_err(TtyError::None)?;
        let foreground = tcgetpgrp(&file).map_err(io::Error::from)?;
        if foreground != rustix::process::getpgrp() {
            return Err(TtyError::Background);
        }
        Ok(Self { file })
    }

    /// The account of whoever runs this process: the real uid.
    ///
    /// # Errors
    /// Never, in practice.
    pub fn account() -> Result<Account, crate::error::BadWord> {
        Account::uid(rustix::process::getuid().as_raw())
    }

    /// Writes text, which the caller has escaped.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub fn say(&mut self, text: &str) -> Result<(), TtyError> {
        self.file.write_all(text.as_bytes())?;
        self.file.flush()?;
        Ok(())
    }

    /// Throws away what was typed, asks, and reads one line; `None` when `stop` says so before it came.
    ///
    /// # Errors
    /// When the terminal is closed or broken.
    pub fn line(&mut self, prompt: &str, stop: impl Fn() -> bool) -> Result<Option<String>, TtyError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(io::Error::from)?;
        self.say(prompt)?;
        let mut line = Vec::new();
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(LOOK.as_nanos()).unwrap_or(100_000_000),
        };
        loop {
            if stop() {
                return Ok(None);
            }
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&look)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            // A terminal hands out whole lines.
            let mut bytes = [0; MAX_LINE];
            let count = self.file.read(&mut bytes)?;
            if count == 0 {
                return Err(TtyError::Closed);
            }
            line.extend(bytes.iter().take(count));
            if line.ends_with(b"\n") || line.len() >= MAX_LINE {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                return Ok(Some(text));
            }
        }
    }

    /// Shows a request and takes an answer to it, until one is taken, the person leaves it to others, or it is over.
    fn ask_about<E: std::fmt::Display>(
        &mut self,
        request: &Request,
        account: &Account,
        over: &Over,
        vote: impl Fn(&Ballot) -> Result<Request, E>,
    ) -> Result<(), TtyError> {
        self.say(&format!("\n{}\n", page(request, Timestamp::now())))?;
        let prompt = format!("{} > ", choices(request));
        loop {
            let late = || over.is_over() || request.is_late(Timestamp::now());
            let Some(line) = self.line(&prompt, late)? else {
                return self.say("\nThe question is over: it was settled elsewhere, or its time has passed.\n");
            };
            let answer = match read_answer(&line, request) {
                Ok(Said::Later) => {
                    return self.say("Left open for others; no answer means no.\n");
                }
                Ok(Said::Answer(answer, reason)) => (answer, reason),
                Err(help) => {
                    self.say(&format!("{help}\n"))?;
                    continue;
                }
            };
            let ballot = Ballot {
                account: account.clone(),
                answer: answer.0,
                reason: answer.1,
                card: request.card.digest(),
            };
            match vote(&ballot) {
                Ok(after) => return self.say(&format!("{}\n", came_of(&after))),
                Err(why) => self.say(&format!("Not taken: {}\n", shown(&why.to_string())))?,
            }
        }
    }
}

/// What somebody typed.
enum Said {
    Answer(Answer, Option<Text>),
    Later,
}

/// The card with what stands around it: id, deadline, and who has agreed.
pub fn page(request: &Request, now: Timestamp) -> String {
    let left = request.deadline.since(now).as_millis() / 1_000;
    let mut page = format!("{}\n", request.card.text());
    let voters: Vec<&Word> = request.votes.iter().map(|vote| &vote.person).collect();
    if !voters.is_empty() {
        let names: Vec<&str> = voters.iter().map(|person| person.as_str()).collect();
        page.push_str(&format!("  {:12}{}\n", "agreed", names.join(", ")));
    }
    page.push_str(&format!("  {:12}{}\n", "request", request.id));
    page.push_str(&format!("  {:12}{left} s to answer; no answer means no", "time"));
    page
}

/// What can be typed.
fn choices(request: &Request) -> String {
    let mut choices = Vec::new();
    if request.card.is_whole() {
        choices.push("once".to_owned());
        if let Some(offer) = &request.offer {
            choices.push(format!("window {}", offer.span));
        }
    }
    choices.push("deny WHY".to_owned());
    choices.push("later".to_owned());
    choices.join(" | ")
}

fn read_answer(line: &str, request: &Request) -> Result<Said, String> {
    let help = || format!("Write one of: {}", choices(request));
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match (verb, &request.offer) {
        ("once", _) if rest.is_empty() => Ok(Said::Answer(Answer::Once, None)),
        ("window", Some(offer)) => {
            let span = match rest {
                "" => offer.span,
                rest => Span::from_word(rest).map_err(|bad| bad.to_string())?,
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
            Ok(Said::Answer(Answer::Deny, reason.map_err(|bad| bad.to_string())?))
        }
        ("later", _) if rest.is_empty() => Ok(Said::Later),
        _ => Err(help()),
    }
}

/// What an answer came to, for whoever gave it.
pub fn came_of(request: &Request) -> String {
    match &request.state {
        State::Pending => "Taken. More people must agree.".to_owned(),
        State::Approved { grant } => format!("Approved: grant {grant} is open."),
        State::Denied { why, .. } => format!("Denied: {}", shown(why)),
        State::Expired => "Its time has passed: the answer is no.".to_owned(),
        State::Cancelled { why } => format!("Withdrawn: {}", shown(why)),
    }
}
