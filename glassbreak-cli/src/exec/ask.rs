//! Asking people about the command, and waiting for them.

use std::time::Duration;

use glassbreak_core::error::shown_once;
use glassbreak_core::gate::{AnyPermit, Escalation, Session, Ticket, Waiting};
use glassbreak_core::notify::needed;

use super::Options;
use super::tell::{REFUSED, tell_ask, tell_denial};
use crate::Failure;

/// How long the prompt at this terminal may take to end.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Asks where that is wanted and somebody can answer; `here` says whether at this terminal. The error is the exit code.
pub(super) async fn ask(options: &Options, escalation: Escalation, here: bool) -> Result<AnyPermit, u8> {
    if !options.ask {
        return Err(tell_ask(escalation));
    }
    if !here && options.store.is_none() {
        eprintln!("glassbreak: not run: people must agree, and nobody could answer");
        eprintln!("  why:  there is no terminal here, and without --store nobody elsewhere sees what is asked");
        return Err(REFUSED);
    }
    match escalation.open().await {
        Ok(waiting) => {
            let answer = wait(waiting, true).await;
            if here && answer.is_err() {
                // The prompt says that it is over, and throws away what was half typed: it must not reach the shell.
                tokio::time::sleep(LAST_WORDS).await;
            }
            answer
        }
        Err(denial) => Err(tell_denial(&denial)),
    }
}

/// Comes back to a call that was asked about.
pub(super) async fn resume(session: &Session, ticket: &str) -> Result<Result<AnyPermit, u8>, Failure> {
    let ticket = Ticket::from_text(ticket).map_err(|bad| Failure::usage(format!("glassbreak: --resume: {bad}")))?;
    Ok(match session.resume(ticket).await {
        Ok(waiting) => wait(waiting, false).await,
        Err(denial) => Err(tell_denial(&denial)),
    })
}

async fn wait(waiting: Waiting, tell: bool) -> Result<AnyPermit, u8> {
    if tell {
        let request = waiting.request();
        eprintln!("glassbreak: people are asked: {}", shown_once(&needed(request)));
        eprintln!("  request:  {}", request.id);
        let ticket = waiting.ticket();
        if request.op == ticket.call {
            eprintln!("  ticket:   {ticket}");
        } else {
            eprintln!("  ticket:   none; another call asked the same before, and this one waits with it");
        }
        eprintln!("  until:    {}", request.deadline);
    }
    waiting.wait().await.map_err(|denial| tell_denial(&denial))
}
