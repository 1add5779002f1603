//! What a request becomes: one function for each thing that can happen to it.

use std::fmt;

use super::quorum::{Places, Reach, fills, is_asked, is_for, may_fill, places};
use super::{Answer, Electorate, Ineligible, Request, State, Vote};
use crate::call::{Text, Word};
use crate::clock::{Span, Timestamp};
use crate::finding::RuleId;
use crate::grant::{Grant, GrantId, Judged, Pins, Scope};
use crate::people::Account;

/// What somebody answers, before it is known whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The account that they answer by.
    pub account: Account,
    /// What they say.
    pub answer: Answer,
    /// Why.
    pub reason: Option<Text>,
    /// The digest of the card that they were shown.
    pub card: Box<str>,
}

/// What a request becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The request as it will be, one version further.
    pub request: Request,
    /// The grant that goes with an approval.
    pub grant: Option<Grant>,
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteRefused {
    /// The request is settled.
    Settled(State),
    /// The deadline has come.
    TooLate,
    /// Nobody has this account.
    UnknownAccount(Account),
    /// The person may not answer this request.
    Ineligible(Word, Ineligible),
    /// The person has answered already, and to the same effect.
    Again(Word),
    /// They were shown something else than what would be approved.
    OtherCard,
    /// The call cannot be shown whole, so nobody can agree to it; a no is taken.
    NotWhole,
    /// A rule has changed since it asked.
    RuleChanged(RuleId),
    /// No window is offered.
    NoWindow,
    /// More than is offered, or nothing at all.
    Beyond(&'static str),
    /// A fact that cannot be held fixed: it is not known, or there is none of this name.
    UnknownPin(Box<str>),
}

impl VoteRefused {
    /// The word used in records and output.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settled(_) => "settled",
            Self::TooLate => "too-late",
            Self::UnknownAccount(_) => "unknown-account",
            Self::Ineligible(..) => "not-eligible",
            Self::Again(_) => "again",
            Self::OtherCard => "other-card",
            Self::NotWhole => "not-whole",
            Self::RuleChanged(_) => "rule-changed",
            Self::NoWindow => "no-window",
            Self::Beyond(_) => "beyond",
            Self::UnknownPin(_) => "unknown-pin",
        }
    }
}

impl fmt::Display for VoteRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled(state) => write!(f, "the request is {state} already"),
            Self::TooLate => f.write_str("the deadline has passed: the answer is no"),
            Self::UnknownAccount(account) => write!(f, "no person in people.toml has the account {account}"),
            Self::Ineligible(person, why) => write!(f, "{person} may not answer this: {why}"),
            Self::Again(person) => write!(f, "{person} has answered already"),
            Self::OtherCard => f.write_str("the request changed since it was shown; look at it again"),
            Self::NotWhole => f.write_str("the call cannot be shown whole, so nobody can agree to it"),
            Self::RuleChanged(rule) => write!(f, "{rule} was changed since it asked; the agent must ask again"),
            Self::NoWindow => f.write_str("no window is offered; this call can be approved once"),
            Self::Beyond(what) => write!(f, "{what} is beyond what is offered"),
            Self::UnknownPin(name) => write!(f, "`{name}` is not a known fact of this call"),
        }
    }
}

