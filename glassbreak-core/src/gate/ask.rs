//! Asking people, from the side of the call that waits.
//!
//! [`Asking`] is all that a grant is compared with and a request is made of. An [`Escalation`] is a call that people must
//! agree to and have not been asked about; [`open`](Escalation::open) asks them and gives a [`Waiting`], whose
//! [`Ticket`] finds the request again, later or in another process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::check::{Made, again};
use super::follow::{Origin, follow};
use super::hold::within;
use super::permit::AnyPermit;
use super::{Gate, Session, SessionCall, Verdict, overflow};
use crate::approval::{Asked, Offer, Request, RequestId, State, impossible};
use crate::audit::{Event, RequestJoined, RequestOpened, RequestRefused};
use crate::bundle::Bundle;
use crate::call::{Call, CallDigest, Operation, wire};
use crate::clock::{Span, Timestamp};
use crate::error::BadWord;
use crate::exec::Pin;
use crate::facts::PinFact;
use crate::finding::{Denial, Finding, Findings, Layer, Requirement, RuleId, Ruling};
use crate::grant::{FileMark, Grant, Judged, Pins, Scope, Use};
use crate::judge::Judgement;
use crate::label::Risk;
use crate::lock::LockPath;
use crate::notify::{Card, Shown};
use crate::store::{Caps, OpId, Open, Opened, Unasked};

/// How often one call goes back to people: after they agreed, something else may ask, or what they opened may not cover
/// it.
const MOST_ROUNDS: usize = 3;
/// How long past the deadline is waited for a store to say so.
const GRACE: Duration = Duration::from_millis(50);

/// A call that asks: what a grant is compared with.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    call: Use,
    rules: Vec<Asked>,
    /// The names of the facts that a window must hold fixed.
    pins: Vec<Box<str>>,
}

impl Asking {
    /// `None` where nothing asks, which is a fault of the guard.
    pub(super) fn of(bundle: &Bundle, path: &LockPath, judgement: &Judgement, pin: Option<&Pin>) -> Option<Self> {
        let mut rules: Vec<Asked> = Vec::new();
        for (rule, requirement) in judgement.requirements() {
            let finding = judgement.ruling.deciding().find(|finding| finding.rule() == rule)?;
            rules.push(Asked {
                rule: rule.clone(),
                hash: bundle.rule_hash(rule),
                requirement: requirement.clone(),
                why: finding.why().into(),
            });
        }
        if rules.is_empty() {
            return None;
        }
        let marked = match path.name() {
            program if judgement.facts.argv.is_some() => bundle.programs().pins(program),
            tool => bundle.tools().get(tool).map_or(&[][..], |entry| entry.pins()),
        };
        let (facts, pins) = fixable(bundle, judgement, marked);
        let call = Use {
            path: path.clone(),
            digest: judgement.digest?,
            action: (&*judgement.action()).into(),
            facts: Arc::new(facts),
            asks: rules.iter().map(|asked| (asked.rule.clone(), asked.hash)).collect(),
            file: match pin {
                Some(pin) => Some(mark(pin)?),
                None => None,
            },
        };
        Some(Self { call, rules, pins })
    }

    pub(super) const fn digest(&self) -> CallDigest {
        self.call.digest
    }

    pub(super) const fn call(&self) -> &Use {
        &self.call
    }

    /// Whether this grant may be tried on the call. A window is only for a call that people could have opened one on:
    /// it holds fixed whatever the call must hold fixed now, and the call can be shown whole.
    pub(super) fn may_use(&self, grant: &Grant, call: &Call, judgement: &Judgement) -> bool {
        match &grant.scope {
            Scope::Once { .. } => true,
            Scope::Window { pins, .. } => {
                let held = self.pins.iter().all(|pin| pins.contains_key(pin));
                held && self.offer(judgement).is_some() && self.card(call, judgement, [&[], &[]], None).is_whole()
            }
        }
    }

    /// `labels` are those that it has, and those that it may have besides.
    fn card(&self, call: &Call, judgement: &Judgement, labels: [&[Box<str>]; 2], file: Option<&str>) -> Card {
        let [labels, possible] = labels;
        Card::of(&Shown {
            call,
            judgement,
            action: &judgement.action(),
            labels,
            possible,
            rules: &self.rules,
            offer: self.offer(judgement).as_ref(),
            facts: &self.call.facts,
            pins: &self.pins,
            file,
        })
    }

