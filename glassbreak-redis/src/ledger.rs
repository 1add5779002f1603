//! Reservations: to the letter of [`Ledger`](glassbreak_core::store::Ledger).

use glassbreak_core::budget::{Period, Window};
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::grant::{Grant, Mismatch, Revoked};
use glassbreak_core::lock::{Lock, LockPath};
use glassbreak_core::store::{
    Claim, Claimed, Demand, Fate, Held, Outcome, Over, Reserve, Reserved, Settle, Settled, StoreErrorKind,
};
use redis::Value;

use crate::engine::{Call, Engine};
use crate::error::Fault;
use crate::kept::Kept;
use crate::realm::{Key, group_of};
use crate::reply::{self, Reply};
use crate::script::{self, Args, MOST};

/// No op may be forgotten sooner.
const KEPT: Span = Span::from_millis(86_400_000);
/// How often a claim looks again at a grant that others use at the same time.
const LOOKS: u32 = 8;

/// What a lock may name of a path, the widest first.
pub(crate) fn words(path: &LockPath) -> Vec<String> {
    path.targets().map(|target| target.to_string()).collect()
}

/// A clock that is not believed, by what the answer says.
pub(crate) fn latest(reply: &mut Reply) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(reply.number()?))
}

/// The refusal where a clock is behind the server's.
pub(crate) fn behind(reply: &mut Reply) -> Fault {
    let server = reply
        .number::<i64>()
        .map_or_else(|_| "later".to_owned(), |at| Timestamp::from_millis(at).to_string());
    let what =
        format!("the clocks differ by more than five seconds: for the Redis server it is {server}; set them right");
    Fault::Answer(StoreErrorKind::Unavailable, what)
}

/// How a window is written.
fn window(window: Window) -> (&'static str, u64, u64) {
    const HOUR: u64 = 3_600_000;
    match window {
        Window::Sliding(span) => ("S", span.as_millis(), 0),
        Window::Buckets { span, size } => ("B", span.as_millis(), size.as_millis().max(1)),
        Window::Calendar(Period::Hour) => ("C", HOUR, 0),
        Window::Calendar(Period::Day) => ("C", 24 * HOUR, 0),
        // Weeks begin on Mondays, and 1970 on a Thursday.
        Window::Calendar(Period::Week) => ("C", 7 * 24 * HOUR, 4 * 24 * HOUR),
        Window::Lifetime => ("L", 0, 0),
    }
}

/// The groups that demands count in, each once, and which of them each demand is in.
fn groups(demands: &[Demand]) -> (Vec<String>, Vec<usize>) {
    let mut names: Vec<String> = Vec::new();
    let mut places = Vec::with_capacity(demands.len());
    for demand in demands {
        let name = group_of(&demand.rule, &demand.scope);
        let found = names.iter().position(|known| *known == name);
        places.push(found.unwrap_or(names.len()));
        if found.is_none() {
            names.push(name);
        }
    }
    (names, places)
}

fn amount(amount: u64) -> Result<u64, Fault> {
    // More than any ceiling, and more than a script can add up.
    let fits = (amount <= MOST).then_some(amount);
    fits.ok_or_else(|| Fault::answer(StoreErrorKind::Invalid, format!("an amount of {amount}")))
}

