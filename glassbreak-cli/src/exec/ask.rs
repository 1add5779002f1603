//! Asking people about the command, and waiting for them.

use std::time::Duration;

use async_trait::async_trait;
use glassbreak_core::approval::Request;
use glassbreak_core::call::{Actor, Word};
use glassbreak_core::desk::Desk;
use glassbreak_core::error::shown_once;
use glassbreak_core::gate::{AnyPermit, Escalation, Session, Ticket, Waiting};
use glassbreak_core::notify::{Notifier, NotifyError, Terminal, needed};

use super::Options;
use super::tell::{REFUSED, tell_ask, tell_denial};
use crate::Failure;

/// The terminal, for what this session asks: the store may hold questions of others, who have terminals of their own.
#[derive(Debug)]
pub(super) struct Here {
    terminal: Terminal,
    session: Word,
}

impl Here {
    pub(super) fn of(actor: &Actor) -> Self {
        Self {
            terminal: Terminal::new(),
            session: actor.session.clone(),
        }
    }
}

#[async_trait]
impl Notifier for Here {
    fn name(&self) -> &str {
        self.terminal.name()
    }

    async fn deliver(&self, request: &Request, desk: &Desk) -> Result<(), NotifyError> {
        if *request.path.session() != self.session {
            return Err(NotifyError::new(self.name(), "it is asked in another session"));
        }
        self.terminal.deliver(request, desk).await
    }

    async fn update(&self, request: &Request) -> Result<(), NotifyError> {
        self.terminal.update(request).await
    }
}

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