    /// What may be opened besides the one call: a window where every rule that asks has one, every fact that it must
    /// hold fixed is known, the call was understood whole, a profile or manifest describes it, and the risk is not high.
    fn offer(&self, judgement: &Judgement) -> Option<Offer> {
        let facts = &judgement.facts;
        let listed = facts.argv.as_ref().is_none_or(|argv| argv.listed);
        let known = self.pins.iter().all(|pin| self.call.facts.contains_key(pin));
        if facts.partial || facts.risk == Risk::High || !listed || !known {
            return None;
        }
        let windows: Option<Vec<Span>> = self.rules.iter().map(|asked| asked.requirement.window).collect();
        let span = windows?.into_iter().min()?.min(Grant::MAX_WINDOW);
        Some(Offer {
            span,
            uses: Grant::MAX_USES,
        })
    }
}

/// The mark of a file; `None` where its identity cannot be written, which is so of no pin.
fn mark(pin: &Pin) -> Option<FileMark> {
    serde_json::to_string(pin).ok().map(|text| FileMark::of(&text))
}

/// The facts of a call that a window could hold fixed, and the names of those that it must.
fn fixable(bundle: &Bundle, judgement: &Judgement, marked: &[PinFact]) -> (Pins, Vec<Box<str>>) {
    let facts = &judgement.facts;
    let mut known = Pins::new();
    let mut pins: Vec<Box<str>> = Vec::new();
    let words: Vec<&str> = bundle.vocabulary().words_of(facts.labels).collect();
    let (ty, id) = judgement.resource();
    known.insert(Judged::Risk.name().into(), facts.risk.as_str().into());
    known.insert(Judged::Labels.name().into(), words.join(", ").into());
    // A type has no blank in it, so that no two resources are written alike.
    known.insert(Judged::Resource.name().into(), format!("{ty} {id}").into());
    if let Some(argv) = &facts.argv {
        known.insert("command".into(), (&*argv.command).into());
        pins.push("command".into());
    }
    for name in crate::facts::Target::NAMES {
        if let Some(text) = PinFact::Target(name).text(facts) {
            known.insert(format!("target.{name}").into(), text);
        }
    }
    // A window opened where nothing, or something else, was handed over is none for a call that is handed this.
    if let Some(handover) = &judgement.handover {
        known.insert("credential".into(), handover.line().into());
        pins.push("credential".into());
    }
    pins.push("target.kind".into());
    for fact in marked {
        let name: Box<str> = match fact {
            PinFact::Target(name) => format!("target.{name}").into(),
            PinFact::Arg(_) => fact.to_string().into(),
        };
        if let Some(text) = fact.text(facts) {
            known.insert(name.clone(), text);
        }
        if !pins.contains(&name) {
            pins.push(name);
        }
    }
    (known, pins)
}

/// A call that people must agree to. Nobody has been asked yet: dropped, it asks nobody.
#[derive(Debug)]
pub struct Escalation {
    gate: Gate,
    session: Session,
    call: Call,
    op: OpId,
    attempt: u32,
    /// What the call was judged by, and so what people are asked by.
    bundle: Arc<Bundle>,
    judgement: Box<Judgement>,
    asking: Asking,
    denial: Denial,
    file: Option<String>,
}

impl Escalation {
    pub(super) fn new(
        gate: &Gate,
        made: Box<Made>,
        judgement: Box<Judgement>,
        asking: Asking,
        denial: Denial,
        pin: Option<Pin>,
    ) -> Self {
        Self {
            gate: gate.clone(),
            session: made.session,
            call: made.call,
            op: made.id,
            attempt: made.attempt,
            bundle: made.bundle,
            judgement,
            asking,
            denial,
            file: pin.map(|pin| pin.to_string()),
        }
    }

    /// The call.
    pub const fn digest(&self) -> CallDigest {
        self.asking.call.digest
    }

    /// For each rule that asks: who must agree, and what they may open. All of it is needed.
    pub fn requirements(&self) -> impl Iterator<Item = (&RuleId, &Requirement)> {
        self.asking.rules.iter().map(|asked| (&asked.rule, &asked.requirement))
    }

    /// The refusal that this is as long as nobody is asked.
    pub const fn denial(&self) -> &Denial {
        &self.denial
    }

    /// Asks nobody, and takes it as a refusal.
    pub fn into_denial(self) -> Denial {
        self.denial
    }

    /// Asks people: opens a request, or joins the one that asks the same. Returns once it is in the store; the cards go
    /// out meanwhile.
    ///
    /// # Errors
    /// The refusal where they cannot be asked: nobody may agree, the agent asks too often, a person has just said no, a
    /// lock stands, or the store or the audit log does not answer. It is recorded.
    pub async fn open(self) -> Result<Waiting, Denial> {
        match self.ask().await {
            Ok(request) => Ok(Waiting {
                gate: self.gate,
                session: self.session,
                call: self.call,
                op: self.op,
                attempt: self.attempt,
                request: Box::new(request),
            }),
            Err(finding) => Err(self.refused(&finding)),
        }
    }

