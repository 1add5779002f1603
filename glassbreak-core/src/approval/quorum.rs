//! Whether enough distinct persons have agreed.
//!
//! Each place of each quorum wants a person of its own. Who fills which place is a matching of places and persons; it is
//! found by augmenting paths, which for the handful of both is plenty.

use super::{Electorate, Ineligible, Request};
use crate::call::Word;

/// The persons of one group that must agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) group: Word,
    pub(super) count: u8,
    /// Whether every rule of the group lets the person that the agent acts for agree.
    pub(super) own: bool,
}

/// What a request requires: for each group the highest quorum of its rules. `None` where some rule names nobody.
pub(super) fn places(request: &Request) -> Option<Vec<Places>> {
    let mut all: Vec<Places> = Vec::new();
    for asked in &request.rules {
        let requirement = &asked.requirement;
        let group = requirement.group.as_ref()?;
        let count = requirement.quorum.max(1);
        match all.iter_mut().find(|places| places.group == *group) {
            Some(places) => {
                places.count = places.count.max(count);
                places.own &= requirement.self_approval;
            }
            None => all.push(Places {
                group: group.clone(),
                count,
                own: requirement.self_approval,
            }),
        }
    }
    (!all.is_empty()).then_some(all)
}

/// How many distinct persons must agree in all.
pub(super) fn wanted(places: &[Places]) -> usize {
    places.iter().map(|places| usize::from(places.count)).sum()
}

/// Whether a person may fill one of these places now.
pub(super) fn may_fill(
    request: &Request,
    places: &Places,
    alone: bool,
    person: &Word,
    electorate: &dyn Electorate,
) -> Result<(), Ineligible> {
    electorate.is_member(person, &places.group)?;
    if request.path.person() == Some(person) && !(places.own && alone) {
        let why = if alone {
            "the agent acts for them, and no rule lets them agree by themselves"
        } else {
            "the agent acts for them, and others must agree"
        };
        return Err(Ineligible::new(why));
    }
    Ok(())
}

/// Whether these persons can fill all places, each at most one. `may` says who may fill which.
pub(super) fn fills<'p>(places: &[Places], persons: &[&'p Word], may: impl Fn(&'p Word, &Places) -> bool) -> bool {
    let slots: Vec<&Places> = places
        .iter()
        .flat_map(|places| std::iter::repeat_n(places, usize::from(places.count)))
        .collect();
    if slots.is_empty() || slots.len() > persons.len() {
        return false;
    }
    // Which slot each person fills.
    let mut taken: Vec<Option<usize>> = vec![None; persons.len()];
    slots.iter().enumerate().all(|(slot, _)| {
        let mut seen = vec![false; persons.len()];
        seat(slot, &slots, persons, &may, &mut taken, &mut seen)
    })
}

/// Finds a person for `slot`, moving others to other slots where that helps.
fn seat<'p>(
    slot: usize,
    slots: &[&Places],
    persons: &[&'p Word],
    may: &impl Fn(&'p Word, &Places) -> bool,
    taken: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    let Some(places) = slots.get(slot) else { return false };
    for (n, person) in persons.iter().enumerate() {
        let fresh = seen.get(n).is_some_and(|seen| !seen);
        if !fresh || !may(person, places) {
            continue;
        }
        if let Some(seen) = seen.get_mut(n) {
            *seen = true;
        }
        let free = match taken.get(n).copied().flatten() {
            None => true,
            Some(other) => seat(other, slots, persons, may, taken, seen),
        };
        if free && let Some(place) = taken.get_mut(n) {
            *place = Some(slot);
            return true;
        }
    }
    false
}
