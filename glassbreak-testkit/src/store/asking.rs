//! Requests, decisions and grants in the making: what checks of them, and tests of other crates, are written in.

use std::sync::Arc;

use glassbreak_core::approval::{Answer, Asked, Offer, Request, RequestId, Stage, Stages, State, Vote};
use glassbreak_core::call::{CallDigest, Word};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::finding::{Layer, Requirement, RuleHash, RuleId};
use glassbreak_core::grant::{FileMark, Grant, GrantId, Mismatch, Pins, Scope, Use};
use glassbreak_core::label::Risk;
use glassbreak_core::lock::{LockPath, Target};
use glassbreak_core::notify::Card;
use glassbreak_core::people::Account;
use glassbreak_core::store::{
    Caps, Claim, Claimed, Decide, Decided, Ended, OpId, Open, Opened, Reserve, Revoke, Which,
};

use super::rig::{Rig, digest, fail, path, reason, word};

/// How long a [`Question`] is open.
pub(super) const OPEN: i64 = 300_000;
/// How long a [`Grant`] of [`Rig::approval`] stands.
pub(super) const STANDS: i64 = 300_000;

/// A question in the making: of session `s-1` and the agent `ops-7`, about `restart`, of rule `policy.restarts`, with the
/// pinned facts `target.kind` and `target.namespace`, a window on offer, and no caps to speak of.
#[derive(Debug, Clone)]
pub struct Question(Open);

impl Question {
    /// Of another caller, or about another tool.
    #[must_use]
    pub fn along(mut self, path: LockPath) -> Self {
        self.0.request.path = path;
        self
    }

    /// About another call that is the same question.
    #[must_use]
    pub fn of_another_call(mut self) -> Self {
        self.0.request.digest = digest("delete");
        self
    }

    /// With a fact held fixed.
    #[must_use]
    pub fn pinned(mut self, name: &str, value: &str) -> Self {
        self.0.request.facts.insert(name.into(), value.into());
        if !self.0.request.pins.iter().any(|pin| **pin == *name) {
            self.0.request.pins.push(name.into());
        }
        self
    }

    /// Of one more rule of the policy layer.
    #[must_use]
    pub fn asked_by(mut self, id: &str) -> Self {
        self.0.request.rules.push(asked(id));
        self
    }

    /// With these groups as later stages of `oncall`, each a second after the one before it.
    #[must_use]
    pub fn staged(mut self, groups: &[&str]) -> Self {
        let stage = |group: &&str| Stage {
            group: word(group),
            after: span(1_000),
            notifiers: Vec::new(),
        };
        self.0.request.stages.push(Stages {
            group: group(),
            notifiers: vec![word("terminal")],
            then: groups.iter().map(stage).collect(),
            reached: 0,
            since: None,
        });
        self
    }

    /// About a program's file.
    #[must_use]
    pub fn of_file(mut self, pin: &str) -> Self {
        self.0.request.file = Some(FileMark::of(pin));
        self
    }

    /// Open for so long.
    #[must_use]
    pub fn lasting(mut self, millis: i64) -> Self {
        self.0.lasts = span(millis);
        self
    }

    /// Where an agent may have so many open, and open so many an hour.
    #[must_use]
    pub fn capped(mut self, pending: u32, per_hour: u32) -> Self {
        (self.0.caps.pending, self.0.caps.per_hour) = (pending, per_hour);
        self
    }

    /// Where the same question rests for so long after a no.
    #[must_use]
    pub fn resting(mut self, millis: i64) -> Self {
        self.0.caps.cooldown = Some(span(millis));
        self
    }

    /// The question.
    pub fn done(self) -> Open {
        self.0
    }
}

impl From<Question> for Open {
    fn from(question: Question) -> Self {
        question.0
    }
}

/// What opening, deciding, granting and claiming take.
impl Rig {
    /// A question that nobody asked yet.
    pub fn question(&self) -> Question {
        let facts = [("target.kind", "service"), ("target.namespace", "web")];
        Question(Open {
            request: Request {
                id: RequestId::mint(self.at()),
                version: 0,
                op: OpId::mint(self.at()),
                digest: digest("restart"),
                path: path("s-1", "restart"),
                role: word("ops"),
                action: "tool:restart".into(),
                resource: ("Service".into(), "web".into()),
                facts: facts
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
                pins: facts.iter().map(|(name, _)| (*name).into()).collect(),
                risk: Risk::Medium,
                labels: vec!["mutating".into()],
                rules: vec![asked("restarts")],
                offer: Some(Offer {
                    span: span(STANDS),
                    uses: 50,
                }),
                file: None,
                card: Card::plain("restart web", Risk::Medium),
                call: None,
                bundle: "b".repeat(64).into(),
                opened_at: self.at(),
                deadline: self.at(),
                stages: Vec::new(),
                shown: false,
                votes: Vec::new(),
                state: State::Pending,
            },
            lasts: span(OPEN),
            caps: Caps {
                pending: 1_000,
                per_hour: 1_000,
                cooldown: None,
            },
            at: self.at(),
        })
    }

