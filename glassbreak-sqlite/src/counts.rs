//! How much counts under a demand.

use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::{Demand, OpId};
use rusqlite::{Connection, params};

use crate::error::Fault;

/// What a key that was not known is kept as: it counts under every key.
const UNKNOWN: &[u8] = b"";

/// What a demand comes to.
#[derive(Debug)]
pub(crate) enum Count {
    /// It fits, and is the how manieth.
    Fits(u32),
    /// It is past its ceiling.
    Over { count: u32, free_at: Option<Timestamp> },
}

/// Counts one demand of an op. Those of the same op before it are charged already.
pub(crate) fn count(db: &Connection, demand: &Demand, op: &OpId, now: Timestamp) -> Result<Count, Fault> {
    let from = begin(demand, now);
    let keys = match &demand.key {
        Some(key) => {
            let mut count = db.prepare_cached(
                "SELECT count(*) FROM charges WHERE rule = ? AND scope = ? AND key IN (?, x'') AND at >= ?",
            )?;
            let count: i64 = count.query_row(params![&*demand.rule, demand.scope, key, from], |row| row.get(0))?;
            vec![(key.to_vec(), count)]
        }
        None => every_key(db, demand, from)?,
    };
    let fullest = keys.iter().map(|(_, count)| *count).max().unwrap_or(0) + 1;
    let ceiling = i64::from(demand.ceiling);
    let whole = u32::try_from(fullest).unwrap_or(u32::MAX);
    if fullest <= ceiling {
        return Ok(Count::Fits(whole));
    }
    // Enough must have left under each key that is too full.
    let mut free_at = Some(now);
    for (key, count) in keys {
        let leaving = count + 1 - ceiling;
        if leaving > 0 {
            let free = frees(db, demand, op, &key, from, leaving)?;
            free_at = free_at.zip(free).map(|(one, other)| one.max(other));
        }
    }
    Ok(Count::Over { count: whole, free_at })
}

/// How many count under each key of a rule and scope; under a key that nobody has used, where there is none.
fn every_key(db: &Connection, demand: &Demand, from: i64) -> Result<Vec<(Vec<u8>, i64)>, Fault> {
    let mut count = db.prepare_cached(
        "SELECT key, count(*) FROM charges WHERE rule = ? AND scope = ? AND at >= ? GROUP BY key ORDER BY key",
    )?;
    let rows = count.query_map(params![&*demand.rule, demand.scope, from], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut keys: Vec<(Vec<u8>, i64)> = rows.collect::<Result<_, _>>()?;
    let unknown = match keys.first() {
        Some((key, count)) if key.is_empty() => *count,
        _ => 0,
    };
    keys.retain(|(key, _)| !key.is_empty());
    keys.iter_mut().for_each(|(_, count)| *count += unknown);
    if keys.is_empty() {
        keys.push((UNKNOWN.to_vec(), unknown));
    }
    Ok(keys)
}

/// When the oldest `leaving` under a key have left the window.
fn frees(
    db: &Connection,
    demand: &Demand,
    op: &OpId,
    key: &[u8],
    from: i64,
    leaving: i64,
) -> Result<Option<Timestamp>, Fault> {
    let mut times = db.prepare_cached(
        "SELECT at FROM charges WHERE rule = ? AND scope = ? AND key IN (?, x'') AND at >= ? AND op <> ?
         ORDER BY at LIMIT 1 OFFSET ?",
    )?;
    let mut rows = times.query(params![
        &*demand.rule,
        demand.scope,
        key,
        from,
        op.as_bytes(),
        leaving - 1
    ])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let last: i64 = row.get(0)?;
    let window = i64::try_from(demand.window.as_millis()).ok();
    let free = window.and_then(|window| last.checked_add(window)?.checked_add(1));
    Ok(free.map(Timestamp::from_millis))
}

/// Counts one.
pub(crate) fn charge(db: &Connection, demand: &Demand, op: &OpId, place: usize, now: Timestamp) -> Result<(), Fault> {
    let mut insert = db.prepare_cached("INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?)")?;
    let key = demand.key.as_ref().map_or(UNKNOWN, |key| key);
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    insert.execute(params![
        &*demand.rule,
        demand.scope,
        key,
        now.as_millis(),
        op.as_bytes(),
        place
    ])?;
    Ok(())
}

/// Gives back all that an op counts.
pub(crate) fn give_back(db: &Connection, op: &OpId) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM charges WHERE op = ?")?
        .execute([op.as_bytes()])?;
    Ok(())
}

/// The first moment in the window that ends now: the old end is closed.
fn begin(demand: &Demand, now: Timestamp) -> i64 {
    let window = i64::try_from(demand.window.as_millis()).unwrap_or(i64::MAX);
    now.as_millis().saturating_sub(window)
}
