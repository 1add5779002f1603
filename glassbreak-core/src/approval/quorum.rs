//! Whether enough distinct persons have agreed.

use std::collections::BTreeSet;

use super::{Electorate, Ineligible, Request};
use crate::call::Word;
use crate::people::Account;

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

/// Whether the agent acts for this person, whom the host may call by their name or by an account of theirs.
pub(super) fn is_for(request: &Request, person: &Word, electorate: &dyn Electorate) -> bool {
    let Some(named) = request.path.person() else {
        return false;
    };
    if named == person {
        return true;
    }
    let Ok(account) = Account::from_stored(named.as_str()) else {
        return false;
    };
    match electorate.person_of(&account) {
        Some(known) => known == *person,
        // Whose it is only a token says: it may be anybody's who is found that way, and so nobody of those is let agree.
        None => electorate.has_address(person, account.issuer()),
    }
}

/// How far the stages of a group have come, for who counts as one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The stages that are reached.
    Now,
    /// All there are.
    Ever,
}

/// Whether a person is of a group that is asked, or of a later stage of it: one that the request was opened with and that
/// the electorate still has, both of them among those that are reached.
pub(super) fn is_asked(
    request: &Request,
    group: &Word,
    person: &Word,
    electorate: &dyn Electorate,
    reach: Reach,
) -> Result<(), Ineligible> {
    let Err(why) = electorate.is_member(person, group) else {
        return Ok(());
    };
    let Some(frozen) = request.stages.iter().find(|stages| stages.group == *group) else {
        return Err(why);
    };
    let reached = match reach {
        Reach::Now => usize::from(frozen.reached),
        Reach::Ever => usize::MAX,
    };
    let now = electorate.later(group);
    let still = |stage: &Word| now.iter().take(reached).any(|now| now == stage);
    let mut stages = frozen.then.iter().take(reached).map(|stage| &stage.group);
    if stages.any(|stage| still(stage) && electorate.is_member(person, stage).is_ok()) {
        return Ok(());
    }
    match reach {
        Reach::Now if is_asked(request, group, person, electorate, Reach::Ever).is_ok() => Err(Ineligible::new(
            format!("they may answer for `{group}` once its later stage is reached, and it is not yet"),
        )),
        _ => Err(why),
    }
}

/// Whether a person may fill one of these places.
pub(super) fn may_fill(
    request: &Request,
    places: &Places,
    person: &Word,
    electorate: &dyn Electorate,
    reach: Reach,
) -> Result<(), Ineligible> {
    is_asked(request, &places.group, person, electorate, reach)?;
    if !is_for(request, person, electorate) {
        return Ok(());
    }
    match (places.own, places.count) {
        (true, 1) => Ok(()),
        (true, _) => Err(Ineligible::new(
            "the agent acts for them, and where two or more must agree others must",
        )),
        (false, _) => Err(Ineligible::new(
            "the agent acts for them, and the rule does not let them agree by themselves",
        )),
    }
}

/// Whether these persons, each of them once, fill every place. One who is in two groups serves both.
pub(super) fn fills(
    request: &Request,
    all: &[Places],
    persons: &[&Word],
    electorate: &dyn Electorate,
    reach: Reach,
) -> bool {
    let distinct: BTreeSet<&Word> = persons.iter().copied().collect();
    let enough = |places: &Places| {
        let able = distinct
            .iter()
            .filter(|person| may_fill(request, places, person, electorate, reach).is_ok());
        able.count() >= usize::from(places.count)
    };
    !all.is_empty() && all.iter().all(enough)
}