    /// Opens, whatever comes of it.
    pub async fn put(&self, question: impl Into<Open>) -> Opened {
        match self.store.open(question.into()).await {
            Ok(opened) => opened,
            Err(error) => fail(&format!("open: {error:?}")),
        }
    }

    /// Opens what must be opened.
    pub async fn opened(&self, question: impl Into<Open>) -> Request {
        match self.put(question).await {
            Opened::Opened(request) => *request,
            other => fail(&format!("not opened: {other:?}")),
        }
    }

    /// A request as it stands; it must be known.
    pub async fn look(&self, id: RequestId) -> Request {
        match self.store.request(id).await {
            Ok(Some(request)) => request,
            other => fail(&format!("request: {other:?}")),
        }
    }

    /// What was asked before.
    pub async fn earlier(&self, request: &Request, most: usize) -> Vec<Request> {
        match self.store.earlier(request, most).await {
            Ok(earlier) => earlier,
            Err(error) => fail(&format!("earlier: {error:?}")),
        }
    }

    /// A change of a request to another state, with no grant.
    pub fn change(&self, request: &Request, state: State) -> Decide {
        let mut next = request.clone();
        next.version += 1;
        next.state = state;
        Decide {
            expected: request.version,
            next,
            grant: None,
            at: self.at(),
        }
    }

    /// One more vote, which is not enough.
    pub fn progress(&self, request: &Request, person: &str) -> Decide {
        let mut change = self.change(request, State::Pending);
        change.next.votes.push(self.vote(request, person, Answer::Once));
        change
    }

    /// One more stage of its first group that has any.
    pub fn escalation(&self, request: &Request) -> Decide {
        let mut change = self.change(request, State::Pending);
        for stages in change.next.stages.iter_mut().take(1) {
            stages.reached += 1;
            stages.since = Some(self.at());
        }
        change
    }

    /// The word of a notifier that people see it.
    pub fn confirmation(&self, request: &Request) -> Decide {
        let mut change = self.change(request, State::Pending);
        change.next.shown = true;
        change
    }

    /// The approval of exactly the call.
    pub fn approval(&self, request: &Request) -> Decide {
        let scope = Scope::Once { digest: request.digest };
        self.opening(request, scope, 1)
    }

    /// The approval of a window of so many uses.
    pub fn window(&self, request: &Request, uses: u32) -> Decide {
        let pins = request.pins.iter();
        let pins: Pins = pins
            .filter_map(|name| Some((name.clone(), request.facts.get(name)?.clone())))
            .collect();
        let action = request.action.clone();
        self.opening(request, Scope::Window { action, pins }, uses)
    }

    fn opening(&self, request: &Request, scope: Scope, max_uses: u32) -> Decide {
        let id = GrantId::mint(self.at());
        let mut change = self.change(request, State::Approved { grant: id });
        change.next.votes.push(self.vote(request, "bob", Answer::Once));
        change.grant = Some(Grant {
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
            not_before: self.at(),
            expires_at: self.at().after(span(STANDS)),
            revoked: None,
        });
        change
    }

    /// A person's no; nobody's, where too few are left.
    pub fn denial(&self, request: &Request, by: Option<&str>) -> Decide {
        let why = "no".into();
        let by = by.map(word);
        self.change(request, State::Denied { why, by })
    }

    /// The end of a request at its deadline.
    pub fn expiry(&self, request: &Request) -> Decide {
        self.change(request, State::Expired)
    }

    /// The end of a request that does not matter any more.
    pub fn cancellation(&self, request: &Request) -> Decide {
        let why = "the session ended".into();
        self.change(request, State::Cancelled { why })
    }

    fn vote(&self, request: &Request, person: &str, answer: Answer) -> Vote {
        let account = match Account::of_host(&format!("sso:{person}")) {
            Ok(account) => account,
            Err(error) => fail(&error.to_string()),
        };
        Vote {
            person: word(person),
            account,
            answer,
            reason: None,
            card: request.card.digest(),
            at: self.at(),
            own: false,
        }
    }

    /// Decides, whatever comes of it.
    pub async fn decide(&self, decide: Decide) -> Decided {
        match self.store.decide(decide).await {
            Ok(decided) => decided,
            Err(error) => fail(&format!("decide: {error:?}")),
        }
    }

    /// Decides what must be done.
    pub async fn decided(&self, decide: Decide) -> Request {
        let next = decide.next.clone();
        match self.decide(decide).await {
            Decided::Done { .. } => next,
            other => fail(&format!("not done: {other:?}")),
        }
    }

