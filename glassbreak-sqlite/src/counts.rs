//! How much counts under a demand.
//!
//! Under a sliding window every charge is a row of `charges`, and at most as many as the ceiling count. Under the other
//! windows calls of one step share a row of `totals`, so that the work is the same however many there were. Both are
//! always added up: a rule may have changed its window. What an op counts, and so may get back, stands with the op.

use std::borrow::Cow;
use std::sync::Arc;

use glassbreak_core::budget::Window;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::{Actual, Demand, OpId, StoreErrorKind};
use rusqlite::{Connection, params};

use crate::error::Fault;

/// What a key that was not known is kept as: it counts under every key.
const UNKNOWN: &[u8] = b"";

/// What one demand of an op counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    rule: Arc<str>,
    scope: [u8; 16],
    /// None where it was not known.
    key: Option<[u8; 16]>,
    /// What it is kept at.
    at: i64,
    amount: i64,
    /// Whether it is a part of a sum.
    totalled: bool,
}

/// A charge as the database holds it.
type Kept<'a> = (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>, i64, i64, i64);

impl Charge {
    fn key(&self) -> &[u8] {
        self.key.as_ref().map_or(UNKNOWN, |key| key)
    }

    /// All charges of an op as one text.
    pub(crate) fn text(charges: &[Self]) -> Result<String, Fault> {
        let hex = |bytes: &[u8; 16]| uuid::Uuid::from_bytes(*bytes).as_simple().to_string().into();
        let kept = charges.iter().map(|charge| -> Kept<'_> {
            let key = charge.key.as_ref().map_or_else(|| "".into(), hex);
            let totalled = i64::from(charge.totalled);
            (
                (&*charge.rule).into(),
                hex(&charge.scope),
                key,
                charge.at,
                charge.amount,
                totalled,
            )
        });
        Ok(serde_json::to_string(&kept.collect::<Vec<_>>())?)
    }

    /// What [`text`](Self::text) wrote.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, Fault> {
        let damaged = |hex: &str| Fault::Damaged(format!("a charge counts under {hex:?}"));
        let bytes = |hex: &str| match uuid::Uuid::try_parse(hex) {
            Ok(bytes) => Ok(bytes.into_bytes()),
            Err(_) => Err(damaged(hex)),
        };
        let kept: Vec<Kept<'_>> = serde_json::from_str(text)?;
        let charges = kept.into_iter().map(|(rule, scope, key, at, amount, totalled)| {
            Ok(Self {
                rule: rule.into(),
                scope: bytes(&scope)?,
                key: (!key.is_empty()).then(|| bytes(&key)).transpose()?,
                at,
                amount,
                totalled: totalled != 0,
            })
        });
        charges.collect()
    }
}

/// What a demand comes to.
#[derive(Debug)]
pub(crate) enum Count {
    /// It fits, and comes to this.
    Fits(u64),
    /// It is past its ceiling.
    Over { count: u64, free_at: Option<Timestamp> },
}

/// Counts one demand of an op, of which these are charged already.
pub(crate) fn count(
    db: &Connection,
    demand: &Demand,
    op: &OpId,
    charged: &[Charge],
    now: Timestamp,
) -> Result<Count, Fault> {
    let from = demand.window.begin(now).as_millis();
    let keys = match &demand.key {
        Some(key) => vec![(key.to_vec(), of_key(db, demand, key, from)?)],
        None => every_key(db, demand, from)?,
    };
    let most = keys.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let fullest = most.saturating_add(demand.amount);
    if fullest <= demand.ceiling {
        return Ok(Count::Fits(fullest));
    }
    // Enough must have left under each key that is too full.
    let mut free_at = Some(now);
    for (key, count) in keys {
        let leaving = count.saturating_add(demand.amount).saturating_sub(demand.ceiling);
        if leaving > 0 {
            let free = frees(db, demand, (op, charged), &key, from, leaving)?;
            free_at = free_at.zip(free).map(|(one, other)| one.max(other));
        }
    }
    Ok(Count::Over {
        count: fullest,
        free_at,
    })
}

