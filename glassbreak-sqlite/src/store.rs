//! The store, as the traits see it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use glassbreak_core::approval::{Request, RequestId};
use glassbreak_core::call::{Text, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::lock::Lock;
use glassbreak_core::store::{
    Claim, Claimed, Clock, Decide, Decided, Durability, Ended, Ledger, LockView, Locks, Open, Opened, Position,
    Requests, Reserve, Reserved, Revoke, Settle, Settled, Store, StoreError, StoreErrorKind, Unlock, Unlocked,
};
use tokio::sync::oneshot;

use crate::adopt::Adopt;
use crate::books::{self, Books, Round};
use crate::error::Fault;
use crate::look::Looked;
use crate::open::{self, Settings};
use crate::reader::{self, Reader, Source, View};
use crate::shared::Shared;
use crate::time::Elapsed;
use crate::writer::{self, Ask, Writer};
use crate::{grants, ledger, locks, requests};

/// How long the end of the last handle may take.
const CLOSING: Duration = Duration::from_secs(2);

/// A store in one SQLite file, shared by clones and by every process of the machine that opens the file.
///
/// What it acknowledged is on disk. It stops answering, and says why, when it cannot vouch for what it counted: after an
/// error of the disk until it is opened again, and where the file is an older state than one that was known until an
/// operator [adopts](Self::adopt) it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    handle: Arc<Handle>,
}

/// Ends both threads when the last clone goes.
#[derive(Debug)]
struct Handle {
    /// None where the store is only looked at.
    writes: Option<Sender<writer::Order>>,
    reads: Option<Sender<reader::Order>>,
    shared: Arc<Shared>,
    /// The process that opened it: its threads and locks are not in a fork.
    process: u32,
    ended: Mutex<Receiver<()>>,
}

/// A [`SqliteStore`] in the making.
#[derive(Debug)]
pub struct SqliteBuilder {
    settings: Settings,
}

impl SqliteStore {
    /// Opens the store at `path`, and makes it if there is none: a file of mode 0600, in a folder that nobody else may
    /// write.
    ///
    /// # Errors
    /// When the path is within reach of others, on a file system of the network, another application's, of a newer
    /// glassbreak, or damaged; and when it cannot be opened. The error says what to do.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Opens the store at `path` only to look: makes no file, writes nothing, leads no schema on, also while gates write
    /// and where the file may not be written (mode 0400). What would change the store is refused, as
    /// [`ReadOnly`](StoreErrorKind::ReadOnly). Each question is answered by the database as it then is.
    ///
    /// # Errors
    /// As [`open`](Self::open); where there is no store; and [`OtherVersion`](StoreErrorKind::OtherVersion) where what is
    /// kept is of an older version too.
    pub async fn look(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        const HERE: &str = "look";
        let settings = Self::builder(path).settings;
        let (reply, answer) = oneshot::channel();
        let thread = thread::Builder::new().name("glassbreak-sqlite-read".to_owned());
        let started = thread.spawn(move || match start_looking(&settings) {
            Ok((store, reader, ended)) => match reply.send(Ok(store)) {
                Ok(()) => {
                    reader.work();
                    drop(ended);
                }
                // As in `open`: the handle's end waits for this thread.
                Err(unwanted) => {
                    drop(ended);
                    drop(unwanted);
                }
            },
            Err(fault) => drop(reply.send(Err(fault.told(HERE)))),
        });
        started.map_err(|error| Fault::Place(format!("no thread can be started: {error}")).told(HERE))?;
        answer.await.map_err(|_| gone(HERE))?
    }

