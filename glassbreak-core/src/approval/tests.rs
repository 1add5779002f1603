//! One test for each rule of who may agree to what.

use super::town::{OPEN, Town, account, asked, at, request, window, word};
use super::{Answer, Ballot, Offer, Request, State, Step, VoteRefused};
use super::{cancel, expire, impossible, vote};
use crate::call::Text;
use crate::clock::Span;
use crate::finding::{Layer, RuleId};
use crate::grant::{Grant, GrantId, Pins, Scope};
use crate::label::Risk;
use crate::notify::Card;

fn of_one_rule(group: &str, quorum: u8, own: bool) -> Request {
    request(vec![asked("r", Some(group), quorum, own)])
}

fn says(request: &Request, town: &Town, who: &str, answer: Answer) -> Result<Step, VoteRefused> {
    let ballot = Ballot {
        account: account(who),
        answer,
        reason: None,
        card: request.card.digest(),
    };
    vote(request, &ballot, town, at(1_000), GrantId::mint(at(1_000)))
}

fn agrees(request: &Request, town: &Town, who: &str) -> Result<Step, VoteRefused> {
    says(request, town, &format!("sso:{who}"), Answer::Once)
}

fn is_ineligible(result: &Result<Step, VoteRefused>) -> bool {
    matches!(result, Err(VoteRefused::Ineligible(..)))
}

fn approved(step: &Step) -> bool {
    assert_eq!(
        matches!(step.request.state, State::Approved { .. }),
        step.grant.is_some()
    );
    step.grant.is_some()
}

#[test]
fn a_quorum_of_nobody_is_one_of_somebody() {
    let town = Town::of(&[("oncall", &["bob"])]);
    let request = of_one_rule("oncall", 0, false);
    assert_eq!(impossible(&request, &town), None);
    assert!(is_ineligible(&agrees(
        &request,
        &Town::of(&[("others", &["bob"])]),
        "bob"
    )));
    assert!(approved(&agrees(&request, &town, "bob").unwrap()));
    assert!(impossible(&of_one_rule("nobody", 0, false), &town).is_some());
}

#[test]
fn a_quorum_beyond_the_group_is_impossible() {
    let town = Town::of(&[("oncall", &["bob", "carol"])]);
    let request = of_one_rule("oncall", 3, false);
    assert!(impossible(&request, &town).is_some_and(|why| why.contains("3 of oncall")));
    let step = agrees(&request, &town, "bob").unwrap();
    assert!(matches!(step.request.state, State::Denied { by: None, .. }) && step.grant.is_none());
    assert_eq!(impossible(&of_one_rule("oncall", 2, false), &town), None);
}

#[test]
fn a_rule_that_names_nobody_is_agreed_to_by_nobody() {
    let town = Town::of(&[("oncall", &["bob"])]);
    for rules in [
        vec![asked("r", None, 1, false)],
        vec![asked("r", Some("oncall"), 1, false), asked("s", None, 1, false)],
        Vec::new(),
    ] {
        let request = request(rules);
        assert!(impossible(&request, &town).is_some());
        assert!(is_ineligible(&agrees(&request, &town, "bob")));
    }
}

#[test]
fn one_person_in_two_groups_serves_both_and_one_in_one_group_only_that() {
    let rules = || {
        vec![
            asked("r", Some("oncall"), 1, false),
            asked("s", Some("leads"), 1, false),
        ]
    };
    let town = Town::of(&[("oncall", &["bob", "carol"]), ("leads", &["bob"])]);
    assert!(approved(&agrees(&request(rules()), &town, "bob").unwrap()));
    let first = agrees(&request(rules()), &town, "carol").unwrap();
    assert!(!approved(&first));
    assert!(approved(&agrees(&first.request, &town, "bob").unwrap()));
}

#[test]
fn whom_the_agent_acts_for_counts_in_the_group_that_says_so_and_in_no_other() {
    let rules = vec![asked("r", Some("oncall"), 1, true), asked("s", Some("leads"), 1, false)];
    let town = Town::of(&[("oncall", &["alice"]), ("leads", &["alice", "bob"])]);
    let first = agrees(&request(rules), &town, "alice").unwrap();
    assert!(!approved(&first), "alice counted where she may not");
    assert!(approved(&agrees(&first.request, &town, "bob").unwrap()));
}

