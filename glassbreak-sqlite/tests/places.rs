//! Where a store may lie, and what it opens: everything else is refused, in words that say what to do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests stop where they cannot go on, in helpers too"
)]

mod common;

use std::fs::{self, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::Scratch;
use common::made::call;
use glassbreak_core::store::{Ledger, Reserved, StoreErrorKind};
use glassbreak_sqlite::SqliteStore;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What it says when it is not opened.
async fn refusal(path: &Path) -> String {
    SqliteStore::open(path).await.unwrap_err().to_string()
}

/// Makes a store with some calls in it, and closes it.
async fn filled(path: &Path, calls: usize) {
    let store = SqliteStore::open(path).await.unwrap();
    for _ in 0..calls {
        assert!(matches!(store.reserve(call(1, 1_000)).await, Ok(Reserved::Held(_))));
    }
}

#[tokio::test]
async fn what_it_makes_is_its_users_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a/b/store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Held(_))));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for suffix in ["", "-wal", "-shm", ".anchor"] {
        let file = path.with_file_name(format!("store.db{suffix}"));
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(store.path(), fs::canonicalize(&path).unwrap());
}

#[tokio::test]
async fn what_others_can_write_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.database();
    filled(&path, 1).await;
    for (what, open, shut) in [
        (scratch.path(), 0o770, 0o700),
        (scratch.path(), 0o707, 0o700),
        (&path, 0o620, 0o600),
        (&path, 0o602, 0o600),
    ] {
        chmod(what, open);
        let said = refusal(&path).await;
        assert!(said.contains("written by others") && said.contains("chmod"), "{said}");
        chmod(what, shut);
    }
    // A folder above, unless nobody may move in it what is another's.
    let below = scratch.path().join("below");
    fs::create_dir(&below).unwrap();
    chmod(scratch.path(), 0o707);
    let said = refusal(&below.join("store.db")).await;
    assert!(said.contains("lies above"), "{said}");
    chmod(scratch.path(), 0o1707);
    filled(&below.join("store.db"), 1).await;
    chmod(scratch.path(), 0o700);
    // One that others only read is taken from them.
    chmod(&path, 0o644);
    filled(&path, 1).await;
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn links_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.database();
    filled(&path, 1).await;
    let link = scratch.path().join("link.db");
    symlink(&path, &link).unwrap();
    assert!(refusal(&link).await.contains("is a link"));
    // One that leads nowhere yet.
    let nowhere = scratch.path().join("nowhere.db");
    symlink(scratch.path().join("new.db"), &nowhere).unwrap();
    assert!(refusal(&nowhere).await.contains("is a link"));
    let folder = scratch.path().join("folder");
    fs::create_dir(&folder).unwrap();
    chmod(&folder, 0o700);
    let to_folder = scratch.path().join("to-folder");
    symlink(&folder, &to_folder).unwrap();
    assert!(refusal(&to_folder.join("store.db")).await.contains("is a link"));
    fs::hard_link(&path, scratch.path().join("second.db")).unwrap();
    assert!(refusal(&path).await.contains("another name"));
    assert!(refusal(&folder).await.contains("no file"));
}

#[tokio::test]
async fn other_databases_and_newer_ones_are_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.database();
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    drop(theirs);
    chmod(&path, 0o600);
    let before = fs::read(&path).unwrap();
    assert!(refusal(&path).await.contains("another application"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!path.with_file_name("store.db-wal").exists());

    let path = scratch.path().join("newer.db");
    filled(&path, 1).await;
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(refusal(&path).await.contains("use a newer glassbreak"));

    let path = scratch.path().join("text.db");
    fs::write(&path, "Dear diary, this is no database at all. ".repeat(200)).unwrap();
    chmod(&path, 0o600);
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Broken);
    assert!(error.to_string().contains("damaged or no database"), "{error}");
}

/// Whatever byte of whatever page is damaged: either it is refused, or every count is what it was. Never is less counted.
#[tokio::test]
async fn a_damaged_file_never_counts_less() {
    const CALLS: usize = 60;
    let scratch = Scratch::new();
    let path = scratch.database();
    filled(&path, CALLS).await;
    let whole = fs::read(&path).unwrap();
    let anchor = fs::read(path.with_file_name("store.db.anchor")).unwrap();
    let (mut refused, mut sound, mut denied) = (0, 0, 0);
    for n in 0..150_usize {
        let at = (n * 7_919 * 31) % whole.len();
        let folder = Scratch::new();
        let path = folder.database();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (n % 8);
        fs::write(&path, &bytes).unwrap();
        chmod(&path, 0o600);
        fs::write(path.with_file_name("store.db.anchor"), &anchor).unwrap();
        let Ok(store) = SqliteStore::open(&path).await else {
            refused += 1;
            continue;
        };
        match store.reserve(call(1, 1_000)).await {
            Ok(Reserved::Held(held)) => {
                assert!(held.counts[0] as usize > CALLS, "byte {at}: {held:?}");
                sound += 1;
            }
            _ => denied += 1,
        }
    }
    println!("one bit of 150 flipped: {refused} not opened, {denied} denied, {sound} counted all the same");
    assert!(refused > 0);
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.database();
    filled(&path, 60).await;
    let whole = fs::metadata(&path).unwrap().len();
    for length in [whole - 4_096, whole / 2, 4_096, 100, 1] {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        // Less than a header is taken for nothing, and the anchor knows that there was more.
        match SqliteStore::open(&path).await {
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Broken, "{length}: {error}"),
            Ok(store) => assert_eq!(store.fault().unwrap().kind(), StoreErrorKind::RolledBack, "{length}"),
        }
    }
    // Nothing at all is a store that has lost everything, and not a new one.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let error = store.reserve(call(1, 9)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::RolledBack, "{error}");
}

#[tokio::test]
async fn a_file_replaced_while_it_is_open_is_noticed() {
    for which in ["store.db", "store.db-wal"] {
        let scratch = Scratch::new();
        let path = scratch.database();
        let store = SqliteStore::open(&path).await.unwrap();
        assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Held(_))));
        let file = scratch.path().join(which);
        let mut bytes = Vec::new();
        fs::File::open(&file).unwrap().read_to_end(&mut bytes).unwrap();
        fs::rename(&file, scratch.path().join("aside")).unwrap();
        let mut copy = fs::File::create(&file).unwrap();
        copy.seek(SeekFrom::Start(0)).unwrap();
        copy.write_all(&bytes).unwrap();
        for _ in 0..2 {
            let error = store.reserve(call(1, 9)).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Broken, "{error}");
            assert!(error.to_string().contains("replaced"), "{error}");
        }
        assert!(store.fault().is_some());
    }
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.database()).await.unwrap();
    assert!(matches!(store.reserve(call(1, 9)).await, Ok(Reserved::Held(_))));
    fs::remove_file(scratch.database()).unwrap();
    let error = store.reserve(call(1, 9)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Broken, "{error}");
}
