//! How many different things a session touches.

use std::collections::BTreeMap;

use super::Head;
use crate::budget::Event;
use crate::budget::key::{self, KeyPart};
use crate::budget::rules::Match;
use crate::clock::{Span, Timestamp};
use crate::facts::DistinctFacts;
use crate::finding::Finding;

/// The highest limit.
pub(in crate::budget) const MOST_LIMIT: u64 = 4_096;
/// So many more than the limit are told apart, for what people agreed to.
const MORE: usize = 16;

/// Fires for a call that is on one more thing than the limit, and for every call once there are more: then people agreed
/// to one, and the next call asks again.
#[derive(Debug, Clone)]
pub(in crate::budget) struct Distinct {
    pub(in crate::budget) head: Head,
    pub(in crate::budget) matches: Match,
    /// What is told apart.
    pub(in crate::budget) of: KeyPart,
    pub(in crate::budget) limit: u64,
    /// How long a thing counts after it was last touched; for ever where nothing is said.
    pub(in crate::budget) window: Option<Span>,
}

/// What was touched.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::budget) struct Members {
    #[serde(with = "crate::budget::kept::pairs")]
    known: BTreeMap<[u8; 16], Member>,
    /// Calls on what is not known, or that there was no room for: each counts as one more thing.
    others: u32,
}

/// One thing.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    calls: u32,
    first: Timestamp,
    last: Timestamp,
}

impl Members {
    pub(in crate::budget) fn heap_bytes(&self) -> usize {
        self.known.len() * MEMBER_BYTES
    }
}

/// What one thing takes; half again for the tree's free places.
const MEMBER_BYTES: usize = size_of::<([u8; 16], Member)>() * 3 / 2;

impl Distinct {
    pub(in crate::budget) fn inspect(
        &self,
        members: Option<&Members>,
        event: &Event<'_>,
        at: Timestamp,
    ) -> (DistinctFacts, Option<Finding>) {
        let counted = members.map_or(0, |members| {
            let known = members.known.values().filter(|member| self.counts(member, at)).count();
            u64::try_from(known)
                .unwrap_or(u64::MAX)
                .saturating_add(u64::from(members.others))
        });
        let fits = self.matches.fits(event);
        let member = key::hashed(&[self.of], event);
        let old = member.is_some_and(|member| {
            let known = members.and_then(|members| members.known.get(&member));
            known.is_some_and(|known| self.counts(known, at))
        });
        let is_new = fits && !old;
        let count = counted.saturating_add(u64::from(is_new));
        let facts = DistinctFacts {
            count: i64::try_from(count).unwrap_or(i64::MAX),
            limit: i64::try_from(self.limit).unwrap_or(i64::MAX),
            is_new,
            fired: fits && count > self.limit,
        };
        let finding = facts.fired.then(|| {
            let (of, limit) = (self.of.spelt(), self.limit);
            let what = match self.of.text(event) {
                Some(text) => format!("{of} \"{}\"", crate::error::shown(text)),
                None => format!("{of} that is not known"),
            };
            let why = if is_new {
                format!("{what} would be one more than the {limit} that this session may touch")
            } else {
                format!("the session has touched {count} of {of}, and may touch {limit}")
            };
            self.head.finding(
                why,
                format!("calls on the first {limit} pass, as long as there are no more"),
            )
        });
        (facts, finding)
    }

    /// An admitted call comes into the session.
    pub(in crate::budget) fn advance(&self, members: &mut Members, event: &Event<'_>, at: Timestamp) {
        if !self.matches.fits(event) {
            return;
        }
        let Some(member) = key::hashed(&[self.of], event) else {
            members.others = members.others.saturating_add(1);
            return;
        };
        if let Some(known) = members.known.get_mut(&member) {
            known.calls = known.calls.saturating_add(1);
            known.last = known.last.max(at);
            return;
        }
        members.known.retain(|_, known| self.counts(known, at));
        if members.known.len() < self.most() {
            let (first, last) = (at, at);
            members.known.insert(member, Member { calls: 1, first, last });
        } else {
            members.others = members.others.saturating_add(1);
        }
    }

    /// A call that was admitted at `at` is proven not to run. Where it is not sure that the thing still counts because of
    /// it, the thing stays.
    pub(in crate::budget) fn refund(&self, members: &mut Members, event: &Event<'_>, at: Timestamp) {
        if !self.matches.fits(event) {
            return;
        }
        let Some(member) = key::hashed(&[self.of], event) else {
            members.others = members.others.saturating_sub(1);
            return;
        };
        let Some(known) = members
            .known
            .get_mut(&member)
            .filter(|known| known.first <= at && known.calls < u32::MAX)
        else {
            return;
        };
        known.calls = known.calls.saturating_sub(1);
        if known.calls == 0 {
            members.known.remove(&member);
        }
    }

    /// The most bytes that its state takes outside itself.
    pub(in crate::budget) fn most_bytes(&self) -> usize {
        self.most() * MEMBER_BYTES
    }

    fn most(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_add(MORE)
    }

    fn counts(&self, member: &Member, at: Timestamp) -> bool {
        self.window.is_none_or(|window| at.since(member.last) <= window)
    }
}