#[test]
fn rules_of_one_group_share_its_highest_quorum() {
    let town = Town::of(&[("oncall", &["bob", "carol", "dave"])]);
    let request = request(vec![
        asked("r", Some("oncall"), 1, true),
        asked("s", Some("oncall"), 2, true),
    ]);
    let first = agrees(&request, &town, "bob").unwrap();
    assert!(!approved(&first));
    assert!(approved(&agrees(&first.request, &town, "carol").unwrap()));
}

#[test]
fn one_person_with_two_accounts_is_one_vote() {
    let mut town = Town::of(&[("oncall", &["bob", "carol"])]);
    town.accounts.insert(account("chat:U7"), word("bob"));
    let first = agrees(&of_one_rule("oncall", 2, false), &town, "bob").unwrap();
    let again = says(&first.request, &town, "chat:U7", Answer::Once);
    assert_eq!(again, Err(VoteRefused::Again(word("bob"))));
    assert!(approved(&agrees(&first.request, &town, "carol").unwrap()));
}

#[test]
fn one_account_that_changes_hands_is_one_vote() {
    let mut town = Town::of(&[("oncall", &["bob", "carol", "dave"])]);
    let first = agrees(&of_one_rule("oncall", 2, false), &town, "bob").unwrap();
    // The very account that voted is carol's now, and bob has another.
    town.accounts.insert(account("sso:bob"), word("carol"));
    town.accounts.insert(account("chat:U7"), word("bob"));
    let second = agrees(&first.request, &town, "bob").unwrap();
    assert!(!approved(&second));
    let persons: Vec<_> = second.request.votes.iter().map(|vote| vote.person.as_str()).collect();
    assert_eq!(persons, ["carol"]);
    assert!(approved(&agrees(&second.request, &town, "dave").unwrap()));
}

#[test]
fn an_account_of_nobody_says_nothing() {
    let town = Town::of(&[("oncall", &["bob"])]);
    for answer in [Answer::Once, Answer::Deny] {
        let result = says(&of_one_rule("oncall", 1, false), &town, "sso:eve", answer);
        assert_eq!(result, Err(VoteRefused::UnknownAccount(account("sso:eve"))));
    }
}

#[test]
fn the_person_the_agent_acts_for_agrees_only_alone_and_where_every_rule_says_so() {
    let town = Town::of(&[("oncall", &["alice", "bob", "carol"])]);
    let step = agrees(&of_one_rule("oncall", 1, true), &town, "alice").unwrap();
    assert!(approved(&step) && step.request.votes[0].own);
    assert!(is_ineligible(&agrees(&of_one_rule("oncall", 1, false), &town, "alice")));
    assert!(is_ineligible(&agrees(&of_one_rule("oncall", 2, true), &town, "alice")));
    let mixed = request(vec![
        asked("r", Some("oncall"), 1, true),
        asked("s", Some("oncall"), 1, false),
    ]);
    assert!(is_ineligible(&agrees(&mixed, &town, "alice")));
    let two = vec![asked("r", Some("oncall"), 1, true), asked("s", Some("leads"), 2, true)];
    let step = agrees(&request(two), &town, "alice");
    assert!(!step.is_ok_and(|step| approved(&step)), "counted in a quorum of two");
    // Nor do they make up the number where others do not suffice.
    let town = Town::of(&[("oncall", &["alice", "bob"])]);
    assert!(impossible(&of_one_rule("oncall", 2, true), &town).is_some());
    let step = agrees(&of_one_rule("oncall", 1, false), &town, "bob").unwrap();
    assert!(approved(&step) && !step.request.votes[0].own);
}

#[test]
fn the_person_the_agent_acts_for_may_say_no() {
    let town = Town::of(&[("oncall", &["alice", "bob", "carol"])]);
    let step = says(&of_one_rule("oncall", 2, false), &town, "sso:alice", Answer::Deny).unwrap();
    assert!(matches!(step.request.state, State::Denied { by: Some(by), .. } if by == word("alice")));
}