    /// Opens a store with other settings.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder {
            settings: Settings {
                path: path.as_ref().to_owned(),
                elapsed: Elapsed::of_machine(),
                busy: Duration::from_secs(5),
                most_pages: None,
            },
        }
    }

    /// Takes `at` for the time from now on, on an operator's word: the way on where the store's time is ahead of the
    /// clock, and where a clock was put forward. A time that is behind the store's does not put it back.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn adopt_time(&self, at: Timestamp) -> Result<Position, StoreError> {
        self.write("adopt_time", move |books| {
            books.line.adopt(&mut books.meta, at);
            Ok(books.position())
        })
        .await
    }

    /// Takes what is in the file for the present state, on an operator's word: the way on after
    /// [`RolledBack`](glassbreak_core::store::StoreErrorKind::RolledBack), where the newest files are lost. Look first at the audit log for what is
    /// missing.
    ///
    /// The store gets a new generation. Every op minted until `at` counts as taken, the grants that stand are revoked and
    /// the open requests cancelled, because what became of them is not known; locks that this process knew are set again.
    /// What was counted since the file was written is forgotten: lock the store first where that matters. Where there is
    /// nothing to adopt, nothing changes. Other processes go on by themselves.
    ///
    /// # Errors
    /// When the store cannot answer; then it goes on denying.
    pub async fn adopt(&self, by: Word, reason: Text, at: Timestamp) -> Result<Position, StoreError> {
        const HERE: &str = "adopt";
        self.check_process(HERE)?;
        let (reply, answer) = oneshot::channel();
        let order = writer::Order::Adopt(Adopt { by, reason, at }, reply);
        self.order(HERE, order)?;
        answer.await.map_err(|_| gone(HERE))?
    }

    /// Why the store denies everything at the moment, if it does.
    pub fn fault(&self) -> Option<StoreError> {
        self.handle.shared.fault().map(|fault| fault.told("fault"))
    }

    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.handle.shared.place.database
    }

    /// Has the writer do `work` in its next transaction, and once more where that is undone for another's sake. Nothing is
    /// done before the first poll; after it, `work` is done whether or not anybody waits for the answer.
    async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Books<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.check_process(operation)?;
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            operation,
            since: Instant::now(),
            work,
            done: None,
            reply,
        };
        self.order(operation, writer::Order::Job(Box::new(ask)))?;
        answer.await.map_err(|_| gone(operation))?
    }

    /// Hands the writer an order, if there is a writer. One that has ended answers by its silence.
    fn order(&self, operation: &'static str, order: writer::Order) -> Result<(), StoreError> {
        let Some(writes) = &self.handle.writes else {
            let what = "the store was opened only to look, and this would change it; open it with SqliteStore::open";
            return Err(Fault::answer(StoreErrorKind::ReadOnly, what).told(operation));
        };
        let _ = writes.send(order);
        Ok(())
    }

    async fn read<T, F>(&self, operation: &'static str, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.check_process(operation)?;
        let (reply, answer) = oneshot::channel();
        let order = reader::Order::Look(Box::new(move |view| {
            let seen = view.and_then(|view| {
                let seen = look(&view)?;
                view.end()?;
                Ok(seen)
            });
            let _ = reply.send(seen.map_err(|fault| fault.told(operation)));
        }));
        self.handle.reads.as_ref().map(|reads| reads.send(order));
        answer.await.map_err(|_| gone(operation))?
    }

    fn check_process(&self, operation: &'static str) -> Result<(), StoreError> {
        if std::process::id() == self.handle.process {
            return Ok(());
        }
        let what = "the store was opened before this process was forked, which must open it by itself";
        Err(Fault::Broken(what.to_owned()).told(operation))
    }

    /// Looks again and again, whenever something may have changed, until there is an answer.
    async fn wait<T, F>(&self, operation: &'static str, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&View<'_>) -> Result<Option<T>, Fault> + Clone + Send + 'static,
    {
        let shared = &self.handle.shared;
        let _waiting = shared.wait();
        self.handle.reads.as_ref().map(|reads| reads.send(reader::Order::Watch));
        let mut news = shared.news.subscribe();
        loop {
            if let Some(answer) = self.read(operation, look.clone()).await? {
                return Ok(answer);
            }
            news.changed().await.map_err(|_| gone(operation))?;
        }
    }
}

fn gone(operation: &'static str) -> StoreError {
    Fault::Broken("the store's thread has ended, and what it did last is not known".to_owned()).told(operation)
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.writes = None;
        self.reads = None;
        // So that a process that ends now leaves an anchor and a closed database. In a fork nobody would answer.
        if std::process::id() == self.process {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(CLOSING);
        }
    }
}

impl SqliteBuilder {
    /// Catches jumps of the callers' clock by `clock`, which the handles of this process share, and no others: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.elapsed = Elapsed::of(clock);
        self
    }

    /// How long a call may wait for other processes that write; 5 s unless said.
    #[must_use]
    pub fn busy_limit(mut self, limit: Duration) -> Self {
        self.settings.busy = limit;
        self
    }

    /// The most pages of the file, for tests of a full disk.
    #[doc(hidden)]
    #[must_use]
    pub fn most_pages(mut self, most: u32) -> Self {
        self.settings.most_pages = Some(most);
        self
    }

    /// Opens the store, as [`SqliteStore::open`].
    ///
    /// # Errors
    /// As there.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        const HERE: &str = "open";
        let (reply, answer) = oneshot::channel();
        let no_thread = |error| Fault::Place(format!("no thread can be started: {error}")).told(HERE);
        let thread = thread::Builder::new().name("glassbreak-sqlite".to_owned());
        let settings = self.settings;
        let started = thread.spawn(move || match start(&settings) {
            Ok((store, writer, ended)) => match reply.send(Ok(store)) {
                Ok(()) => {
                    writer.work();
                    drop(ended);
                }
                // Nobody waited for it. It is not waited for here, by the thread that it would wait for.
                Err(unwanted) => {
                    drop(ended);
                    drop(unwanted);
                }
            },
            Err(fault) => drop(reply.send(Err(fault.told(HERE)))),
        });
        started.map_err(no_thread)?;
        answer.await.map_err(|_| gone(HERE))?
    }
}

