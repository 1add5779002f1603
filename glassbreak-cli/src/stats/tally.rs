//! What an audit log says of requests and votes, added up.

use std::collections::BTreeMap;

use glassbreak_core::audit::Kind;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown_whole;
use serde_json::Value;

/// A vote within this many milliseconds of the question was hardly thought about.
pub(super) const QUICK_MS: u64 = 2_000;
/// So many votes are needed before anything is said of a person.
const FEW: u64 = 20;

/// Requests and votes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By id.
    requests: BTreeMap<String, Request>,
    /// By name.
    pub(super) people: BTreeMap<String, Votes>,
}

/// A question that was put to people.
#[derive(Debug)]
struct Request {
    opened: Timestamp,
    rules: Vec<String>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Approved(u64),
    /// By a person, after so many milliseconds; or by nobody, such as where nobody could be reached.
    Denied(Option<u64>),
    Expired,
    Withdrawn,
}

/// What became of questions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) requests: u64,
    pub(super) approved: u64,
    pub(super) denied: u64,
    pub(super) expired: u64,
    pub(super) withdrawn: u64,
    pub(super) open: u64,
    /// From question to decision, where people decided.
    pub(super) took: Times,
}

/// How a person answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Votes {
    pub(super) yes: u64,
    /// Answers that were refused.
    pub(super) not_counted: u64,
    /// From question to vote.
    pub(super) took: Times,
}

/// Times in milliseconds, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Times(Vec<u64>);

impl Tally {
    /// Takes one record into account. Records of one log come in their order; what is said of a request that was never
    /// opened is left out.
    pub(super) fn take(&mut self, kind: Kind, at: Timestamp, json: &Value) {
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(shown_whole);
        let Some(id) = text("request") else { return };
        match kind {
            Kind::RequestOpened => {
                let rules = json.get("rules").and_then(Value::as_array).into_iter().flatten();
                let rules = rules.filter_map(|rule| rule.get("rule").and_then(Value::as_str).map(shown_whole));
                let request = Request {
                    opened: at,
                    rules: rules.collect(),
                    end: None,
                };
                self.requests.insert(id, request);
            }
            // Recorded before, and put to nobody.
            Kind::RequestJoined => drop(text("instead_of").and_then(|other| self.requests.remove(&other))),
            Kind::RequestRefused => drop(self.requests.remove(&id)),
            Kind::VoteCast => {
                if let (Some(person), Some(request)) = (text("person"), self.requests.get(&id)) {
                    let votes = self.people.entry(person).or_default();
                    votes.took.add(request.after(at));
                    votes.yes += u64::from(text("answer").is_some_and(|answer| answer != "deny"));
                }
            }
            Kind::VoteRefused => {
                if let Some(person) = text("person") {
                    self.people.entry(person).or_default().not_counted += 1;
                }
            }
            Kind::RequestSettled => {
                let Some(request) = self.requests.get_mut(&id) else {
                    return;
                };
                let took = request.after(at);
                request.end = match text("state").as_deref() {
                    Some("approved") => Some(End::Approved(took)),
                    Some("denied") => Some(End::Denied(text("by").map(|_| took))),
                    Some("expired") => Some(End::Expired),
                    Some("cancelled") => Some(End::Withdrawn),
                    _ => None,
                };
            }
            _ => {}
        }
    }

    /// Of all questions.
    pub(super) fn all(&self) -> Answers {
        let mut all = Answers::default();
        self.requests.values().for_each(|request| all.add(request));
        all
    }

    /// Of those that a rule asked.
    pub(super) fn by_rule(&self) -> BTreeMap<String, Answers> {
        let mut rules: BTreeMap<String, Answers> = BTreeMap::new();
        for request in self.requests.values() {
            for rule in &request.rules {
                rules.entry(rule.clone()).or_default().add(request);
            }
        }
        rules
    }
}

impl Request {
    /// How long after the question, in milliseconds. Chains of several writers have several clocks; before is at once.
    fn after(&self, at: Timestamp) -> u64 {
        u64::try_from(at.as_millis().saturating_sub(self.opened.as_millis())).unwrap_or(0)
    }
}

impl Answers {
    fn add(&mut self, request: &Request) {
        self.requests += 1;
        match request.end {
            None => self.open += 1,
            Some(End::Approved(took)) => {
                self.approved += 1;
                self.took.add(took);
            }
            Some(End::Denied(took)) => {
                self.denied += 1;
                took.into_iter().for_each(|took| self.took.add(took));
            }
            Some(End::Expired) => self.expired += 1,
            Some(End::Withdrawn) => self.withdrawn += 1,
        }
    }
}

impl Votes {
    /// Whether they nearly always agree, mostly at once: of at least twenty votes 95 % yes, and half of all within two
    /// seconds.
    pub(super) fn is_stamp(&self) -> bool {
        let votes = self.took.count();
        votes >= FEW && self.yes * 100 >= votes * 95 && self.took.quick() * 2 >= votes
    }
}