#[test]
fn a_no_wins_whatever_was_said_before_and_by_whom() {
    let mut town = Town::of(&[("oncall", &["bob", "carol"]), ("others", &["eve"])]);
    let first = agrees(&of_one_rule("oncall", 2, false), &town, "bob").unwrap().request;
    // Also of a person whom the policies let approve nothing, and who saw another card.
    town.barred.insert(word("carol"));
    for who in ["bob", "carol"] {
        let ballot = Ballot {
            account: account(&format!("sso:{who}")),
            answer: Answer::Deny,
            reason: Some(Text::new("not\nnow").unwrap()),
            card: "another".into(),
        };
        let step = vote(&first, &ballot, &town, at(2_000), GrantId::mint(at(0))).unwrap();
        assert!(step.grant.is_none());
        let State::Denied { why, by } = step.request.state else {
            panic!("{:?}", step.request.state)
        };
        assert_eq!((&*why, by), (&*format!("{who} said no: not\\nnow"), Some(word(who))));
    }
    assert!(is_ineligible(&says(&first, &town, "sso:eve", Answer::Deny)));
}

#[test]
fn the_narrowest_of_all_answers_is_granted() {
    let town = Town::of(&[("oncall", &["bob", "carol"])]);
    let request = of_one_rule("oncall", 2, false);
    let both = |first: Answer, second: Answer| {
        let step = says(&request, &town, "sso:bob", first).unwrap();
        says(&step.request, &town, "sso:carol", second).unwrap().grant.unwrap()
    };
    let grant = both(window(60_000, 9, &["command"]), window(120_000, 3, &["target.name"]));
    let Scope::Window { action, pins } = &grant.scope else {
        panic!("{grant:?}")
    };
    let expected: Pins = request.facts.clone();
    assert_eq!((&**action, pins, grant.max_uses), ("tool:restart", &expected, 3));
    assert_eq!((grant.not_before, grant.expires_at), (at(1_000), at(61_000)));
    // One `once` makes it once, and the shortest time still counts.
    for (first, second) in [
        (Answer::Once, window(60_000, 9, &[])),
        (window(60_000, 9, &[]), Answer::Once),
    ] {
        let grant = both(first, second);
        assert_eq!(
            (&grant.scope, grant.max_uses),
            (&Scope::Once { digest: request.digest }, 1)
        );
        assert_eq!(grant.expires_at, at(61_000));
    }
    let grant = both(Answer::Once, window(600_000, 9, &[]));
    assert_eq!(grant.expires_at, at(1_000).after(Grant::ONCE));
}

#[test]
fn a_window_holds_fixed_what_it_must() {
    let town = Town::of(&[("oncall", &["bob"])]);
    let grant = says(&of_one_rule("oncall", 1, false), &town, "sso:bob", window(1, 1, &[]))
        .unwrap()
        .grant
        .unwrap();
    let pins: Pins = [("target.kind".into(), "service".into())].into();
    assert!(
        matches!(&grant.scope, Scope::Window { pins: held, .. } if *held == pins),
        "{grant:?}"
    );
}

#[test]
fn more_than_is_offered_is_refused() {
    let town = Town::of(&[("oncall", &["bob"])]);
    let mut request = of_one_rule("oncall", 1, false);
    let said = |request: &Request, answer| says(request, &town, "sso:bob", answer).map(|_| ()).unwrap_err();
    for answer in [window(0, 1, &[]), window(600_001, 1, &[]), window(u64::MAX, 1, &[])] {
        assert_eq!(said(&request, answer), VoteRefused::Beyond("the time"));
    }
    for uses in [0, 11, u32::MAX] {
        assert_eq!(
            said(&request, window(1, uses, &[])),
            VoteRefused::Beyond("the number of calls")
        );
    }
    assert_eq!(
        said(&request, window(1, 1, &["colour"])),
        VoteRefused::UnknownPin("colour".into())
    );
    // The bounds of all windows hold whatever is offered.
    request.offer = Some(Offer {
        span: Span::from_millis(u64::MAX),
        uses: u32::MAX,
    });
    assert_eq!(
        said(&request, window(3_600_001, 1, &[])),
        VoteRefused::Beyond("the time")
    );
    assert_eq!(
        said(&request, window(1, 51, &[])),
        VoteRefused::Beyond("the number of calls")
    );
    // What must be held fixed has to be known.
    request.facts.remove("target.kind");
    assert_eq!(
        said(&request, window(1, 1, &[])),
        VoteRefused::UnknownPin("target.kind".into())
    );
    request.offer = None;
    assert_eq!(said(&request, window(1, 1, &[])), VoteRefused::NoWindow);
    assert!(approved(&agrees(&request, &town, "bob").unwrap()));
}

