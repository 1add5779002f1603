//! The local mirror of the store's locks: never older than a second, or it refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::argv::Programs;
use crate::lock::{Lock, LockPath, LockSet};
use crate::store::{LockView, Position, Store};

/// How old the mirror may be before it refuses everything (design: B).
pub(super) const MOST_AGE: Duration = Duration::from_secs(1);
/// How often the store is asked when it says nothing by itself.
const POLL: Duration = Duration::from_millis(250);

/// What the store last said of its locks, and when.
#[derive(Debug)]
pub(super) struct Mirror {
    began: Instant,
    /// When the store last answered, in milliseconds since `began`.
    fresh: AtomicU64,
    view: watch::Sender<Arc<Seen>>,
}

#[derive(Debug)]
struct Seen {
    position: Position,
    locks: Arc<LockSet>,
}

/// The moment of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(u64);

/// Why a call may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A lock stands on its way.
    By(Arc<Lock>),
    /// The store has not answered for too long, so nobody knows.
    Unknown,
}

/// What a call is locked by name under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// The program or tool that it is a call of.
    pub(super) name: &'a str,
    /// Where that program is run by others, or called by another name: all words, among which those names are.
    pub(super) around: &'a [Box<str>],
    /// Where it is a program: those that have other names, because a lock on one name stops the program by all of them.
    pub(super) programs: Option<&'a Programs>,
}

impl Names<'_> {
    /// A lock on what runs, or on what runs that, by whatever name.
    fn lock<'l>(&self, locks: &'l LockSet) -> Option<&'l Arc<Lock>> {
        if !locks.names_tools() {
            return None;
        }
        let on = |word: &str| {
            let other = || self.programs?.called(word).find_map(|name| locks.tool(name));
            locks.tool(word).or_else(other)
        };
        on(self.name).or_else(|| self.around.iter().find_map(|word| on(word)))
    }
}

impl Mirror {
    pub(super) fn new(view: LockView) -> Self {
        let (sender, _) = watch::channel(Arc::new(Seen {
            position: view.position,
            locks: view.locks,
        }));
        Self {
            began: Instant::now(),
            fresh: AtomicU64::new(0),
            view: sender,
        }
    }

    /// When a question is put to the store: what it answers is so as of then, however late the answer comes.
    pub(super) fn asked(&self) -> Asked {
        Asked(self.elapsed())
    }

    /// Takes in what the store says. An older view than the one known changes nothing.
    pub(super) fn take(&self, view: LockView, asked: Asked) {
        self.fresh.fetch_max(asked.0, Ordering::AcqRel);
        self.view.send_if_modified(|seen| {
            // Two tasks ask the store, and the one that asked first may come last: a lock must not go away again.
            let newer =
                seen.position.generation != view.position.generation || seen.position.epoch < view.position.epoch;
            if newer {
                *seen = Arc::new(Seen {
                    position: view.position,
                    locks: view.locks,
                });
            }
            newer
        });
    }

    /// What stops a caller's call of the tool or program `name`, if anything does.
    pub(super) fn stopped_at(&self, caller: &LockPath, names: Names<'_>) -> Option<Stopped> {
        let age = self.elapsed().saturating_sub(self.fresh.load(Ordering::Acquire));
        if age > MOST_AGE.as_millis() as u64 {
            return Some(Stopped::Unknown);
        }
        let view = self.view.borrow();
        let by_name = || names.lock(&view.locks);
        let lock = view.locks.find_at(caller, names.name).or_else(by_name);
        lock.map(|lock| Stopped::By(Arc::clone(lock)))
    }

