//! A request and what is kept of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::stages::Stages;
use crate::call::{CallDigest, Text, Word};
use crate::clock::{Span, Timestamp};
use crate::finding::{Requirement, RuleHash, RuleId};
use crate::grant::{FileMark, GrantId, Pins};
use crate::label::Risk;
use crate::lock::LockPath;
use crate::notify::Card;
use crate::people::Account;
use crate::store::OpId;
use crate::stored::id_type;

id_type! {
    /// The id of a request: a UUID of version 7.
    RequestId
}

/// One question put to people about one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// How often it has changed: what a change must name to be taken.
    pub version: u32,
    /// The call that asked first; others may have joined.
    pub op: OpId,
    /// What it is.
    pub digest: CallDigest,
    /// Who calls what.
    pub path: LockPath,
    /// The role of the caller.
    pub role: Word,
    /// The Cedar action, such as `exec:kubectl`.
    pub action: Box<str>,
    /// The Cedar resource: type and id.
    pub resource: (Box<str>, Box<str>),
    /// The facts that a window could hold fixed, as far as they are known.
    pub facts: Pins,
    /// The names of those that it must: `command`, `target.kind`, and what profile or manifest marks.
    pub pins: Vec<Box<str>>,
    /// How much is at stake.
    pub risk: Risk,
    /// What the call means.
    pub labels: Vec<Box<str>>,
    /// Every rule that asks.
    pub rules: Vec<Asked>,
    /// What may be opened besides this one call.
    pub offer: Option<Offer>,
    /// The identity of the file that would run.
    pub file: Option<FileMark>,
    /// What people are shown.
    pub card: Card,
    /// The call itself, as a line of [`wire`](crate::call::wire), where it can be written so: what is needed to make it
    /// again in another process.
    pub call: Option<Box<str>>,
    /// The digest of the bundle that asked.
    pub bundle: Box<str>,
    /// When it was opened, by the store's time.
    pub opened_at: Timestamp,
    /// From this moment on nobody can agree any more.
    pub deadline: Timestamp,
    /// The later stages of the groups that are asked, of those that have any, and how far each has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stages>,
    /// Whether people see it: a notifier confirmed it, or the host has said that requests are answered elsewhere.
    #[serde(default)]
    pub shown: bool,
    /// Who has agreed so far, or said no.
    pub votes: Vec<Vote>,
    /// What has become of it.
    pub state: State,
}

/// A rule that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The rule.
    pub rule: RuleId,
    /// The rule as it was when it asked.
    pub hash: RuleHash,
    /// Who must agree.
    pub requirement: Requirement,
    /// What it saw.
    pub why: Box<str>,
}

/// The window that may be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// How long at most.
    pub span: Span,
    /// How many calls at most.
    pub uses: u32,
}

/// One person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The person.
    pub person: Word,
    /// The account that they answered by.
    pub account: Account,
    /// What they said.
    pub answer: Answer,
    /// Why, in their own words; what the agent is told where they said no.
    pub reason: Option<Text>,
    /// The digest of the card that they were shown.
    pub card: Box<str>,
    /// When.
    pub at: Timestamp,
    /// Whether they are the person that the agent acts for.
    pub own: bool,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// This one call.
    Once,
    /// A window.
    Window {
        /// How long; at most what is offered.
        span: Span,
        /// How many calls; at most what is offered.
        uses: u32,
        /// Facts to hold fixed besides those that must be.
        pins: Vec<Box<str>>,
    },
    /// No.
    Deny,
}

impl Answer {
    /// The word used in records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Window { .. } => "window",
            Self::Deny => "deny",
        }
    }
}

/// What has become of a request. All but the first are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// People are asked.
    Pending,
    /// They agreed.
    Approved {
        /// What they opened.
        grant: GrantId,
    },
    /// Somebody said no, or too few are left who could agree.
    Denied {
        /// Why, for the agent.
        why: Box<str>,
        /// Who said no; `None` where nobody did.
        by: Option<Word>,
    },
    /// Nobody answered in time.
    Expired,
    /// It does not matter any more.
    Cancelled {
        /// Why.
        why: Box<str>,
    },
}

impl State {
    /// The word used in records and output.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether it can still change.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Pending)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Request {
    /// What requests have in common that are the same question: caller, action, pinned facts and rules, but not the
    /// exact call. It is joined while it is open, and rests after a no.
    pub fn key(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(bytes);
        };
        field(b"glassbreak.question.v1");
        // Compared as a whole: the caller with session, agents and person, and the tool's name.
        field(&serde_json::to_vec(&self.path).unwrap_or_default());
        field(self.action.as_bytes());
        // Counted, so that no name can be taken for what follows the list.
        let mut pins: Vec<&str> = self.pins.iter().map(|name| &**name).collect();
        pins.sort_unstable();
        pins.dedup();
        field(&u64::try_from(pins.len()).unwrap_or(u64::MAX).to_be_bytes());
        for name in pins {
            field(name.as_bytes());
            // Not known is a value of its own, and not the empty one.
            field(self.facts.get(name).map_or(&[0xff][..], |value| value.as_bytes()));
        }
        field(b"rules");
        let mut rules: Vec<&str> = self.rules.iter().map(|asked| asked.rule.as_str()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules.iter().for_each(|rule| field(rule.as_bytes()));
        hasher.finalize().into()
    }

    /// The agent that asks: what the number of open requests is bounded by.
    pub fn agent(&self) -> &Word {
        self.path.agent().unwrap_or(&self.role)
    }

    /// Which groups must agree, and how many distinct persons of each. Empty where some rule names nobody: then nobody
    /// can.
    pub fn wanted(&self) -> Vec<(Word, u8)> {
        let places = super::quorum::places(self).unwrap_or_default();
        places.into_iter().map(|places| (places.group, places.count)).collect()
    }

    /// The stage it is at: 1 when it is opened, and one more with each stage that any of its groups has reached.
    pub fn stage(&self) -> u32 {
        let reached = self.stages.iter().map(|stages| u32::from(stages.reached));
        reached.fold(1, u32::saturating_add)
    }

    /// The groups whose members may answer by now: those that the rules name, and those of the stages that are reached.
    pub fn asked_groups(&self) -> Vec<Word> {
        let mut groups: Vec<Word> = self.wanted().into_iter().map(|(group, _)| group).collect();
        for stages in &self.stages {
            let reached = stages.then.iter().take(usize::from(stages.reached));
            groups.extend(reached.map(|stage| stage.group.clone()));
        }
        let mut seen = std::collections::BTreeSet::new();
        groups.retain(|group| seen.insert(group.clone()));
        groups
    }

    /// Whether its silence means that nobody could be reached: no notifier showed it to anybody, and nobody answered.
    pub fn is_unseen(&self) -> bool {
        !self.shown && self.votes.is_empty()
    }

    /// Whether the deadline has come: that very moment is too late.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }
}