    /// Asks people and waits for their answer, at most until the deadline. Dropped, it goes on without the one who waits.
    ///
    /// # Errors
    /// As [`open`](Self::open), and what became of the request or of the call when it was looked at again.
    pub async fn wait(self) -> Result<AnyPermit, Denial> {
        self.open().await?.wait().await
    }

    async fn ask(&self) -> Result<Request, Finding> {
        let gate = &self.gate;
        let request = self.request();
        if let Some(why) = impossible(&request, &*self.bundle) {
            return Err(Finding::deny(
                closed("quorum-impossible"),
                why,
                "name people who may agree",
            ));
        }
        let audit = |written: Result<_, crate::audit::AuditError>| {
            written.map_err(|error| Finding::unavailable(RuleId::known(Layer::Store, "audit"), error.to_string()))
        };
        let opened = RequestOpened {
            request: &request,
            call: self.op,
        };
        let (own, agent) = (request.id, request.agent().clone());
        // Before it is in the store: whoever finds it there may agree to it, also where this process dies now. Where it is
        // joined or not asked, the next record of this call says so.
        audit(gate.inner.audit.append_synced(Event::RequestOpened(opened)).map(drop))?;
        let limits = &self.bundle.settings().requests;
        let open = Open {
            request,
            lasts: limits.deadline,
            caps: Caps {
                pending: limits.pending,
                per_hour: limits.per_hour,
                cooldown: limits.cooldown,
            },
            at: Gate::now(),
        };
        let opened = within(gate, gate.inner.store.open(open)).await;
        let opened = match opened {
            Ok(Opened::Refused { why, .. }) => {
                let often = matches!(why, Unasked::Pending(_) | Unasked::PerHour { .. });
                let finding = unasked(why);
                if often {
                    overflow::alert(gate, agent, &self.asking.call.path, finding.why());
                }
                Err(finding)
            }
            Ok(opened) => Ok(opened),
            Err(finding) => {
                // It may be open all the same, and nothing would say so: people must not answer it.
                let withdrawn = gate.inner.desk.cancel(own, "it was not asked");
                let _ = tokio::time::timeout(gate.inner.store_time, withdrawn).await;
                Err(finding)
            }
        };
        let opened = opened.inspect_err(|finding| {
            let refused = RequestRefused {
                request: own,
                call: self.op,
                why: finding.why(),
            };
            // The call's own refusal is recorded next, and that must not fail.
            let _ = gate.inner.audit.append(Event::RequestRefused(refused));
        })?;
        match opened {
            Opened::Opened(request) => {
                gate.inner.overflows.over(request.agent());
                follow(gate, &request, Origin::Asked);
                Ok(*request)
            }
            Opened::Joined(request) => {
                let joined = RequestJoined {
                    request: request.id,
                    call: self.op,
                    instead_of: own,
                };
                audit(gate.inner.audit.append(Event::RequestJoined(joined)).map(drop))?;
                Ok(*request)
            }
            Opened::Refused { why, .. } => Err(unasked(why)),
        }
    }

    fn request(&self) -> Request {
        let (bundle, asking) = (&self.bundle, &self.asking);
        let now = Gate::now();
        let words = bundle.vocabulary().words_of(self.judgement.facts.labels);
        let labels: Vec<Box<str>> = words.map(Into::into).collect();
        let words = bundle.vocabulary().words_of(self.judgement.facts.possible_labels);
        let possible = words.filter(|word| !labels.iter().any(|known| **known == **word));
        let possible: Vec<Box<str>> = possible.map(Into::into).collect();
        let offer = asking.offer(&self.judgement);
        let card = asking.card(&self.call, &self.judgement, [&labels, &possible], self.file.as_deref());
        Request {
            id: RequestId::mint(now),
            version: 0,
            op: self.op,
            digest: asking.call.digest,
            path: asking.call.path.clone(),
            role: self.call.actor.role.clone(),
            action: self.judgement.action(),
            resource: self.judgement.resource(),
            facts: Pins::clone(&asking.call.facts),
            pins: asking.pins.clone(),
            risk: self.judgement.facts.risk,
            labels,
            rules: asking.rules.clone(),
            offer,
            file: asking.call.file,
            card,
            call: wire::write(&self.call).map(Into::into),
            bundle: bundle.digest().to_string().into(),
            opened_at: now,
            deadline: now.after(bundle.settings().requests.deadline),
            stages: bundle.settings().stages.of(&asking.rules),
            shown: self.gate.inner.ways.elsewhere,
            votes: Vec::new(),
            state: State::Pending,
        }
    }

