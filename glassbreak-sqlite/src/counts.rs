//! How much counts under a demand.
//!
//! Under a sliding window every charge is a row of `charges`, and at most as many as the ceiling count. Under the other
//! windows calls of one step share a row of `totals`, so that the work is the same however many there were; their
//! charges only say what is to be given back. Both are always added up: a rule may have changed its window.

use glassbreak_core::budget::Window;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::{Actual, Demand, OpId, StoreErrorKind};
use rusqlite::{Connection, params};

use crate::error::Fault;

/// What a key that was not known is kept as: it counts under every key.
const UNKNOWN: &[u8] = b"";

/// What a demand comes to.
#[derive(Debug)]
pub(crate) enum Count {
    /// It fits, and comes to this.
    Fits(u64),
    /// It is past its ceiling.
    Over { count: u64, free_at: Option<Timestamp> },
}

/// Counts one demand of an op. Those of the same op before it are charged already.
pub(crate) fn count(db: &Connection, demand: &Demand, op: &OpId, now: Timestamp) -> Result<Count, Fault> {
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
            let free = frees(db, demand, op, &key, from, leaving)?;
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
    let mut count = db.prepare_cached(
        "SELECT (SELECT coalesce(sum(amount), 0) FROM charges
                 WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4 AND totalled = 0)
              + (SELECT coalesce(sum(amount), 0) FROM totals
                 WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4)",
    )?;
    let count = count.query_row(params![&*demand.rule, demand.scope, key, from], |row| row.get(0))?;
    whole(count)
}

/// How much counts under each key of a rule and scope; under a key that nobody has used, where there is none.
fn every_key(db: &Connection, demand: &Demand, from: i64) -> Result<Vec<(Vec<u8>, u64)>, Fault> {
    let mut count = db.prepare_cached(
        "SELECT key, sum(amount) FROM (
             SELECT key, amount FROM charges WHERE rule = ?1 AND scope = ?2 AND at >= ?3 AND totalled = 0
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

/// When so much under a key has left the window.
fn frees(
    db: &Connection,
    demand: &Demand,
    op: &OpId,
    key: &[u8],
    from: i64,
    leaving: u64,
) -> Result<Option<Timestamp>, Fault> {
    let mut times = db.prepare_cached(
        "SELECT at, amount FROM charges
         WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4 AND totalled = 0 AND op <> ?5
         UNION ALL SELECT at, amount - coalesce((
             SELECT sum(own.amount) FROM charges AS own WHERE own.op = ?5 AND own.totalled AND own.rule = totals.rule
             AND own.scope = totals.scope AND own.key = totals.key AND own.at = totals.at), 0)
         FROM totals WHERE rule = ?1 AND scope = ?2 AND key IN (?3, x'') AND at >= ?4
         ORDER BY at",
    )?;
    let mut rows = times.query(params![&*demand.rule, demand.scope, key, from, op.as_bytes()])?;
    let mut left = 0_u64;
    while let Some(row) = rows.next()? {
        left = left.saturating_add(whole(row.get(1)?)?);
        if left >= leaving {
            return Ok(demand.window.leaves(Timestamp::from_millis(row.get(0)?)));
        }
    }
    Ok(None)
}

/// Counts one.
pub(crate) fn charge(db: &Connection, demand: &Demand, op: &OpId, place: usize, now: Timestamp) -> Result<(), Fault> {
    let key = demand.key.as_ref().map_or(UNKNOWN, |key| key);
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    let at = demand.window.stamp(now);
    let amount = number(demand.amount)?;
    let totalled = !matches!(demand.window, Window::Sliding(_));
    let mut insert = db.prepare_cached("INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    insert.execute(params![
        &*demand.rule,
        demand.scope,
        key,
        at.as_millis(),
        op.as_bytes(),
        place,
        amount,
        totalled
    ])?;
    if totalled {
        let until = demand.window.leaves(at).map(Timestamp::as_millis);
        let mut add = db.prepare_cached(
            "INSERT INTO totals (rule, scope, key, at, amount, until) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET amount = amount + excluded.amount,
             until = CASE WHEN until IS NULL OR excluded.until IS NULL THEN NULL ELSE max(until, excluded.until) END",
        )?;
        add.execute(params![&*demand.rule, demand.scope, key, at.as_millis(), amount, until])?;
    }
    Ok(())
}

/// Gives back all that an op counts.
pub(crate) fn give_back(db: &Connection, op: &OpId) -> Result<(), Fault> {
    let mut lower = db.prepare_cached(
        "UPDATE totals SET amount = totals.amount - given.amount
         FROM (SELECT rule, scope, key, at, sum(amount) AS amount FROM charges
               WHERE op = ?1 AND totalled GROUP BY rule, scope, key, at) AS given
         WHERE totals.rule = given.rule AND totals.scope = given.scope AND totals.key = given.key
         AND totals.at = given.at",
    )?;
    lower.execute([op.as_bytes()])?;
    db.prepare_cached("DELETE FROM charges WHERE op = ?")?
        .execute([op.as_bytes()])?;
    Ok(())
}

/// Counts what demands of an op really came to, by the first word on each: less only where it is not `late`.
pub(crate) fn correct(db: &Connection, op: &OpId, said: &[Actual], late: bool) -> Result<(), Fault> {
    for (n, actual) in said.iter().enumerate() {
        if said.iter().take(n).any(|earlier| earlier.demand == actual.demand) {
            continue;
        }
        let place = i64::try_from(actual.demand).unwrap_or(i64::MAX);
        let amount = number(actual.amount)?;
        let mut change = db.prepare_cached(
            "UPDATE totals SET amount = totals.amount + ?3 - given.amount
             FROM (SELECT * FROM charges WHERE op = ?1 AND place = ?2 AND totalled) AS given
             WHERE totals.rule = given.rule AND totals.scope = given.scope AND totals.key = given.key
             AND totals.at = given.at AND (given.amount < ?3 OR NOT ?4)",
        )?;
        change.execute(params![op.as_bytes(), place, amount, late])?;
        let mut change = db.prepare_cached(
            "UPDATE charges SET amount = ?3 WHERE op = ?1 AND place = ?2 AND (amount < ?3 OR NOT ?4)",
        )?;
        change.execute(params![op.as_bytes(), place, amount, late])?;
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