    /// Waits until something stops a caller's call of these.
    pub(super) async fn wait(&self, caller: &LockPath, names: Names<'_>) -> Stopped {
        let mut view = self.view.subscribe();
        loop {
            if let Some(stopped) = self.stopped_at(caller, names) {
                return stopped;
            }
            // The store's silence stops a call too, and nobody announces a silence.
            let _ = tokio::time::timeout(POLL, view.changed()).await;
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn position(&self) -> Position {
        self.view.borrow().position
    }
}

/// Keeps the mirror fresh as long as its gate lives.
pub(super) async fn follow(store: Arc<dyn Store>, mirror: std::sync::Weak<Mirror>) {
    loop {
        let Some(strong) = mirror.upgrade() else { return };
        let since = strong.position();
        let mut asked = strong.asked();
        drop(strong);
        let view = match tokio::time::timeout(POLL, store.changed(since)).await {
            Ok(view) => view,
            Err(_) => {
                asked = match mirror.upgrade() {
                    Some(strong) => strong.asked(),
                    None => return,
                };
                store.locks().await
            }
        };
        let Some(mirror) = mirror.upgrade() else { return };
        match view {
            Ok(view) => mirror.take(view, asked),
            Err(_) => tokio::time::sleep(POLL / 5).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Actor, Text, Word};
    use crate::clock::Timestamp;
    use crate::lock::Target;
    use crate::store::{Locks, MemoryStore};

    const NONE: Names<'_> = Names {
        name: "",
        around: &[],
        programs: None,
    };

    #[tokio::test]
    async fn a_lock_on_one_name_of_a_program_stops_it_by_all_of_them() {
        let word = |text| Word::new(text).unwrap();
        let programs = Programs::shipped().unwrap();
        let path = LockPath::new(&Actor::new(word("ops"), word("s")), "");
        for (locked, words, stops) in [
            ("python3", &["python3", "x.py"][..], true),
            ("python3", &["python", "x.py"], true),
            ("python", &["python3", "x.py"], true),
            ("mawk", &["gawk", "{print}"], true),
            ("python3", &["timeout", "5", "python"], true),
            ("python", &["timeout", "5", "python3"], true),
            ("pip3", &["python3", "x.py"], false),
            ("python3", &["node", "x.js"], false),
        ] {
            let store = MemoryStore::new();
            let lock = Lock {
                target: Target::Tool(word(locked)),
                reason: Text::new("runaway").unwrap(),
                by: word("bob"),
                at: Timestamp::now(),
            };
            store.lock(lock).await.unwrap();
            let mirror = Mirror::new(store.locks().await.unwrap());
            let wraps = words[0] == "timeout";
            let words: Vec<Box<str>> = words.iter().map(|word| (*word).into()).collect();
            let called = if wraps { &words[2] } else { &words[0] };
            let name = programs.name_of(called).unwrap();
            let names = Names {
                name,
                around: if wraps { &words } else { &[] },
                programs: Some(&programs),
            };
            assert_eq!(mirror.stopped_at(&path, names).is_some(), stops, "{locked} {words:?}");
        }
    }

    #[tokio::test]
    async fn news_that_comes_late_takes_no_lock_away() {
        let store = MemoryStore::new();
        let before = store.locks().await.unwrap();
        let word = |text| Word::new(text).unwrap();
        let lock = Lock {
            target: Target::All,
            reason: Text::new("runaway").unwrap(),
            by: word("bob"),
            at: Timestamp::now(),
        };
        store.lock(lock).await.unwrap();
        let mirror = Mirror::new(before.clone());
        let path = LockPath::new(&Actor::new(word("ops"), word("s")), "");
        assert_eq!(mirror.stopped_at(&path, NONE), None);
        mirror.take(store.locks().await.unwrap(), mirror.asked());
        mirror.take(before, mirror.asked());
        assert!(matches!(mirror.stopped_at(&path, NONE), Some(Stopped::By(_))));
        // Another store, whatever its epoch, is believed.
        mirror.take(MemoryStore::new().locks().await.unwrap(), mirror.asked());
        assert_eq!(mirror.stopped_at(&path, NONE), None);
    }

    /// A process that was stopped, or a store that hung: what comes in then was so before.
    #[tokio::test]
    async fn news_that_was_long_on_its_way_is_old() {
        let store = MemoryStore::new();
        let mirror = Mirror::new(store.locks().await.unwrap());
        let path = LockPath::new(&Actor::new(Word::new("ops").unwrap(), Word::new("s").unwrap()), "");
        let (asked, answer) = (mirror.asked(), store.locks().await.unwrap());
        tokio::time::sleep(MOST_AGE + Duration::from_millis(50)).await;
        mirror.take(answer, asked);
        assert_eq!(mirror.stopped_at(&path, NONE), Some(Stopped::Unknown));
        mirror.take(store.locks().await.unwrap(), mirror.asked());
        assert_eq!(mirror.stopped_at(&path, NONE), None);
    }
}
