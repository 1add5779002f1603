//! The bundle that a gate, its desk and its sessions judge by, until another takes its place.

use std::sync::{Arc, PoisonError, RwLock};

use super::Bundle;

/// Which bundle is in force. Clones share it.
///
/// Whoever decides takes the bundle once and keeps it for as long as the decision lasts, so that nothing is judged by
/// one bundle and counted, shown or recorded by another.
#[derive(Debug, Clone)]
pub(crate) struct InForce(Arc<RwLock<Arc<Bundle>>>);

impl InForce {
    pub(crate) fn new(bundle: Arc<Bundle>) -> Self {
        Self(Arc::new(RwLock::new(bundle)))
    }

    pub(crate) fn get(&self) -> Arc<Bundle> {
        // Nothing can panic while it is held, and what it holds is whole at any time.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, bundle: Arc<Bundle>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = bundle;
    }
}
