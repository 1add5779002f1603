//! `glassbreak pending`, `show` and `locks`: what is asked, open and locked. Nothing is changed or recorded.

use std::process::ExitCode;

use glassbreak_core::approval::{Request, RequestId, State};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::desk::Desk;
use glassbreak_core::error::{shown_once, shown_whole};
use glassbreak_core::grant::{Grant, Scope};
use glassbreak_core::label::Risk;
use glassbreak_core::lock::LockPath;
use glassbreak_core::notify::{EARLIER, Sheet, agreed, left, needed};
use glassbreak_core::store::Store;
use serde_json::{Value, json};

use super::{EXIT, Place, at_store, one_of};
use crate::Failure;
use crate::style::{self, Style};

/// List what agents ask people.
///
/// One line each, the oldest first: the id, how long people have, how much is at stake, what would happen, who asks for
/// whom, and who must agree and has.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Pending {
    #[command(flatten)]
    place: Place,
    /// List the grants that stand, too.
    #[arg(long)]
    grants: bool,
    /// Print JSON Lines: {"request": …} and {"grant": …}.
    #[arg(long)]
    json: bool,
}

/// Show one request whole.
///
/// The card that people are shown, who must agree, who has, and what became of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Show {
    /// The request: its id, or what its id alone begins or ends with.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// Print all that is kept of it, as JSON.
    #[arg(long)]
    json: bool,
}

