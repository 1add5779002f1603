//! The thread that reads, and looks for what other processes changed while somebody waits for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::Fault;
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
}

/// The thread's own.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) db: Connection,
    pub(crate) patience: Patience,
    pub(crate) busy: Duration,
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
        match self.view() {
            Ok(view) => look(Ok(view)),
            Err(fault) => {
                self.shared.fail(&fault);
                look(Err(fault));
            }
        }
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("COMMIT")
        {
            self.shared.fail(&Fault::from(error));
        }
    }

    fn view(&self) -> Result<View<'_>, Fault> {
        if let Some(fault) = self.shared.fault() {
            return Err(fault);
        }
        self.shared.check_identity()?;
        // Before the snapshot is taken: what is committed in between is not missing from it.
        let seen = self.shared.seen();
        self.patience.until(Instant::now() + self.busy);
        self.db.prepare_cached("BEGIN")?.execute([])?;
        let meta = Meta::load(&self.db)?;
        seen.check(&self.db, &meta)?;
        self.shared.saw(meta.seen());
        Ok(View { db: &self.db, meta })
    }

    /// Whether another connection has changed anything since.
    fn poll(&self, version: &mut Option<i64>) {
        let read = self
            .db
            .pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
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
