//! The thread that owns the connection for writing: it takes what has come in, up to a bound, as one transaction, and
//! answers after the commit. So any number of callers share one wait for the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use glassbreak_core::store::{Position, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::adopt::{self, Adopt};
use crate::anchor::{self, Turn};
use crate::books::{Books, Known, Round};
use crate::error::Fault;
use crate::meta::{Meta, Seen};
use crate::open::Patience;
use crate::shared::Shared;
use crate::time::Line;

/// The most requests of one transaction.
const BATCH: usize = 256;
/// After so many requests the log is put into the database.
const CHECKPOINT: usize = 512;
/// How far the anchor may be behind.
const ANCHOR: Duration = Duration::from_secs(1);
/// Whoever had to stand in line that long tries once all the same.
const LEAST: Duration = Duration::from_millis(50);

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Job(Box<dyn Job>),
    Adopt(Adopt, oneshot::Sender<Result<Position, StoreError>>),
}

/// One request, whatever it is.
pub(crate) trait Job: Send + std::fmt::Debug {
    /// When it was asked.
    fn since(&self) -> Instant;
    /// Does it, in a transaction that is not committed yet; where it fails by itself, that leaves no trace if it is done
    /// apart, and else the transaction is to be undone. What was undone may be done again.
    fn run(&mut self, books: &mut Books<'_>, apart: bool) -> Option<Fault>;
    /// Answers, now that the transaction is, or is not.
    fn answer(self: Box<Self>, committed: Result<(), &Fault>);
}

/// A request and whoever waits for it.
pub(crate) struct Ask<T, F> {
    pub(crate) operation: &'static str,
    pub(crate) since: Instant,
    pub(crate) work: F,
    pub(crate) done: Option<Result<T, Fault>>,
    pub(crate) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> std::fmt::Debug for Ask<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

impl<T: Send, F: Fn(&mut Books<'_>) -> Result<T, Fault> + Send> Job for Ask<T, F> {
    fn since(&self) -> Instant {
        self.since
    }

    fn run(&mut self, books: &mut Books<'_>, apart: bool) -> Option<Fault> {
        let done = if apart {
            books.attempt(&self.work)
        } else {
            (self.work)(books)
        };
        let fault = done.as_ref().err().cloned();
        self.done = Some(done);
        fault
    }

    fn answer(self: Box<Self>, committed: Result<(), &Fault>) {
        let answer = match (self.done, committed) {
            // What failed by itself is told why.
            (Some(Err(fault)), _) => Err(fault.told(self.operation)),
            (_, Err(fault)) => Err(fault.told(self.operation)),
            (Some(Ok(answer)), Ok(())) => Ok(answer),
            (None, Ok(())) => Err(Fault::Broken("the request was not looked at".to_owned()).told(self.operation)),
        };
        // Whoever asked may have gone; what was done stays done.
        let _ = self.reply.send(answer);
    }
}

/// Why a transaction was not committed.
#[derive(Debug)]
enum Failed {
    /// By what one request met.
    Job(Fault),
    Whole(Fault),
}

impl Failed {
    fn fault(self) -> Fault {
        let (Self::Job(fault) | Self::Whole(fault)) = self;
        fault
    }
}

impl<E: Into<Fault>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Whole(error.into())
    }
}

/// The thread's own.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The thread that reads: it ends first, because only this one can put the log into the database at the end.
    pub(crate) reader: JoinHandle<()>,
    pub(crate) db: Connection,
    pub(crate) patience: Patience,
    pub(crate) busy: Duration,
    pub(crate) line: Line,
    pub(crate) known: Option<Known>,
    pub(crate) round: Round,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Receiver<Order>,
    /// Requests since the log was last put into the database.
    pub(crate) logged: usize,
    /// What the anchor last said, and when it was tried.
    pub(crate) anchored: (Seen, Instant),
}

