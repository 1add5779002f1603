//! What a handle keeps to save messages: where its calls in flight count, and the grants that it was told of. Everything here
//! can be forgotten at any time; then one message more is sent.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use glassbreak_core::grant::{Grant, GrantId};
use glassbreak_core::store::OpId;

/// So many of each.
const MOST: usize = 4_096;

/// The newest of what was put in.
#[derive(Debug)]
struct Newest<K, V> {
    all: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Copy + Eq + Hash, V> Newest<K, V> {
    fn new() -> Self {
        Self {
            all: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn put(&mut self, key: K, value: V) {
        if self.all.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MOST {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.all.remove(&oldest));
        }
    }
}

/// What a handle keeps.
#[derive(Debug)]
pub(crate) struct Kept {
    ops: Mutex<Newest<OpId, Vec<String>>>,
    grants: Mutex<Newest<GrantId, Arc<Grant>>>,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            ops: Mutex::new(Newest::new()),
            grants: Mutex::new(Newest::new()),
        }
    }

    /// An op counts in these groups.
    pub(crate) fn reserved(&self, op: OpId, groups: Vec<String>) {
        if !groups.is_empty() {
            held(&self.ops).put(op, groups);
        }
    }

    /// The groups that an op is known to count in.
    pub(crate) fn groups(&self, op: &OpId) -> Vec<String> {
        held(&self.ops).all.get(op).cloned().unwrap_or_default()
    }

    pub(crate) fn settled(&self, op: &OpId) {
        held(&self.ops).all.remove(op);
    }

    pub(crate) fn saw(&self, grants: &[Grant]) {
        let mut kept = held(&self.grants);
        for grant in grants {
            if !kept.all.contains_key(&grant.id) {
                kept.put(grant.id, Arc::new(grant.clone()));
            }
        }
    }

    pub(crate) fn grant(&self, id: &GrantId) -> Option<Arc<Grant>> {
        held(&self.grants).all.get(id).cloned()
    }
}

/// Whatever a panic leaves can be forgotten, and what is wrong in it is seen by the scripts.
fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