#[test]
fn nobody_agrees_to_what_they_were_not_shown() {
    let town = Town::of(&[("oncall", &["bob"])]);
    let shown = of_one_rule("oncall", 1, false);
    let mut other = shown.clone();
    other.card = Card::plain("restart db", Risk::Medium);
    let ballot = Ballot {
        account: account("sso:bob"),
        answer: Answer::Once,
        reason: None,
        card: shown.card.digest(),
    };
    let result = vote(&other, &ballot, &town, at(0), GrantId::mint(at(0)));
    assert_eq!(result, Err(VoteRefused::OtherCard));
    let mut json = serde_json::to_value(&shown.card).unwrap();
    json["whole"] = false.into();
    let mut part = shown;
    part.card = serde_json::from_value(json).unwrap();
    assert_eq!(agrees(&part, &town, "bob"), Err(VoteRefused::NotWhole));
    let no = says(&part, &town, "sso:bob", Answer::Deny).unwrap();
    assert!(matches!(no.request.state, State::Denied { by: Some(_), .. }));
}

#[test]
fn a_rule_that_changed_since_it_asked_is_agreed_to_by_nobody() {
    let mut town = Town::of(&[("oncall", &["bob", "carol"])]);
    let rules = vec![
        asked("r", Some("oncall"), 2, false),
        asked("s", Some("oncall"), 1, false),
    ];
    let first = agrees(&request(rules), &town, "bob").unwrap();
    let rule = RuleId::new(Layer::Policy, "s").unwrap();
    town.changed.insert(rule.clone());
    assert_eq!(
        agrees(&first.request, &town, "carol"),
        Err(VoteRefused::RuleChanged(rule))
    );
}

#[test]
fn votes_are_counted_as_people_are_now() {
    fn leaves(town: &mut Town) {
        for group in town.groups.values_mut() {
            group.remove(&word("bob"));
        }
    }
    let changes: [fn(&mut Town); 5] = [
        |town| town.disabled.extend([word("bob")]),
        |town| town.barred.extend([word("bob")]),
        leaves,
        |town| drop(town.accounts.remove(&account("sso:bob"))),
        |town| drop(town.accounts.insert(account("sso:bob"), word("eve"))),
    ];
    for change in changes {
        let mut town = Town::of(&[("oncall", &["bob", "carol", "dave"])]);
        let first = agrees(&of_one_rule("oncall", 2, false), &town, "bob").unwrap();
        change(&mut town);
        let second = agrees(&first.request, &town, "carol").unwrap();
        assert!(!approved(&second) && second.request.state == State::Pending);
        assert!(approved(&agrees(&second.request, &town, "dave").unwrap()));
    }
    // Where too few are left it ends.
    let mut town = Town::of(&[("oncall", &["bob", "carol"])]);
    let first = agrees(&of_one_rule("oncall", 2, false), &town, "bob").unwrap();
    town.disabled.insert(word("bob"));
    let last = agrees(&first.request, &town, "carol").unwrap();
    assert!(matches!(last.request.state, State::Denied { by: None, .. }));
}

#[test]
fn the_deadline_itself_is_too_late() {
    let town = Town::of(&[("oncall", &["bob"])]);
    let request = of_one_rule("oncall", 1, false);
    let say = |answer: &Answer, now| {
        let ballot = Ballot {
            account: account("sso:bob"),
            answer: answer.clone(),
            reason: None,
            card: request.card.digest(),
        };
        vote(&request, &ballot, &town, at(now), GrantId::mint(at(0)))
    };
    for answer in [Answer::Once, Answer::Deny] {
        assert!(say(&answer, OPEN - 1).is_ok());
        assert_eq!(say(&answer, OPEN), Err(VoteRefused::TooLate));
    }
    assert_eq!(expire(&request, at(OPEN - 1)), None);
    let expired = expire(&request, at(OPEN)).unwrap();
    assert_eq!((expired.version, &expired.state), (1, &State::Expired));
    assert_eq!((expire(&expired, at(OPEN)), cancel(&expired, "late")), (None, None));
}