/// What the request becomes by a vote at `now`.
///
/// The last vote that a quorum needs brings the grant, whose id the caller mints. Every earlier vote is looked at again: one by a person
/// who may not agree any more is dropped.
///
/// # Errors
/// Why the vote does not count. The request is as it was.
pub fn vote(
    request: &Request,
    ballot: &Ballot,
    electorate: &dyn Electorate,
    now: Timestamp,
    grant: GrantId,
) -> Result<Step, VoteRefused> {
    let account = &ballot.account;
    let person = electorate
        .person_of(account)
        .ok_or_else(|| VoteRefused::UnknownAccount(account.clone()))?;
    if request.state.is_final() {
        return Err(VoteRefused::Settled(request.state.clone()));
    }
    if request.is_late(now) {
        return Err(VoteRefused::TooLate);
    }
    let barred = |why: Ineligible| VoteRefused::Ineligible(person.clone(), why);
    let places = places(request).ok_or_else(|| barred(Ineligible::new("nobody is named who may")))?;
    let cast = Vote {
        own: is_for(request, &person, electorate),
        person: person.clone(),
        account: account.clone(),
        answer: ballot.answer.clone(),
        reason: ballot.reason.clone(),
        card: ballot.card.clone(),
        at: now,
    };
    let mut next = request.clone();
    next.version = next.version.saturating_add(1);
    if ballot.answer == Answer::Deny {
        is_asked_at_all(request, &person, &places, electorate).map_err(barred)?;
        next.state = State::Denied {
            why: denied_by(&cast),
            by: Some(person),
        };
        next.votes.push(cast);
        return Ok(Step {
            request: next,
            grant: None,
        });
    }
    may_agree(request, &cast, &places, electorate)?;
    if request.votes.iter().any(|vote| vote.person == person) {
        return Err(VoteRefused::Again(person));
    }
    next.votes.push(cast);
    next.votes
        .retain(|vote| may_agree(request, vote, &places, electorate).is_ok());
    let agreed: Vec<&Word> = next.votes.iter().map(|vote| &vote.person).collect();
    if fills(request, &places, &agreed, electorate, Reach::Now) {
        let grant = opened(request, &next.votes, now, grant);
        next.state = State::Approved { grant: grant.id };
        return Ok(Step {
            request: next,
            grant: Some(grant),
        });
    }
    if let Some(why) = impossible(request, electorate) {
        next.state = State::Denied {
            why: why.into(),
            by: None,
        };
    }
    Ok(Step {
        request: next,
        grant: None,
    })
}

/// Whether a person may agree to a request in this way, now.
fn may_agree(
    request: &Request,
    vote: &Vote,
    places: &[Places],
    electorate: &dyn Electorate,
) -> Result<(), VoteRefused> {
    let barred = |why: Ineligible| VoteRefused::Ineligible(vote.person.clone(), why);
    // An account that was taken from a person, or given to another, votes for nobody it voted for before.
    if electorate.person_of(&vote.account).as_ref() != Some(&vote.person) {
        return Err(VoteRefused::UnknownAccount(vote.account.clone()));
    }
    let window = matches!(vote.answer, Answer::Window { .. });
    let mut first = None;
    let fits = places.iter().any(|places| {
        may_fill(request, places, &vote.person, electorate, Reach::Now)
            .map_err(|why| first.get_or_insert(why).clone())
            .is_ok()
    });
    if !fits {
        return Err(barred(
            first.unwrap_or_else(|| Ineligible::new("nobody is named who may")),
        ));
    }
    electorate.may_approve(&vote.person, request, window).map_err(barred)?;
    if let Some(rule) = request.rules.iter().find_map(|asked| electorate.changed(asked)) {
        return Err(VoteRefused::RuleChanged(rule));
    }
    if !request.card.is_whole() {
        return Err(VoteRefused::NotWhole);
    }
    if *vote.card != *request.card.digest() {
        return Err(VoteRefused::OtherCard);
    }
    within_offer(request, &vote.answer)
}

fn within_offer(request: &Request, answer: &Answer) -> Result<(), VoteRefused> {
    let Answer::Window { span, uses, pins } = answer else {
        return Ok(());
    };
    let Some(offer) = &request.offer else {
        return Err(VoteRefused::NoWindow);
    };
    if span.as_millis() == 0 || *span > offer.span || *span > Grant::MAX_WINDOW {
        return Err(VoteRefused::Beyond("the time"));
    }
    if *uses == 0 || *uses > offer.uses || *uses > Grant::MAX_USES {
        return Err(VoteRefused::Beyond("the number of calls"));
    }
    // One that is not known cannot be compared, so the window would cover nothing or anything.
    let mut held = pins.iter().chain(&request.pins);
    match held.find(|pin| !request.facts.contains_key(*pin)) {
        Some(pin) => Err(VoteRefused::UnknownPin(pin.clone())),
        None => Ok(()),
    }
}