impl Times {
    fn add(&mut self, ms: u64) {
        let place = self.0.partition_point(|known| *known <= ms);
        self.0.insert(place, ms);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many are shorter than [`QUICK_MS`].
    pub(super) fn quick(&self) -> u64 {
        self.0.partition_point(|ms| *ms < QUICK_MS) as u64
    }

    /// What half of them do not exceed; `None` where there are none.
    pub(super) fn median(&self) -> Option<u64> {
        self.within(50)
    }

    /// The least that so many of a hundred do not exceed.
    pub(super) fn within(&self, percent: usize) -> Option<u64> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tally(records: impl IntoIterator<Item = (Kind, i64, Value)>) -> Tally {
        let mut tally = Tally::default();
        for (kind, ms, json) in records {
            tally.take(kind, Timestamp::from_millis(ms), &json);
        }
        tally
    }

    fn opened(id: &str, rules: &[&str]) -> Value {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| json!({ "rule": rule, "requirement": {} }))
            .collect();
        json!({ "request": id, "rules": rules })
    }

    fn vote(id: &str, person: &str, answer: &str) -> Value {
        json!({ "request": id, "person": person, "answer": answer })
    }

    #[test]
    fn answers_are_added_up_by_person_and_by_rule() {
        use Kind::{RequestOpened, RequestSettled, VoteCast, VoteRefused};
        let tally = tally([
            (RequestOpened, 0, opened("a", &["policy.x", "budget.y"])),
            (RequestOpened, 0, opened("b", &["policy.x"])),
            (RequestOpened, 0, opened("c", &["policy.x"])),
            (RequestOpened, 0, opened("d", &["policy.x"])),
            (VoteCast, 1_000, vote("a", "bob", "once")),
            (VoteCast, 3_000, vote("a", "eve", "window")),
            (
                RequestSettled,
                3_000,
                json!({ "request": "a", "state": "approved", "grant": "g" }),
            ),
            (VoteCast, 9_000, vote("b", "bob", "deny")),
            (
                RequestSettled,
                9_000,
                json!({ "request": "b", "state": "denied", "why": "no", "by": "bob" }),
            ),
            (RequestSettled, 60_000, json!({ "request": "c", "state": "expired" })),
            (VoteRefused, 61_000, vote("c", "bob", "once")),
            // Of no request that was opened, and of nobody.
            (VoteCast, 9_000, vote("z", "bob", "once")),
            (VoteRefused, 9_000, json!({ "request": "a", "account": "uid:9" })),
        ]);
        let times = |times: &[u64]| Times(times.to_vec());
        let all = Answers {
            requests: 4,
            approved: 1,
            denied: 1,
            expired: 1,
            withdrawn: 0,
            open: 1,
            took: times(&[3_000, 9_000]),
        };
        let rules = tally.by_rule();
        assert_eq!(tally.all(), all);
        assert_eq!(rules["policy.x"], all);
        assert_eq!((rules["budget.y"].requests, rules["budget.y"].approved), (1, 1));
        let bob = Votes {
            yes: 1,
            not_counted: 1,
            took: times(&[1_000, 9_000]),
        };
        assert_eq!(tally.people["bob"], bob);
        assert_eq!(tally.people["eve"].yes, 1);
        assert_eq!(tally.people.len(), 2);
    }

    #[test]
    fn what_was_put_to_nobody_is_no_question() {
        let tally = tally([
            (Kind::RequestOpened, 0, opened("a", &["policy.x"])),
            (Kind::RequestOpened, 1, opened("b", &["policy.x"])),
            (Kind::RequestJoined, 1, json!({ "request": "a", "instead_of": "b" })),
            (Kind::RequestOpened, 2, opened("c", &["policy.x"])),
            (Kind::RequestRefused, 2, json!({ "request": "c", "why": "too many" })),
            // Nobody denied it: no time of a person's.
            (
                Kind::RequestSettled,
                5,
                json!({ "request": "a", "state": "denied", "why": "no way to anybody" }),
            ),
        ]);
        let all = tally.all();
        assert_eq!((all.requests, all.denied, all.took.count()), (1, 1, 0));
        assert_eq!(all.took.median(), None);
    }

    #[test]
    fn who_nearly_always_agrees_at_once_is_marked() {
        let of = |votes: u64, no: u64, slow: u64| {
            let mut person = Votes {
                yes: votes - no,
                ..Votes::default()
            };
            (0..votes).for_each(|n| person.took.add(if n < slow { QUICK_MS } else { QUICK_MS - 1 }));
            person.is_stamp()
        };
        assert!(of(20, 1, 10) && of(20, 0, 0) && of(1_000, 50, 500));
        assert!(!of(19, 0, 0), "too few to say");
        assert!(!of(20, 2, 0), "a no in ten");
        assert!(!of(20, 0, 11), "most of them thought about");
    }

    #[test]
    fn of_times_the_middle_and_the_long_end_are_told() {
        let times = Times((1..=100).collect());
        assert_eq!(
            (times.median(), times.within(95), times.within(100)),
            (Some(50), Some(95), Some(100))
        );
        assert_eq!((Times(vec![7]).median(), Times(vec![7]).within(95)), (Some(7), Some(7)));
        assert_eq!(Times::default().median(), None);
    }
}
