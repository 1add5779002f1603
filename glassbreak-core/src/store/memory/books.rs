//! The reservations, counts and locks of a memory store, and the order in which they are locked.
//!
//! Ops are sharded by id, counters by scope. Whoever needs several mutexes takes them in this order:
//! 1. ops shards, by number;
//! 2. counter shards, by number;
//! 3. requests and grants;
//! 4. the time.
//!
//! A call holds the shard of its op and those of its scopes while it is decided, so two calls that share nothing do not
//! wait for each other, and one that needs many counters gets them all at once. The locks in force are in every ops
//! shard: a call reads them for nothing, and setting one takes all shards, so that a lock and a call have an order.
//!
//! The epoch is raised while everything that a change touches is held: epochs tell the order of changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use foldhash::fast::RandomState;

use super::asks::{Admitted, Asks, lock_on};
use super::counter::{Charge, Counters};
use super::gathered::{Gathered, shard_of};
use super::sync::{AtomicU64, AtomicUsize, COUNTERS, Mutex, MutexGuard, OPS, Ordering};
use super::time::{Reading, Time};
use crate::approval::{Request, RequestId};
use crate::call::CallDigest;
use crate::clock::{Span, Timestamp};
use crate::grant::{Grant, GrantId, Mismatch};
use crate::lock::{Lock, LockPath, LockSet, Target};
use crate::store::{
    Attempt, Claim, Claimed, Clock, Decide, Decided, Ended, Fate, Held, LockView, OpId, Open, Opened, Outcome,
    Position, Reserve, Reserved, Revoke, Settle, Settled, StoreError, StoreErrorKind, Unasked, Unlock, Unlocked,
};

/// An op is kept at least this long.
const KEPT: Span = Span::from_millis(86_400_000);
/// The most ops that one call makes the store forget: the work is spread over all calls.
const FORGOTTEN_AT_ONCE: usize = 4;

/// All that a memory store keeps.
#[derive(Debug)]
pub(super) struct Books {
    generation: [u8; 16],
    ops: Box<[Padded<Mutex<Ops>>]>,
    counters: Box<[Padded<Mutex<Counters>>]>,
    asks: Padded<Mutex<Asks>>,
    shared: Padded<Global>,
    time: Padded<Time>,
    most_ops: usize,
}

/// What every change writes.
#[derive(Debug)]
struct Global {
    epoch: AtomicU64,
    kept_ops: AtomicUsize,
    /// Whether a grant was ever given: until then no call looks for one.
    granted: AtomicUsize,
}

/// On cache lines of its own, so that neighbours do not slow each other.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// The ops of one shard.
#[derive(Debug, Default)]
struct Ops {
    locks: Arc<InForce>,
    /// Ids end in random bytes, and no agent chooses them.
    rows: HashMap<OpId, Row, RandomState>,
    /// When each row may be forgotten.
    due: BTreeSet<(Timestamp, OpId)>,
    /// The latest date at which a forgotten op was minted: an op that is not older is none of those.
    forgotten: Option<Timestamp>,
}

/// The locks in force, and since which epoch each one is.
#[derive(Debug, Clone, Default)]
struct InForce {
    set: Arc<LockSet>,
    since: BTreeMap<Target, u64>,
}

/// An op that was reserved.
#[derive(Debug)]
struct Row {
    attempt: Attempt,
    digest: CallDigest,
    /// When it may be forgotten.
    due: Timestamp,
    /// The grant it has spent a use of, as the answer said.
    spent: Option<(Box<Grant>, u64)>,
    /// When it was counted.
    at: Timestamp,
    deadline: Timestamp,
    epoch: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not settled: what it was answered and what it may get back.
    Open {
        counts: Box<[u64]>,
        charges: Box<[Charge]>,
    },
    Settled(Settled),
}

impl Row {
    fn is_late(&self, now: Timestamp) -> bool {
        now > self.deadline
    }