fn is_asked_at_all(
    request: &Request,
    person: &Word,
    places: &[Places],
    electorate: &dyn Electorate,
) -> Result<(), Ineligible> {
    let mut first = None;
    for places in places {
        match is_asked(request, &places.group, person, electorate, Reach::Now) {
            Ok(()) => return Ok(()),
            Err(why) => drop(first.get_or_insert(why)),
        }
    }
    Err(first.unwrap_or_else(|| Ineligible::new("nobody is named who may")))
}

/// Why nobody, or too few, could ever agree to a request, whatever stages it comes to; `None` where enough could.
pub fn impossible(request: &Request, electorate: &dyn Electorate) -> Option<String> {
    let Some(places) = places(request) else {
        return Some("a rule that asks names nobody who could agree".to_owned());
    };
    let mut persons: Vec<Word> = places
        .iter()
        .flat_map(|places| {
            let later = electorate.later(&places.group);
            let groups = std::iter::once(&places.group).chain(&later);
            groups.flat_map(|group| electorate.members(group)).collect::<Vec<_>>()
        })
        .collect();
    persons.sort_unstable();
    persons.dedup();
    let able: Vec<&Word> = persons
        .iter()
        .filter(|person| electorate.may_approve(person, request, false).is_ok())
        .collect();
    if fills(request, &places, &able, electorate, Reach::Ever) {
        return None;
    }
    let wanted: Vec<String> = places
        .iter()
        .map(|places| format!("{} of {}", places.count, places.group))
        .collect();
    Some(format!(
        "{} must agree, and not enough people may",
        wanted.join(" and ")
    ))
}

fn denied_by(vote: &Vote) -> Box<str> {
    match &vote.reason {
        Some(reason) => format!(
            "{} said no: {}",
            vote.person,
            crate::error::shown_whole(reason.as_str())
        )
        .into(),
        None => format!("{} said no", vote.person).into(),
    }
}

/// What those who agreed open together: the narrowest of what each said.
fn opened(request: &Request, votes: &[Vote], now: Timestamp, id: GrantId) -> Grant {
    let mut window: Option<(Span, u32, Pins)> = request.offer.as_ref().map(|offer| {
        (
            offer.span.min(Grant::MAX_WINDOW),
            offer.uses.min(Grant::MAX_USES),
            Pins::new(),
        )
    });
    // Also where it comes down to once: who agreed to a minute did not agree to five.
    let mut shortest = Grant::ONCE;
    for vote in votes {
        if let Answer::Window { span, .. } = &vote.answer {
            shortest = shortest.min(*span);
        }
        window = match (window, &vote.answer) {
            (Some((span, uses, mut all)), Answer::Window { span: s, uses: u, pins }) => {
                let named = pins.iter().chain(&request.pins).map(|name| &**name);
                let named = named.chain(Judged::ALL.map(Judged::name));
                all.extend(named.filter_map(|name| Some((name.into(), request.facts.get(name)?.clone()))));
                Some((span.min(*s), uses.min(*u), all))
            }
            _ => None,
        };
    }
    let (scope, span, max_uses) = match window {
        Some((span, uses, pins)) => (
            Scope::Window {
                action: request.action.clone(),
                pins,
            },
            span,
            uses,
        ),
        None => (Scope::Once { digest: request.digest }, shortest, 1),
    };
    Grant {
        id,
        request: request.id,
        path: request.path.clone(),
        lifts: request
            .rules
            .iter()
            .map(|asked| (asked.rule.clone(), asked.hash))
            .collect(),
        scope,
        file: request.file,
        uses: 0,
        max_uses,
        not_before: now,
        expires_at: now.after(span),
        revoked: None,
    }
}

/// What the request becomes when its deadline has come; `None` where it has not, or where the request is settled.
pub fn expire(request: &Request, now: Timestamp) -> Option<Request> {
    if request.state.is_final() || !request.is_late(now) {
        return None;
    }
    Some(ended(request, State::Expired))
}

/// What the request becomes when nobody needs an answer any more; `None` where it is settled.
pub fn cancel(request: &Request, why: &str) -> Option<Request> {
    let state = State::Cancelled { why: why.into() };
    (!request.state.is_final()).then(|| ended(request, state))
}

fn ended(request: &Request, state: State) -> Request {
    Request {
        version: request.version.saturating_add(1),
        state,
        ..request.clone()
    }
}