impl Writer {
    /// Works until every handle is gone.
    pub(crate) fn work(mut self) {
        let mut left = None;
        while let Some(order) = left.take().or_else(|| self.next()) {
            match order {
                Order::Adopt(adopt, reply) => {
                    let done = self.adopt(&adopt).map_err(|fault| fault.told("adopt"));
                    let _ = reply.send(done);
                }
                Order::Job(job) => {
                    let mut jobs = vec![job];
                    while jobs.len() < BATCH {
                        match self.orders.try_recv() {
                            Ok(Order::Job(job)) => jobs.push(job),
                            Ok(adopt) => {
                                left = Some(adopt);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.batch(jobs);
                }
            }
            self.checkpoint();
            if self.anchored.1.elapsed() >= ANCHOR {
                self.anchor(Turn::IfFree);
            }
        }
        self.anchor(Turn::Wait);
        // However it ended.
        let _ = self.reader.join();
    }

    /// The next order; `None` at the end. The anchor follows also when nothing more comes.
    fn next(&mut self) -> Option<Order> {
        loop {
            if self.anchored.0 == self.shared.seen() {
                return self.orders.recv().ok();
            }
            match self
                .orders
                .recv_timeout(ANCHOR.saturating_sub(self.anchored.1.elapsed()))
            {
                Ok(order) => return Some(order),
                Err(RecvTimeoutError::Timeout) => self.anchor(Turn::IfFree),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let oldest = jobs.iter().map(|job| job.since()).min();
        self.logged += jobs.len();
        let committed = self.transact(&mut jobs, oldest.unwrap_or_else(Instant::now));
        if let Err(fault) = &committed {
            self.undo(fault);
        }
        for job in jobs {
            job.answer(committed.as_ref().map(drop));
        }
        if matches!(committed, Ok(true)) {
            self.shared.tell();
        }
    }

    /// Does all of it as one transaction. Whether there is something that others may wait for.
    fn transact(&mut self, jobs: &mut [Box<dyn Job>], oldest: Instant) -> Result<bool, Fault> {
        // To keep them apart copies every page that each of them changes, and hardly any fails.
        match self.transact_as(jobs, oldest, false) {
            Err(Failed::Job(fault)) if jobs.len() > 1 && !fault.sticks() => {
                self.undo(&fault);
                self.transact_as(jobs, oldest, true).map_err(Failed::fault)
            }
            done => done.map_err(Failed::fault),
        }
    }

    fn transact_as(&mut self, jobs: &mut [Box<dyn Job>], oldest: Instant, apart: bool) -> Result<bool, Failed> {
        let seen = self.begin(oldest)?;
        let meta = Meta::load(&self.db)?;
        self.recognise(&seen, &meta)?;
        let mut books = Books::new(&self.db, meta, &mut self.line, &mut self.known, &mut self.round);
        let many = jobs.len();
        for job in jobs {
            if let Some(fault) = job.run(&mut books, apart)
                && (!apart || fault.sticks() || self.db.is_autocommit())
            {
                return Err(Failed::Job(fault));
            }
        }
        books.close(many)?;
        let (meta, news) = (books.meta, books.news);
        self.db.prepare_cached("COMMIT")?.execute([])?;
        // What was written into files that are not there any more is not written, and what was read of them is nothing.
        self.shared.check_identity()?;
        self.shared.saw(meta.seen());
        Ok(news)
    }

    fn begin(&mut self, oldest: Instant) -> Result<Seen, Fault> {
        if let Some(fault @ Fault::Broken(_)) = self.shared.fault() {
            return Err(fault);
        }
        let seen = self.shared.seen();
        self.patience.until((oldest + self.busy).max(Instant::now() + LEAST));
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(seen)
    }

    /// Whether the database is not behind what this process has seen; or was adopted, in another process, since.
    fn recognise(&self, seen: &Seen, meta: &Meta) -> Result<(), Fault> {
        let fault = match self.shared.fault() {
            Some(fault) => fault,
            None => match seen.check(&self.db, meta) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            },
        };
        let follows = meta.before == Some(seen.generation) && meta.generation != seen.generation;
        if follows
            && let Ok(Some(said)) = anchor::read(&self.shared.place)
            && said.check(&self.db, meta).is_ok()
        {
            self.shared.adopted(meta.seen());
            return Ok(());
        }
        Err(fault)
    }

    fn undo(&mut self, fault: &Fault) {
        // What is known of an older state's successor is set again when that is adopted.
        if !fault.sticks() {
            self.known = None;
        }
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            self.shared
                .fail(&Fault::Broken(format!("a transaction could not be undone: {error}")));
        }
        self.shared.fail(fault);
    }

    fn adopt(&mut self, adopt: &Adopt) -> Result<Position, Fault> {
        let done = self.adopt_now(adopt);
        if let Err(fault) = &done {
            self.undo(fault);
        }
        done
    }

    fn adopt_now(&mut self, adopt: &Adopt) -> Result<Position, Fault> {
        let locks = self.known.clone();
        let seen = self.begin(Instant::now())?;
        let meta = Meta::load(&self.db)?;
        if self.recognise(&seen, &meta).is_ok() {
            self.db.execute_batch("ROLLBACK")?;
            return Ok(meta.position());
        }
        let mut books = Books::new(&self.db, meta, &mut self.line, &mut self.known, &mut self.round);
        let position = adopt::adopt(&mut books, adopt, &seen, locks.as_ref())?;
        books.close(1)?;
        let now = books.meta.seen();
        self.db.prepare_cached("COMMIT")?.execute([])?;
        self.shared.check_identity()?;
        anchor::write(&self.shared.place, &now, Turn::Over)?;
        self.anchored = (now, Instant::now());
        self.shared.adopted(now);
        Ok(position)
    }

    /// Puts the log into the database now and then. SQLite would do it by itself, and keep quiet about a disk that fails.
    fn checkpoint(&mut self) {
        if self.logged < CHECKPOINT || self.shared.fault().is_some() {
            return;
        }
        self.logged = 0;
        let done = self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            self.shared.fail(&Fault::from(error));
        }
    }

    fn anchor(&mut self, turn: Turn) {
        let seen = self.shared.seen();
        // Of an older state too: whoever opens it next shall know.
        let known = seen.generation != [0; 16] && !matches!(self.shared.fault(), Some(Fault::Broken(_)));
        if !known || self.anchored.0 == seen {
            self.anchored = (seen, Instant::now());
            return;
        }
        // It is a safety net: where it cannot be written, calls are not held up, and it is tried again.
        let written = matches!(anchor::write(&self.shared.place, &seen, turn), Ok(true));
        self.anchored = (if written { seen } else { self.anchored.0 }, Instant::now());
    }
}
