//! Requests, grants and locks: to the letter of [`Requests`](glassbreak_core::store::Requests) and
//! [`Locks`](glassbreak_core::store::Locks).

use std::sync::Arc;

use glassbreak_core::approval::{self, Request, RequestId, State};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown;
use glassbreak_core::finding::RuleId;
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::lock::{Lock, LockSet};
use glassbreak_core::store::{
    Decide, Decided, Ended, LockView, Open, Opened, Position, Revoke, StoreErrorKind, Unasked, Unlock, Unlocked, Which,
};
use redis::Value;

use crate::engine::{Call, Engine, hex};
use crate::error::Fault;
use crate::known::Seen;
use crate::ledger::{self, behind, latest, words};
use crate::realm::Key;
use crate::reply::{self, Reply};
use crate::script::{self, Args};

/// By what a request is ended: a lock on one of these, or a word about it. As [`Which::means_request`] has it.
fn ends_request(request: &Request) -> Vec<String> {
    let rules = request.rules.iter().map(|asked| of_rule(&asked.rule));
    words(&request.path)
        .into_iter()
        .chain([of_request(&request.id)])
        .chain(rules)
        .collect()
}

/// By what a grant is ended. As [`Which::means_grant`] has it.
fn ends_grant(grant: &Grant) -> Vec<String> {
    let rules = grant.lifts.iter().map(|(rule, _)| of_rule(rule));
    let ids = [of_grant(&grant.id), of_request(&grant.request)];
    words(&grant.path).into_iter().chain(ids).chain(rules).collect()
}

// Targets are `all`, or a kind and a name: none of these is one.
fn of_request(id: &RequestId) -> String {
    format!("request {id}")
}

fn of_grant(id: &GrantId) -> String {
    format!("grant {id}")
}

fn of_rule(rule: &RuleId) -> String {
    format!("rule {rule}")
}

fn selector(which: &Which) -> String {
    match which {
        Which::Grant(id) => of_grant(id),
        Which::Request(id) => of_request(id),
        Which::Rule(rule) => of_rule(rule),
        Which::Under(target) => target.to_string(),
    }
}

/// A request as a script tells it, and the epoch at which it was last decided.
fn request(told: &mut Reply) -> Result<(Request, u64), Fault> {
    let mut request: Request = told.json()?;
    let (version, state) = (told.number::<u32>()?, told.text()?);
    request.opened_at = latest(told)?;
    request.deadline = latest(told)?;
    let (why, epoch) = (told.text()?, told.number()?);
    if state == "cancelled" && !request.state.is_final() {
        let cancelled = approval::cancel(&request, &why);
        request = cancelled.unwrap_or(request);
    }
    if request.version != version || request.state.as_str() != state {
        return Err(Fault::Damaged(format!("the request {} contradicts itself", request.id)));
    }
    Ok((request, epoch))
}

fn listed(value: Value) -> Result<Request, Fault> {
    Ok(request(&mut Reply::of(reply::list(value)?))?.0)
}

