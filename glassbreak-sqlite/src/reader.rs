//! The thread that reads, and looks for what other processes changed while somebody waits for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::Fault;
use crate::look::{Looked, Once};
use crate::meta::Meta;
use crate::open::Patience;
use crate::shared::Shared;

/// How often it looks.
const POLL: Duration = Duration::from_millis(50);

/// What somebody wants of the database as it is.
pub(crate) type Look = Box<dyn FnOnce(Result<View<'_>, Fault>) + Send>;

/// What the thread is asked to do.
pub(crate) enum Order {
    /// To read, or to be told why that cannot be.
    Look(Look),
    /// Somebody waits now.
    Watch,
}

/// The database at one moment.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) meta: Meta,
    /// The look that it is, where nothing else has the database open for this process.
    pub(crate) look: Option<(&'a Looked, &'a Once)>,
}

impl View<'_> {
    /// To be asked when all was read: whether it was of one moment.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        self.look.map_or(Ok(()), |(looked, once)| looked.end(once))
    }
}

/// Where the thread reads.
#[derive(Debug)]
pub(crate) enum Source {
    /// Beside the thread that writes.
    Held {
        db: Connection,
        patience: Patience,
        busy: Duration,
    },
    Looked(Looked),
}

/// The thread's own.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) source: Source,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: Receiver<Order>,
}

impl Reader {
    /// Works until every handle is gone.
    pub(crate) fn work(self) {
        let mut looked = Instant::now();
        let mut version = None;
        loop {
            let waited_for = self.shared.is_waited_for();
            let order = if waited_for {
                self.orders.recv_timeout(POLL.saturating_sub(looked.elapsed()))
            } else {
                self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order::Look(look)) => self.look(look),
                Ok(Order::Watch) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if waited_for && looked.elapsed() >= POLL {
                looked = Instant::now();
                self.poll(&mut version);
            }
        }
    }

    fn look(&self, look: Look) {
        let (db, patience, busy) = match &self.source {
            Source::Held { db, patience, busy } => (db, patience, *busy),
            Source::Looked(looked) => return self.look_once(looked, look),
        };
        match self.view(db, patience, busy) {
            Ok(view) => look(Ok(view)),
            Err(fault) => {
                self.shared.fail(&fault);
                look(Err(fault));
            }
        }
        if !db.is_autocommit()
            && let Err(error) = db.execute_batch("COMMIT")
        {
            self.shared.fail(&Fault::from(error));
        }
    }

    /// What fails fails this look alone: nothing is counted by it.
    fn look_once(&self, looked: &Looked, look: Look) {
        let seen = self.shared.seen();
        let once = match looked.connect() {
            Ok(once) => once,
            Err(fault) => return look(Err(fault)),
        };
        look(looked.view(&once).and_then(|view| {
            seen.check(view.db, &view.meta)?;
            self.shared.saw(view.meta.seen());
            Ok(view)
        }));
    }

    fn view<'a>(&self, db: &'a Connection, patience: &Patience, busy: Duration) -> Result<View<'a>, Fault> {
        if let Some(fault) = self.shared.fault() {
            return Err(fault);
        }
        self.shared.check_identity()?;
        // Before the snapshot is taken: what is committed in between is not missing from it.
        let seen = self.shared.seen();
        patience.until(Instant::now() + busy);
        db.prepare_cached("BEGIN")?.execute([])?;
        let meta = Meta::load(db)?;
        seen.check(db, &meta)?;
        self.shared.saw(meta.seen());
        Ok(View { db, meta, look: None })
    }

    /// Whether another connection has changed anything since.
    fn poll(&self, version: &mut Option<i64>) {
        let Source::Held { db, .. } = &self.source else {
            // Whoever waits looks again.
            return self.shared.tell();
        };
        let read = db.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
        match read {
            Ok(now) if *version == Some(now) => {}
            Ok(now) => {
                *version = Some(now);
                self.shared.tell();
            }
            Err(error) => {
                self.shared.fail(&Fault::from(error));
                self.shared.tell();
            }
        }
    }
}
