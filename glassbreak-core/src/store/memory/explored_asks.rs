//! Requests, grants and their use, over the interleavings that shuttle finds.

use std::sync::Arc;

use super::books::Books;
use super::{books, explore, job, race};
use crate::approval::town::{asked, request};
use crate::approval::{Request, RequestId, State, cancel};
use crate::clock::{Span, Timestamp};
use crate::grant::{Grant, GrantId, Mismatch, Scope, Use};
use crate::store::memory::tests::{Reserving, T0, lock_all};
use crate::store::{
    Caps, Claim, Claimed, Decide, Decided, Open, Opened, Reserve, Reserved, Revoke, Unasked, Unlock, Which,
};

fn now() -> Timestamp {
    Timestamp::from_millis(T0)
}

fn question() -> Open {
    let mut request = request(vec![asked("r", Some("oncall"), 1, false)]);
    request.id = RequestId::mint(now());
    Open {
        request,
        lasts: Span::from_millis(60_000),
        caps: Caps {
            pending: 9,
            per_hour: 9,
            cooldown: None,
        },
        at: now(),
    }
}

fn opened(books: &Books) -> Request {
    match books.open(question()).unwrap() {
        Opened::Opened(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn change(request: &Request, state: State) -> Decide {
    let mut next = request.clone();
    (next.version, next.state) = (next.version + 1, state);
    Decide {
        expected: request.version,
        next,
        grant: None,
        at: now(),
    }
}

fn approval(request: &Request) -> Decide {
    let id = GrantId::mint(now());
    let mut decide = change(request, State::Approved { grant: id });
    decide.grant = Some(Grant {
        id,
        request: request.id,
        path: request.path.clone(),
        lifts: request
            .rules
            .iter()
            .map(|asked| (asked.rule.clone(), asked.hash))
            .collect(),
        scope: Scope::Once { digest: request.digest },
        file: None,
        uses: 0,
        max_uses: 1,
        not_before: now(),
        expires_at: now().after(Grant::ONCE),
        revoked: None,
    });
    decide
}

fn granted(books: &Books, request: &Request) -> Grant {
    let approval = approval(request);
    let grant = approval.grant.clone().unwrap();
    assert!(matches!(books.decide(approval).unwrap(), Decided::Done { .. }));
    grant
}

/// A call of the request, held.
fn held(books: &Books, request: &Request) -> Reserve {
    let reserve = Reserve {
        path: request.path.clone(),
        digest: request.digest,
        ..Reserving::new().done()
    };
    assert!(matches!(books.reserve(reserve.clone()).unwrap(), Reserved::Held(_)));
    reserve
}

fn claiming(request: &Request, grant: &Grant, held: &Reserve) -> Claim {
    Claim {
        op: held.op,
        attempt: held.attempt,
        grant: grant.id,
        call: Use {
            path: request.path.clone(),
            digest: request.digest,
            action: (*request.action).into(),
            facts: Arc::new(request.facts.clone()),
            asks: request
                .rules
                .iter()
                .map(|asked| (asked.rule.clone(), asked.hash))
                .collect(),
            file: None,
        },
        at: now(),
    }
}

/// The epoch at which a claim used the grant; 0 where it did not.
fn used_at(claimed: &Claimed) -> u64 {
    match claimed {
        Claimed::Used { position, .. } => position.epoch,
        _ => 0,
    }
}

#[test]
fn of_racing_claims_of_one_use_one_gets_it() {
    explore(|| {
        let books = books();
        let request = opened(&books);
        let grant = granted(&books, &request);
        let mut claims: Vec<Claim> = (0..3)
            .map(|_| claiming(&request, &grant, &held(&books, &request)))
            .collect();
        // One of them is sent twice.
        claims.push(claims[0].clone());
        let jobs = claims.into_iter().map(|claim| {
            let books = Arc::clone(&books);
            job(move || books.claim(&claim).unwrap())
        });
        let answers = race(jobs.collect());
        assert_eq!(answers[0], answers[3], "the same claim, the same answer");
        let used = answers[..3].iter().filter(|answer| used_at(answer) > 0).count();
        assert_eq!(used, 1);
        let other = |answer: &&Claimed| **answer == Claimed::Refused(Mismatch::UsedUp);
        assert_eq!(answers[..3].iter().filter(other).count(), 2);
        assert!(books.grants().unwrap().is_empty());
    });
}

#[test]
fn nothing_is_used_above_the_epoch_of_a_lock_nor_after_it_returned() {
    explore(|| {
        let books = books();
        let request = opened(&books);
        let grant = granted(&books, &request);
        let claims: Vec<Claim> = (0..2)
            .map(|_| claiming(&request, &grant, &held(&books, &request)))
            .collect();
        let (locker, late) = (Arc::clone(&books), claims[0].clone());
        let mut jobs = vec![job(move || {
            let locked = locker.lock(lock_all());
            let after = locker.claim(&late).unwrap();
            assert!(matches!(after, Claimed::Locked(_)), "{after:?}");
            locked.position.epoch
        })];
        jobs.extend(claims.iter().cloned().map(|claim| {
            let books = Arc::clone(&books);
            job(move || used_at(&books.claim(&claim).unwrap()))
        }));
        let epochs = race(jobs);
        assert!(epochs[1..].iter().all(|used| *used < epochs[0]), "{epochs:?}");
        let unlock = Unlock {
            target: lock_all().target,
            by: lock_all().by,
            reason: lock_all().reason,
            seen: books.locks().position,
        };
        let _ = books.unlock(&unlock);
        assert!(books.grants().unwrap().is_empty(), "lifting it brings nothing back");
        let fresh = claiming(&request, &grant, &held(&books, &request));
        assert_eq!(used_at(&books.claim(&fresh).unwrap()), 0);
    });
}

#[test]
fn nothing_is_used_above_the_epoch_of_a_revocation_that_ended_the_grant() {
    explore(|| {
        let books = books();
        let request = opened(&books);
        let grant = granted(&books, &request);
        let claim = claiming(&request, &grant, &held(&books, &request));
        let revoke = |which| Revoke {
            which,
            by: lock_all().by,
            reason: lock_all().reason,
            at: now(),
        };
        let mut jobs = vec![Which::Grant(grant.id), Which::Request(request.id)]
            .into_iter()
            .map(|which| {
                let (books, revoke) = (Arc::clone(&books), revoke(which));
                job(move || {
                    let ended = books.revoke(&revoke).unwrap();
                    (!ended.grants.is_empty(), ended.position.epoch)
                })
            })
            .collect::<Vec<_>>();
        let claimer = Arc::clone(&books);
        jobs.push(job(move || (false, used_at(&claimer.claim(&claim).unwrap()))));
        let answers = race(jobs);
        let ended: Vec<u64> = answers
            .iter()
            .filter(|(ended, _)| *ended)
            .map(|(_, epoch)| *epoch)
            .collect();
        let used = answers[2].1;
        // One of the two ended it, whether it was used before or not: its permit may not have run yet.
        assert_eq!(ended.len(), 1);
        assert!(used < ended[0], "used at {used}, and ended at {ended:?}");
    });
}

#[test]
fn of_racing_decisions_one_is_done_and_the_others_see_it() {
    explore(|| {
        let books = books();
        let request = opened(&books);
        let (by, why) = (None, "no".into());
        let decisions = [
            approval(&request),
            approval(&request),
            change(&request, State::Denied { why, by }),
            Decide {
                expected: 0,
                next: cancel(&request, "the session ended").unwrap(),
                grant: None,
                at: now(),
            },
        ];
        let jobs = decisions.clone().map(|decide| {
            let books = Arc::clone(&books);
            job(move || books.decide(decide).unwrap())
        });
        let answers = race(jobs.into());
        let done: Vec<usize> = (0..4).filter(|n| matches!(answers[*n], Decided::Done { .. })).collect();
        assert_eq!(done.len(), 1);
        let winner = &decisions[done[0]];
        assert_eq!(books.request(&request.id).unwrap().as_ref(), Some(&winner.next));
        let seen = Decided::Conflict(Box::new(winner.next.clone()));
        assert_eq!(answers.iter().filter(|answer| **answer == seen).count(), 3);
        let grants: Vec<Grant> = books.grants().unwrap();
        for grant in &grants {
            assert_eq!(books.grant(&grant.id).unwrap().as_ref(), Some(grant));
        }
        assert_eq!(grants, winner.grant.iter().cloned().collect::<Vec<_>>());
    });
}

#[test]
fn an_approval_that_races_a_lock_leaves_no_grant() {
    explore(|| {
        let books = books();
        let request = opened(&books);
        let (locker, decider) = (Arc::clone(&books), Arc::clone(&books));
        let approval = approval(&request);
        let jobs = vec![
            job(move || locker.lock(lock_all()).position.epoch),
            job(move || match decider.decide(approval).unwrap() {
                Decided::Done { position } => position.epoch,
                Decided::Conflict(_) | Decided::Locked(_) => 0,
                other => panic!("{other:?}"),
            }),
        ];
        let epochs = race(jobs);
        assert!(epochs[1] < epochs[0]);
        assert!(books.grants().unwrap().is_empty() && books.pending().unwrap().is_empty());
        assert!(books.request(&request.id).unwrap().unwrap().state.is_final());
        assert!(
            books.earlier(&request, 9).unwrap().is_empty(),
            "it is not earlier than itself"
        );
    });
}

#[test]
fn of_racing_openings_of_one_question_one_opens_it_and_the_others_join() {
    explore(|| {
        let books = books();
        let jobs = (0..3).map(|_| {
            let (books, question) = (Arc::clone(&books), question());
            job(move || books.open(question).unwrap())
        });
        let answers = race(jobs.collect());
        let pending = books.pending().unwrap();
        assert_eq!(pending.len(), 1);
        let opened = |answer: &&Opened| matches!(answer, Opened::Opened(_));
        assert_eq!(answers.iter().filter(opened).count(), 1);
        assert!(answers.iter().all(|answer| match answer {
            Opened::Opened(request) | Opened::Joined(request) => **request == pending[0],
            Opened::Refused { .. } => false,
        }));
    });
}

#[test]
fn a_request_that_races_a_lock_is_not_left_open() {
    explore(|| {
        let books = books();
        let (locker, opener) = (Arc::clone(&books), Arc::clone(&books));
        let jobs = vec![
            job(move || locker.lock(lock_all()).position.epoch > 0),
            job(move || {
                let answer = opener.open(question()).unwrap();
                let locked = matches!(
                    &answer,
                    Opened::Refused {
                        why: Unasked::Locked(_),
                        ..
                    }
                );
                locked || matches!(answer, Opened::Opened(_))
            }),
        ];
        assert!(race(jobs).into_iter().all(|fine| fine));
        assert!(books.pending().unwrap().is_empty());
    });
}