    /// Whether it ended with people being asked, so that another attempt may go on with it. One that spent a grant does
    /// not: the next attempt could spend another.
    fn goes_on(&self, attempt: Attempt) -> bool {
        let asked =
            matches!(&self.state, State::Settled(settled) if settled.outcome == Outcome::Asked && !settled.late);
        asked && self.spent.is_none() && self.attempt != attempt
    }

    fn fate(&self, now: Timestamp) -> Fate {
        match &self.state {
            State::Settled(settled) => Fate::Settled(settled.outcome),
            State::Open { .. } if self.is_late(now) => Fate::PresumedSpent,
            State::Open { .. } => Fate::Held,
        }
    }
}

impl Ops {
    /// Forgets some of what is due, and tells how many.
    fn forget(&mut self, now: Timestamp) -> usize {
        for done in 0..FORGOTTEN_AT_ONCE {
            let Some(&(due, op)) = self.due.first().filter(|(due, _)| *due < now) else {
                return done;
            };
            self.due.remove(&(due, op));
            self.rows.remove(&op);
            self.forgotten = self.forgotten.max(Some(op.minted_at()));
        }
        FORGOTTEN_AT_ONCE
    }

    fn may_have_forgotten(&self, op: &OpId) -> bool {
        self.forgotten.is_some_and(|latest| op.minted_at() <= latest)
    }
}

