//! Questions to people: to the letter of [`Requests`](glassbreak_core::store::Requests).

use glassbreak_core::approval::{self, Request, RequestId, State};
use glassbreak_core::call::Word;
use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::error::shown;
use glassbreak_core::store::{Decide, Decided, Ended, Open, Opened, Revoke, StoreErrorKind, Unasked, Which};
use rusqlite::{Connection, OptionalExtension, params};

use crate::books::Books;
use crate::error::Fault;
use crate::grants;
use crate::time::Reading;

/// What is settled, and what has ended, is kept at least this long.
const KEPT: i64 = 2 * 86_400_000;
const HOUR: Span = Span::from_millis(3_600_000);

pub(crate) fn open(books: &mut Books<'_>, open: &Open) -> Result<Opened, Fault> {
    if let Some(lock) = books.locks()?.find(&open.request.path) {
        let why = Unasked::Locked(lock.clone());
        return Ok(refused(books, why));
    }
    let now = match books.read(open.at) {
        Reading::Now(now) => now,
        Reading::Not { latest } => return Ok(refused(books, Unasked::Clock { latest })),
    };
    let key = open.request.key();
    let same: Option<String> = {
        let mut same = books.db.prepare_cached(
            "SELECT body FROM requests WHERE key = ? AND state = 'pending' AND deadline > ? ORDER BY opened LIMIT 1",
        )?;
        same.query_row(params![key, now.as_millis()], |row| row.get(0))
            .optional()?
    };
    if let Some(same) = same {
        return Ok(Opened::Joined(serde_json::from_str(&same)?));
    }
    if request(books.db, &open.request.id)?.is_some() {
        let what = format!("{} is another request already; mint an id for each", open.request.id);
        return Err(Fault::answer(StoreErrorKind::Invalid, what));
    }
    if let Some(why) = resting(books.db, open, &key, now)? {
        return Ok(refused(books, why));
    }
    if let Some(why) = capped(books.db, open, now)? {
        return Ok(refused(books, why));
    }
    let request = Request {
        version: 0,
        opened_at: now,
        deadline: now.after(open.lasts),
        votes: Vec::new(),
        state: State::Pending,
        ..open.request.clone()
    };
    books.moved();
    books.news = true;
    let mut insert = books
        .db
        .prepare_cached("INSERT INTO requests VALUES (?, ?, ?, 'pending', 0, 0, ?, ?, ?, ?, ?)")?;
    insert.execute(params![
        request.id.as_bytes(),
        key,
        request.agent().as_str(),
        books.meta.epoch,
        now.as_millis(),
        request.deadline.as_millis(),
        now.as_millis(),
        serde_json::to_string(&request)?,
    ])?;
    Ok(Opened::Opened(Box::new(request)))
}

fn refused(books: &Books<'_>, why: Unasked) -> Opened {
    let position = books.position();
    Opened::Refused { why, position }
}

fn resting(db: &Connection, open: &Open, key: &[u8; 32], now: Timestamp) -> Result<Option<Unasked>, Fault> {
    let Some(cooldown) = open.caps.cooldown else {
        return Ok(None);
    };
    let mut last = db.prepare_cached(
        "SELECT id, moved_at FROM requests WHERE key = ? AND state = 'denied' AND by_person ORDER BY moved_at DESC LIMIT 1",
    )?;
    let last = last.query_row([key], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?)));
    Ok(last.optional()?.and_then(|(id, moved_at)| {
        let until = Timestamp::from_millis(moved_at).after(cooldown);
        (now < until).then_some(Unasked::Resting {
            request: RequestId::from_bytes(id),
            until,
        })
    }))
}

fn capped(db: &Connection, open: &Open, now: Timestamp) -> Result<Option<Unasked>, Fault> {
    let agent = open.request.agent().as_str();
    let mut pending =
        db.prepare_cached("SELECT count(*) FROM requests WHERE agent = ? AND state = 'pending' AND deadline > ?")?;
    let pending: u32 = pending.query_row(params![agent, now.as_millis()], |row| row.get(0))?;
    if pending >= open.caps.pending {
        return Ok(Some(Unasked::Pending(pending)));
    }
    let mut recent = db.prepare_cached("SELECT opened_at FROM requests WHERE agent = ? ORDER BY opened_at")?;
    let all = recent.query_map([agent], |row| row.get::<_, i64>(0).map(Timestamp::from_millis))?;
    let mut recent: Vec<Timestamp> = all.collect::<Result<_, _>>()?;
    recent.retain(|at| now.since(*at) < HOUR);
    let asked = u32::try_from(recent.len()).unwrap_or(u32::MAX);
    let Some(over) = asked.checked_sub(open.caps.per_hour) else {
        return Ok(None);
    };
    let leaving = recent.get(usize::try_from(over).unwrap_or(usize::MAX));
    Ok(Some(Unasked::PerHour {
        asked,
        free_at: leaving.copied().unwrap_or(now).after(HOUR),
    }))
}

