//! Reservations: to the letter of [`Ledger`](glassbreak_core::store::Ledger).

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::grant::{Grant, Mismatch};
use glassbreak_core::store::{
    Attempt, Claim, Claimed, Fate, Held, OpId, Outcome, Over, Reserve, Reserved, Settle, Settled, StoreErrorKind,
};
use rusqlite::{Connection, params};

use crate::books::{Books, KEPT};
use crate::counts::{self, Charge, Count};
use crate::error::Fault;
use crate::grants;
use crate::meta::Meta;
use crate::time::Reading;

/// An op that was reserved.
#[derive(Debug)]
struct Row {
    attempt: [u8; 16],
    digest: [u8; 32],
    at: Timestamp,
    deadline: Timestamp,
    epoch: i64,
    counts: Box<[u64]>,
    /// By demand; none where all was given back.
    charges: Vec<Charge>,
    settled: Option<Past>,
    spent: Option<(Box<Grant>, i64)>,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
struct Past {
    outcome: Outcome,
    late: bool,
    refunded: bool,
    epoch: i64,
}

impl Row {
    fn find(db: &Connection, op: &OpId) -> Result<Option<Self>, Fault> {
        let mut find = db.prepare_cached(
            "SELECT attempt, digest, at, deadline, epoch, counts, outcome, late, refunded, settled, spent, spent_epoch,
             charges FROM ops WHERE id = ?",
        )?;
        let mut rows = find.query([op.as_bytes()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let settled = match row.get::<_, Option<String>>(6)? {
            None => None,
            Some(word) => Some(Past {
                outcome: outcome_of(&word)?,
                late: row.get(7)?,
                refunded: row.get(8)?,
                epoch: row.get(9)?,
            }),
        };
        let spent = match row.get::<_, Option<String>>(10)? {
            None => None,
            Some(grant) => Some((serde_json::from_str(&grant)?, row.get(11)?)),
        };
        Ok(Some(Self {
            attempt: row.get(0)?,
            digest: row.get(1)?,
            at: Timestamp::from_millis(row.get(2)?),
            deadline: Timestamp::from_millis(row.get(3)?),
            epoch: row.get(4)?,
            counts: serde_json::from_str(row.get_ref(5)?.as_str()?)?,
            charges: Charge::read(row.get_ref(12)?.as_str()?)?,
            settled,
            spent,
        }))
    }

    fn is_of(&self, attempt: Attempt) -> bool {
        self.attempt == *attempt.as_bytes()
    }

    fn is_late(&self, now: Timestamp) -> bool {
        now > self.deadline
    }

    /// Whether it ended with people being asked, so that another attempt may go on with it. One that spent a grant does
    /// not: the next attempt could spend another.
    fn goes_on(&self, attempt: Attempt) -> bool {
        let asked = self
            .settled
            .is_some_and(|past| past.outcome == Outcome::Asked && !past.late);
        asked && self.spent.is_none() && !self.is_of(attempt)
    }

    fn fate(&self, now: Timestamp) -> Fate {
        match &self.settled {
            Some(past) => Fate::Settled(past.outcome),
            None if self.is_late(now) => Fate::PresumedSpent,
            None => Fate::Held,
        }
    }
}

impl Past {
    fn told(self, meta: &Meta) -> Settled {
        Settled {
            outcome: self.outcome,
            late: self.late,
            refunded: self.refunded,
            position: meta.at(self.epoch),
        }
    }
}

fn outcome_of(word: &str) -> Result<Outcome, Fault> {
    let all = [Outcome::Done, Outcome::Failed, Outcome::NotRun, Outcome::Asked];
    let found = all.into_iter().find(|outcome| outcome.as_str() == word);
    found.ok_or_else(|| Fault::Damaged(format!("an op has the outcome {word:?}")))
}

pub(crate) fn reserve(books: &mut Books<'_>, reserve: &Reserve) -> Result<Reserved, Fault> {
    if reserve.demands.len() > Reserve::MAX_DEMANDS {
        let (many, most) = (reserve.demands.len(), Reserve::MAX_DEMANDS);
        let what = format!("{many} demands, and at most {most} fit");
        return Err(Fault::answer(StoreErrorKind::Invalid, what));
    }
    if let Some(lock) = books.locks()?.find(&reserve.path) {
        let (lock, position) = (lock.clone(), books.position());
        return Ok(Reserved::Locked { lock, position });
    }
    let now = match books.read(reserve.at) {
        Reading::Now(now) => now,
        Reading::Not { latest } => {
            let position = books.position();
            return Ok(Reserved::Clock { latest, position });
        }
    };
    if let Some(answer) = known(books, reserve, now)? {
        return Ok(answer);
    }
    let mut counted = Vec::with_capacity(reserve.demands.len());
    let mut charges = Vec::with_capacity(reserve.demands.len());
    for (place, demand) in reserve.demands.iter().enumerate() {
        match counts::count(books.db, demand, &reserve.op, &charges, now)? {
            Count::Fits(count) => counted.push(count),
            Count::Over { count, free_at } => {
                counts::give_back(books.db, &reserve.op, &charges)?;
                return Ok(Reserved::Over(Over {
                    demand: place,
                    count,
                    free_at,
                    now,
                    position: books.position(),
                }));
            }
        }
        // The next one counts after this one.
        charges.push(counts::charge(books.db, demand, &reserve.op, place, now)?);
    }
    let grants = grants::standing(books.db, Some(&reserve.path), now)?;
    let position = books.moved();
    let deadline = now.after(reserve.lease);
    let windows = reserve.demands.iter().filter_map(|demand| demand.window.longest());
    let due = now.after(windows.fold(Span::from_millis(KEPT).max(reserve.lease), Span::max));
    let mut insert = books.db.prepare_cached(
        "INSERT INTO ops (id, attempt, digest, at, deadline, due, epoch, counts, charges)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET attempt = excluded.attempt, at = excluded.at, deadline = excluded.deadline,
         due = excluded.due, epoch = excluded.epoch, counts = excluded.counts, charges = excluded.charges,
         outcome = NULL, late = NULL, refunded = NULL, settled = NULL, spent = NULL, spent_epoch = NULL",
    )?;
    insert.execute(params![
        reserve.op.as_bytes(),
        reserve.attempt.as_bytes(),
        reserve.digest.as_bytes(),
        now.as_millis(),
        deadline.as_millis(),
        due.as_millis(),
        books.meta.epoch,
        serde_json::to_string(&counted)?,
        Charge::text(&charges)?,
    ])?;
    Ok(Reserved::Held(Held {
        counts: counted.into(),
        grants,
        position,
        now,
        deadline,
    }))
}

/// The answer for an op that was reserved before, or might have been.
fn known(books: &mut Books<'_>, reserve: &Reserve, now: Timestamp) -> Result<Option<Reserved>, Fault> {
    let position = books.position();
    let Some(row) = Row::find(books.db, &reserve.op)? else {
        let minted = reserve.op.minted_at().as_millis();
        let fate = Fate::Forgotten;
        let may_be_forgotten = books.meta.forgotten.is_some_and(|latest| minted <= latest);
        return Ok(may_be_forgotten.then_some(Reserved::Taken { fate, position }));
    };
    if row.digest != *reserve.digest.as_bytes() {
        return Ok(Some(Reserved::Mismatch { position }));
    }
    if row.goes_on(reserve.attempt) {
        return Ok(None);
    }
    let fate = row.fate(now);
    if fate != Fate::Held || !row.is_of(reserve.attempt) {
        return Ok(Some(Reserved::Taken { fate, position }));
    }
    Ok(Some(Reserved::Held(Held {
        counts: row.counts,
        grants: grants::standing(books.db, Some(&reserve.path), now)?,
        position: books.meta.at(row.epoch),
        now: row.at,
        deadline: row.deadline,
    })))
}

pub(crate) fn settle(books: &mut Books<'_>, settle: &Settle) -> Result<Settled, Fault> {
    let op = &settle.op;
    let Some(mut row) = Row::find(books.db, op)? else {
        let what = format!("no reservation of {op} is kept");
        return Err(Fault::answer(StoreErrorKind::UnknownOp, what));
    };
    if !row.is_of(settle.attempt) {
        let what = format!("{op} was reserved by another attempt");
        return Err(Fault::answer(StoreErrorKind::NotHolder, what));
    }
    if let Some(past) = row.settled {
        return Ok(past.told(&books.meta));
    }
    let late = match books.read(settle.at) {
        Reading::Now(now) => row.is_late(now),
        Reading::Not { .. } => true,
    };
    let refunded = settle.outcome.refunds() && !late;
    if refunded {
        counts::give_back(books.db, op, &row.charges)?;
        row.charges.clear();
    } else if !settle.outcome.refunds() {
        counts::correct(books.db, op, &mut row.charges, &settle.actual, late)?;
    }
    books.moved();
    let past = Past {
        outcome: settle.outcome,
        late,
        refunded,
        epoch: books.meta.epoch,
    };
    let mut update = books.db.prepare_cached(
        "UPDATE ops SET outcome = ?, late = ?, refunded = ?, settled = ?, charges = ? WHERE id = ? AND outcome IS NULL",
    )?;
    update.execute(params![
        past.outcome.as_str(),
        late,
        refunded,
        past.epoch,
        Charge::text(&row.charges)?,
        op.as_bytes()
    ])?;
    Ok(past.told(&books.meta))
}

pub(crate) fn claim(books: &mut Books<'_>, claim: &Claim) -> Result<Claimed, Fault> {
    if let Some(lock) = books.locks()?.find(&claim.call.path) {
        return Ok(Claimed::Locked(lock.clone()));
    }
    let now = match books.read(claim.at) {
        Reading::Now(now) => now,
        Reading::Not { latest } => return Ok(Claimed::Clock { latest }),
    };
    let Some(row) = Row::find(books.db, &claim.op)? else {
        return Ok(Claimed::NotHeld(Fate::Forgotten));
    };
    let fate = row.fate(now);
    if fate != Fate::Held || !row.is_of(claim.attempt) {
        return Ok(Claimed::NotHeld(fate));
    }
    if row.digest != *claim.call.digest.as_bytes() {
        return Ok(Claimed::Refused(Mismatch::OtherCall));
    }
    match row.spent {
        Some((grant, epoch)) if grant.id == claim.grant => {
            let position = books.meta.at(epoch);
            return Ok(Claimed::Used { grant, position });
        }
        Some(_) => return Ok(Claimed::Refused(Mismatch::UsedUp)),
        None => {}
    }
    let Some(mut grant) = grants::find(books.db, &claim.grant)? else {
        return Ok(Claimed::Refused(Mismatch::Unknown));
    };
    if let Err(why) = grant.covers(&claim.call, now) {
        return Ok(Claimed::Refused(why));
    }
    grant.uses = grant.uses.saturating_add(1);
    grants::update(books.db, &grant)?;
    let position = books.moved();
    let mut update = books
        .db
        .prepare_cached("UPDATE ops SET spent = ?, spent_epoch = ? WHERE id = ?")?;
    update.execute(params![
        serde_json::to_string(&grant)?,
        books.meta.epoch,
        claim.op.as_bytes()
    ])?;
    let grant = Box::new(grant);
    Ok(Claimed::Used { grant, position })
}
