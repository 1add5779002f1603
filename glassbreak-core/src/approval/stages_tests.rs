//! Stages: who may answer when, and that no stage lets anybody in who was not meant.

use super::town::{OPEN, Town, account, asked, at, request, word};
use super::{Answer, Ballot, Because, Request, Stage, Stages, State, Step, VoteRefused};
use super::{cancel, due, escalate, expire, impossible, shown, vote};
use crate::call::Word;
use crate::clock::{Span, Timestamp};
use crate::grant::GrantId;

/// A request to one group, with later ones, each a minute after the one before it.
fn staged(quorum: u8, own: bool, group: &str, then: &[&str]) -> Request {
    let mut request = request(vec![asked("r", Some(group), quorum, own)]);
    request.stages = vec![stages(group, then)];
    request
}

fn stages(group: &str, then: &[&str]) -> Stages {
    let stage = |group: &&str| Stage {
        group: word(group),
        after: Span::from_millis(60_000),
        notifiers: Vec::new(),
    };
    Stages {
        group: word(group),
        notifiers: Vec::new(),
        then: then.iter().map(stage).collect(),
        reached: 0,
        since: None,
    }
}

fn town(groups: &[(&str, &[&str])], later: &[(&str, &[&str])]) -> Town {
    let mut town = Town::of(groups);
    for (group, then) in later {
        town.later
            .insert(word(group), then.iter().map(|group| word(group)).collect());
    }
    town
}

/// On call, leads behind them, and managers behind those.
fn usual() -> Town {
    town(
        &[
            ("oncall", &["bob", "carol"]),
            ("leads", &["dave", "carol"]),
            ("managers", &["eve"]),
        ],
        &[("oncall", &["leads", "managers"])],
    )
}

fn says(request: &Request, town: &Town, who: &str, answer: Answer, now: Timestamp) -> Result<Step, VoteRefused> {
    let ballot = Ballot {
        account: account(&format!("sso:{who}")),
        answer,
        reason: None,
        card: request.card.digest(),
    };
    vote(request, &ballot, town, now, GrantId::mint(now))
}

fn may(request: &Request, town: &Town, who: &str) -> bool {
    match says(request, town, who, Answer::Once, at(1)) {
        Ok(_) => true,
        Err(VoteRefused::Ineligible(..)) => false,
        Err(why) => panic!("{why}"),
    }
}

fn on(request: &Request, town: &Town, because: Because, now: i64) -> Option<Request> {
    let stages = request.stages.first()?;
    escalate(request, &stages.group, stages.reached, because, town, at(now))
}

#[test]
fn who_is_of_a_stage_that_is_not_reached_says_neither_yes_nor_no() {
    let (town, first) = (usual(), staged(1, false, "oncall", &["leads", "managers"]));
    assert!(may(&first, &town, "bob") && !may(&first, &town, "dave") && !may(&first, &town, "eve"));
    let no = says(&first, &town, "dave", Answer::Deny, at(1)).unwrap_err();
    assert!(
        matches!(no, VoteRefused::Ineligible(..)) && no.to_string().contains("not yet"),
        "{no}"
    );
    let second = on(&first, &town, Because::Delay, 60_000).unwrap();
    assert!(may(&second, &town, "bob") && may(&second, &town, "dave") && !may(&second, &town, "eve"));
    let no = says(&second, &town, "dave", Answer::Deny, at(1)).unwrap();
    assert!(matches!(no.request.state, State::Denied { by: Some(by), .. } if by == word("dave")));
    let third = on(&second, &town, Because::Delay, 120_000).unwrap();
    assert!(may(&third, &town, "eve"));
    assert_eq!([&first, &second, &third].map(Request::stage), [1, 2, 3]);
    assert_eq!(third.asked_groups(), ["oncall", "leads", "managers"].map(word));
}

