//! What these tests share.

#![allow(
    unreachable_pub,
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "a module of several test binaries, of which not every one needs all"
)]

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A new folder that only we may use, gone when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "glassbreak-sqlite-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("store.db")
    }

    /// A folder that stays until the process that made it is gone, and another test runs.
    pub fn kept() -> PathBuf {
        for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
            let name = entry.file_name();
            let of = name
                .to_str()
                .and_then(|name| name.strip_prefix("glassbreak-sqlite-")?.split('-').next()?.parse().ok());
            if of.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let scratch = Self::new();
        let path = scratch.0.clone();
        let _ = std::mem::ManuallyDrop::new(scratch);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The library that kills a process at one of its changes to files; it needs a C compiler, as the bundled SQLite does.
pub fn deadly(folder: &Path) -> PathBuf {
    let library = folder.join("kill.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/writers/kill.c");
    let mut command = Command::new(compiler);
    command.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", source, "-ldl", "-o"]);
    assert!(command.arg(&library).status().unwrap().success());
    library
}

/// What tests make up: calls, requests, and the time.
pub mod made {
    use glassbreak_core::approval::{Request, RequestId, State};
    use glassbreak_core::call::{Actor, Args, CallDigest, Text, Tool, Word};
    use glassbreak_core::clock::{Span, Timestamp};
    use glassbreak_core::finding::{Layer, Requirement, RuleHash, RuleId};
    use glassbreak_core::grant::{Grant, GrantId, Scope, Use};
    use glassbreak_core::label::Risk;
    use glassbreak_core::lock::{Lock, LockPath, Target};
    use glassbreak_core::store::{
        Attempt, Caps, Claim, Decide, Demand, Fate, Ledger, OpId, Open, Requests, Reserve, Reserved, Window,
    };
    use glassbreak_sqlite::SqliteStore;

    pub fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    pub fn text(text: &str) -> Text {
        Text::new(text).unwrap()
    }

    pub fn path() -> LockPath {
        LockPath::new(&Actor::new(word("ops"), word("s-1")), "restart")
    }

    pub fn digest() -> CallDigest {
        CallDigest::of_tool(&Tool {
            name: word("restart"),
            arguments: Args::new(),
        })
    }

    /// A call, now, that counts under a key, of at most `ceiling` in ten minutes.
    pub fn call(key: u8, ceiling: u32) -> Reserve {
        call_at(Timestamp::now(), key, ceiling)
    }

    pub fn call_at(at: Timestamp, key: u8, ceiling: u32) -> Reserve {
        Reserve {
            op: OpId::mint(at),
            attempt: Attempt::mint(),
            digest: digest(),
            path: path(),
            at,
            lease: Span::from_millis(60_000),
            demands: vec![Demand {
                rule: "restarts".into(),
                scope: [9; 16],
                key: Some([key; 16]),
                window: Window::Sliding(Span::from_millis(600_000)),
                amount: 1,
                ceiling: u64::from(ceiling),
            }],
        }
    }

    /// Whether another attempt at an op finds it taken, as it is once it was acknowledged.
    pub async fn is_taken(store: &SqliteStore, op: OpId) -> bool {
        let again = Reserve {
            op,
            ..call(1, u32::MAX)
        };
        match store.reserve(again).await.unwrap() {
            Reserved::Taken { fate, .. } => fate != Fate::Forgotten,
            _ => false,
        }
    }

    pub fn lock(target: Target) -> Lock {
        Lock {
            target,
            reason: text("enough"),
            by: word("bob"),
            at: Timestamp::now(),
        }
    }

    fn rule() -> (RuleId, RuleHash) {
        (
            RuleId::new(Layer::Policy, "asks").unwrap(),
            RuleHash::from_bytes([1; 32]),
        )
    }

    /// The n-th question: another than the others.
    pub fn open(n: u8) -> Open {
        let card = r#"{"risk":"low","headline":"restart","sections":[],"says":null,"whole":true}"#;
        let at = Timestamp::now();
        let (rule, hash) = rule();
        let request = Request {
            id: RequestId::from_bytes([n; 16]),
            version: 0,
            op: OpId::from_bytes([n; 16]),
            digest: digest(),
            path: path(),
            role: word("ops"),
            action: format!("tool:restart-{n}").into(),
            resource: ("Tool".into(), "restart".into()),
            facts: std::collections::BTreeMap::new(),
            pins: Vec::new(),
            risk: Risk::Low,
            labels: Vec::new(),
            rules: vec![glassbreak_core::approval::Asked {
                rule,
                hash,
                requirement: Requirement::default(),
                why: "it asks".into(),
            }],
            offer: None,
            file: None,
            card: serde_json::from_str(card).unwrap(),
            call: None,
            bundle: "b".into(),
            opened_at: at,
            deadline: at,
            stages: Vec::new(),
            shown: false,
            votes: Vec::new(),
            state: State::Pending,
        };
        let caps = Caps {
            pending: 1_000,
            per_hour: 1_000,
            cooldown: None,
        };
        Open {
            request,
            lasts: Span::from_millis(60_000),
            caps,
            at,
        }
    }

    /// A no to a request that is open.
    pub fn denial(request: &Request, by: &str) -> Decide {
        let state = State::Denied {
            why: format!("{by} said no").into(),
            by: Some(word(by)),
        };
        Decide {
            expected: request.version,
            next: Request {
                version: request.version + 1,
                state,
                ..request.clone()
            },
            grant: None,
            at: Timestamp::now(),
        }
    }

    /// Opens the n-th question and agrees to it, once.
    pub async fn granted(store: &SqliteStore, n: u8) -> Grant {
        let opened = Requests::open(store, open(n)).await.unwrap();
        let glassbreak_core::store::Opened::Opened(request) = opened else {
            panic!("{opened:?}");
        };
        let at = request.opened_at;
        let grant = Grant {
            id: GrantId::from_bytes([n; 16]),
            request: request.id,
            path: path(),
            lifts: vec![rule()],
            scope: Scope::Once { digest: digest() },
            file: None,
            uses: 0,
            max_uses: 1,
            not_before: at,
            expires_at: at.after(Grant::ONCE),
            revoked: None,
        };
        let decide = Decide {
            expected: 0,
            next: Request {
                version: 1,
                state: State::Approved { grant: grant.id },
                ..*request
            },
            grant: Some(grant.clone()),
            at: Timestamp::now(),
        };
        let decided = store.decide(decide).await.unwrap();
        assert!(
            matches!(decided, glassbreak_core::store::Decided::Done { .. }),
            "{decided:?}"
        );
        grant
    }

    /// A claim of the n-th grant for a call that is held.
    pub fn claim(call: &Reserve, n: u8) -> Claim {
        Claim {
            op: call.op,
            attempt: call.attempt,
            grant: GrantId::from_bytes([n; 16]),
            call: Use {
                path: path(),
                digest: digest(),
                action: format!("tool:restart-{n}").into(),
                facts: std::sync::Arc::default(),
                asks: vec![rule()],
                file: None,
            },
            at: Timestamp::now(),
        }
    }
}
