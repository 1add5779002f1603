//! The requests and grants of a memory store: one table, behind one mutex, because people are slow.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::approval::{self, Request, RequestId, State};
use crate::clock::{Span, Timestamp};
use crate::grant::{Grant, GrantId, Mismatch, Revoked, Use};
use crate::lock::{LockPath, Target};
use crate::store::{Decide, Open, Unasked, Which};

/// What is settled, and what has ended, is kept at least this long.
const KEPT: Span = Span::from_millis(2 * 86_400_000);
const HOUR: Span = Span::from_millis(3_600_000);

/// Requests and grants.
#[derive(Debug, Default)]
pub(super) struct Asks {
    requests: BTreeMap<RequestId, Kept>,
    grants: BTreeMap<GrantId, Grant>,
}

#[derive(Debug)]
struct Kept {
    request: Request,
    key: [u8; 32],
    /// When it was opened, and then when it was settled.
    moved_at: Timestamp,
}

/// What opening comes to.
pub(super) enum Admitted {
    Opened(Request),
    Joined(Request),
    Refused(Unasked),
}

impl Asks {
    /// Opens it, or tells what stands in its way; `None` where its id was used before, for something else.
    pub(super) fn open(&mut self, open: Open, now: Timestamp) -> Option<Admitted> {
        self.forget(now);
        let key = open.request.key();
        let same = |kept: &&Kept| kept.key == key;
        let open_now = |kept: &&Kept| kept.request.state == State::Pending && !kept.request.is_late(now);
        if let Some(kept) = self.requests.values().filter(same).find(open_now) {
            return Some(Admitted::Joined(kept.request.clone()));
        }
        if self.requests.contains_key(&open.request.id) {
            return None;
        }
        if let Some(unasked) = self.resting(&open, &key, now).or_else(|| self.capped(&open, now)) {
            return Some(Admitted::Refused(unasked));
        }
        let request = Request {
            version: 0,
            opened_at: now,
            deadline: now.after(open.lasts),
            votes: Vec::new(),
            state: State::Pending,
            ..open.request
        };
        let kept = Kept {
            request: request.clone(),
            key,
            moved_at: now,
        };
        self.requests.insert(request.id, kept);
        Some(Admitted::Opened(request))
    }

    fn resting(&self, open: &Open, key: &[u8; 32], now: Timestamp) -> Option<Unasked> {
        let cooldown = open.caps.cooldown?;
        let denied = self.requests.values().filter(|kept| {
            let by_a_person = matches!(kept.request.state, State::Denied { by: Some(_), .. });
            by_a_person && kept.key == *key
        });
        let last = denied.max_by_key(|kept| kept.moved_at)?;
        let until = last.moved_at.after(cooldown);
        (now < until).then_some(Unasked::Resting {
            request: last.request.id,
            until,
        })
    }

    fn capped(&self, open: &Open, now: Timestamp) -> Option<Unasked> {
        let mine = self
            .requests
            .values()
            .filter(|kept| kept.request.agent() == open.request.agent());
        let pending = |kept: &&Kept| kept.request.state == State::Pending && !kept.request.is_late(now);
        let open_now = u32::try_from(mine.clone().filter(pending).count()).unwrap_or(u32::MAX);
        if open_now >= open.caps.pending {
            return Some(Unasked::Pending(open_now));
        }
        let mut recent: Vec<Timestamp> = mine
            .map(|kept| kept.request.opened_at)
            .filter(|at| now.since(*at) < HOUR)
            .collect();
        recent.sort_unstable();
        let asked = u32::try_from(recent.len()).unwrap_or(u32::MAX);
        let over = asked.checked_sub(open.caps.per_hour)?;
        let leaving = recent.get(usize::try_from(over).unwrap_or(usize::MAX));
        Some(Unasked::PerHour {
            asked,
            free_at: leaving.copied().unwrap_or(now).after(HOUR),
        })
    }

    pub(super) fn request(&self, id: &RequestId) -> Option<&Request> {
        self.requests.get(id).map(|kept| &kept.request)
    }

    /// Whether a grant of this id was ever given.
    pub(super) fn has_grant(&self, id: &GrantId) -> bool {
        self.grants.contains_key(id)
    }