    fn refused(self, finding: &Finding) -> Denial {
        let finding = asked_by(&self.asking.rules, finding);
        refusal(
            &self.session,
            self.op,
            self.attempt,
            self.bundle,
            &self.call,
            &self.judgement,
            finding,
        )
    }
}

/// Records that a call that was asked about is refused, and says so.
fn refusal(
    session: &Session,
    op: OpId,
    attempt: u32,
    bundle: Arc<Bundle>,
    call: &Call,
    judgement: &Judgement,
    finding: Finding,
) -> Denial {
    let mut judgement = judgement.clone();
    judgement.ruling = Ruling::combine(Findings {
        host: vec![finding],
        ..Findings::default()
    });
    let made = Made {
        id: op,
        attempt,
        bundle,
        at: Gate::now(),
        admitted: false,
        hold: None,
        grant: None,
        session: session.clone(),
        call: call.clone(),
    };
    let denial = judgement.denial().unwrap_or_else(super::check::wrong_permit);
    match made.record(session.gate(), &judgement, &denial) {
        Ok(()) => denial,
        Err(unrecorded) => unrecorded,
    }
}

/// The same refusal, saying first which rules wanted people to agree.
fn asked_by(rules: &[Asked], finding: &Finding) -> Finding {
    let rules: Vec<&str> = rules.iter().map(|asked| asked.rule.as_str()).collect();
    let why = format!("a person must agree, by {}: {}", rules.join(", "), finding.why());
    if finding.is_breakdown() {
        Finding::unavailable(finding.rule().clone(), why)
    } else {
        Finding::deny(finding.rule().clone(), why, finding.hint())
    }
}

/// A rule of requests, such as `store.request.denied`.
fn closed(code: &str) -> RuleId {
    RuleId::known(Layer::Store, &["request.", code].concat())
}

fn unasked(why: Unasked) -> Finding {
    match why {
        Unasked::Locked(lock) => super::check::locked(&super::locks::Stopped::By(lock)),
        Unasked::Pending(open) => Finding::deny(
            closed("pending"),
            format!("{open} questions of this agent are open already"),
            "wait for their answers",
        ),
        Unasked::PerHour { asked, free_at } => Finding::deny(
            closed("per-hour"),
            format!("this agent has asked {asked} times within an hour"),
            format!("ask again from {free_at} on"),
        ),
        Unasked::Resting { request, until } => Finding::deny(
            closed("resting"),
            format!("a person has just said no to the same question, in request {request}"),
            format!("do something else; it can be asked again from {until} on"),
        ),
        Unasked::Clock { latest } => Finding::unavailable(
            RuleId::known(Layer::Store, "clock"),
            format!("this machine's clock is ahead of the store's, which takes nothing later than {latest}"),
        ),
    }
}

/// What a host keeps to come back to a call that waits for people: the ids of the request and of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The request.
    pub request: RequestId,
    /// The call.
    pub call: OpId,
}

impl Ticket {
    /// Reads a ticket as it is printed.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_text(text: &str) -> Result<Self, BadWord> {
        let bad = || {
            BadWord::new(
                "ticket",
                text,
                "write it as it was printed: two ids and a dot between them",
            )
        };
        let (request, call) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self {
            request: RequestId::from_text(request)?,
            call: OpId::from_text(call)?,
        })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.request, self.call)
    }
}

crate::stored::stored_as_text!(Ticket, Ticket::from_text);

/// A call that waits for people.
#[derive(Debug)]
pub struct Waiting {
    gate: Gate,
    session: Session,
    call: Call,
    op: OpId,
    attempt: u32,
    request: Box<Request>,
}

impl Waiting {
    /// Comes back to a call, in this process or another.
    pub(super) async fn resume(session: &Session, ticket: Ticket) -> Result<Self, Denial> {
        let gate = session.gate();
        let no = |code: &str, why: &str| {
            let finding = Finding::deny(closed(code), why, "make the call again");
            let ruling = Ruling::combine(Findings {
                host: vec![finding],
                ..Findings::default()
            });
            Denial::from_ruling(&ruling, None).unwrap_or_else(super::check::wrong_permit)
        };
        let request = match within(gate, gate.inner.store.request(ticket.request)).await {
            Ok(Some(request)) => request,
            Ok(None) => return Err(no("unknown", "there is no such request, or it was settled days ago")),
            Err(finding) => return Err(Denial::unavailable(finding.rule().clone(), finding.why())),
        };
        if !session.inner.path.same_caller(&request.path) {
            return Err(no("other-caller", "the request was made by another agent or session"));
        }
        if request.op != ticket.call {
            return Err(no("joined", "the call had joined the request of another one"));
        }
        let line = request.call.as_deref().map(|line| wire::read(line.as_bytes()));
        let Some(Ok(line)) = line else {
            return Err(no("not-kept", "the call could not be kept with its request"));
        };
        Ok(Self {
            gate: gate.clone(),
            session: session.clone(),
            call: Call {
                actor: session.actor().clone(),
                ..line.call
            },
            op: ticket.call,
            attempt: 0,
            request: Box::new(request),
        })
    }