pub(crate) async fn reserve(engine: &Engine, kept: &Kept, reserve: Reserve) -> Result<Reserved, Fault> {
    if reserve.demands.len() > Reserve::MAX_DEMANDS {
        let (many, most) = (reserve.demands.len(), Reserve::MAX_DEMANDS);
        let what = format!("{many} demands, and at most {most} fit");
        return Err(Fault::answer(StoreErrorKind::Invalid, what));
    }
    let windows = reserve.demands.iter().filter_map(|demand| demand.window.longest());
    let longest = windows.fold(KEPT.max(reserve.lease), Span::max);
    let (names, places) = groups(&reserve.demands);
    let realm = &engine.realm;
    let mut keys = realm.keys(&[Key::Meta, Key::Locks, Key::Ops, Key::Due]);
    keys.push(realm.of_caller(&reserve.path));
    keys.extend(realm.keys(&[Key::Grants, Key::GrantBodies, Key::Groups]));
    keys.extend(names.iter().flat_map(|name| realm.group(name)));
    let mut args = Args::default()
        .bytes(reserve.op.as_bytes())
        .bytes(reserve.attempt.as_bytes())
        .bytes(reserve.digest.as_bytes())
        .signed(reserve.op.minted_at().as_millis())
        .number(reserve.lease.as_millis())
        .number(longest.as_millis())
        .list(words(&reserve.path))
        .list(&names)
        .number(u64::try_from(reserve.demands.len()).unwrap_or(MOST));
    for (demand, place) in reserve.demands.iter().zip(places) {
        let (kind, first, second) = window(demand.window);
        args = args
            .number(u64::try_from(place.saturating_add(1)).unwrap_or(MOST))
            .bytes(demand.key.as_ref().map_or(&[], |key| key))
            .text(kind)
            .number(first)
            .number(second)
            .number(amount(demand.amount)?)
            .number(demand.ceiling);
    }
    let call = Call {
        script: &script::RESERVE,
        keys,
        at: reserve.at,
        args,
    };
    let (mut reply, seen) = engine.ask(&call).await?;
    let position = seen.at(seen.epoch);
    Ok(match reply.word() {
        "LOCKED" => {
            let lock = reply.json::<Lock>()?.into();
            Reserved::Locked { lock, position }
        }
        "AHEAD" => {
            let latest = latest(&mut reply)?;
            Reserved::Clock { latest, position }
        }
        "BEHIND" => return Err(behind(&mut reply)),
        "MISMATCH" => Reserved::Mismatch { position },
        "TAKEN" => {
            let fate = fate(&reply.text()?)?;
            Reserved::Taken { fate, position }
        }
        "OVER" => {
            let (demand, count) = (reply.number()?, reply.number()?);
            let (free_at, now) = (reply.text()?, latest(&mut reply)?);
            let free_at = match &*free_at {
                "" => None,
                at => Some(Timestamp::from_millis(reply::number(at)?)),
            };
            Reserved::Over(Over {
                demand,
                count,
                free_at,
                now,
                position,
            })
        }
        "HELD" => {
            let epoch = reply.number()?;
            let now = latest(&mut reply)?;
            let counts = reply.all(|count| reply::number(&reply::text(count)?))?;
            let grants = reply.all(grant)?;
            kept.reserved(reserve.op, names);
            let mine = |grant: &Grant| grant.path.same_caller(&reserve.path) && grant.stands(now).is_ok();
            let grants: Vec<Grant> = grants.into_iter().filter(mine).collect();
            kept.saw(&grants);
            Reserved::Held(Held {
                counts: counts.into(),
                grants,
                position: seen.at(epoch),
                now,
                deadline: now.after(reserve.lease),
            })
        }
        _ => return Err(reply.unknown()),
    })
}

fn outcome(word: &str) -> Option<Outcome> {
    let all = [Outcome::Done, Outcome::Failed, Outcome::NotRun, Outcome::Asked];
    all.into_iter().find(|outcome| outcome.as_str() == word)
}

fn fate(word: &str) -> Result<Fate, Fault> {
    match word {
        "HELD" => Ok(Fate::Held),
        "PRESUMED" => Ok(Fate::PresumedSpent),
        "FORGOTTEN" => Ok(Fate::Forgotten),
        word => match outcome(word) {
            Some(outcome) => Ok(Fate::Settled(outcome)),
            None => Err(Fault::Damaged(format!("an op ended as {word:?}"))),
        },
    }
}

/// A grant as a script tells it.
pub(crate) fn grant(value: Value) -> Result<Grant, Fault> {
    let mut told = Reply::of(reply::list(value)?);
    read_grant(&mut told)
}

fn read_grant(told: &mut Reply) -> Result<Grant, Fault> {
    let mut grant: Grant = told.json()?;
    grant.uses = told.number()?;
    let (by, at) = (told.text()?, latest(told)?);
    if !by.is_empty() {
        let by = glassbreak_core::call::Word::new(&by).map_err(|error| Fault::Damaged(error.to_string()))?;
        grant.revoked = Some(Revoked { by, at });
    }
    Ok(grant)
}