pub(crate) async fn open(engine: &Engine, open: Open) -> Result<Opened, Fault> {
    let realm = &engine.realm;
    let mut keys = realm.keys(&[
        Key::Meta,
        Key::Locks,
        Key::Requests,
        Key::RequestBodies,
        Key::Pending,
        Key::Last,
        Key::No,
    ]);
    keys.push(realm.by_agent(open.request.agent().as_str()));
    keys.push(realm.key(Key::Ends));
    let key = open.request.key();
    let question = Request {
        version: 0,
        votes: Vec::new(),
        state: State::Pending,
        ..open.request
    };
    let (id, path) = (question.id, &question.path);
    let args = Args::default()
        .bytes(id.as_bytes())
        .bytes(&key)
        .bytes(&serde_json::to_vec(&question)?)
        .number(open.lasts.as_millis())
        .number(open.caps.pending.into())
        .number(open.caps.per_hour.into())
        .signed(
            open.caps
                .cooldown
                .map_or(-1, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
        .list(words(path))
        .list(ends_request(&question));
    let call = Call {
        script: &script::OPEN,
        keys,
        at: open.at,
        args,
    };
    let (mut reply, seen) = engine.ask(&call).await?;
    let position = seen.at(seen.epoch);
    let why = match reply.word() {
        "OPENED" => return Ok(Opened::Opened(Box::new(request(&mut reply.inner()?)?.0))),
        "JOINED" => {
            let joined = Box::new(request(&mut reply.inner()?)?.0);
            // The first message had opened it, and its answer was lost.
            let own = reply.repeated && joined.id == id && joined.version == 0;
            return Ok(if own {
                Opened::Opened(joined)
            } else {
                Opened::Joined(joined)
            });
        }
        "USED" => {
            let what = format!("{id} is another request already; mint an id for each");
            return Err(Fault::answer(StoreErrorKind::Invalid, what));
        }
        "LOCKED" => Unasked::Locked(reply.json::<Lock>()?.into()),
        "AHEAD" => Unasked::Clock {
            latest: latest(&mut reply)?,
        },
        "BEHIND" => return Err(behind(&mut reply)),
        "RESTING" => Unasked::Resting {
            request: RequestId::from_bytes(reply.id()?),
            until: latest(&mut reply)?,
        },
        "PENDING" => Unasked::Pending(reply.number()?),
        "PERHOUR" => Unasked::PerHour {
            asked: reply.number()?,
            free_at: latest(&mut reply)?,
        },
        _ => return Err(reply.unknown()),
    };
    Ok(Opened::Refused { why, position })
}

/// Looks, and writes nothing.
async fn look(engine: &Engine, what: &str, id: &[u8; 16]) -> Result<(Reply, Seen), Fault> {
    let (reply, seen) = engine.ask(&looking(engine, what, id)).await?;
    match reply.word() {
        "LOOKED" => Ok((reply, seen)),
        _ => Err(reply.unknown()),
    }
}

pub(crate) fn looking(engine: &Engine, what: &str, id: &[u8; 16]) -> Call {
    let keys = [
        Key::Meta,
        Key::Locks,
        Key::Requests,
        Key::RequestBodies,
        Key::Pending,
        Key::Grants,
        Key::GrantBodies,
        Key::Live,
    ];
    Call {
        script: &script::LOOK,
        keys: engine.realm.keys(&keys),
        at: Timestamp::from_millis(0),
        args: Args::default().text(what).bytes(id),
    }
}

pub(crate) async fn find(engine: &Engine, id: RequestId) -> Result<Option<Request>, Fault> {
    let (mut reply, _) = look(engine, "request", id.as_bytes()).await?;
    Ok(reply.all(listed)?.pop())
}

pub(crate) async fn pending(engine: &Engine) -> Result<Vec<Request>, Fault> {
    let (mut reply, _) = look(engine, "pending", &[0; 16]).await?;
    reply.all(listed)
}

pub(crate) async fn earlier(engine: &Engine, asked: &Request, most: usize) -> Result<Vec<Request>, Fault> {
    let mut call = looking(engine, "earlier", asked.id.as_bytes());
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    call.args = call.args.bytes(&asked.key()).number(most.into());
    let (mut reply, _) = engine.ask(&call).await?;
    match reply.word() {
        "LOOKED" => reply.all(listed),
        _ => Err(reply.unknown()),
    }
}

pub(crate) async fn grant(engine: &Engine, id: GrantId) -> Result<Option<Grant>, Fault> {
    let (mut reply, _) = look(engine, "grant", id.as_bytes()).await?;
    Ok(reply.all(ledger::grant)?.pop())
}

pub(crate) async fn grants(engine: &Engine) -> Result<Vec<Grant>, Fault> {
    let (mut reply, _) = look(engine, "grants", &[0; 16]).await?;
    let mut grants = reply.all(ledger::grant)?;
    let now = match &*reply.text()? {
        // No time was given yet, so nothing has begun.
        "" => Timestamp::from_millis(i64::MIN),
        now => Timestamp::from_millis(reply::number(now)?),
    };
    grants.retain(|grant| grant.stands(now).is_ok());
    Ok(grants)
}

pub(crate) async fn locks(engine: &Engine) -> Result<(LockView, Position), Fault> {
    let (mut reply, seen) = look(engine, "locks", &[0; 16]).await?;
    let (changed, _) = (reply.number()?, reply.number::<u64>()?);
    let mut set = LockSet::default();
    for lock in reply.all(reply::bytes)? {
        set.insert(serde_json::from_slice::<Lock>(&lock)?);
    }
    let locks = Arc::new(set);
    engine.known.saw_locks(Arc::clone(&locks));
    let position = seen.at(seen.epoch);
    Ok((LockView { position, locks }, seen.at(changed)))
}

pub(crate) async fn decide(engine: &Engine, decide: Decide) -> Result<Decided, Fault> {
    let id = decide.next.id;
    let (mut looked, _) = look(engine, "request", id.as_bytes()).await?;
    let Some(current) = looked.all(listed)?.pop() else {
        return Ok(Decided::Unknown);
    };
    if current.state.is_final() || current.version != decide.expected {
        return Ok(Decided::Conflict(Box::new(current)));
    }
    let fault = |error: glassbreak_core::store::StoreError| Fault::answer(error.kind(), error.to_string());
    decide.check(&current).map_err(fault)?;
    // Whether it is in time is core's to say; the script only knows on which side of the deadline it comes.
    let before = Timestamp::from_millis(current.deadline.as_millis().saturating_sub(1));
    let (before, after) = (decide.is_timely(before), decide.is_timely(current.deadline));
    let next = &decide.next;
    let realm = &engine.realm;
    let mut keys = realm.keys(&[
        Key::Meta,
        Key::Locks,
        Key::Requests,
        Key::RequestBodies,
        Key::Pending,
        Key::No,
        Key::Grants,
        Key::GrantBodies,
        Key::Live,
    ]);
    keys.push(realm.of_caller(&next.path));
    keys.push(realm.key(Key::Ends));
    let by_person = matches!(next.state, State::Denied { by: Some(_), .. });
    let mut args = Args::default()
        .bytes(id.as_bytes())
        .number(decide.expected.into())
        .flag(before)
        .flag(after)
        .text(next.state.as_str())
        .flag(by_person)
        .number(next.version.into())
        .bytes(&serde_json::to_vec(next)?)
        .signed(next.deadline.as_millis());
    args = match &decide.grant {
        Some(grant) => args
            .bytes(grant.id.as_bytes())
            .bytes(&serde_json::to_vec(grant)?)
            .number(grant.max_uses.into())
            .signed(grant.not_before.as_millis())
            .signed(grant.expires_at.as_millis()),
        None => args.text("").text("").number(0).number(0).number(0),
    };
    let selectors = decide.grant.as_ref().map(ends_grant).unwrap_or_default();
    let call = Call {
        script: &script::DECIDE,
        keys,
        at: decide.at,
        args: args.list(words(&next.path)).list(selectors),
    };
    let (mut reply, seen) = engine.ask(&call).await?;
    Ok(match reply.word() {
        "UNKNOWN" => Decided::Unknown,
        "CONFLICT" => {
            let (found, epoch) = request(&mut reply.inner()?)?;
            // The first message had decided it, and its answer was lost. Votes, grants and their ids are nobody else's.
            if reply.repeated && found == decide.next {
                let position = seen.at(epoch);
                return Ok(Decided::Done { position });
            }
            Decided::Conflict(Box::new(found))
        }
        "USED" => {
            let what = "there is a grant of this id already; mint an id for each";
            return Err(Fault::answer(StoreErrorKind::Invalid, what));
        }
        "AHEAD" => Decided::Clock {
            latest: latest(&mut reply)?,
        },
        "BEHIND" => return Err(behind(&mut reply)),
        "UNTIMELY" => Decided::Untimely {
            now: latest(&mut reply)?,
        },
        "LOCKED" => Decided::Locked(reply.json::<Lock>()?.into()),
        "DONE" => Decided::Done {
            position: seen.at(reply.number()?),
        },
        _ => return Err(reply.unknown()),
    })
}

/// Ends all that a word selects, and puts a lock in force in the same step.
async fn end(
    engine: &Engine,
    word: &str,
    by: &str,
    why: &str,
    lock: Option<&Lock>,
    at: Timestamp,
) -> Result<Ended, Fault> {
    let keys = [
        Key::Meta,
        Key::Locks,
        Key::Requests,
        Key::Pending,
        Key::Grants,
        Key::Live,
        Key::Ends,
    ];
    let lock = lock.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let call = Call {
        script: &script::END,
        keys: engine.realm.keys(&keys),
        at,
        args: Args::default().text(word).text(by).text(why).bytes(&lock),
    };
    let (mut reply, seen) = engine.ask(&call).await?;
    match reply.word() {
        "STANDS" => Ok(Ended {
            grants: Vec::new(),
            requests: Vec::new(),
            position: seen.at(seen.epoch),
        }),
        "ENDED" => {
            let position = seen.at(reply.number()?);
            let id = |value| reply::id(reply::bytes(value)?);
            let grants = reply.all(id)?.into_iter().map(GrantId::from_bytes).collect();
            let requests = reply.all(id)?.into_iter().map(RequestId::from_bytes).collect();
            Ok(Ended {
                grants,
                requests,
                position,
            })
        }
        _ => Err(reply.unknown()),
    }
}

pub(crate) async fn revoke(engine: &Engine, revoke: &Revoke) -> Result<Ended, Fault> {
    let why = format!("revoked by {}: {}", revoke.by, shown(revoke.reason.as_str()));
    end(
        engine,
        &selector(&revoke.which),
        revoke.by.as_str(),
        &why,
        None,
        revoke.at,
    )
    .await
}

pub(crate) async fn lock(engine: &Engine, lock: &Lock) -> Result<Ended, Fault> {
    let why = format!("{} was locked by {}", lock.target, lock.by);
    end(
        engine,
        &lock.target.to_string(),
        lock.by.as_str(),
        &why,
        Some(lock),
        lock.at,
    )
    .await
}

pub(crate) async fn unlock(engine: &Engine, unlock: &Unlock) -> Result<Unlocked, Fault> {
    let call = Call {
        script: &script::UNLOCK,
        keys: engine.realm.keys(&[Key::Meta, Key::Locks]),
        at: Timestamp::from_millis(0),
        args: Args::default()
            .text(&unlock.target.to_string())
            .text(&hex(&unlock.seen.generation))
            .number(unlock.seen.epoch),
    };
    let (mut reply, seen) = engine.ask(&call).await?;
    let position = seen.at(seen.epoch);
    Ok(match reply.word() {
        "NOTLOCKED" => Unlocked::NotLocked { position },
        "NEWER" => {
            let lock = reply.json::<Lock>()?.into();
            Unlocked::Newer { lock, position }
        }
        "LIFTED" => {
            let position = seen.at(reply.number()?);
            let lock = reply.json::<Lock>()?.into();
            Unlocked::Lifted { lock, position }
        }
        _ => return Err(reply.unknown()),
    })
}