    pub(super) fn earlier(&self, request: &Request, most: usize) -> Vec<Request> {
        let key = request.key();
        let settled = |kept: &&Kept| kept.key == key && kept.request.state.is_final() && kept.request.id != request.id;
        let mut earlier: Vec<&Request> = self
            .requests
            .values()
            .filter(settled)
            .map(|kept| &kept.request)
            .collect();
        earlier.sort_by_key(|request| std::cmp::Reverse((request.opened_at, request.id)));
        earlier.into_iter().take(most).cloned().collect()
    }

    pub(super) fn pending(&self) -> Vec<Request> {
        let all = self.requests.values().map(|kept| &kept.request);
        all.filter(|request| request.state == State::Pending).cloned().collect()
    }

    /// Puts a request in its next state, whose fitness was checked.
    pub(super) fn put(&mut self, decide: Decide, now: Timestamp) {
        if let Some(kept) = self.requests.get_mut(&decide.next.id) {
            kept.request = decide.next;
            kept.moved_at = now;
        }
        if let Some(grant) = decide.grant {
            self.grants.insert(grant.id, grant);
        }
    }

    pub(super) fn grant(&self, id: &GrantId) -> Option<&Grant> {
        self.grants.get(id)
    }

    /// The grants that stand, of one caller or of all.
    pub(super) fn standing(&self, path: Option<&LockPath>, now: Timestamp) -> Vec<Grant> {
        let mine = |grant: &&Grant| path.is_none_or(|path| grant.path.same_caller(path));
        let stand = self.grants.values().filter(|grant| grant.stands(now).is_ok());
        stand.filter(mine).cloned().collect()
    }

    /// Spends one use.
    pub(super) fn spend(&mut self, id: &GrantId, call: &Use, now: Timestamp) -> Result<Grant, Mismatch> {
        let grant = self.grants.get_mut(id).ok_or(Mismatch::Unknown)?;
        grant.covers(call, now)?;
        grant.uses = grant.uses.saturating_add(1);
        Ok(grant.clone())
    }

    /// Ends grants and cancels requests.
    pub(super) fn end(
        &mut self,
        which: &Which,
        by: &crate::call::Word,
        why: &str,
        now: Timestamp,
    ) -> (Vec<GrantId>, Vec<RequestId>) {
        let mut grants = Vec::new();
        // One that has not begun would stand later, and a permit by one that is used up may not have run yet.
        let may_stand =
            |grant: &&mut Grant| matches!(grant.stands(now), Ok(()) | Err(Mismatch::NotYet | Mismatch::UsedUp));
        for grant in self.grants.values_mut().filter(may_stand) {
            if which.means_grant(grant) {
                grant.revoked = Some(Revoked {
                    by: by.clone(),
                    at: now,
                });
                grants.push(grant.id);
            }
        }
        let mut requests = Vec::new();
        for kept in self.requests.values_mut() {
            let meant = which.means_request(&kept.request);
            if let Some(next) = approval::cancel(&kept.request, why).filter(|_| meant) {
                requests.push(next.id);
                kept.request = next;
                kept.moved_at = now;
            }
        }
        (grants, requests)
    }

    /// What a lock on `target` takes with it.
    pub(super) fn locked(
        &mut self,
        target: &Target,
        by: &crate::call::Word,
        now: Timestamp,
    ) -> (Vec<GrantId>, Vec<RequestId>) {
        let why = format!("{target} was locked by {by}");
        self.end(&Which::Under(target.clone()), by, &why, now)
    }

    fn forget(&mut self, now: Timestamp) {
        self.requests.retain(|_, kept| {
            kept.request.state == State::Pending && !kept.request.is_late(now) || now.since(kept.moved_at) <= KEPT
        });
        let requests = &self.requests;
        self.grants
            .retain(|_, grant| requests.contains_key(&grant.request) || now.since(grant.expires_at) <= KEPT);
    }
}

/// The lock that stands on a path, if one does.
pub(super) fn lock_on(locks: &crate::lock::LockSet, path: &LockPath) -> Option<Arc<crate::lock::Lock>> {
    locks.find(path).map(Arc::clone)
}