    /// What finds it again.
    pub const fn ticket(&self) -> Ticket {
        Ticket {
            request: self.request.id,
            call: self.op,
        }
    }

    /// The request, as it was when it was last looked at.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Waits for the answer, at most until the deadline, and then has the whole call judged again: policy, locks and
    /// budgets may have changed meanwhile, and the stricter answer wins. Dropped, the request stays open.
    ///
    /// # Errors
    /// The refusal. A person's own words are in it, where they gave any.
    pub async fn wait(mut self) -> Result<AnyPermit, Denial> {
        for _ in 0..MOST_ROUNDS {
            self.answered().await?;
            let call = SessionCall {
                session: self.session.clone(),
                call: self.call.clone(),
            };
            match again(&self.gate, call, self.op, self.attempt.saturating_add(1)).await {
                Verdict::Allow(permit) => return Ok(permit),
                Verdict::Deny(denial) => return Err(denial),
                // Something else asks now, or what was opened does not cover this very call.
                Verdict::Ask(escalation) => self = Box::pin(escalation.open()).await?,
            }
        }
        Err(self.refused(&Finding::deny(
            closed("rounds"),
            "people agreed, and each time something more asked",
            "look at what asks, and do something else",
        )))
    }

    /// Waits until the request is approved.
    async fn answered(&mut self) -> Result<(), Denial> {
        loop {
            match &self.request.state {
                State::Approved { .. } => return Ok(()),
                State::Pending => {}
                state => {
                    let code = match state {
                        State::Expired if self.request.is_unseen() => "no-route",
                        state => state.as_str(),
                    };
                    let hint = match state {
                        State::Denied { .. } => "do what the person says, or something else",
                        _ => "ask again later, or do something else",
                    };
                    let finding = Finding::deny(closed(code), crate::desk::told(&self.request), hint);
                    return Err(self.refused(&finding));
                }
            }
            let (id, version) = (self.request.id, self.request.version);
            let left = self.request.deadline.since(Timestamp::now());
            let most = Duration::from_millis(left.as_millis()) + GRACE;
            let moved = match tokio::time::timeout(most, self.gate.inner.store.moved(id, version)).await {
                Ok(moved) => moved.map_err(|error| error.to_string()),
                // A store that hangs must not keep the call waiting for ever.
                Err(_) => match tokio::time::timeout(self.gate.inner.store_time, self.gate.inner.desk.expire(id)).await
                {
                    Ok(ended) => ended.map_err(|error| error.to_string()),
                    Err(_) => Err("nobody answered in time, and the store does not say how it ended".to_owned()),
                },
            };
            match moved {
                Ok(Some(request)) => *self.request = request,
                Ok(None) => {
                    let finding = Finding::deny(closed("unknown"), "the request is gone", "make the call again");
                    return Err(self.refused(&finding));
                }
                Err(why) => {
                    let finding = Finding::unavailable(closed("unavailable"), crate::error::shown(&why));
                    return Err(self.refused(&finding));
                }
            }
        }
    }

    fn refused(&self, finding: &Finding) -> Denial {
        let finding = asked_by(&self.request.rules, finding);
        let bundle = self.gate.bundle();
        let mut judgement = crate::judge::refused(&bundle, finding.clone());
        judgement.digest = Some(self.request.digest);
        judgement.facts.risk = self.request.risk;
        // It was understood as far as its card says; this is about the answer, not about the words.
        judgement.facts.partial = false;
        refusal(
            &self.session,
            self.op,
            self.attempt,
            bundle,
            &self.call,
            &judgement,
            finding,
        )
    }
}

/// What a call is called by in words, for whoever waits.
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.call.operation {
            Operation::Exec(exec) => exec.argv().program(),
            Operation::Tool(tool) => tool.name.as_str(),
            Operation::Connect(connect) => connect.host.as_str(),
        };
        write!(
            f,
            "{} waits for people, as {}",
            crate::error::shown(what),
            self.ticket()
        )
    }
}