#[test]
fn a_stage_begins_at_its_time_and_each_after_the_one_before_it() {
    let (town, first) = (usual(), staged(1, false, "oncall", &["leads", "managers"]));
    assert_eq!(
        (
            due(&first, &town, at(59_999)),
            on(&first, &town, Because::Delay, 59_999)
        ),
        (None, None)
    );
    assert_eq!(
        due(&first, &town, at(60_000)),
        Some((word("oncall"), 0, Because::Delay))
    );
    // A timer that is late moves the next one too.
    let second = on(&first, &town, Because::Delay, 70_000).unwrap();
    assert_eq!((second.version, second.stages[0].since), (1, Some(at(70_000))));
    assert_eq!(due(&second, &town, at(129_999)), None);
    assert_eq!(
        due(&second, &town, at(130_000)),
        Some((word("oncall"), 1, Because::Delay))
    );
    let third = on(&second, &town, Because::Delay, 130_000).unwrap();
    assert_eq!(
        (
            due(&third, &town, at(OPEN - 1)),
            on(&third, &town, Because::NotDelivered, 130_000)
        ),
        (None, None)
    );
    // Nor does a clock that went back.
    let back = escalate(&second, &word("oncall"), 1, Because::NotDelivered, &town, at(-5)).unwrap();
    assert_eq!(back.stages[0].since, Some(at(70_000)));
}

#[test]
fn a_stage_is_reached_once_whoever_sees_to_it() {
    let (town, first) = (usual(), staged(1, false, "oncall", &["leads", "managers"]));
    let second = on(&first, &town, Because::Delay, 60_000).unwrap();
    // Another process that saw the first stage, and wakes late.
    for because in [Because::Delay, Because::NotDelivered, Because::NobodyThere] {
        assert_eq!(escalate(&second, &word("oncall"), 0, because, &town, at(200_000)), None);
        assert_eq!(escalate(&second, &word("leads"), 0, because, &town, at(200_000)), None);
    }
}

#[test]
fn what_is_settled_or_late_comes_to_no_further_stage() {
    let (town, first) = (usual(), staged(1, false, "oncall", &["leads"]));
    let approved = says(&first, &town, "bob", Answer::Once, at(1)).unwrap().request;
    let denied = says(&first, &town, "bob", Answer::Deny, at(1)).unwrap().request;
    let (expired, cancelled) = (expire(&first, at(OPEN)).unwrap(), cancel(&first, "it is over").unwrap());
    for settled in [approved, denied, expired, cancelled] {
        assert_eq!(
            (on(&settled, &town, Because::Delay, 100_000), shown(&settled)),
            (None, None)
        );
        assert_eq!(due(&settled, &town, at(100_000)), None);
    }
    // At the deadline too.
    for now in [OPEN, OPEN + 1] {
        assert_eq!(
            (on(&first, &town, Because::Delay, now), due(&first, &town, at(now))),
            (None, None)
        );
    }
    assert!(on(&first, &town, Because::Delay, OPEN - 1).is_some());
}

#[test]
fn a_person_of_both_groups_is_one_person() {
    let town = usual();
    let first = staged(2, false, "oncall", &["leads"]);
    let second = on(&first, &town, Because::Delay, 60_000).unwrap();
    let once = says(&second, &town, "carol", Answer::Once, at(1)).unwrap();
    assert!(once.grant.is_none(), "one of two, though she is of both groups");
    let again = says(&once.request, &town, "carol", Answer::Once, at(2));
    assert_eq!(again, Err(VoteRefused::Again(word("carol"))));
    assert!(
        says(&once.request, &town, "dave", Answer::Once, at(2))
            .unwrap()
            .grant
            .is_some()
    );
}

