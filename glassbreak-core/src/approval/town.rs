//! People, rules and a request, for the tests of the approval machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Asked, Electorate, Ineligible, Offer, Request, RequestId, State};
use crate::call::{Actor, Args, CallDigest, Tool, Word};
use crate::clock::{Span, Timestamp};
use crate::finding::{Layer, Requirement, RuleHash, RuleId};
use crate::label::Risk;
use crate::lock::LockPath;
use crate::notify::Card;
use crate::people::Account;

pub(crate) const T0: i64 = 1_790_000_000_000;
pub(crate) const OPEN: i64 = 300_000;

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(T0 + millis)
}

pub(crate) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(crate) fn account(text: &str) -> Account {
    Account::of_host(text).unwrap()
}

/// Persons, their groups and accounts, and what the rules say now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Town {
    pub(crate) groups: BTreeMap<Word, BTreeSet<Word>>,
    pub(crate) accounts: BTreeMap<Account, Word>,
    pub(crate) disabled: BTreeSet<Word>,
    /// Whom the policies let approve nothing, and no window.
    pub(crate) barred: BTreeSet<Word>,
    pub(crate) once_only: BTreeSet<Word>,
    pub(crate) changed: BTreeSet<RuleId>,
    /// The groups of later stages, by group.
    pub(crate) later: BTreeMap<Word, Vec<Word>>,
}

impl Town {
    /// Persons with one account each, `sso:<name>`, by group.
    pub(crate) fn of(groups: &[(&str, &[&str])]) -> Self {
        let mut town = Self::default();
        for (group, persons) in groups {
            for person in *persons {
                town.groups.entry(word(group)).or_default().insert(word(person));
                town.accounts.insert(account(&format!("sso:{person}")), word(person));
            }
        }
        town
    }
}

impl Electorate for Town {
    fn person_of(&self, account: &Account) -> Option<Word> {
        self.accounts.get(account).cloned()
    }

    fn members(&self, group: &Word) -> Vec<Word> {
        let all = self.groups.get(group).into_iter().flatten();
        all.filter(|person| !self.disabled.contains(*person)).cloned().collect()
    }

    fn is_member(&self, person: &Word, group: &Word) -> Result<(), Ineligible> {
        match self.members(group).contains(person) {
            true => Ok(()),
            false => Err(Ineligible::new(format!("not of {group}"))),
        }
    }

    fn later(&self, group: &Word) -> Vec<Word> {
        self.later.get(group).cloned().unwrap_or_default()
    }

    fn may_approve(&self, person: &Word, _: &Request, window: bool) -> Result<(), Ineligible> {
        match self.barred.contains(person) || (window && self.once_only.contains(person)) {
            true => Err(Ineligible::new("a policy forbids it")),
            false => Ok(()),
        }
    }

    fn rule_hash(&self, asked: &Asked) -> RuleHash {
        match self.changed.contains(&asked.rule) {
            true => RuleHash::from_bytes([9; 32]),
            false => RuleHash::from_bytes([7; 32]),
        }
    }
}

/// A rule that asks `quorum` of `group`.
pub(crate) fn asked(id: &str, group: Option<&str>, quorum: u8, own: bool) -> Asked {
    Asked {
        rule: RuleId::new(Layer::Policy, id).unwrap(),
        hash: RuleHash::from_bytes([7; 32]),
        requirement: Requirement {
            group: group.map(word),
            quorum,
            window: None,
            self_approval: own,
        },
        why: "it restarts".into(),
    }
}

/// A request of an agent that acts for alice; with a window on offer.
pub(crate) fn request(rules: Vec<Asked>) -> Request {
    let mut actor = Actor::new(word("ops"), word("s-1"));
    actor.on_behalf_of = Some(word("alice"));
    let tool = Tool {
        name: word("restart"),
        arguments: Args::new(),
    };
    let facts = [
        ("target.kind", "service"),
        ("target.name", "web"),
        ("command", "restart"),
    ];
    Request {
        id: RequestId::mint(at(0)),
        version: 0,
        op: crate::store::OpId::mint(at(0)),
        digest: CallDigest::of_tool(&tool),
        path: LockPath::new(&actor, "restart"),
        role: word("ops"),
        action: "tool:restart".into(),
        resource: ("Service".into(), "web".into()),
        facts: facts
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        pins: vec!["target.kind".into()],
        risk: Risk::Medium,
        labels: Vec::new(),
        rules,
        offer: Some(Offer {
            span: Span::from_millis(600_000),
            uses: 10,
        }),
        file: None,
        card: Card::plain("restart web", Risk::Medium),
        call: None,
        bundle: "b".into(),
        opened_at: at(0),
        deadline: at(OPEN),
        stages: Vec::new(),
        shown: false,
        votes: Vec::new(),
        state: State::Pending,
    }
}

pub(crate) fn window(millis: u64, uses: u32, pins: &[&str]) -> Answer {
    Answer::Window {
        span: Span::from_millis(millis),
        uses,
        pins: pins.iter().map(|pin| (*pin).into()).collect(),
    }
}
