//! How requests get to people: what notifiers confirm, and the stages that are reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Desk, MOST_TRIES, VoteError};
use crate::approval::{self, Because, Request, RequestId, Step};
use crate::audit::{Event, NotifyFailed, NotifySent, RequestEscalated, RequestOverflow};
use crate::call::Word;
use crate::clock::Timestamp;
use crate::notify::Alert;
use crate::store::Decided;

/// One delivery: whose desk a notifier was handed, so that what it confirms is known for its own.
#[derive(Debug)]
pub(crate) struct Delivery {
    notifier: String,
    stage: u32,
    shown: AtomicBool,
}

impl Delivery {
    /// A delivery by the notifier of this name, at this stage of the request.
    pub(crate) fn new(notifier: &str, stage: u32) -> Arc<Self> {
        Arc::new(Self {
            notifier: notifier.to_owned(),
            stage,
            shown: AtomicBool::new(false),
        })
    }

    /// The notifier's name.
    pub(crate) fn notifier(&self) -> &str {
        &self.notifier
    }

    /// Whether it was confirmed.
    pub(crate) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Acquire)
    }
}

impl Desk {
    /// The desk of one delivery.
    pub(crate) fn of_delivery(&self, delivery: &Arc<Delivery>) -> Self {
        Self {
            delivery: Some(Arc::clone(delivery)),
            ..self.clone()
        }
    }

    /// Confirms that people see a request: for a notifier whose `deliver` goes on after that, with the desk that it was
    /// handed. One that returns when it is shown need not call it. On any other desk it does nothing.
    ///
    /// What cannot be recorded or stored is left: nothing is agreed to by it, and a request that nobody is known to have
    /// seen ends as one.
    pub async fn shown(&self, id: RequestId) {
        let Some(delivery) = &self.delivery else { return };
        if delivery.shown.swap(true, Ordering::AcqRel) {
            return;
        }
        let record = NotifySent {
            request: id,
            notifier: &delivery.notifier,
            stage: delivery.stage,
        };
        let _ = self.audit.append(Event::NotifySent(record));
        for _ in 0..MOST_TRIES {
            let Ok(Some(request)) = self.store.request(id).await else {
                return;
            };
            let Some(next) = approval::shown(&request) else { return };
            match self.step(&request, next).await {
                Ok(Decided::Conflict(_)) => {}
                _ => return,
            }
        }
    }

    /// Records that a way to people did not work.
    pub(crate) fn not_delivered(&self, request: RequestId, why: &str) {
        let record = NotifyFailed {
            request,
            notifier: self.delivery.as_ref().map(|delivery| &*delivery.notifier),
            stage: self.delivery.as_ref().map(|delivery| delivery.stage),
            why,
        };
        // Nothing hangs on it.
        let _ = self.audit.append(Event::NotifyFailed(record));
    }

    /// The stage of a request that is to be reached by now, as the bundle in force says.
    pub(crate) fn due(&self, request: &Request) -> Option<(Word, u8, Because)> {
        approval::due(request, &*self.bundle(), Timestamp::now())
    }

    /// Brings `group` of a request one stage further, if it is still at the one after `from` later ones; of any number of
    /// callers, in any number of processes, one does, and records it. Returns the request as it then stands.
    ///
    /// # Errors
    /// When the store does not answer, or it cannot be recorded.
    pub(crate) async fn escalate(
        &self,
        id: RequestId,
        group: &Word,
        from: u8,
        because: Because,
    ) -> Result<Option<Request>, VoteError> {
        for _ in 0..MOST_TRIES {
            let Some(request) = self.store.request(id).await? else {
                return Ok(None);
            };
            let bundle = self.bundle();
            let Some(next) = approval::escalate(&request, group, from, because, &*bundle, Timestamp::now()) else {
                return Ok(Some(request));
            };
            let done = match self.step(&request, next.clone()).await {
                Ok(Decided::Done { .. }) => true,
                Ok(Decided::Conflict(_)) => continue,
                Ok(_) => false,
                // It may be so, and only the answer lost: then the log must say that it is.
                Err(error) => match self.store.request(id).await {
                    Ok(Some(now)) if now == next => true,
                    _ => return Err(error.into()),
                },
            };
            if !done {
                return Ok(self.store.request(id).await?);
            }
            let stages = next.stages.iter().find(|stages| stages.group == *group);
            if let Some(stages) = stages {
                let record = RequestEscalated {
                    request: id,
                    stages,
                    because,
                };
                self.audit.append_synced(Event::RequestEscalated(record))?;
            }
            return Ok(Some(next));
        }
        Err(VoteError::Busy)
    }

    /// Records that an agent asks more often than it may.
    pub(crate) fn overflown(&self, alert: &Alert) {
        let record = RequestOverflow { alert };
        // The refusal of the call is recorded next, and that must not fail.
        let _ = self.audit.append_synced(Event::RequestOverflow(record));
    }

    /// Puts a change without a grant in place, if nothing came first.
    async fn step(&self, request: &Request, next: Request) -> Result<Decided, crate::store::StoreError> {
        let step = Step {
            request: next,
            grant: None,
        };
        self.decide(request.version, step, Timestamp::now()).await
    }
}