pub(crate) async fn settle(engine: &Engine, kept: &Kept, settle: Settle) -> Result<Settled, Fault> {
    let mut said = Vec::with_capacity(settle.actual.len());
    for actual in &settle.actual {
        if !said.iter().any(|(place, _)| *place == actual.demand) {
            said.push((actual.demand, amount(actual.amount)?));
        }
    }
    let refunds = settle.outcome.refunds();
    if refunds {
        said.clear();
    }
    let mut names = kept.groups(&settle.op);
    for _ in 0..2 {
        let mut keys = engine.realm.keys(&[Key::Meta, Key::Ops]);
        keys.extend(names.iter().flat_map(|name| engine.realm.group(name)));
        let mut args = Args::default()
            .bytes(settle.op.as_bytes())
            .bytes(settle.attempt.as_bytes())
            .text(settle.outcome.as_str())
            .flag(refunds)
            .list(&names)
            .number(u64::try_from(said.len()).unwrap_or(MOST));
        for (place, amount) in &said {
            args = args.number(u64::try_from(*place).unwrap_or(MOST)).number(*amount);
        }
        let call = Call {
            script: &script::SETTLE,
            keys,
            at: settle.at,
            args,
        };
        let (mut reply, seen) = engine.ask(&call).await?;
        match reply.word() {
            "UNKNOWN" => {
                let what = format!("no reservation of {} is kept", settle.op);
                return Err(Fault::answer(StoreErrorKind::UnknownOp, what));
            }
            "STRANGER" => {
                let what = format!("{} was reserved by another attempt", settle.op);
                return Err(Fault::answer(StoreErrorKind::NotHolder, what));
            }
            // It was reserved through another handle.
            "GROUPS" => {
                names = reply.all(reply::text)?;
                names.sort_unstable();
                names.dedup();
            }
            "SETTLED" => {
                kept.settled(&settle.op);
                let word = reply.text()?;
                let odd = || Fault::Damaged(format!("an op ended as {word:?}"));
                return Ok(Settled {
                    outcome: outcome(&word).ok_or_else(odd)?,
                    late: reply.flag()?,
                    refunded: reply.flag()?,
                    position: seen.at(reply.number()?),
                });
            }
            _ => return Err(reply.unknown()),
        }
    }
    Err(Fault::Damaged("an op counts in other places each time".to_owned()))
}

pub(crate) async fn claim(engine: &Engine, kept: &Kept, claim: &Claim) -> Result<Claimed, Fault> {
    // What a grant covers is judged here; the script sees that nothing has changed that it was judged by. All that can
    // change is whether it stands, so a grant that was seen once is judged without asking for it.
    let mut judged = kept
        .grant(&claim.grant)
        .is_some_and(|grant| covers_standing(&grant, claim));
    for _ in 0..LOOKS {
        let keys = [Key::Meta, Key::Locks, Key::Ops, Key::Grants, Key::GrantBodies];
        let args = Args::default()
            .bytes(claim.op.as_bytes())
            .bytes(claim.attempt.as_bytes())
            .bytes(claim.grant.as_bytes())
            .bytes(claim.call.digest.as_bytes())
            .flag(judged)
            .list(words(&claim.call.path));
        let call = Call {
            script: &script::CLAIM,
            keys: engine.realm.keys(&keys),
            at: claim.at,
            args,
        };
        let (mut reply, seen) = engine.ask(&call).await?;
        return Ok(match reply.word() {
            "LOCKED" => Claimed::Locked(reply.json::<Lock>()?.into()),
            "AHEAD" => Claimed::Clock {
                latest: latest(&mut reply)?,
            },
            "BEHIND" => return Err(behind(&mut reply)),
            "NOTHELD" => Claimed::NotHeld(fate(&reply.text()?)?),
            "OTHERCALL" => Claimed::Refused(Mismatch::OtherCall),
            "USEDUP" => Claimed::Refused(Mismatch::UsedUp),
            "NOGRANT" => Claimed::Refused(Mismatch::Unknown),
            "LOST" => {
                return Err(Fault::Damaged(format!(
                    "the grant {} that was used is gone",
                    claim.grant
                )));
            }
            "USED" => {
                let (epoch, uses) = (reply.number()?, reply.number()?);
                let mut grant: Grant = reply.json()?;
                grant.uses = uses;
                Claimed::Used {
                    grant: Box::new(grant),
                    position: seen.at(epoch),
                }
            }
            "LOOK" => {
                let now = latest(&mut reply)?;
                let grant = read_grant(&mut reply.inner()?)?;
                if let Err(why) = grant.covers(&claim.call, now) {
                    return Ok(Claimed::Refused(why));
                }
                judged = true;
                continue;
            }
            _ => return Err(reply.unknown()),
        });
    }
    // Each time it stood when it was looked at and not when it was to be used.
    Err(Fault::Answer(
        StoreErrorKind::Unavailable,
        "the grant changed again and again".to_owned(),
    ))
}

/// Whether a grant that stands would cover the call: all that is left to see is whether it does.
fn covers_standing(grant: &Grant, claim: &Claim) -> bool {
    let standing = Grant {
        uses: 0,
        revoked: None,
        ..grant.clone()
    };
    standing.covers(&claim.call, grant.not_before).is_ok()
}
