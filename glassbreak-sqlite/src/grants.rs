//! Grants, as rows.

use glassbreak_core::call::Word;
use glassbreak_core::clock::Timestamp;
use glassbreak_core::grant::{Grant, GrantId, Mismatch, Revoked};
use glassbreak_core::lock::LockPath;
use glassbreak_core::store::Which;
use rusqlite::{Connection, Row, params};

use crate::error::Fault;

pub(crate) fn find(db: &Connection, id: &GrantId) -> Result<Option<Grant>, Fault> {
    let mut find =
        db.prepare_cached("SELECT body, uses, revoked, max_uses, expires_at, id, session FROM grants WHERE id = ?")?;
    let mut rows = find.query([id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// A grant, if the columns that guard it say the same as its body.
fn read(row: &Row<'_>) -> Result<Grant, Fault> {
    let grant: Grant = serde_json::from_str(&row.get::<_, String>(0)?)?;
    let said = (
        grant.uses,
        grant.revoked.is_some(),
        grant.max_uses,
        grant.expires_at.as_millis(),
        *grant.id.as_bytes(),
        grant.path.session().as_str().to_owned(),
    );
    let kept = (
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
    );
    if said != kept {
        return Err(Fault::Damaged(format!("the grant {} contradicts itself", grant.id)));
    }
    Ok(grant)
}

/// The grants that stand, of one caller or of all, the oldest first.
pub(crate) fn standing(db: &Connection, path: Option<&LockPath>, now: Timestamp) -> Result<Vec<Grant>, Fault> {
    let mut grants = unended(db, path, now)?;
    grants.retain(|grant| grant.stands(now).is_ok());
    Ok(grants)
}

const OF_ALL: &str =
    "SELECT body, uses, revoked, max_uses, expires_at, id, session FROM grants WHERE expires_at > ? AND revoked = 0 AND uses < max_uses
     ORDER BY given";

/// Those that stand or will.
fn unended(db: &Connection, path: Option<&LockPath>, now: Timestamp) -> Result<Vec<Grant>, Fault> {
    const OF_ONE: &str =
        "SELECT body, uses, revoked, max_uses, expires_at, id, session FROM grants WHERE expires_at > ? AND revoked = 0 AND uses < max_uses
         AND session = ? ORDER BY given";
    let mut find = db.prepare_cached(if path.is_some() { OF_ONE } else { OF_ALL })?;
    let mut rows = match path {
        Some(path) => find.query(params![now.as_millis(), path.session().as_str()])?,
        None => find.query([now.as_millis()])?,
    };
    let mut grants = Vec::new();
    while let Some(row) = rows.next()? {
        grants.push(read(row)?);
    }
    grants.retain(|grant| path.is_none_or(|path| grant.path.same_caller(path)));
    Ok(grants)
}

pub(crate) fn insert(db: &Connection, grant: &Grant, epoch: i64) -> Result<(), Fault> {
    let mut insert = db.prepare_cached("INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    insert.execute(params![
        grant.id.as_bytes(),
        grant.request.as_bytes(),
        grant.path.session().as_str(),
        grant.uses,
        grant.max_uses,
        grant.expires_at.as_millis(),
        grant.revoked.is_some(),
        epoch,
        serde_json::to_string(grant)?,
    ])?;
    Ok(())
}

/// Puts its new use, or its end, in place.
pub(crate) fn update(db: &Connection, grant: &Grant) -> Result<(), Fault> {
    let mut update = db.prepare_cached("UPDATE grants SET uses = ?, revoked = ?, body = ? WHERE id = ?")?;
    let body = serde_json::to_string(grant)?;
    update.execute(params![grant.uses, grant.revoked.is_some(), body, grant.id.as_bytes()])?;
    Ok(())
}

/// Revokes what stands, what has not begun, which would stand later, and what is used up, because a permit by it may not
/// have run yet.
pub(crate) fn end(db: &Connection, which: &Which, by: &Word, now: Timestamp) -> Result<Vec<GrantId>, Fault> {
    let (grants, unread) = all_unended(db, now)?;
    if matches!(which, Which::Under(_) | Which::Rule(_)) {
        // Whoever stops all of something stops what cannot be read too: it may be of it.
        let mut void = db.prepare_cached("UPDATE grants SET revoked = 1 WHERE id = ?")?;
        for id in unread {
            void.execute([id])?;
        }
    }
    let mut ended = Vec::new();
    for mut grant in grants {
        if which.means_grant(&grant) && matches!(grant.stands(now), Ok(()) | Err(Mismatch::NotYet | Mismatch::UsedUp)) {
            grant.revoked = Some(Revoked {
                by: by.clone(),
                at: now,
            });
            update(db, &grant)?;
            ended.push(grant.id);
        }
    }
    Ok(ended)
}

/// Those that have not ended, and the ids of those that cannot be read: one of them must not keep the others alive.
fn all_unended(db: &Connection, now: Timestamp) -> Result<(Vec<Grant>, Vec<[u8; 16]>), Fault> {
    const ALL: &str =
        "SELECT body, uses, revoked, max_uses, expires_at, id, session FROM grants WHERE expires_at > ? AND revoked = 0
         ORDER BY given";
    let mut find = db.prepare_cached(ALL)?;
    let mut rows = find.query([now.as_millis()])?;
    let (mut grants, mut unread) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(grant) => grants.push(grant),
            Err(_) => unread.push(row.get(5)?),
        }
    }
    Ok((grants, unread))
}
