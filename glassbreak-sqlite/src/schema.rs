//! What the database holds, and how an older one becomes the present one.
//!
//! Times are milliseconds since 1970, ids and hashes are blobs, and what core can read back is JSON in a `body`, beside
//! the columns that it is looked up by. Triggers hold what no statement of this library does, so that a mistake in it
//! is an error and not a second permit.

use glassbreak_core::store::StoreErrorKind;
use rusqlite::Connection;

use crate::error::Fault;

/// `glsb`.
const APPLICATION: i64 = 0x676c_7362;
/// How many changes of the schema there were.
pub(crate) const VERSION: i64 = 3;

/// What leads from each version to the next; the first begins with nothing.
const STEPS: [&str; 3] = [FIRST, AMOUNTS, FEWER_PAGES];

/// What every change writes is less: an op says itself what it counts, and the last marks stand with the row of `meta`.
const FEWER_PAGES: &str = "
-- What the op counts, by demand: [rule, scope, key, at, amount, whether it is a part of a sum in `totals`].
ALTER TABLE ops ADD COLUMN charges TEXT NOT NULL DEFAULT '[]';
UPDATE ops SET charges = (
    SELECT json_group_array(json_array(rule, lower(hex(scope)), lower(hex(key)), at, amount, totalled))
    FROM (SELECT * FROM charges WHERE op = ops.id ORDER BY place));
DROP INDEX ops_due;

-- One for each demand under a sliding window of each op that counts. An empty key is one that was not known.
CREATE TABLE sliding (
    rule TEXT NOT NULL,
    scope BLOB NOT NULL CHECK (length(scope) = 16),
    key BLOB NOT NULL CHECK (length(key) IN (0, 16)),
    at INTEGER NOT NULL,
    op BLOB NOT NULL,
    place INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (rule, scope, key, at, op, place)
) STRICT, WITHOUT ROWID;
INSERT INTO sliding SELECT rule, scope, key, at, op, place, amount FROM charges WHERE totalled = 0;
DROP TABLE charges;
ALTER TABLE sliding RENAME TO charges;

-- The first of the last transactions, and their marks: those that are not in `marks` yet.
ALTER TABLE meta ADD COLUMN recent BLOB NOT NULL DEFAULT x'';
";

/// Charges of any amount, and windows that are kept as sums.
const AMOUNTS: &str = "
ALTER TABLE charges ADD COLUMN amount INTEGER NOT NULL DEFAULT 1 CHECK (amount >= 0);
-- Whether it is a part of a sum in `totals`, and counts there.
ALTER TABLE charges ADD COLUMN totalled INTEGER NOT NULL DEFAULT 0;

