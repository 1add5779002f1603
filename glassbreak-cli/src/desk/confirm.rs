//! A person's word, at the controlling terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use glassbreak_core::notify::{Tty, TtyError, Typed};
use tokio::sync::oneshot;

use super::{NO_TERMINAL, failure, unavailable};
use crate::Failure;

/// The terminal, or why nobody can be asked.
pub(super) fn terminal() -> Result<Tty, Failure> {
    Tty::open().map_err(no_terminal)
}

fn no_terminal(error: TtyError) -> Failure {
    match error {
        TtyError::None(_) => failure(
            NO_TERMINAL,
            "no terminal: a person must answer, at the terminal that this runs in",
        ),
        TtyError::Background => failure(
            NO_TERMINAL,
            "no terminal: a person must answer, and this runs in the background",
        ),
        error => failure(NO_TERMINAL, format!("no terminal: a person must answer; {error}")),
    }
}

/// Shows `page` and asks for `word`. `false` where the person leaves it, or `over` comes first.
pub(super) async fn confirm(
    mut tty: Tty,
    page: String,
    word: &'static str,
    over: Arc<AtomicBool>,
) -> Result<bool, Failure> {
    let (told, answer) = oneshot::channel();
    // A thread of its own: the news that the question is over come meanwhile.
    std::thread::spawn(move || {
        let _ = told.send(ask(&mut tty, &page, word, &over));
    });
    answer.await.map_err(unavailable)?.map_err(no_terminal)
}

fn ask(tty: &mut Tty, page: &str, word: &str, over: &AtomicBool) -> Result<bool, TtyError> {
    tty.say(&format!("{page}\n"))?;
    let prompt = format!("Write the whole word `{word}`, or `no` to leave it > ");
    loop {
        match tty.line(&prompt, || over.load(Ordering::Acquire))? {
            Typed::Line(line) if line == word => return Ok(true),
            Typed::Line(line) if line == "no" => return Ok(false),
            Typed::Line(_) => tty.say("Nothing was done.\n")?,
            Typed::Nothing | Typed::Stopped => {
                tty.say("\n")?;
                return Ok(false);
            }
        }
    }
}