/// List what is locked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Locks {
    #[command(flatten)]
    place: Place,
    /// Print JSON Lines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn pending(options: &Pending) -> Result<ExitCode, Failure> {
    at_store(&options.place, async |store| {
        let now = Timestamp::now();
        let mut requests = store.pending().await?;
        requests.retain(|request| !request.is_late(now));
        let grants = if options.grants {
            store.grants().await?
        } else {
            Vec::new()
        };
        if options.json {
            for request in &requests {
                say!(
                    "{}",
                    style::json(&json!({ "request": brief(request, now) }).to_string())
                );
            }
            for grant in &grants {
                say!("{}", style::json(&json!({ "grant": grant }).to_string()));
            }
            return Ok(ExitCode::SUCCESS);
        }
        if requests.is_empty() {
            say!("Nobody asks anything.");
        }
        let style = Style::of_stdout();
        requests
            .iter()
            .for_each(|request| say!("{}", line(request, now, style)));
        if options.grants {
            if grants.is_empty() {
                say!("No grant stands.");
            }
            grants.iter().for_each(|grant| say!("{}", grant_line(grant)));
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn show(options: &Show) -> Result<ExitCode, Failure> {
    at_store(&options.place, async |store| {
        let request = match RequestId::from_text(&options.id) {
            Ok(id) => store.request(id).await?,
            Err(_) => None,
        };
        let request = match request {
            Some(request) => request,
            None => among(&options.id, store.pending().await?)?,
        };
        if options.json {
            let json = serde_json::to_string(&request).map_err(super::unavailable)?;
            say!("{}", style::json(&json));
        } else {
            let earlier = store.earlier(&request, EARLIER + 1).await.ok();
            let sheet = Sheet::of(&request, earlier.as_deref(), Timestamp::now());
            let style = Style::of_stdout();
            say!("{}", style.sheet(&sheet, width()));
            say!("  {:12}{}", "state", state(&request, &*store).await?);
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn locks(options: &Locks) -> Result<ExitCode, Failure> {
    at_store(&options.place, async |store| {
        let locks = store.locks().await?.locks;
        if options.json {
            for lock in locks.iter() {
                let json = serde_json::to_string(&**lock).map_err(super::unavailable)?;
                say!("{}", style::json(&json));
            }
            return Ok(ExitCode::SUCCESS);
        }
        if locks.is_empty() {
            say!("Nothing is locked.");
        }
        let style = Style::of_stdout();
        for lock in locks.iter() {
            say!(
                "{}  by {} at {}: {}",
                style.red(&lock.target.to_string()),
                lock.by,
                lock.at,
                shown_whole(lock.reason.as_str())
            );
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A request by its id, also one that is settled, or by a part of it among those that are open.
pub(super) async fn request(desk: &Desk, text: &str) -> Result<Request, Failure> {
    if let Ok(id) = RequestId::from_text(text)
        && let Some(request) = desk.request(id).await?
    {
        return Ok(request);
    }
    among(text, desk.pending().await?)
}

fn among(text: &str, mut open: Vec<Request>) -> Result<Request, Failure> {
    let id = one_of("request", text, open.iter().map(|request| request.id))?;
    let at = open.iter().position(|request| request.id == id);
    at.map(|at| open.swap_remove(at))
        .ok_or_else(|| super::unavailable("the request is gone"))
}

fn line(request: &Request, now: Timestamp, style: Style) -> String {
    let risk = request.risk.as_str().to_uppercase();
    let risk = match request.risk {
        Risk::High => style.red(&format!("{risk:6}")),
        Risk::Medium => style.bold(&format!("{risk:6}")),
        Risk::Low => format!("{risk:6}"),
    };
    let mut progress = needed(request);
    let agreed = agreed(request);
    if !agreed.is_empty() {
        progress.push_str(&format!("; agreed: {agreed}"));
    }
    format!(
        "{}  {:>12}  {risk}  {}  by {}  ({progress})",
        request.id,
        left(request, now),
        style.bold(&shown_once(&request.card.headline)),
        caller(&request.path)
    )
}

/// Which agent asks for whom.
fn caller(path: &LockPath) -> String {
    let agent = path.agent().map_or("nobody", |agent| agent.as_str());
    let person = path.person().map_or("nobody named", |person| person.as_str());
    format!("{agent} for {person} in {}", path.session())
}

pub(super) fn grant_line(grant: &Grant) -> String {
    let scope = match &grant.scope {
        Scope::Once { .. } => format!("once: one call of {}", shown_whole(grant.path.name())),
        Scope::Window { action, pins } => {
            let pins: Vec<String> = pins
                .iter()
                .map(|(name, value)| format!("{} = \"{}\"", shown_whole(name), shown_whole(value)))
                .collect();
            format!("window: {} where {}", shown_whole(action), pins.join(", "))
        }
    };
    let left = grant.max_uses.saturating_sub(grant.uses);
    format!(
        "{}  grant until {}  {left} of {} calls left  {scope}  by {}",
        grant.id,
        grant.expires_at,
        grant.max_uses,
        caller(&grant.path)
    )
}

fn brief(request: &Request, now: Timestamp) -> Value {
    let wanted: Vec<Value> = request
        .wanted()
        .iter()
        .map(|(group, count)| json!({"group": group, "count": count}))
        .collect();
    let agreed: Vec<&str> = request.votes.iter().map(|vote| vote.person.as_str()).collect();
    json!({
        "id": request.id,
        "risk": request.risk,
        "headline": request.card.headline,
        "agent": request.agent(),
        "session": request.path.session(),
        "on_behalf_of": request.path.person(),
        "opened_at": request.opened_at.to_string(),
        "deadline": request.deadline.to_string(),
        "left_ms": request.deadline.since(now).as_millis(),
        "needs": wanted,
        "agreed": agreed,
        "window": request.offer.as_ref().map(|offer| offer.span.to_string()),
        "can_be_approved": request.card.is_whole(),
    })
}

async fn state(request: &Request, store: &dyn Store) -> Result<String, Failure> {
    let State::Approved { grant } = &request.state else {
        return Ok(request.state.to_string());
    };
    let standing = store.grants().await?;
    Ok(match standing.iter().find(|standing| standing.id == *grant) {
        Some(grant) => format!("approved; {}", grant_line(grant)),
        None => format!("approved; its grant {grant} has ended"),
    })
}

/// How wide the terminal is that standard output goes to.
fn width() -> usize {
    const NO_TERMINAL: usize = 100;
    let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
    if columns == 0 { NO_TERMINAL } else { columns.into() }
}