#[test]
fn nobody_approves_for_themselves_through_a_stage() {
    // The agent acts for alice, who is of no group that the rule names, and leads.
    let town = town(
        &[("oncall", &["bob"]), ("leads", &["alice", "dave"])],
        &[("oncall", &["leads"])],
    );
    for (quorum, own) in [(1, false), (2, true), (2, false)] {
        let first = staged(quorum, own, "oncall", &["leads"]);
        let second = on(&first, &town, Because::Delay, 60_000).unwrap();
        assert!(!may(&second, &town, "alice"), "{quorum} {own}");
    }
    // Where the rule lets her alone, it does so through a stage too, and says so.
    let second = on(&staged(1, true, "oncall", &["leads"]), &town, Because::Delay, 60_000).unwrap();
    let step = says(&second, &town, "alice", Answer::Once, at(1)).unwrap();
    assert!(step.grant.is_some() && step.request.votes[0].own);
}

#[test]
fn who_a_policy_does_not_permit_may_not_agree_through_a_stage_either() {
    let mut town = usual();
    let second = on(&staged(1, false, "oncall", &["leads"]), &town, Because::Delay, 60_000).unwrap();
    town.barred.insert(word("dave"));
    assert!(!may(&second, &town, "dave"));
}

#[test]
fn a_reload_takes_people_away_and_adds_none() {
    let first = staged(1, false, "oncall", &["leads", "managers"]);
    let second = on(&first, &usual(), Because::Delay, 60_000).unwrap();
    // The stage is gone from the folder, or comes later now, or its group is gone.
    for later in [&[][..], &["managers", "leads"][..], &["managers"][..]] {
        let mut town = usual();
        town.later
            .insert(word("oncall"), later.iter().map(|group| word(group)).collect());
        assert!(!may(&second, &town, "dave") && !may(&second, &town, "eve"), "{later:?}");
        assert!(may(&second, &town, "bob"));
    }
    let mut town = usual();
    town.groups.remove(&word("leads"));
    assert!(!may(&second, &town, "dave"));
    // Nor does one that the folder has now, and had not when it was asked.
    let plain = staged(1, false, "oncall", &[]);
    let mut bare = plain.clone();
    bare.stages.clear();
    assert!(!may(&plain, &usual(), "dave") && !may(&bare, &usual(), "dave"));
    // It must be reached by what the request says and by what the folder says.
    let swapped = staged(1, false, "oncall", &["managers", "leads"]);
    let swapped = on(&swapped, &usual(), Because::Delay, 60_000).unwrap();
    assert!(!may(&swapped, &usual(), "dave") && !may(&swapped, &usual(), "eve"));
    let both = on(&swapped, &usual(), Because::Delay, 120_000).unwrap();
    assert!(may(&both, &usual(), "dave") && may(&both, &usual(), "eve"));
}

#[test]
fn a_vote_by_a_stage_that_a_reload_took_away_is_dropped() {
    let mut town = usual();
    let second = on(&staged(2, false, "oncall", &["leads"]), &town, Because::Delay, 60_000).unwrap();
    let voted = says(&second, &town, "dave", Answer::Once, at(1)).unwrap().request;
    town.later.clear();
    let next = says(&voted, &town, "bob", Answer::Once, at(2)).unwrap();
    let persons: Vec<&Word> = next.request.votes.iter().map(|vote| &vote.person).collect();
    assert_eq!((next.grant.is_none(), persons), (true, vec![&word("bob")]));
}

#[test]
fn a_stage_where_nobody_may_answer_goes_on_at_once() {
    let first = staged(1, false, "oncall", &["leads", "managers"]);
    let changes: [fn(&mut Town); 4] = [
        |town| town.disabled.extend([word("bob"), word("carol")]),
        |town| town.barred.extend([word("bob"), word("carol")]),
        |town| drop(town.groups.remove(&word("oncall"))),
        // Only whom the agent acts for is left, and may not.
        |town| drop(town.groups.insert(word("oncall"), [word("alice")].into())),
    ];
    for change in changes {
        let mut town = usual();
        assert_eq!(due(&first, &town, at(0)), None);
        assert_eq!(on(&first, &town, Because::NobodyThere, 0), None, "somebody is there");
        change(&mut town);
        assert_eq!(
            due(&first, &town, at(0)),
            Some((word("oncall"), 0, Because::NobodyThere))
        );
        let second = on(&first, &town, Because::NobodyThere, 0).unwrap();
        assert_eq!(second.stages[0].since, Some(at(0)));
    }
    // So does one that a reload emptied, and the one after it.
    let mut town = usual();
    town.groups.insert(word("oncall"), [].into());
    town.later.insert(word("oncall"), vec![word("managers")]);
    let second = on(&first, &town, Because::NobodyThere, 0).unwrap();
    assert_eq!(
        due(&second, &town, at(0)),
        Some((word("oncall"), 1, Because::NobodyThere))
    );
}

