//! A scratch folder, calls to record, and a log of known content.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use glassbreak_core::audit::{
    AuditLog, AuditOptions, Checkpoints, Event, FileSink, Finished, KeyFile, LockChange, Performed, Permitted,
    PublicKey, Refused, StreamDigest, Target,
};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Call, Text, Word, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::judge::{Judgement, SessionState, judge};
use glassbreak_core::store::OpId;
use serde_json::json;

/// A folder that goes when the test does.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("glassbreak-audit-{}", OpId::mint(Timestamp::now())));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// Writes a file that only its owner can read or write.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn checkpoints(&self) -> Checkpoints {
        let key = KeyFile::open(&self.write("key", &[b'7'; 64])).unwrap();
        Checkpoints::new(key, FileSink::open(&self.0.join("checkpoints.jsonl")).unwrap())
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        let key = KeyFile::open(&self.write("key", &[b'7'; 64])).unwrap().public();
        let path = self.write("key.pub", format!("{key}\n").as_bytes());
        PublicKey::open(&path).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::read_only().unwrap());

/// A call with everything that a record can hold of it, and its judgement.
pub(crate) static CASE: LazyLock<(Call, Judgement)> = LazyLock::new(|| {
    case(
        r#"{"actor":{"role":"anonymous","instance":"ops-7","session":"s1","on_behalf_of":"alice","parents":["lead"],
        "model":{"id":"m-1"}},"exec":{"argv":["cat","b.txt","naïve – 漢字"]},"reason":"say \"hi\"\u001b[2J\n, hash\":"}"#,
    )
});

pub(crate) fn case(line: &str) -> (Call, Judgement) {
    let call = wire::read(line.as_bytes()).unwrap().call;
    let state = SessionState::new(Workspace::new("/srv/ops").unwrap());
    let judgement = judge(&BUNDLE, &state, &call, Timestamp::from_millis(0));
    (call, judgement)
}

pub(crate) fn permitted(id: OpId) -> Permitted<'static> {
    Permitted::new(id, &CASE.0, &CASE.1, &BUNDLE)
}

pub(crate) fn finished(id: OpId) -> Finished {
    let stdout = StreamDigest {
        sha256: [7; 32],
        bytes: 12,
    };
    Finished {
        exit: Some(0),
        ran_ms: Some(3),
        stdout: Some(stdout),
        ..Finished::new(id, Performed::Done)
    }
}

/// One record of each kind that a host writes.
pub(crate) fn write_some(log: &AuditLog) {
    let id = OpId::mint(Timestamp::now());
    let (pin, position) = (json!({"path": "/usr/bin/cat", "inode": 5}), json!(17));
    log.append(permitted(id).pin(&pin).store_position(&position)).unwrap();
    log.finish(finished(id)).unwrap();
    let (call, judgement) = case(r#"{"exec":{"argv":["rm","-rf","/"]},"reason":"tidy"}"#);
    let denial = judgement.denial().unwrap();
    log.append(Refused::new(
        OpId::mint(Timestamp::now()),
        Some(&call),
        &judgement,
        &denial,
        &BUNDLE,
    ))
    .unwrap();
    let (session, alice) = (Word::new("s1").unwrap(), Word::new("alice").unwrap());
    let reason = Text::new("enough").unwrap();
    let change = LockChange {
        target: Target::Session(&session),
        by: &alice,
        reason: Some(&reason),
    };
    log.append_synced(Event::LockSet(change.clone())).unwrap();
    log.append_synced(Event::LockLifted(change)).unwrap();
}

/// Two chains, the second begun when the first was closed, and the checkpoints of both.
pub(crate) struct Sample {
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) checkpoints: Vec<u8>,
}

pub(crate) static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let scratch = Scratch::new();
    for _ in 0..2 {
        let options = AuditOptions::new().bundle(BUNDLE.digest());
        let checkpoints = scratch.checkpoints().every(1_000, Duration::from_secs(1_000));
        let log = options.checkpoints(checkpoints).open(scratch.dir()).unwrap();
        write_some(&log);
        log.checkpoint().unwrap().unwrap();
        log.close().unwrap();
    }
    let mut files: Vec<_> = fs::read_dir(scratch.dir())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    Sample {
        files,
        checkpoints: fs::read(scratch.path().join("checkpoints.jsonl")).unwrap(),
    }
});

/// Puts files of these contents, and nothing else, in the scratch folder's log.
pub(crate) fn lay_out(scratch: &Scratch, files: &[(String, Vec<u8>)]) {
    let dir = scratch.dir();
    if !dir.exists() {
        fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
    }
    for entry in fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        if !files.iter().any(|(name, _)| **name == *entry.file_name()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for (name, bytes) in files {
        let path = dir.join(name);
        // Most tests change one file of many thousands of layouts.
        if fs::read(&path).is_ok_and(|now| now == *bytes) {
            continue;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        std::io::Write::write_all(&mut options.open(path).unwrap(), bytes).unwrap();
    }
}
