//! Stages: whom a question goes on to where nobody answers it, one group of people after the other.
//!
//! Stage 1 is the group that the asking rule names. Each later stage of that group adds another one, whose members may
//! then answer too. Stages only add people, they never lower a number: who comes with the second stage counts like a
//! member of the first, once, and the person that the agent acts for stays barred.
//!
//! What the folder said when the question was asked is frozen in the request, and what it says now counts as well: a
//! member of a later stage may agree only where both name the stage and both have it as reached. So a reload takes people
//! away from an open question, and never adds any.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::quorum::{Reach, may_fill, places};
use super::{Electorate, Request};
use crate::call::Word;
use crate::clock::{Span, Timestamp};

/// A later stage of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Whose members may answer too, once it is reached.
    pub group: Word,
    /// How long after the stage before it.
    pub after: Span,
    /// The names of the notifiers that carry it; all that a gate has where it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifiers: Vec<Word>,
}

/// The stages of one group that is asked, as they were when it was asked, and how far they have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// The group that the rules name: stage 1.
    pub group: Word,
    /// The names of the notifiers that carry stage 1; all that a gate has where it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifiers: Vec<Word>,
    /// The later ones, in order.
    pub then: Vec<Stage>,
    /// How many of the later ones are reached.
    pub reached: u8,
    /// When the last of them was; `None` while it is at stage 1.
    pub since: Option<Timestamp>,
}

impl Stages {
    /// The stage that it is at: its group, and the names of the notifiers that carry it.
    pub fn current(&self) -> (&Word, &[Word]) {
        let last = usize::from(self.reached).checked_sub(1);
        match last.and_then(|last| self.then.get(last)) {
            Some(stage) => (&stage.group, &stage.notifiers),
            None => (&self.group, &self.notifiers),
        }
    }

    /// The stage after it; `None` where it is at the last.
    pub fn next(&self) -> Option<&Stage> {
        self.then.get(usize::from(self.reached))
    }

    /// When the stage after it begins if nothing brings it on sooner, for a request that was opened at `opened`.
    pub fn next_at(&self, opened: Timestamp) -> Option<Timestamp> {
        let next = self.next()?;
        Some(self.since.unwrap_or(opened).after(next.after))
    }

    /// Whether these are the same stages, as far as before or further: what a store takes.
    pub(crate) fn follows(&self, before: &Self) -> bool {
        // No `..` here: what a later version may change is said for each field.
        let Self {
            group,
            notifiers,
            then,
            reached,
            since,
        } = self;
        let same = *group == before.group && *notifiers == before.notifiers && *then == before.then;
        let stayed = *reached == before.reached && *since == before.since;
        let further = *reached > before.reached && usize::from(*reached) <= then.len() && *since >= before.since;
        same && (stayed || further && since.is_some())
    }
}

/// Why a stage is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// Nobody had answered when its time came.
    Delay,
    /// No notifier of the stage before it could show the request to anybody.
    NotDelivered,
    /// Nobody of the stage before it may answer: all are disabled, barred, or not permitted.
    NobodyThere,
}

impl Because {
    /// The word used in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::NotDelivered => "not-delivered",
            Self::NobodyThere => "nobody-there",
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delay => "nobody had answered in its time",
            Self::NotDelivered => "no notifier could show it to anybody",
            Self::NobodyThere => "nobody of it may answer",
        })
    }
}

/// What the request becomes when one more stage of `group` is reached, after the first and `from` later ones.
///
/// `None` where it is settled, its deadline has come, it is at another stage by now, there is no further stage, or the
/// reason does not hold: the time of the next stage has not come, or somebody of the present one may answer. That nothing was
/// delivered is the caller's word.
pub fn escalate(
    request: &Request,
    group: &Word,
    from: u8,
    because: Because,
    electorate: &dyn Electorate,
    now: Timestamp,
) -> Option<Request> {
    if request.state.is_final() || request.is_late(now) {
        return None;
    }
    let place = request.stages.iter().position(|stages| stages.group == *group)?;
    let stages = request.stages.get(place)?;
    let due = stages.next_at(request.opened_at)?;
    let holds = match because {
        Because::Delay => now >= due,
        Because::NotDelivered => true,
        Because::NobodyThere => nobody_there(request, stages, electorate),
    };
    if stages.reached != from || !holds {
        return None;
    }
    let since = now.max(stages.since.unwrap_or(request.opened_at));
    let mut next = request.clone();
    next.version = next.version.saturating_add(1);
    if let Some(stages) = next.stages.get_mut(place) {
        stages.reached = stages.reached.saturating_add(1);
        stages.since = Some(since);
    }
    Some(next)
}

/// What the request becomes when a notifier confirms that people see it; `None` where that is known, or it is settled.
pub fn shown(request: &Request) -> Option<Request> {
    let fresh = !request.shown && !request.state.is_final();
    fresh.then(|| Request {
        version: request.version.saturating_add(1),
        shown: true,
        ..request.clone()
    })
}

/// The stage that is to be reached now, without waiting for a delivery: its group, how many later stages that has reached,
/// and why.
pub fn due(request: &Request, electorate: &dyn Electorate, now: Timestamp) -> Option<(Word, u8, Because)> {
    if request.state.is_final() || request.is_late(now) {
        return None;
    }
    request.stages.iter().find_map(|stages| {
        let due = stages.next_at(request.opened_at)?;
        let because = if now >= due {
            Because::Delay
        } else if nobody_there(request, stages, electorate) {
            Because::NobodyThere
        } else {
            return None;
        };
        Some((stages.group.clone(), stages.reached, because))
    })
}

/// Whether nobody of the stage that it is at could agree.
fn nobody_there(request: &Request, stages: &Stages, electorate: &dyn Electorate) -> bool {
    let all = places(request).unwrap_or_default();
    let Some(places) = all.iter().find(|places| places.group == stages.group) else {
        return false;
    };
    let (group, _) = stages.current();
    !electorate.members(group).iter().any(|person| {
        may_fill(request, places, person, electorate, Reach::Now).is_ok()
            && electorate.may_approve(person, request, false).is_ok()
    })
}