pub(crate) fn request(db: &Connection, id: &RequestId) -> Result<Option<Request>, Fault> {
    let mut find = db.prepare_cached("SELECT body FROM requests WHERE id = ?")?;
    let body: Option<String> = find.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

/// Those with this key that are settled, the newest first, without `id`.
pub(crate) fn earlier(db: &Connection, id: &RequestId, key: &[u8; 32], most: usize) -> Result<Vec<Request>, Fault> {
    let mut find = db.prepare_cached(
        "SELECT body FROM requests WHERE key = ? AND state <> 'pending' AND id <> ? ORDER BY opened_at DESC, id DESC LIMIT ?",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let bodies = find.query_map(params![key, id.as_bytes(), most], |row| row.get::<_, String>(0))?;
    let mut requests = Vec::new();
    for body in bodies {
        requests.push(serde_json::from_str(&body?)?);
    }
    Ok(requests)
}

/// Every request that is pending, the oldest first.
pub(crate) fn pending(db: &Connection) -> Result<Vec<Request>, Fault> {
    let mut find = db.prepare_cached("SELECT body FROM requests WHERE state = 'pending' ORDER BY opened")?;
    let bodies = find.query_map([], |row| row.get::<_, String>(0))?;
    let mut requests = Vec::new();
    for body in bodies {
        requests.push(serde_json::from_str(&body?)?);
    }
    Ok(requests)
}

/// Every request that is pending, and the ids of those that cannot be read.
fn all_pending(db: &Connection) -> Result<(Vec<Request>, Vec<[u8; 16]>), Fault> {
    let mut find = db.prepare_cached("SELECT body, id FROM requests WHERE state = 'pending' ORDER BY opened")?;
    let rows = find.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?)))?;
    let (mut requests, mut unread) = (Vec::new(), Vec::new());
    for row in rows {
        let (body, id) = row?;
        match serde_json::from_str(&body) {
            Ok(request) => requests.push(request),
            Err(_) => unread.push(id),
        }
    }
    Ok((requests, unread))
}

pub(crate) fn decide(books: &mut Books<'_>, decide: &Decide) -> Result<Decided, Fault> {
    let Some(current) = request(books.db, &decide.next.id)? else {
        return Ok(Decided::Unknown);
    };
    if current.state.is_final() || current.version != decide.expected {
        return Ok(Decided::Conflict(Box::new(current)));
    }
    decide
        .check(&current)
        .map_err(|error| Fault::answer(error.kind(), error.to_string()))?;
    if let Some(grant) = &decide.grant
        && grants::find(books.db, &grant.id)?.is_some()
    {
        let what = format!("there is a grant {} already; mint an id for each", grant.id);
        return Err(Fault::answer(StoreErrorKind::Invalid, what));
    }
    let now = match books.read(decide.at) {
        Reading::Now(now) => now,
        Reading::Not { latest } => return Ok(Decided::Clock { latest }),
    };
    if !decide.is_timely(now) {
        return Ok(Decided::Untimely { now });
    }
    if decide.grant.is_some()
        && let Some(lock) = books.locks()?.find(&decide.next.path)
    {
        return Ok(Decided::Locked(lock.clone()));
    }
    let position = books.moved();
    put(books.db, &decide.next, now)?;
    if let Some(grant) = &decide.grant {
        grants::insert(books.db, grant, books.meta.epoch)?;
    }
    books.news = true;
    Ok(Decided::Done { position })
}

/// Puts the next version in place; a trigger holds that it is the next one, of one that is pending.
fn put(db: &Connection, next: &Request, now: Timestamp) -> Result<(), Fault> {
    let by_person = matches!(next.state, State::Denied { by: Some(_), .. });
    let mut update = db.prepare_cached(
        "UPDATE requests SET state = ?, by_person = ?, version = ?, moved_at = ?, body = ? WHERE id = ?",
    )?;
    update.execute(params![
        next.state.as_str(),
        by_person,
        next.version,
        now.as_millis(),
        serde_json::to_string(next)?,
        next.id.as_bytes(),
    ])?;
    Ok(())
}

pub(crate) fn revoke(books: &mut Books<'_>, revoke: &Revoke) -> Result<Ended, Fault> {
    // A clock that is not believed must not keep a grant alive.
    let now = books.read_or_newest(revoke.at);
    let why = format!("revoked by {}: {}", revoke.by, shown(revoke.reason.as_str()));
    let (grants, requests) = end(books, &revoke.which, &revoke.by, &why, now)?;
    let changed = !grants.is_empty() || !requests.is_empty();
    Ok(Ended {
        position: if changed { books.moved() } else { books.position() },
        grants,
        requests,
    })
}

/// Ends grants and cancels requests; the caller raises the epoch.
pub(crate) fn end(
    books: &mut Books<'_>,
    which: &Which,
    by: &Word,
    why: &str,
    now: Timestamp,
) -> Result<(Vec<glassbreak_core::grant::GrantId>, Vec<RequestId>), Fault> {
    let grants = grants::end(books.db, which, by, now)?;
    let mut requests = Vec::new();
    let open = match which {
        Which::Grant(_) => Vec::new(),
        Which::Request(id) => request(books.db, id)?.into_iter().collect(),
        Which::Rule(_) | Which::Under(_) => {
            let (mut open, unread) = all_pending(books.db)?;
            // Nobody can answer those, and whoever stops all of something must not be held up by them.
            let mut drop = books
                .db
                .prepare_cached("UPDATE requests SET state = 'cancelled', version = version + 1 WHERE id = ?")?;
            for id in unread {
                drop.execute([id])?;
            }
            open.retain(|request| which.means_request(request));
            open
        }
    };
    for open in open {
        if let Some(next) = approval::cancel(&open, why) {
            put(books.db, &next, now)?;
            requests.push(next.id);
        }
    }
    books.news |= !grants.is_empty() || !requests.is_empty();
    Ok((grants, requests))
}

/// Forgets some of what has ended long ago.
pub(crate) fn tidy(db: &Connection, now: i64, most: i64) -> Result<(), Fault> {
    let long_ago = now.saturating_sub(KEPT);
    let mut requests = db.prepare_cached(
        "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE moved_at < ?1
         AND (state <> 'pending' OR deadline < ?1) ORDER BY moved_at LIMIT ?2)",
    )?;
    requests.execute(params![long_ago, most])?;
    let mut grants = db.prepare_cached(
        "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at < ?1
         AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.id = grants.request) ORDER BY expires_at LIMIT ?2)",
    )?;
    grants.execute(params![long_ago, most])?;
    Ok(())
}