impl Books {
    pub(super) fn new(generation: [u8; 16], most_ops: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            generation,
            ops: (0..OPS).map(|_| Padded(Mutex::default())).collect(),
            counters: (0..COUNTERS).map(|_| Padded(Mutex::default())).collect(),
            asks: Padded(Mutex::default()),
            shared: Padded(Global {
                epoch: AtomicU64::new(0),
                kept_ops: AtomicUsize::new(0),
                granted: AtomicUsize::new(0),
            }),
            time: Padded(Time::new(clock)),
            most_ops,
        }
    }

    pub(super) fn reserve(&self, reserve: Reserve) -> Result<Reserved, StoreError> {
        const HERE: &str = "reserve";
        if reserve.demands.len() > Reserve::MAX_DEMANDS {
            let what = format!(
                "{} demands, and at most {} fit",
                reserve.demands.len(),
                Reserve::MAX_DEMANDS
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, HERE, what));
        }
        let mut ops = self.ops_of(&reserve.op, HERE)?;
        if let Some(lock) = ops.locks.set.find(&reserve.path) {
            let lock = Arc::clone(lock);
            let position = self.position();
            return Ok(Reserved::Locked { lock, position });
        }
        // Before the time is read: none of these counters may know a later one.
        let mut counters = self.counters_of(reserve.demands.iter().map(|demand| &demand.scope), HERE)?;
        let now = match self.time.0.read(reserve.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => now,
            Reading::Ahead { latest } => {
                let position = self.position();
                return Ok(Reserved::Clock { latest, position });
            }
        };
        // Mostly none; and what every call of every session writes is waited for.
        let forgotten = ops.forget(now);
        if forgotten > 0 {
            self.shared.0.kept_ops.fetch_sub(forgotten, Ordering::SeqCst);
        }
        if let Some(answer) = self.known(&ops, &reserve, now)? {
            return Ok(answer);
        }
        let spots = counters.spots(&reserve.demands);
        let counts = match counters.count(&reserve.demands, &spots, now) {
            Ok(counts) => counts,
            Err(over) => return Ok(over.answer(now, self.position())),
        };
        let grants = self.grants_of(&reserve.path, now)?;
        if let Some(before) = ops.rows.get(&reserve.op).map(|row| row.due) {
            // It goes on: its place is taken over.
            ops.due.remove(&(before, reserve.op));
        } else if self.shared.0.kept_ops.fetch_add(1, Ordering::SeqCst) >= self.most_ops {
            self.shared.0.kept_ops.fetch_sub(1, Ordering::SeqCst);
            let what = format!("{} ops are kept, and none may be forgotten yet", self.most_ops);
            return Err(StoreError::new(StoreErrorKind::Full, HERE, what).retryable());
        }
        let position = self.moved();
        let deadline = after(now, reserve.lease);
        let windows = reserve.demands.iter().filter_map(|demand| demand.window.longest());
        let longest = windows.fold(KEPT.max(reserve.lease), Span::max);
        let charges = reserve.demands.into_iter().zip(spots);
        let charges = charges.map(|(demand, spot)| counters.push(demand, spot, now)).collect();
        let due = after(now, longest);
        ops.due.insert((due, reserve.op));
        let row = Row {
            attempt: reserve.attempt,
            digest: reserve.digest,
            due,
            spent: None,
            at: now,
            deadline,
            epoch: position.epoch,
            state: State::Open {
                counts: counts.clone(),
                charges,
            },
        };
        ops.rows.insert(reserve.op, row);
        Ok(Reserved::Held(Held {
            counts,
            grants,
            position,
            now,
            deadline,
        }))
    }

    /// The answer for an op that was reserved before, or might have been.
    fn known(&self, ops: &Ops, reserve: &Reserve, now: Timestamp) -> Result<Option<Reserved>, StoreError> {
        let position = self.position();
        let Some(row) = ops.rows.get(&reserve.op) else {
            let fate = Fate::Forgotten;
            let answer = Reserved::Taken { fate, position };
            return Ok(ops.may_have_forgotten(&reserve.op).then_some(answer));
        };
        if row.digest != reserve.digest {
            return Ok(Some(Reserved::Mismatch { position }));
        }
        if row.goes_on(reserve.attempt) {
            return Ok(None);
        }
        Ok(Some(match &row.state {
            State::Open { counts, .. } if row.attempt == reserve.attempt && !row.is_late(now) => Reserved::Held(Held {
                counts: counts.clone(),
                grants: self.grants_of(&reserve.path, now)?,
                position: self.at(row.epoch),
                now: row.at,
                deadline: row.deadline,
            }),
            _ => Reserved::Taken {
                fate: row.fate(now),
                position,
            },
        }))
    }

    /// The grants of a caller that stand.
    fn grants_of(&self, path: &LockPath, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
        if self.shared.0.granted.load(Ordering::SeqCst) == 0 {
            return Ok(Vec::new());
        }
        Ok(self.asks("reserve")?.standing(Some(path), now))
    }

    pub(super) fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        const HERE: &str = "claim";
        let mut ops = self.ops_of(&claim.op, HERE)?;
        if let Some(lock) = lock_on(&ops.locks.set, &claim.call.path) {
            return Ok(Claimed::Locked(lock));
        }
        let now = match self.time.0.read(claim.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => now,
            Reading::Ahead { latest } => return Ok(Claimed::Clock { latest }),
        };
        let Some(row) = ops.rows.get_mut(&claim.op) else {
            return Ok(Claimed::NotHeld(Fate::Forgotten));
        };
        let fate = row.fate(now);
        if fate != Fate::Held || row.attempt != claim.attempt {
            return Ok(Claimed::NotHeld(fate));
        }
        if row.digest != claim.call.digest {
            return Ok(Claimed::Refused(Mismatch::OtherCall));
        }
        match &row.spent {
            Some((grant, epoch)) if grant.id == claim.grant => {
                return Ok(Claimed::Used {
                    grant: grant.clone(),
                    position: self.at(*epoch),
                });
            }
            Some(_) => return Ok(Claimed::Refused(Mismatch::UsedUp)),
            None => {}
        }
        let mut asks = self.asks(HERE)?;
        match asks.spend(&claim.grant, &claim.call, now) {
            Ok(grant) => {
                let position = self.moved();
                let grant = Box::new(grant);
                row.spent = Some((grant.clone(), position.epoch));
                Ok(Claimed::Used { grant, position })
            }
            Err(why) => Ok(Claimed::Refused(why)),
        }
    }

    pub(super) fn open(&self, open: Open) -> Result<Opened, StoreError> {
        const HERE: &str = "open";
        let ops = self.ops_of_locks(HERE)?;
        let refused = |why| {
            let position = self.position();
            Ok(Opened::Refused { why, position })
        };
        if let Some(lock) = lock_on(&ops.locks.set, &open.request.path) {
            return refused(Unasked::Locked(lock));
        }
        let mut asks = self.asks(HERE)?;
        let now = match self.time.0.read(open.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => now,
            Reading::Ahead { latest } => return refused(Unasked::Clock { latest }),
        };
        let id = open.request.id;
        let Some(admitted) = asks.open(open, now) else {
            let what = format!("the id {id} was used before");
            return Err(StoreError::new(StoreErrorKind::Invalid, HERE, what));
        };
        Ok(match admitted {
            Admitted::Opened(request) => {
                self.moved();
                Opened::Opened(Box::new(request))
            }
            Admitted::Joined(request) => Opened::Joined(Box::new(request)),
            Admitted::Refused(why) => return refused(why),
        })
    }

    pub(super) fn request(&self, id: &RequestId) -> Result<Option<Request>, StoreError> {
        Ok(self.asks("request")?.request(id).cloned())
    }

    pub(super) fn pending(&self) -> Result<Vec<Request>, StoreError> {
        Ok(self.asks("pending")?.pending())
    }

    pub(super) fn earlier(&self, request: &Request, most: usize) -> Result<Vec<Request>, StoreError> {
        Ok(self.asks("earlier")?.earlier(request, most))
    }

    pub(super) fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        let asks = self.asks("grants")?;
        Ok(asks.standing(None, self.time.0.newest()))
    }

    pub(super) fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        Ok(self.asks("grant")?.grant(id).cloned())
    }

    pub(super) fn decide(&self, decide: Decide) -> Result<Decided, StoreError> {
        const HERE: &str = "decide";
        let ops = self.ops_of_locks(HERE)?;
        let mut asks = self.asks(HERE)?;
        let Some(current) = asks.request(&decide.next.id) else {
            return Ok(Decided::Unknown);
        };
        if current.state.is_final() || current.version != decide.expected {
            return Ok(Decided::Conflict(Box::new(current.clone())));
        }
        decide.check(current)?;
        if let Some(grant) = decide.grant.as_ref().filter(|grant| asks.has_grant(&grant.id)) {
            let what = format!("there is a grant {} already", grant.id);
            return Err(StoreError::new(StoreErrorKind::Invalid, HERE, what));
        }
        let now = match self.time.0.read(decide.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => now,
            Reading::Ahead { latest } => return Ok(Decided::Clock { latest }),
        };
        if !decide.is_timely(now) {
            return Ok(Decided::Untimely { now });
        }
        let lock = lock_on(&ops.locks.set, &decide.next.path);
        if let Some(lock) = lock.filter(|_| decide.grant.is_some()) {
            return Ok(Decided::Locked(lock));
        }
        if decide.grant.is_some() {
            self.shared.0.granted.store(1, Ordering::SeqCst);
        }
        asks.put(decide, now);
        let position = self.moved();
        Ok(Decided::Done { position })
    }

    pub(super) fn revoke(&self, revoke: &Revoke) -> Result<Ended, StoreError> {
        const HERE: &str = "revoke";
        let mut asks = self.asks(HERE)?;
        // A clock that is not believed must not keep a grant alive.
        let now = match self.time.0.read(revoke.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => now,
            Reading::Ahead { .. } => self.time.0.newest(),
        };
        let why = format!(
            "revoked by {}: {}",
            revoke.by,
            crate::error::shown(revoke.reason.as_str())
        );
        let (grants, requests) = asks.end(&revoke.which, &revoke.by, &why, now);
        let changed = !grants.is_empty() || !requests.is_empty();
        Ok(Ended {
            grants,
            requests,
            position: if changed { self.moved() } else { self.position() },
        })
    }

    pub(super) fn settle(&self, settle: Settle) -> Result<Settled, StoreError> {
        const HERE: &str = "settle";
        let mut ops = self.ops_of(&settle.op, HERE)?;
        let Some(row) = ops.rows.get_mut(&settle.op) else {
            let what = format!("no reservation of {} is kept", settle.op);
            return Err(StoreError::new(StoreErrorKind::UnknownOp, HERE, what));
        };
        if row.attempt != settle.attempt {
            let what = format!("{} was reserved by another attempt", settle.op);
            return Err(StoreError::new(StoreErrorKind::NotHolder, HERE, what));
        }
        let charges = match &row.state {
            State::Settled(settled) => return Ok(*settled),
            State::Open { charges, .. } => charges,
        };
        let (now, late) = match self.time.0.read(settle.at).ok_or_else(|| poisoned(HERE))? {
            Reading::Now(now) => (now, row.is_late(now)),
            Reading::Ahead { .. } => (row.at, true),
        };
        let refunded = settle.outcome.refunds() && !late;
        let corrected = !settle.outcome.refunds() && !settle.actual.is_empty();
        // The first word on each demand counts.
        let said = settle.actual.into_iter().rev();
        let said: BTreeMap<usize, u64> = said.map(|actual| (actual.demand, actual.amount)).collect();
        let charged = if refunded || corrected { &**charges } else { &[] };
        let mut counters = self.counters_of(charged.iter().map(|charge| &charge.scope), HERE)?;
        for (place, charge) in charged.iter().enumerate() {
            let actual = said.get(&place).copied().unwrap_or(charge.amount);
            match actual.checked_sub(charge.amount) {
                _ if refunded => counters.take(charge, charge.amount, now),
                Some(more) => counters.add(charge, more, now),
                None if late => {}
                None => counters.take(charge, charge.amount.saturating_sub(actual), now),
            }
        }
        let settled = Settled {
            outcome: settle.outcome,
            late,
            refunded,
            position: self.moved(),
        };
        row.state = State::Settled(settled);
        Ok(settled)
    }

    /// Locks must work when nothing else does, so a poisoned shard is no obstacle: it refuses every call by itself.
    pub(super) fn lock(&self, lock: Lock) -> Ended {
        let mut shards = self.all_ops();
        let (target, by) = (lock.target.clone(), lock.by.clone());
        let mut locks = in_force(&shards);
        if !Arc::make_mut(&mut locks.set).insert(lock) {
            return Ended {
                grants: Vec::new(),
                requests: Vec::new(),
                position: self.position(),
            };
        }
        let mut asks = self.asks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (grants, requests) = asks.locked(&target, &by, self.time.0.newest());
        let position = self.moved();
        locks.since.insert(target, position.epoch);
        put_in_force(&mut shards, locks);
        Ended {
            grants,
            requests,
            position,
        }
    }

    pub(super) fn unlock(&self, unlock: &Unlock) -> Unlocked {
        let mut shards = self.all_ops();
        let mut locks = in_force(&shards);
        let Some(lock) = locks.set.get(&unlock.target).cloned() else {
            let position = self.position();
            return Unlocked::NotLocked { position };
        };
        let seen = unlock.seen.generation == self.generation
            && locks
                .since
                .get(&unlock.target)
                .is_some_and(|since| *since <= unlock.seen.epoch);
        if !seen {
            let position = self.position();
            return Unlocked::Newer { lock, position };
        }
        Arc::make_mut(&mut locks.set).remove(&unlock.target);
        locks.since.remove(&unlock.target);
        let position = self.moved();
        put_in_force(&mut shards, locks);
        Unlocked::Lifted { lock, position }
    }

    pub(super) fn locks(&self) -> LockView {
        let first = self.ops.iter().take(1).map(|shard| force(&shard.0)).collect::<Vec<_>>();
        LockView {
            position: self.position(),
            locks: in_force(&first).set,
        }
    }

    pub(super) fn adopt_time(&self, at: Timestamp) -> Result<Position, StoreError> {
        self.time.0.adopt(at).ok_or_else(|| poisoned("adopt_time"))?;
        Ok(self.position())
    }

    /// Raises the epoch. Whoever does holds all that the change touches.
    fn moved(&self) -> Position {
        self.at(self.shared.0.epoch.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn position(&self) -> Position {
        self.at(self.shared.0.epoch.load(Ordering::SeqCst))
    }

    fn at(&self, epoch: u64) -> Position {
        Position {
            generation: self.generation,
            epoch,
        }
    }

    fn ops_of(&self, op: &OpId, operation: &'static str) -> Result<MutexGuard<'_, Ops>, StoreError> {
        // The last bytes of an id are random.
        let shard = self
            .ops
            .get(shard_of(op.as_bytes(), OPS))
            .ok_or_else(|| poisoned(operation))?;
        shard.0.lock().map_err(|_| poisoned(operation))
    }

    /// A shard, held for the locks in force: whoever sets one waits.
    fn ops_of_locks(&self, operation: &'static str) -> Result<MutexGuard<'_, Ops>, StoreError> {
        let shard = self.ops.first().ok_or_else(|| poisoned(operation))?;
        shard.0.lock().map_err(|_| poisoned(operation))
    }

    fn asks(&self, operation: &'static str) -> Result<MutexGuard<'_, Asks>, StoreError> {
        self.asks.0.lock().map_err(|_| poisoned(operation))
    }

    fn all_ops(&self) -> Vec<MutexGuard<'_, Ops>> {
        self.ops.iter().map(|shard| force(&shard.0)).collect()
    }

    /// Locks the shards of `scopes`, in their order.
    fn counters_of<'k>(
        &self,
        scopes: impl Iterator<Item = &'k [u8; 16]>,
        operation: &'static str,
    ) -> Result<Gathered<'_>, StoreError> {
        let mut set: Vec<usize> = Vec::new();
        for scope in scopes {
            let shard = shard_of(scope, COUNTERS);
            if let Err(place) = set.binary_search(&shard) {
                set.insert(place, shard);
            }
        }
        let mut shards = Vec::with_capacity(set.len());
        for shard in &set {
            let shard = self.counters.get(*shard).ok_or_else(|| poisoned(operation))?;
            shards.push(shard.0.lock().map_err(|_| poisoned(operation))?);
        }
        Ok(Gathered { set, shards })
    }
}

/// A shard, poisoned or not: only for the locks in force, which are replaced whole.
fn force(shard: &Mutex<Ops>) -> MutexGuard<'_, Ops> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_force(shards: &[MutexGuard<'_, Ops>]) -> InForce {
    shards.first().map(|ops| InForce::clone(&ops.locks)).unwrap_or_default()
}

fn put_in_force(shards: &mut [MutexGuard<'_, Ops>], locks: InForce) {
    let locks = Arc::new(locks);
    for ops in shards {
        ops.locks = Arc::clone(&locks);
    }
}

fn after(time: Timestamp, span: Span) -> Timestamp {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.as_millis().saturating_add(span))
}

fn poisoned(operation: &'static str) -> StoreError {
    let what = "a call panicked while it was being counted; what counts is no longer known";
    StoreError::new(StoreErrorKind::Broken, operation, what)
}

#[cfg(test)]
impl Books {
    /// How many ops and how many counters are kept.
    pub(super) fn kept(&self) -> (usize, usize) {
        let ops = self.ops.iter().map(|shard| force(&shard.0).rows.len()).sum();
        let counters = self
            .counters
            .iter()
            .map(|shard| shard.0.lock().map_or(0, |counters| counters.len()));
        (ops, counters.sum())
    }
}
