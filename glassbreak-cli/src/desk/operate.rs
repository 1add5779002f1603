//! `glassbreak lock`, `unlock` and `revoke`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use glassbreak_core::approval::RequestId;
use glassbreak_core::call::{Text, Word};
use glassbreak_core::desk::Desk;
use glassbreak_core::error::shown_whole;
use glassbreak_core::finding::RuleId;
use glassbreak_core::grant::GrantId;
use glassbreak_core::lock::{self, Target};
use glassbreak_core::notify::Tty;
use glassbreak_core::store::{Unlocked, Which};

use super::confirm::{confirm, terminal};
use super::vote::you;
use super::{EXIT, REFUSED, Seat, failure, one_of, unavailable};
use crate::Failure;

/// Stop calls, now and until somebody lifts it.
///
/// What runs is ended, what is asked withdrawn, what was opened revoked. Needs no terminal, because stopping must be easy;
/// a policy on Action::"lock" must permit it to you.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Lock {
    /// What: all, session:S, agent:A, tool:T (a program too), or person:P (all that acts for them).
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    seat: Seat,
    /// Why: agents are told.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Lift a lock.
///
/// Asks at the controlling terminal for the whole word `unlock`; a policy on Action::"unlock" must permit it to you. What the
/// lock revoked stays revoked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Unlock {
    /// What: exactly as it was locked; `glassbreak locks` lists it.
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    seat: Seat,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// End grants before their time, and withdraw what is asked.
///
/// Needs no terminal; a policy on Action::"revoke" must permit it to you.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
#[group(id = "which", required = true, multiple = false, args = ["id", "session", "agent", "tool", "person", "rule", "all"])]
pub(crate) struct Revoke {
    /// A grant, or the request that it answers: its id, or what its id alone begins or ends with.
    #[arg(value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    seat: Seat,
    /// All of one session.
    #[arg(long, value_name = "S")]
    session: Option<String>,
    /// All of one agent and of those that it started.
    #[arg(long, value_name = "A")]
    agent: Option<String>,
    /// All of one tool; a program is a tool by its name.
    #[arg(long, value_name = "T")]
    tool: Option<String>,
    /// All that was made for one person.
    #[arg(long, value_name = "P")]
    person: Option<String>,
    /// All that a rule asked for, such as `policy.delete-asks`: what lifts it, and what waits for it.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// All there is.
    #[arg(long)]
    all: bool,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Revoke {
    /// What an option says; all there is where none does.
    fn under(&self) -> Result<Which, Failure> {
        let under = |option, text: &Option<String>, target: fn(Word) -> Target| {
            let name = text.as_deref().map(|text| word(option, text));
            name.transpose().map(|name| name.map(|name| Which::Under(target(name))))
        };
        let named = [
            under("--session", &self.session, Target::Session)?,
            under("--agent", &self.agent, Target::Agent)?,
            under("--tool", &self.tool, Target::Tool)?,
            under("--person", &self.person, Target::Person)?,
        ];
        if let Some(which) = named.into_iter().flatten().next() {
            return Ok(which);
        }
        match &self.rule {
            None => Ok(Which::Under(Target::All)),
            Some(rule) => match RuleId::from_text(rule) {
                Ok(rule) => Ok(Which::Rule(rule)),
                Err(bad) => Err(Failure::usage(format!("glassbreak: --rule: {bad}"))),
            },
        }
    }
}

pub(crate) fn lock(options: &Lock) -> Result<ExitCode, Failure> {
    let (target, reason) = (target(&options.target)?, reason(&options.reason)?);
    options.seat.at_desk(nothing, async |desk, ()| {
        let by = operator(desk)?;
        desk.lock(target.clone(), reason, by).await?;
        let stands = desk.locks().await?;
        match stands.locks.get(&target) {
            Some(lock) => say!("Locked: {}.", told(lock)),
            None => say!("Locked: {target}. Somebody has lifted it since."),
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn unlock(options: &Unlock) -> Result<ExitCode, Failure> {
    let (target, reason) = (target(&options.target)?, reason(&options.reason)?);
    options.seat.at_desk(terminal, async |desk, tty| {
        let stands = desk.locks().await?;
        let Some(lock) = stands.locks.get(&target) else {
            return Err(failure(REFUSED, format!("{target} is not locked")));
        };
        let by = operator(desk)?;
        let account = Tty::account().map_err(unavailable)?;
        let page = format!(
            "\nLocked: {}.\n\nYou are {}, and lift it because \"{}\"",
            told(lock),
            you(desk, &account),
            shown_whole(reason.as_str())
        );
        let never = Arc::new(AtomicBool::new(false));
        if !confirm(tty, page, "unlock", never).await? {
            return Err(failure(REFUSED, "nothing was done: it is still locked"));
        }
        match desk.unlock(target.clone(), reason, by).await? {
            Unlocked::Lifted { .. } => say!("Unlocked: {target}. What the lock revoked stays revoked."),
            Unlocked::NotLocked { .. } => say!("{target} is not locked any more."),
            Unlocked::Newer { lock, .. } => {
                let why = format!(
                    "another lock came meanwhile and stands: {}; look at it first",
                    told(&lock)
                );
                return Err(failure(REFUSED, why));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn revoke(options: &Revoke) -> Result<ExitCode, Failure> {
    let reason = reason(&options.reason)?;
    options.seat.at_desk(nothing, async |desk, ()| {
        let by = operator(desk)?;
        let under = options.under()?;
        let which = match (&options.id, under) {
            (Some(id), _) => which(desk, id).await?,
            (None, under) => under,
        };
        let ended = desk.revoke(which, reason, by).await?;
        for grant in &ended.grants {
            say!("Revoked: grant {grant}.");
        }
        for request in &ended.requests {
            say!("Withdrawn: request {request}.");
        }
        if ended.grants.is_empty() && ended.requests.is_empty() {
            say!("Nothing of it was open.");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A grant or a request, by its id or a part of it.
async fn which(desk: &Desk, text: &str) -> Result<Which, Failure> {
    if let Ok(id) = RequestId::from_text(text) {
        return Ok(match desk.request(id).await? {
            Some(_) => Which::Request(id),
            None => Which::Grant(GrantId::from_bytes(*id.as_bytes())),
        });
    }
    let grants = desk.grants().await?;
    let requests = desk.pending().await?;
    let grants = grants
        .iter()
        .map(|grant| (grant.id.to_string(), Which::Grant(grant.id)));
    let requests = requests
        .iter()
        .map(|request| (request.id.to_string(), Which::Request(request.id)));
    let all: Vec<(String, Which)> = grants.chain(requests).collect();
    let id = one_of("grant or request", text, all.iter().map(|(id, _)| id.as_str()))?;
    let found = all.iter().find(|(one, _)| one == id).map(|(_, which)| which.clone());
    found.ok_or_else(|| unavailable("it is gone"))
}

/// `all`, `session:S`, `agent:A`, `tool:T` or `person:P`.
fn target(text: &str) -> Result<Target, Failure> {
    if text == "all" {
        return Ok(Target::All);
    }
    let Some((kind, name)) = text.split_once(':') else {
        return Err(no_target(text));
    };
    let name = || word("TARGET", name);
    match kind {
        "session" => name().map(Target::Session),
        "agent" => name().map(Target::Agent),
        "tool" => name().map(Target::Tool),
        "person" => name().map(Target::Person),
        _ => Err(no_target(text)),
    }
}

fn no_target(text: &str) -> Failure {
    Failure::usage(format!(
        "glassbreak: `{}` is nothing that can be locked: write all, session:S, agent:A, tool:T or person:P",
        shown_whole(text)
    ))
}

fn word(what: &str, text: &str) -> Result<Word, Failure> {
    Word::new(text).map_err(|bad| Failure::usage(format!("glassbreak: {what}: {bad}")))
}

pub(super) fn reason(text: &str) -> Result<Text, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::usage("glassbreak: --reason: write why, in a few words"));
    }
    Text::new(text).map_err(|bad| Failure::usage(format!("glassbreak: --reason: {bad}")))
}

/// The person who works here: whom people.toml maps the uid to.
fn operator(desk: &Desk) -> Result<Word, Failure> {
    let account = Tty::account().map_err(unavailable)?;
    Ok(desk.operator(&account)?)
}

fn told(lock: &lock::Lock) -> String {
    let reason = shown_whole(lock.reason.as_str());
    format!("{} by {} at {}: {reason}", lock.target, lock.by, lock.at)
}

#[expect(clippy::unnecessary_wraps, reason = "what others need before they begin can fail")]
const fn nothing() -> Result<(), Failure> {
    Ok(())
}
