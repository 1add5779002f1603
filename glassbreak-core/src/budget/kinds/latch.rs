//! Labels that do not go together in one session, such as reading what strangers wrote, reading secrets, and acting.

use super::Head;
use crate::budget::Event;
use crate::budget::rules::Match;
use crate::facts::LatchFacts;
use crate::finding::Finding;
use crate::label::{Label, LabelSet};

/// Fires for a call that fits, once the session has had every one of the labels, this call's own included.
#[derive(Debug, Clone)]
pub(in crate::budget) struct Latch {
    pub(in crate::budget) head: Head,
    /// The labels, and how they are written.
    pub(in crate::budget) labels: Vec<(Label, Box<str>)>,
    pub(in crate::budget) matches: Match,
}

/// For each label: how many calls had it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(in crate::budget) struct Seen(Vec<u32>);

impl Seen {
    pub(in crate::budget) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }
}

impl Latch {
    pub(in crate::budget) fn inspect(&self, seen: Option<&Seen>, event: &Event<'_>) -> (LatchFacts, Option<Finding>) {
        let now = event.may_have();
        let had = |n: usize| seen.and_then(|seen| seen.0.get(n)).is_some_and(|calls| *calls > 0);
        let latched = self.labels.iter().enumerate();
        let latched = latched
            .filter(|(n, (label, _))| had(*n) || now.contains(*label))
            .count();
        let fired = latched == self.labels.len() && self.matches.fits(event);
        let facts = LatchFacts {
            latched: i64::try_from(latched).unwrap_or(i64::MAX),
            labels: i64::try_from(self.labels.len()).unwrap_or(i64::MAX),
            fired,
        };
        let finding = fired.then(|| {
            let words: Vec<&str> = self.labels.iter().map(|(_, word)| &**word).collect();
            let why = format!(
                "the session has had {}, and this would come on top",
                words.join(" and ")
            );
            self.head
                .finding(why, "in a session that has not had all of these it passes")
        });
        (facts, finding)
    }

    /// An admitted call comes into the session.
    pub(in crate::budget) fn advance(&self, seen: &mut Seen, event: &Event<'_>) {
        self.each(seen, event.may_have(), |calls| calls.saturating_add(1));
    }

    /// An admitted call is proven not to run.
    pub(in crate::budget) fn refund(&self, seen: &mut Seen, event: &Event<'_>) {
        // What is full is not known exactly any more, and stays.
        let less = |calls: u32| {
            if calls == u32::MAX {
                calls
            } else {
                calls.saturating_sub(1)
            }
        };
        self.each(seen, event.may_have(), less);
    }

    fn each(&self, seen: &mut Seen, labels: LabelSet, change: impl Fn(u32) -> u32) {
        seen.0.resize(self.labels.len(), 0);
        for (calls, (label, _)) in seen.0.iter_mut().zip(&self.labels) {
            if labels.contains(*label) {
                *calls = change(*calls);
            }
        }
    }
}