/// Opens the database and starts the thread that reads.
fn start(settings: &Settings) -> Result<(SqliteStore, Writer, Sender<()>), Fault> {
    let ready = open::open(settings)?;
    let shared = Arc::new(Shared::new(ready.place, ready.identity, ready.seen, ready.fault));
    let (writes, write_orders) = mpsc::channel();
    let (reads, read_orders) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let reader = Reader {
        source: Source::Held {
            db: ready.reader,
            patience: ready.reading,
            busy: settings.busy,
        },
        shared: Arc::clone(&shared),
        orders: read_orders,
    };
    let thread = thread::Builder::new().name("glassbreak-sqlite-read".to_owned());
    let started = thread.spawn(move || reader.work());
    let reader = started.map_err(|error| Fault::Place(format!("no thread can be started: {error}")))?;
    let writer = Writer {
        reader,
        db: ready.writer,
        patience: ready.patience,
        busy: settings.busy,
        line: ready.line,
        known: None,
        round: Round::default(),
        shared: Arc::clone(&shared),
        orders: write_orders,
        logged: 0,
        anchored: (ready.seen, Instant::now()),
    };
    let handle = Handle {
        writes: Some(writes),
        reads: Some(reads),
        shared,
        process: std::process::id(),
        ended: Mutex::new(ended),
    };
    let store = SqliteStore {
        handle: Arc::new(handle),
    };
    Ok((store, writer, ends))
}

/// The store and the thread that reads, where nothing is to be written.
fn start_looking(settings: &Settings) -> Result<(SqliteStore, Reader, Sender<()>), Fault> {
    let (looked, meta) = Looked::open(settings)?;
    let place = looked.place().clone();
    let identity = place.identity()?;
    let shared = Arc::new(Shared::new(place, identity, meta.seen(), None));
    let (reads, orders) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let handle = Handle {
        writes: None,
        reads: Some(reads),
        shared: Arc::clone(&shared),
        process: std::process::id(),
        ended: Mutex::new(ended),
    };
    let reader = Reader {
        source: Source::Looked(looked),
        shared,
        orders,
    };
    let store = SqliteStore {
        handle: Arc::new(handle),
    };
    Ok((store, reader, ends))
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        self.write("reserve", move |books| ledger::reserve(books, &reserve))
            .await
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        self.write("settle", move |books| ledger::settle(books, &settle)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.write("claim", move |books| ledger::claim(books, &claim)).await
    }
}

#[async_trait]
impl Requests for SqliteStore {
    async fn open(&self, open: Open) -> Result<Opened, StoreError> {
        self.write("open", move |books| requests::open(books, &open)).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.read("request", move |view| requests::request(view.db, &id)).await
    }

    async fn pending(&self) -> Result<Vec<Request>, StoreError> {
        self.read("pending", |view| requests::pending(view.db)).await
    }

    async fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        let (id, key) = (request.id, request.key());
        self.read("earlier", move |view| requests::earlier(view.db, &id, &key, most))
            .await
    }

    async fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        self.write("decide", move |books| requests::decide(books, &decide))
            .await
    }

    async fn moved(&self, id: RequestId, version: u32) -> Result<Option<Request>, StoreError> {
        self.wait("moved", move |view| {
            let request = requests::request(view.db, &id)?;
            let moved = request.as_ref().is_none_or(|request| request.version != version);
            Ok(moved.then_some(request))
        })
        .await
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        self.read("grants", |view| grants::standing(view.db, None, view.meta.newest()))
            .await
    }

    async fn grant(&self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        self.read("grant", move |view| grants::find(view.db, &id)).await
    }

    async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        self.write("revoke", move |books| requests::revoke(books, &revoke))
            .await
    }
}

#[async_trait]
impl Locks for SqliteStore {
    async fn lock(&self, lock: Lock) -> Result<Ended, StoreError> {
        self.write("lock", move |books| locks::lock(books, &lock)).await
    }

    async fn unlock(&self, unlock: Unlock) -> Result<Unlocked, StoreError> {
        self.write("unlock", move |books| locks::unlock(books, &unlock)).await
    }

    async fn locks(&self) -> Result<LockView, StoreError> {
        self.read("locks", locks_of).await
    }

    async fn changed(&self, since: Position) -> Result<LockView, StoreError> {
        self.wait("changed", move |view| {
            let last = view.meta.at(view.meta.locked);
            let moved = last.generation != since.generation || last.epoch > since.epoch;
            moved.then(|| locks_of(view)).transpose()
        })
        .await
    }
}

fn locks_of(view: &View<'_>) -> Result<LockView, Fault> {
    Ok(LockView {
        position: view.meta.position(),
        locks: Arc::new(books::locks(view.db)?),
    })
}

impl Store for SqliteStore {
    fn durability(&self) -> Durability {
        Durability::Disk
    }

    fn place(&self) -> Option<PathBuf> {
        Some(self.path().to_owned())
    }
}