CREATE TABLE totals (
    rule TEXT NOT NULL,
    scope BLOB NOT NULL CHECK (length(scope) = 16),
    key BLOB NOT NULL CHECK (length(key) IN (0, 16)),
    at INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    until INTEGER,                  -- from then on it does not count; null: it always does
    PRIMARY KEY (rule, scope, key, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX totals_until ON totals (until) WHERE until IS NOT NULL;
";

const FIRST: &str = "
-- One row: what every change reads and writes.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation BLOB NOT NULL CHECK (length(generation) = 16),
    before BLOB,                    -- the generation that an operator adopted this one from
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    hw INTEGER,                     -- the store's time; none was given yet
    shown INTEGER NOT NULL,         -- what the clock `clock` showed when that time was given
    clock TEXT NOT NULL,
    adopted INTEGER NOT NULL,       -- how often an operator vouched for the time
    locked INTEGER NOT NULL,        -- the epoch at which the locks last changed
    forgotten INTEGER,              -- the latest date at which a forgotten op was minted
    batch INTEGER NOT NULL,         -- how many transactions there were
    mark BLOB NOT NULL              -- and which the last was
) STRICT;
CREATE TRIGGER meta_forward BEFORE UPDATE ON meta
WHEN (NEW.epoch < OLD.epoch AND NEW.generation = OLD.generation) OR NEW.hw < OLD.hw OR NEW.batch < OLD.batch
BEGIN SELECT RAISE(ABORT, 'the store does not go back'); END;
CREATE TRIGGER meta_stays BEFORE DELETE ON meta BEGIN SELECT RAISE(ABORT, 'the store stays'); END;

-- The last transactions, so that one that is missing shows.
CREATE TABLE marks (
    slot INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL,
    mark BLOB NOT NULL
) STRICT;

CREATE TABLE ops (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    attempt BLOB NOT NULL,
    digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    due INTEGER NOT NULL,           -- from then on it may be forgotten
    epoch INTEGER NOT NULL,
    counts TEXT NOT NULL,
    outcome TEXT CHECK (outcome IN ('done', 'failed', 'not-run', 'asked')),
    late INTEGER,
    refunded INTEGER,
    settled INTEGER,                -- the epoch at which it was settled
    spent TEXT,                     -- the grant that it used, as the answer said
    spent_epoch INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX ops_due ON ops (due);

-- One for each demand of each op that counts. An empty key is one that was not known.
CREATE TABLE charges (
    rule TEXT NOT NULL,
    scope BLOB NOT NULL CHECK (length(scope) = 16),
    key BLOB NOT NULL CHECK (length(key) IN (0, 16)),
    at INTEGER NOT NULL,
    op BLOB NOT NULL REFERENCES ops (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    place INTEGER NOT NULL,
    PRIMARY KEY (rule, scope, key, at, op, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX charges_op ON charges (op);

CREATE TABLE requests (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    key BLOB NOT NULL CHECK (length(key) = 32),
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    by_person INTEGER NOT NULL,     -- whether a person said no
    version INTEGER NOT NULL,
    opened INTEGER NOT NULL,        -- the epoch
    opened_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    moved_at INTEGER NOT NULL,      -- when it was opened, and then when it last changed
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_key ON requests (key);
CREATE INDEX requests_agent ON requests (agent, opened_at);
CREATE INDEX requests_pending ON requests (opened) WHERE state = 'pending';
CREATE INDEX requests_moved ON requests (moved_at);
CREATE TRIGGER requests_once BEFORE UPDATE ON requests
WHEN OLD.state <> 'pending' OR NEW.version <> OLD.version + 1 OR NEW.key <> OLD.key
BEGIN SELECT RAISE(ABORT, 'a settled request does not change'); END;

CREATE TABLE grants (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    request BLOB NOT NULL UNIQUE,
    session TEXT NOT NULL,
    uses INTEGER NOT NULL,
    max_uses INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked INTEGER NOT NULL,
    given INTEGER NOT NULL,         -- the epoch
    body TEXT NOT NULL,
    CHECK (uses BETWEEN 0 AND max_uses)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_session ON grants (session, expires_at);
CREATE INDEX grants_end ON grants (expires_at);
CREATE TRIGGER grants_end_once BEFORE UPDATE ON grants
WHEN NEW.uses < OLD.uses OR NEW.revoked < OLD.revoked OR NEW.max_uses > OLD.max_uses OR NEW.expires_at > OLD.expires_at
BEGIN SELECT RAISE(ABORT, 'a grant only shrinks'); END;

CREATE TABLE locks (
    target TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a database is, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing was ever written.
    Empty,
    /// A store, of this version.
    Store(i64),
}

/// Reads whose database it is, and writes nothing.
pub(crate) fn find(db: &Connection) -> Result<Found, Fault> {
    let number = |pragma| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(Found::Empty),
        (APPLICATION, version @ 1..=VERSION) => Ok(Found::Store(version)),
        (APPLICATION, version) => Err(Fault::answer(
            StoreErrorKind::OtherVersion,
            format!(
                "the database has schema {version}, and this version of glassbreak knows {VERSION}; use a newer glassbreak"
            ),
        )),
        _ => Err(Fault::Place(
            "the file is a database of another application; name another path".to_owned(),
        )),
    }
}

/// Brings the database to [`VERSION`], within a write transaction.
pub(crate) fn migrate(db: &Connection, found: Found) -> Result<(), Fault> {
    migrate_by(db, found, &STEPS)
}

fn migrate_by(db: &Connection, found: Found, steps: &[&str]) -> Result<(), Fault> {
    let done = match found {
        Found::Empty => 0,
        Found::Store(version) => usize::try_from(version).unwrap_or(usize::MAX),
    };
    let left = steps.get(done..).unwrap_or_default();
    if left.is_empty() {
        return Ok(());
    }
    for step in left {
        db.execute_batch(step)?;
    }
    db.pragma_update(None, "application_id", APPLICATION)?;
    db.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_database_is_led_through_every_step_since() {
        let steps = [
            "CREATE TABLE a (x)",
            "ALTER TABLE a ADD COLUMN y",
            "INSERT INTO a VALUES (1, 2)",
        ];
        let db = Connection::open_in_memory().unwrap();
        migrate_by(&db, Found::Empty, &steps[..1]).unwrap();
        let version = |db: &Connection| {
            db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!((find(&db).unwrap(), version(&db)), (Found::Store(1), 1));
        migrate_by(&db, Found::Store(1), &steps).unwrap();
        assert_eq!(version(&db), 3);
        let sum: i64 = db.query_row("SELECT x + y FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 3);
        // Again, and nothing is done twice.
        migrate_by(&db, Found::Store(3), &steps).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn what_ops_of_an_older_schema_count_is_led_on() {
        let db = Connection::open_in_memory().unwrap();
        migrate_by(&db, Found::Empty, &STEPS[..2]).unwrap();
        db.execute_batch(
            "INSERT INTO ops (id, attempt, digest, at, deadline, due, epoch, counts)
             VALUES (zeroblob(16), x'', x'', 1, 2, 3, 4, '[5,1]'), (randomblob(16), x'', x'', 1, 2, 3, 4, '[]');
             INSERT INTO charges VALUES ('b', zeroblob(16), zeroblob(16), 7, zeroblob(16), 1, 5, 1),
                                        ('a', zeroblob(16), x'', 8, zeroblob(16), 0, 1, 0);",
        )
        .unwrap();
        migrate(&db, Found::Store(2)).unwrap();
        let mut all = db.prepare("SELECT charges FROM ops ORDER BY id").unwrap();
        let all = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let all: Vec<String> = all.map(Result::unwrap).collect();
        let zero = "0".repeat(32);
        let first = format!(r#"[["a","{zero}","",8,1,0],["b","{zero}","{zero}",7,5,1]]"#);
        assert_eq!(all, [first.clone(), "[]".to_owned()]);
        let charges = crate::counts::Charge::read(&first).unwrap();
        assert_eq!(crate::counts::Charge::text(&charges).unwrap(), first);
        let row = db.query_row("SELECT rule, place, amount FROM charges", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        assert_eq!(row.unwrap(), ("a".to_owned(), 0, 1));
    }

    #[test]
    fn a_step_that_fails_leaves_the_older_database() {
        let db = Connection::open_in_memory().unwrap();
        migrate_by(&db, Found::Empty, &["CREATE TABLE a (x)"]).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        let steps = ["", "CREATE TABLE b (x)", "this is no SQL"];
        assert!(migrate_by(&db, Found::Store(1), &steps).is_err());
        db.execute_batch("ROLLBACK").unwrap();
        let tables: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!((tables, find(&db).unwrap()), (1, Found::Store(1)));
    }

    #[test]
    fn a_foreign_and_a_newer_database_are_refused() {
        let db = Connection::open_in_memory().unwrap();
        assert_eq!(find(&db).unwrap(), Found::Empty);
        db.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(find(&db).unwrap_err().to_string().contains("another application"));
        db.pragma_update(None, "application_id", APPLICATION).unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert!(find(&db).unwrap_err().to_string().contains("newer glassbreak"));
    }

    #[test]
    fn triggers_hold_what_is_final() {
        let db = Connection::open_in_memory().unwrap();
        migrate(&db, Found::Empty).unwrap();
        db.execute_batch(
            "INSERT INTO requests VALUES (zeroblob(16), zeroblob(32), 'a', 'pending', 0, 0, 1, 0, 0, 0, '{}');
             UPDATE requests SET state = 'denied', version = 1;
             INSERT INTO grants VALUES (zeroblob(16), zeroblob(16), 's', 1, 1, 9, 0, 1, '{}');",
        )
        .unwrap();
        for never in [
            "UPDATE requests SET state = 'approved', version = 2",
            "UPDATE grants SET uses = 0",
            "UPDATE grants SET uses = 2",
            "UPDATE grants SET expires_at = 10",
            "INSERT INTO grants VALUES (randomblob(16), zeroblob(16), 's', 0, 1, 9, 0, 1, '{}')",
        ] {
            assert!(db.execute_batch(never).is_err(), "{never}");
        }
    }
}
