//! Random events on random requests, against an independent count of who agreed.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::quorum::{Reach, fills, places};
use super::town::{OPEN, Town, account, asked, at, request, window, word};
use super::{Answer, Ballot, Because, Electorate, Request, Stage, Stages, State, Step, VoteRefused};
use super::{cancel, escalate, expire, impossible, vote};
use crate::call::Word;
use crate::clock::Timestamp;
use crate::finding::RuleId;
use crate::grant::{Grant, GrantId, Scope};

const PERSONS: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];
const GROUPS: [&str; 3] = ["a", "b", "c"];
/// Two of each person; some of the second change hands.
const ACCOUNTS: usize = 2 * PERSONS.len() + 1;

#[derive(Debug, Clone)]
enum Event {
    Vote {
        account: usize,
        answer: Answer,
        seen: bool,
    },
    Pass(i64),
    Expire,
    Cancel,
    Member(usize, usize, bool),
    Disabled(usize, bool),
    Barred(usize, bool),
    OnceOnly(usize, bool),
    Hands(usize, usize),
    Changed(usize, bool),
    /// A stage of a group is reached, by a caller that saw so many of them reached.
    Escalate(usize, u8),
    /// The folder names other stages now.
    Later(usize, Vec<usize>),
}

fn answer() -> impl Strategy<Value = Answer> {
    let pins = vec(
        prop_oneof![9 => Just("command"), 9 => Just("target.name"), 1 => Just("colour")],
        0..3,
    );
    let spans = prop_oneof![8 => 1..600_001_u64, 1 => Just(0), 1 => Just(600_001)];
    let windows = (spans, prop_oneof![8 => 1..11_u32, 1 => Just(0), 1 => Just(11)], pins);
    prop_oneof![
        6 => Just(Answer::Once),
        6 => windows.prop_map(|(span, uses, pins)| window(span, uses, &pins)),
        1 => Just(Answer::Deny),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let person = || 0..PERSONS.len();
    let mostly = || proptest::bool::weighted(0.7);
    prop_oneof![
        20 => (0..ACCOUNTS, answer(), proptest::bool::weighted(0.95))
            .prop_map(|(account, answer, seen)| Event::Vote { account, answer, seen }),
        3 => (0..OPEN / 4).prop_map(Event::Pass),
        1 => Just(Event::Pass(OPEN)),
        1 => Just(Event::Expire),
        1 => Just(Event::Cancel),
        3 => (person(), 0..GROUPS.len(), mostly()).prop_map(|(p, g, on)| Event::Member(p, g, on)),
        2 => (person(), any::<bool>()).prop_map(|(p, on)| Event::Disabled(p, on)),
        1 => (person(), any::<bool>()).prop_map(|(p, on)| Event::Barred(p, on)),
        1 => (person(), any::<bool>()).prop_map(|(p, on)| Event::OnceOnly(p, on)),
        2 => (0..ACCOUNTS, person()).prop_map(|(account, p)| Event::Hands(account, p)),
        1 => (0..3_usize, proptest::bool::weighted(0.2)).prop_map(|(rule, on)| Event::Changed(rule, on)),
        5 => (0..GROUPS.len(), 0..2_u8).prop_map(|(group, from)| Event::Escalate(group, from)),
        2 => (0..GROUPS.len(), later()).prop_map(|(group, then)| Event::Later(group, then)),
    ]
}

/// Groups of later stages, by their places; now and then one twice, which no folder has.
fn later() -> impl Strategy<Value = Vec<usize>> {
    vec(0..GROUPS.len(), 0..3)
}

fn any_request() -> impl Strategy<Value = Request> {
    let rule = (0..GROUPS.len(), 0..3_u8, any::<bool>());
    let stages = vec(later(), GROUPS.len());
    (vec(rule, 1..4), any::<bool>(), stages).prop_map(|(rules, offered, stages)| {
        let rules = rules.into_iter().enumerate();
        let rules = rules.map(|(n, (group, quorum, own))| asked(&format!("r{n}"), Some(GROUPS[group]), quorum, own));
        let mut request = request(rules.collect());
        request.offer = request.offer.filter(|_| offered);
        let groups = GROUPS.iter().zip(stages);
        request.stages = groups.map(|(group, then)| staged(group, &then)).collect();
        request
    })
}

fn staged(group: &str, then: &[usize]) -> Stages {
    let stage = |n: &usize| Stage {
        group: word(GROUPS[*n]),
        after: crate::clock::Span::from_millis(1_000),
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

fn any_town() -> impl Strategy<Value = Town> {
    let groups = vec(btree_set(0..PERSONS.len(), 1..=PERSONS.len()), GROUPS.len());
    (groups, vec(later(), GROUPS.len())).prop_map(|(groups, then)| {
        let mut town = Town::default();
        for (group, then) in GROUPS.iter().zip(then) {
            town.later
                .insert(word(group), then.iter().map(|n| word(GROUPS[*n])).collect());
        }
        for (group, members) in GROUPS.iter().zip(groups) {
            let members = members.into_iter().map(|n| word(PERSONS[n])).collect();
            town.groups.insert(word(group), members);
        }
        for n in 0..2 * PERSONS.len() {
            town.accounts.insert(nth(n), word(PERSONS[n / 2]));
        }
        town
    })
}

fn nth(n: usize) -> crate::people::Account {
    account(&format!("sso:{n}"))
}

/// For each group that is asked, the highest quorum of its rules.
fn seats(request: &Request) -> Vec<(Word, usize)> {
    let asked = |group: &Word| {
        let of_group = |asked: &&super::Asked| asked.requirement.group.as_ref() == Some(group);
        let quorums = request.rules.iter().filter(of_group);
        quorums.map(|asked| usize::from(asked.requirement.quorum.max(1))).max()
    };
    let groups = GROUPS.map(word).into_iter();
    groups
        .filter_map(|group| Some((group.clone(), asked(&group)?)))
        .collect()
}

/// Whether a person is of a group, or of a stage of it that both the request and the folder have among the first that are
/// reached; or will ever be.
fn is_of(town: &Town, request: &Request, person: &Word, group: &Word, ever: bool) -> bool {
    let stages = request.stages.iter().find(|stages| stages.group == *group);
    let reached = |stages: &Stages| if ever { usize::MAX } else { usize::from(stages.reached) };
    let frozen = |stages: &Stages| {
        let then = stages.then.iter().enumerate();
        let reached = then.filter(|(n, _)| *n < reached(stages));
        reached.map(|(_, stage)| stage.group.clone()).collect::<Vec<_>>()
    };
    let now = |stages: &Stages| {
        let then = town.later.get(group).into_iter().flatten().enumerate();
        let reached = then.filter(|(n, _)| *n < reached(stages));
        reached.map(|(_, group)| group.clone()).collect::<Vec<_>>()
    };
    let mut groups = vec![group.clone()];
    if let Some(stages) = stages {
        let now = now(stages);
        groups.extend(frozen(stages).into_iter().filter(|group| now.contains(group)));
    }
    let of = |group: &Word| town.groups.get(group).is_some_and(|group| group.contains(person));
    groups.iter().any(of)
}

/// Whether a person may sit there: a member now, and not the one that the agent acts for unless all rules of the group
/// and its number allow it.
fn may_sit(town: &Town, request: &Request, person: &Word, (group, seats): &(Word, usize), ever: bool) -> bool {
    let own = request.path.person() == Some(person);
    let mut rules = request
        .rules
        .iter()
        .filter(|asked| asked.requirement.group.as_ref() == Some(group));
    let alone = *seats == 1 && rules.all(|asked| asked.requirement.self_approval);
    is_of(town, request, person, group, ever) && !town.disabled.contains(person) && (!own || alone)
}

/// Whether these persons, none of them twice, take all seats of each group.
fn seated(town: &Town, request: &Request, seats: &[(Word, usize)], persons: &[&Word], ever: bool) -> bool {
    seats.iter().all(|group| {
        let mut sitting: Vec<&Word> = Vec::new();
        for person in persons {
            if may_sit(town, request, person, group, ever) && !sitting.contains(person) {
                sitting.push(person);
            }
        }
        sitting.len() >= group.1
    })
}

/// Whether a person's agreement counts now, as far as the person is concerned.
fn counts(town: &Town, request: &Request, person: &Word, is_window: bool) -> bool {
    seats(request)
        .iter()
        .any(|seat| may_sit(town, request, person, seat, false))
        && !town.barred.contains(person)
        && !(is_window && town.once_only.contains(person))
        && request.rules.iter().all(|asked| !town.changed.contains(&asked.rule))
}

fn is_window(answer: &Answer) -> bool {
    matches!(answer, Answer::Window { .. })
}

/// Whether an answer stays within what is offered.
fn fits(request: &Request, answer: &Answer) -> bool {
    match (answer, &request.offer) {
        (Answer::Window { .. }, None) => false,
        (Answer::Window { span, uses, pins }, Some(offer)) => {
            let known = pins.iter().all(|pin| request.facts.contains_key(pin));
            (1..=offer.span.as_millis()).contains(&span.as_millis()) && (1..=offer.uses).contains(uses) && known
        }
        _ => true,
    }
}

/// A grant opens no more than was offered, and no more than any vote said.
fn is_narrow(request: &Request, grant: &Grant, now: Timestamp) {
    let span = grant.expires_at.since(grant.not_before);
    assert_eq!(
        (grant.not_before, grant.request, &grant.path),
        (now, request.id, &request.path)
    );
    assert_eq!((grant.uses, &grant.revoked, grant.file), (0, &None, request.file));
    assert!(
        grant.lifts.iter().eq(request
            .rules
            .iter()
            .map(|asked| (asked.rule.clone(), asked.hash))
            .collect::<Vec<_>>()
            .iter())
    );
    for vote in &request.votes {
        if let Answer::Window { span: said, uses, .. } = &vote.answer {
            assert!(span <= *said && grant.max_uses <= *uses);
        }
    }
    match &grant.scope {
        Scope::Once { digest } => {
            assert_eq!((*digest, grant.max_uses), (request.digest, 1));
            assert!(span <= Grant::ONCE);
        }
        Scope::Window { action, pins } => {
            assert_eq!(*action, request.action);
            let offer = request.offer.as_ref().unwrap();
            assert!(span <= offer.span && grant.max_uses <= offer.uses);
            assert!(pins.iter().all(|(name, value)| request.facts.get(name) == Some(value)));
            for vote in &request.votes {
                let Answer::Window { pins: said, .. } = &vote.answer else {
                    panic!("{vote:?}")
                };
                assert!(said.iter().chain(&request.pins).all(|pin| pins.contains_key(pin)));
            }
        }
    }
}

/// Checks what a vote came to.
fn voted(town: &Town, before: &Request, ballot: &Ballot, now: Timestamp, result: &Result<Step, VoteRefused>) {
    let person = town.accounts.get(&ballot.account);
    let open = before.state == State::Pending && now < before.deadline;
    let member = |person: &Word| {
        let groups = seats(before);
        let is_in = |(group, _): &(Word, usize)| is_of(town, before, person, group, false);
        groups.iter().any(is_in) && !town.disabled.contains(person)
    };
    if ballot.answer == Answer::Deny {
        assert_eq!(
            result.is_ok(),
            open && person.is_some_and(member),
            "a no of a member wins: {result:?}"
        );
        if let Ok(step) = result {
            assert!(matches!(&step.request.state, State::Denied { by, .. } if by.as_ref() == person));
            assert!(step.grant.is_none());
        }
        return;
    }
    let fresh = |person: &Word| before.votes.iter().all(|vote| vote.person != *person);
    let good = |person: &Word| fresh(person) && counts(town, before, person, is_window(&ballot.answer));
    let seen = *ballot.card == *before.card.digest();
    let taken = open && person.is_some_and(good) && seen && fits(before, &ballot.answer);
    assert_eq!(result.is_ok(), taken, "{result:?}");
    let Ok(Step { request: next, grant }) = result else {
        return;
    };
    // Nothing but the votes, the state and the version has changed.
    let same = Request {
        version: before.version + 1,
        votes: next.votes.clone(),
        state: next.state.clone(),
        ..before.clone()
    };
    assert_eq!(*next, same);
    let kept = |vote: &&super::Vote| {
        town.accounts.get(&vote.account) == Some(&vote.person)
            && counts(town, before, &vote.person, is_window(&vote.answer))
    };
    let mut expected: Vec<_> = before.votes.iter().filter(kept).map(|vote| &vote.person).collect();
    expected.extend(person);
    let agreed: Vec<&Word> = next.votes.iter().map(|vote| &vote.person).collect();
    assert_eq!(agreed, expected, "exactly the votes that count now");
    let mut distinct = agreed.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), agreed.len(), "one person, one vote");
    assert!(
        next.votes
            .iter()
            .all(|vote| vote.own == (before.path.person() == Some(&vote.person)))
    );
    let enough = seated(town, before, &seats(before), &agreed, false);
    assert_eq!(matches!(next.state, State::Approved { .. }), enough);
    assert_eq!(
        grant.is_some(),
        enough,
        "a grant goes with an approval and with nothing else"
    );
    if let (State::Approved { grant: named }, Some(grant)) = (&next.state, grant) {
        assert_eq!(grant.id, *named);
        is_narrow(next, grant, now);
    } else {
        let denied = matches!(next.state, State::Denied { by: None, .. });
        assert_eq!(denied, impossible(before, town).is_some());
        assert!(denied || next.state == State::Pending);
    }
}

fn play(mut town: Town, first: Request, events: Vec<Event>) {
    let mut now = at(0);
    let mut request = first;
    let set = |set: &mut std::collections::BTreeSet<Word>, person: usize, on: bool| {
        set.retain(|other| *other != word(PERSONS[person]));
        set.extend(on.then(|| word(PERSONS[person])));
    };
    for event in events {
        let before = request.clone();
        match event {
            Event::Vote { account, answer, seen } => {
                let card = if seen { request.card.digest() } else { "another".into() };
                let ballot = Ballot {
                    account: nth(account),
                    answer,
                    reason: None,
                    card,
                };
                let result = vote(&request, &ballot, &town, now, GrantId::mint(now));
                voted(&town, &request, &ballot, now, &result);
                if let Ok(step) = result {
                    request = step.request;
                }
            }
            Event::Pass(millis) => now = now.after(crate::clock::Span::from_millis(millis.unsigned_abs())),
            Event::Expire => {
                let expired = expire(&request, now);
                assert_eq!(
                    expired.is_some(),
                    request.state == State::Pending && now >= request.deadline
                );
                request = expired.unwrap_or(request);
            }
            Event::Cancel => {
                let cancelled = cancel(&request, "the session ended");
                assert_eq!(cancelled.is_some(), request.state == State::Pending);
                request = cancelled.unwrap_or(request);
            }
            Event::Escalate(group, from) => {
                let next = escalate(&request, &word(GROUPS[group]), from, Because::NotDelivered, &town, now);
                let (open, stages) = (
                    request.state == State::Pending && now < request.deadline,
                    &request.stages[group],
                );
                let further = open && stages.reached == from && usize::from(from) < stages.then.len();
                assert_eq!(next.is_some(), further);
                if let Some(next) = &next {
                    let mut expected = request.clone();
                    expected.version += 1;
                    expected.stages[group].reached += 1;
                    expected.stages[group].since = next.stages[group].since;
                    assert_eq!(*next, expected, "nothing but the stage has changed");
                    assert!(next.stages[group].follows(&request.stages[group]));
                }
                request = next.unwrap_or(request);
            }
            Event::Later(group, then) => {
                let then = then.into_iter().map(|n| word(GROUPS[n])).collect();
                town.later.insert(word(GROUPS[group]), then);
            }
            Event::Member(person, group, on) => set(town.groups.get_mut(&word(GROUPS[group])).unwrap(), person, on),
            Event::Disabled(person, on) => set(&mut town.disabled, person, on),
            Event::Barred(person, on) => set(&mut town.barred, person, on),
            Event::OnceOnly(person, on) => set(&mut town.once_only, person, on),
            Event::Hands(account, person) => drop(town.accounts.insert(nth(account), word(PERSONS[person]))),
            Event::Changed(n, on) => {
                let rules: Vec<RuleId> = request.rules.iter().map(|asked| asked.rule.clone()).collect();
                let rule = rules[n % rules.len()].clone();
                let _ = if on {
                    town.changed.insert(rule)
                } else {
                    town.changed.remove(&rule)
                };
            }
        }
        assert!(
            !before.state.is_final() || request == before,
            "what is settled never changes"
        );
        assert!(request.version == before.version || request.version == before.version + 1);
    }
}

/// Whether it can come to an approval at all is what trying everything says, before anybody has voted.
fn is_possible(town: &Town, request: &Request) {
    let all = PERSONS.map(word);
    let able: Vec<&Word> = all
        .iter()
        .filter(|person| town.may_approve(person, request, false).is_ok())
        .collect();
    assert_eq!(
        impossible(request, town).is_none(),
        seated(town, request, &seats(request), &able, true)
    );
}

/// With one more rule that asks, whoever is enough was enough before: no rule lets anybody agree.
fn a_further_rule_widens_nothing(town: &Town, request: &Request, group: usize, quorum: u8, own: bool, agree: &[usize]) {
    let persons: Vec<Word> = agree.iter().map(|n| word(PERSONS[*n])).collect();
    let persons: Vec<&Word> = persons.iter().collect();
    let mut more = request.clone();
    more.rules.push(asked("more", Some(GROUPS[group]), quorum, own));
    for reach in [Reach::Now, Reach::Ever] {
        let enough = |request: &Request| fills(request, &places(request).unwrap(), &persons, town, reach);
        assert!(!enough(&more) || enough(request), "{persons:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_only_enough_distinct_eligible_persons_approve(
        town in any_town(),
        request in any_request(),
        events in vec(event(), 0..40),
    ) {
        is_possible(&town, &request);
        play(town, request, events);
    }

    #[test]
    fn one_more_rule_that_asks_never_widens_who_may_approve(
        town in any_town(),
        request in any_request(),
        reached in vec(0..3_u8, GROUPS.len()),
        (group, quorum, own) in (0..GROUPS.len(), 0..3_u8, any::<bool>()),
        agree in vec(0..PERSONS.len(), 0..4),
    ) {
        let mut request = request;
        for (stages, reached) in request.stages.iter_mut().zip(reached) {
            stages.reached = reached.min(u8::try_from(stages.then.len()).unwrap());
        }
        a_further_rule_widens_nothing(&town, &request, group, quorum, own, &agree);
    }
}