    /// The grant of an approval that must be done.
    pub async fn granted(&self, decide: Decide) -> Grant {
        let Some(grant) = decide.grant.clone() else {
            fail("no approval");
        };
        self.decided(decide).await;
        grant
    }

    /// The call of a request, as it asks to pass by a grant.
    pub fn use_of(&self, request: &Request) -> Use {
        Use {
            path: request.path.clone(),
            digest: request.digest,
            action: (*request.action).into(),
            facts: Arc::new(request.facts.clone()),
            asks: request
                .rules
                .iter()
                .map(|asked| (asked.rule.clone(), asked.hash))
                .collect(),
            file: request.file,
        }
    }

    /// A call of this use that is held, for as long as need be.
    pub async fn in_flight(&self, call: &Use) -> Reserve {
        let reserve = self.call().using(call).leased(i64::MAX).done();
        self.hold(reserve.clone()).await;
        reserve
    }

    /// The message that claims.
    pub fn claiming(&self, held: &Reserve, grant: &Grant, call: &Use) -> Claim {
        Claim {
            op: held.op,
            attempt: held.attempt,
            grant: grant.id,
            call: call.clone(),
            at: self.at(),
        }
    }

    /// Claims a grant for a call in flight, whatever comes of it.
    pub async fn claim(&self, held: &Reserve, grant: &Grant, call: &Use) -> Claimed {
        match self.store.claim(self.claiming(held, grant, call)).await {
            Ok(claimed) => claimed,
            Err(error) => fail(&format!("claim: {error:?}")),
        }
    }

    /// Claims a grant that must cover the call; returns it as it then stands.
    pub async fn used(&self, held: &Reserve, grant: &Grant, call: &Use) -> Grant {
        match self.claim(held, grant, call).await {
            Claimed::Used { grant, .. } => *grant,
            other => fail(&format!("not used: {other:?}")),
        }
    }

    /// Claims a grant for a new call, which must be refused.
    pub async fn unfit(&self, grant: &Grant, call: &Use) -> Mismatch {
        let held = self.in_flight(call).await;
        match self.claim(&held, grant, call).await {
            Claimed::Refused(why) => why,
            other => fail(&format!("not refused: {other:?}")),
        }
    }

    /// Revokes.
    pub async fn revoke(&self, which: Which) -> Ended {
        let revoke = Revoke {
            which,
            by: word("carol"),
            reason: reason(),
            at: self.at(),
        };
        match self.store.revoke(revoke).await {
            Ok(ended) => ended,
            Err(error) => fail(&format!("revoke: {error:?}")),
        }
    }

    /// The grants that stand, by id.
    pub async fn standing(&self) -> Vec<GrantId> {
        match self.store.grants().await {
            Ok(grants) => grants.iter().map(|grant| grant.id).collect(),
            Err(error) => fail(&format!("grants: {error:?}")),
        }
    }

    /// The requests that are pending, by id.
    pub async fn pending(&self) -> Vec<RequestId> {
        match self.store.pending().await {
            Ok(requests) => requests.iter().map(|request| request.id).collect(),
            Err(error) => fail(&format!("pending: {error:?}")),
        }
    }

    /// Lifts a lock that must stand.
    pub async fn lift(&self, target: Target) {
        let seen = match self.store.locks().await {
            Ok(view) => view.position,
            Err(error) => fail(&format!("locks: {error:?}")),
        };
        let lifted = self.unlock(target, seen).await;
        assert!(
            matches!(lifted, glassbreak_core::store::Unlocked::Lifted { .. }),
            "{lifted:?}"
        );
    }

    /// The digest of a call that differs from that of [`question`](Self::question) by its tool.
    pub fn digest_of(&self, tool: &str) -> CallDigest {
        digest(tool)
    }

    /// A path with something at each place that a lock may name: the agent `ops-7` of role `ops`, for `alice`, started by
    /// `planner`.
    pub fn path(&self, session: &str, tool: &str) -> LockPath {
        path(session, tool)
    }
}

/// A rule that asks one person of `oncall`.
fn asked(id: &str) -> Asked {
    let rule = match RuleId::new(Layer::Policy, id) {
        Ok(rule) => rule,
        Err(error) => fail(&error.to_string()),
    };
    Asked {
        rule,
        hash: RuleHash::from_bytes([7; 32]),
        requirement: Requirement {
            group: Some(group()),
            window: Some(span(STANDS)),
            ..Requirement::default()
        },
        why: "it restarts".into(),
    }
}

fn group() -> Word {
    word("oncall")
}

pub(super) fn span(millis: i64) -> Span {
    Span::from_millis(millis.unsigned_abs())
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