#[test]
fn a_quorum_is_impossible_only_where_all_stages_together_cannot_reach_it() {
    let mut town = usual();
    // bob, carol, dave and eve.
    assert_eq!(
        impossible(&staged(4, false, "oncall", &["leads", "managers"]), &town),
        None
    );
    assert!(impossible(&staged(5, false, "oncall", &["leads", "managers"]), &town).is_some());
    assert!(impossible(&staged(4, false, "oncall", &["leads"]), &town).is_some());
    // A vote does not end what a later stage can still fill.
    let first = staged(3, false, "oncall", &["leads"]);
    let step = says(&first, &town, "bob", Answer::Once, at(1)).unwrap();
    assert_eq!(step.request.state, State::Pending);
    town.disabled.insert(word("dave"));
    let step = says(&first, &town, "bob", Answer::Once, at(1)).unwrap();
    assert!(matches!(step.request.state, State::Denied { by: None, .. }));
}

#[test]
fn the_stages_of_one_group_fill_no_place_of_another() {
    let town = town(
        &[("oncall", &["bob"]), ("owners", &["carol"]), ("leads", &["dave"])],
        &[("oncall", &["leads"])],
    );
    let mut first = request(vec![
        asked("r", Some("oncall"), 1, false),
        asked("s", Some("owners"), 1, false),
    ]);
    first.stages = vec![stages("oncall", &["leads"])];
    let second = on(&first, &town, Because::Delay, 60_000).unwrap();
    let voted = says(&second, &town, "dave", Answer::Once, at(1)).unwrap();
    assert!(voted.grant.is_none(), "a lead of oncall is no owner");
    assert!(
        says(&voted.request, &town, "carol", Answer::Once, at(2))
            .unwrap()
            .grant
            .is_some()
    );
    // Each group has its own stages.
    let mut two = first;
    two.stages.push(stages("owners", &["leads"]));
    let later = escalate(&two, &word("owners"), 0, Because::NotDelivered, &town, at(5)).unwrap();
    assert_eq!(
        (later.stages[0].reached, later.stages[1].reached, later.stage()),
        (0, 1, 2)
    );
}

#[test]
fn only_silence_that_nobody_saw_is_no_route() {
    let (town, first) = (usual(), staged(2, false, "oncall", &[]));
    assert!(expire(&first, at(OPEN)).unwrap().is_unseen());
    let seen = shown(&first).unwrap();
    assert_eq!((seen.version, shown(&seen)), (1, None));
    assert!(!expire(&seen, at(OPEN)).unwrap().is_unseen());
    let voted = says(&first, &town, "bob", Answer::Once, at(1)).unwrap().request;
    assert!(!expire(&voted, at(OPEN)).unwrap().is_unseen());
}

#[test]
fn a_request_of_before_there_were_stages_is_read_and_has_none() {
    let request = staged(1, false, "oncall", &[]);
    let mut json = serde_json::to_value(&request).unwrap();
    let map = json.as_object_mut().unwrap();
    map.remove("stages");
    map.remove("shown");
    let old: Request = serde_json::from_value(json).unwrap();
    assert_eq!((old.stages.len(), old.shown, old.stage()), (0, false, 1));
    assert!(may(&old, &usual(), "bob") && !may(&old, &usual(), "dave"));
}
