//! `glassbreak approve` and `glassbreak deny`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use glassbreak_core::approval::{Answer, Ballot, Request, State, VoteRefused};
use glassbreak_core::call::Text;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::desk::Desk;
use glassbreak_core::error::shown_whole;
use glassbreak_core::grant::Grant;
use glassbreak_core::notify::{Tty, came_of};
use glassbreak_core::people::Account;

use super::confirm::{confirm, terminal};
use super::look::request;
use super::{EXIT, REFUSED, Seat, failure, unavailable};
use crate::Failure;

/// Agree to a call that waits for people.
///
/// The card is shown on the controlling terminal, and the answer is a whole word typed there (`once`, or `window` with one
/// of the options for it): no option answers for you, and nothing is read from standard input. You are the person that
/// people.toml maps your uid to. What comes of it is printed; a vote that does not count is recorded, with the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Approve {
    /// The request: its id, or what its id alone begins or ends with.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    seat: Seat,
    /// Open a window: calls like this one pass for so long (90s, 5m), at most what is offered.
    #[arg(long, value_name = "SPAN")]
    window: Option<String>,
    /// Open a window for so many calls at most.
    #[arg(long, value_name = "N")]
    uses: Option<u32>,
    /// Open a window in which this fact stays as it is, besides those that must; may be given again.
    #[arg(long, value_name = "NAME")]
    pin: Vec<String>,
}

/// Say no to a call that waits for people.
///
/// The card is shown on the controlling terminal, and the answer is the whole word `deny` typed there. One no is enough; the
/// same question is not asked again for a while (`cooldown` in glassbreak.toml).
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Deny {
    /// The request: its id, or what its id alone begins or ends with.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    seat: Seat,
    /// Why: the agent is told.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn approve(options: &Approve) -> Result<ExitCode, Failure> {
    let span = options.window.as_deref().map(Span::from_word).transpose();
    let span = span.map_err(|bad| Failure::usage(format!("glassbreak: --window: {bad}")))?;
    let windowed = span.is_some() || options.uses.is_some() || !options.pin.is_empty();
    options.seat.at_desk(terminal, async |desk, tty| {
        let request = request(desk, &options.id).await?;
        let offer = request.offer.as_ref();
        let answer = if windowed {
            Answer::Window {
                span: span.unwrap_or(offer.map_or(Grant::MAX_WINDOW, |offer| offer.span)),
                uses: options
                    .uses
                    .unwrap_or(offer.map_or(Grant::MAX_USES, |offer| offer.uses)),
                pins: options.pin.iter().map(|pin| pin.as_str().into()).collect(),
            }
        } else {
            Answer::Once
        };
        cast(desk, tty, &request, answer, None).await
    })
}

pub(crate) fn deny(options: &Deny) -> Result<ExitCode, Failure> {
    let reason = options.reason.as_deref().map(super::operate::reason).transpose()?;
    options.seat.at_desk(terminal, async |desk, tty| {
        let request = request(desk, &options.id).await?;
        cast(desk, tty, &request, Answer::Deny, reason).await
    })
}

/// Shows the request, and casts the vote once the person has typed the word for it.
async fn cast(
    desk: &Desk,
    tty: Tty,
    request: &Request,
    answer: Answer,
    reason: Option<Text>,
) -> Result<ExitCode, Failure> {
    if request.state.is_final() {
        return Err(failure(REFUSED, came_of(request)));
    }
    if answer != Answer::Deny && !request.card.is_whole() {
        // Asked for, the word would only be refused.
        let why = format!(
            "{}; `glassbreak show` tells what can be, and it can be denied",
            VoteRefused::NotWhole
        );
        return Err(failure(REFUSED, why));
    }
    let account = Tty::account().map_err(unavailable)?;
    let mut shown = desk.sheet(request).await.text(tty.width());
    shown.push_str(&format!(
        "\n\nYou are {}, and say: {}",
        you(desk, &account),
        says(&answer)
    ));
    if let Some(reason) = &reason {
        shown.push_str(&format!(", because \"{}\"", shown_whole(reason.as_str())));
    }
    let over = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn(watch(desk.clone(), request.clone(), Arc::clone(&over)));
    let agreed = confirm(tty, shown, answer.as_str(), Arc::clone(&over)).await;
    watch.abort();
    if !agreed? {
        let how = match desk.request(request.id).await? {
            Some(now) if now.state.is_final() => came_of(&now),
            _ if request.is_late(Timestamp::now()) => "Its time has passed: the answer is no.".to_owned(),
            _ => "Nothing was done; no answer means no.".to_owned(),
        };
        return Err(failure(REFUSED, how));
    }
    let ballot = Ballot {
        account,
        answer,
        reason,
        card: request.card.digest(),
    };
    let wanted_yes = ballot.answer != Answer::Deny;
    let after = desk.vote(request.id, &ballot).await?;
    say!("{}", came_of(&after));
    let other = wanted_yes && matches!(after.state, State::Denied { .. });
    Ok(ExitCode::from(if other { REFUSED } else { 0 }))
}

/// Ends the question when it is settled elsewhere, or its deadline comes.
async fn watch(desk: Desk, mut request: Request, over: Arc<AtomicBool>) {
    while !request.state.is_final() && !request.is_late(Timestamp::now()) {
        let left = Duration::from_millis(request.deadline.since(Timestamp::now()).as_millis());
        match tokio::time::timeout(left, desk.moved(request.id, request.version)).await {
            Ok(Ok(Some(moved))) => request = moved,
            Ok(Ok(None)) | Err(_) => break,
            // The vote will say so, if nothing else does.
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
    over.store(true, Ordering::Release);
}

pub(super) fn you(desk: &Desk, account: &Account) -> String {
    match desk.person_of(account) {
        Some(person) => format!("{person} ({account})"),
        None => format!("{account}, whom people.toml does not know"),
    }
}

fn says(answer: &Answer) -> String {
    match answer {
        Answer::Once => "once, exactly this call".to_owned(),
        Answer::Window { span, uses, pins } => {
            let pins: Vec<String> = pins.iter().map(|pin| shown_whole(pin)).collect();
            let fixed = match pins.as_slice() {
                [] => String::new(),
                pins => format!(", with {} as here", pins.join(", ")),
            };
            format!("a window of {span}, {uses} calls at most{fixed}")
        }
        Answer::Deny => "no".to_owned(),
    }
}