/// How much counts under a key, and under all that were not known.
fn of_key(db: &Connection, demand: &Demand, key: &[u8], from: i64) -> Result<u64, Fault> {
    // Four sums, and not two over `key IN (...)`: for a list SQLite makes a table, and throws it away again.
    let mut count = db.prepare_cached(
        "SELECT (SELECT coalesce(sum(amount), 0) FROM charges
                 WHERE rule = ?1 AND scope = ?2 AND key = ?3 AND at >= ?4)
              + (SELECT coalesce(sum(amount), 0) FROM charges
                 WHERE rule = ?1 AND scope = ?2 AND key = x'' AND at >= ?4)
              + (SELECT coalesce(sum(amount), 0) FROM totals
                 WHERE rule = ?1 AND scope = ?2 AND key = ?3 AND at >= ?4)
              + (SELECT coalesce(sum(amount), 0) FROM totals
                 WHERE rule = ?1 AND scope = ?2 AND key = x'' AND at >= ?4)",
    )?;
    let count = count.query_row(params![&*demand.rule, demand.scope, key, from], |row| row.get(0))?;
    whole(count)
}

/// How much counts under each key of a rule and scope; under a key that nobody has used, where there is none.
fn every_key(db: &Connection, demand: &Demand, from: i64) -> Result<Vec<(Vec<u8>, u64)>, Fault> {
    let mut count = db.prepare_cached(
        "SELECT key, sum(amount) FROM (
             SELECT key, amount FROM charges WHERE rule = ?1 AND scope = ?2 AND at >= ?3
             UNION ALL SELECT key, amount FROM totals WHERE rule = ?1 AND scope = ?2 AND at >= ?3
         ) GROUP BY key ORDER BY key",
    )?;
    let rows = count.query_map(params![&*demand.rule, demand.scope, from], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut keys: Vec<(Vec<u8>, u64)> = Vec::new();
    for row in rows {
        let (key, count) = row?;
        keys.push((key, whole(count)?));
    }
    let unknown = match keys.first() {
        Some((key, count)) if key.is_empty() => *count,
        _ => 0,
    };
    keys.retain(|(key, _)| !key.is_empty());
    keys.iter_mut()
        .for_each(|(_, count)| *count = count.saturating_add(unknown));
    if keys.is_empty() {
        keys.push((UNKNOWN.to_vec(), unknown));
    }
    Ok(keys)
}

/// When so much under a key has left the window, an op's own charges left out.
fn frees(
    db: &Connection,
    demand: &Demand,
    (op, charged): (&OpId, &[Charge]),
    key: &[u8],
    from: i64,
    leaving: u64,
) -> Result<Option<Timestamp>, Fault> {
    let mut times = db.prepare_cached(
        "SELECT at, amount, key, 0 FROM charges
         WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4 AND op <> ?5
         UNION ALL SELECT at, amount, key, 1 FROM totals
         WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4
         ORDER BY at",
    )?;
    let mut rows = times.query(params![&*demand.rule, demand.scope, key, from, op.as_bytes()])?;
    let mut left = 0_u64;
    while let Some(row) = rows.next()? {
        let (at, amount, totalled): (i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let key = row.get_ref(2)?.as_blob()?;
        let own = charged.iter().filter(|charge| {
            totalled
                && charge.totalled
                && (&*charge.rule, charge.scope, charge.key(), charge.at) == (&*demand.rule, demand.scope, key, at)
        });
        let own = own.map(|charge| charge.amount).sum::<i64>();
        left = left.saturating_add(whole(amount.saturating_sub(own))?);
        if left >= leaving {
            return Ok(demand.window.leaves(Timestamp::from_millis(at)));
        }
    }
    Ok(None)
}

/// Counts one, which is the demand at `place`.
pub(crate) fn charge(
    db: &Connection,
    demand: &Demand,
    op: &OpId,
    place: usize,
    now: Timestamp,
) -> Result<Charge, Fault> {
    let at = demand.window.stamp(now);
    let charge = Charge {
        rule: Arc::clone(&demand.rule),
        scope: demand.scope,
        key: demand.key,
        at: at.as_millis(),
        amount: number(demand.amount)?,
        totalled: !matches!(demand.window, Window::Sliding(_)),
    };
    if charge.totalled {
        let until = demand.window.leaves(at).map(Timestamp::as_millis);
        let mut add = db.prepare_cached(
            "INSERT INTO totals (rule, scope, key, at, amount, until) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET amount = amount + excluded.amount,
             until = CASE WHEN until IS NULL OR excluded.until IS NULL THEN NULL ELSE max(until, excluded.until) END",
        )?;
        add.execute(params![
            &*charge.rule,
            charge.scope,
            charge.key(),
            charge.at,
            charge.amount,
            until
        ])?;
    } else {
        let mut insert = db.prepare_cached("INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        insert.execute(params![
            &*charge.rule,
            charge.scope,
            charge.key(),
            charge.at,
            op.as_bytes(),
            i64::try_from(place).unwrap_or(i64::MAX),
            charge.amount
        ])?;
    }
    Ok(charge)
}

/// Gives back all that an op counts.
pub(crate) fn give_back(db: &Connection, op: &OpId, charges: &[Charge]) -> Result<(), Fault> {
    for (charge, place) in charges.iter().zip(0_i64..) {
        if charge.totalled {
            add(db, charge, charge.amount.saturating_neg())?;
        } else {
            forget(db, op, charge, place)?;
        }
    }
    Ok(())
}

/// Forgets the rows of an op that no window holds any more; sums go by themselves.
pub(crate) fn forget_rows(db: &Connection, op: &OpId, charges: &[Charge]) -> Result<(), Fault> {
    let rows = charges.iter().zip(0_i64..).filter(|(charge, _)| !charge.totalled);
    rows.into_iter()
        .try_for_each(|(charge, place)| forget(db, op, charge, place))
}

fn forget(db: &Connection, op: &OpId, charge: &Charge, place: i64) -> Result<(), Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM charges WHERE rule = ? AND scope = ? AND key = ? AND at = ? AND op = ? AND place = ?",
    )?;
    delete.execute(params![
        &*charge.rule,
        charge.scope,
        charge.key(),
        charge.at,
        op.as_bytes(),
        place
    ])?;
    Ok(())
}

/// Adds to the sum that a charge is a part of.
fn add(db: &Connection, charge: &Charge, more: i64) -> Result<(), Fault> {
    let mut change = db.prepare_cached(
        "UPDATE totals SET amount = amount + ?5 WHERE rule = ?1 AND scope = ?2 AND key = ?3 AND at = ?4",
    )?;
    change.execute(params![&*charge.rule, charge.scope, charge.key(), charge.at, more])?;
    Ok(())
}

/// Counts what demands of an op really came to, by the first word on each: less only where it is not `late`.
pub(crate) fn correct(
    db: &Connection,
    op: &OpId,
    charges: &mut [Charge],
    said: &[Actual],
    late: bool,
) -> Result<(), Fault> {
    for (n, actual) in said.iter().enumerate() {
        if said.iter().take(n).any(|earlier| earlier.demand == actual.demand) {
            continue;
        }
        let amount = number(actual.amount)?;
        let Some(charge) = charges.get_mut(actual.demand) else {
            continue;
        };
        let before = charge.amount;
        if amount == before || (late && amount < before) {
            continue;
        }
        if charge.totalled {
            add(db, charge, amount - before)?;
        } else {
            let mut change = db.prepare_cached(
                "UPDATE charges SET amount = ?7 WHERE rule = ?1 AND scope = ?2 AND key = ?3 AND at = ?4 AND op = ?5
                 AND place = ?6",
            )?;
            change.execute(params![
                &*charge.rule,
                charge.scope,
                charge.key(),
                charge.at,
                op.as_bytes(),
                i64::try_from(actual.demand).unwrap_or(i64::MAX),
                amount
            ])?;
        }
        charge.amount = amount;
    }
    Ok(())
}

/// Forgets some sums that no window holds any more.
pub(crate) fn tidy(db: &Connection, now: i64, most: i64) -> Result<(), Fault> {
    let mut old = db.prepare_cached(
        "DELETE FROM totals WHERE (rule, scope, key, at) IN
         (SELECT rule, scope, key, at FROM totals WHERE until < ? ORDER BY until LIMIT ?)",
    )?;
    old.execute(params![now, most])?;
    Ok(())
}

fn whole(count: i64) -> Result<u64, Fault> {
    u64::try_from(count).map_err(|_| Fault::Damaged(format!("a count is {count}")))
}

/// An amount as the database holds it. One that is so large is nonsense, and more than every ceiling.
fn number(amount: u64) -> Result<i64, Fault> {
    let number = i64::try_from(amount).ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| Fault::answer(StoreErrorKind::Invalid, format!("an amount of {amount}")))
}

/// The largest amount of one charge: sums of them stay numbers.
const MOST: i64 = 1 << 53;
