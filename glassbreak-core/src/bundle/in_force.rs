//! The bundle that a gate, its desk and its sessions judge by, until another takes its place.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Bundle;

/// Which bundle is in force. Clones share it.
///
/// Whoever decides takes the bundle once and keeps it for as long as the decision lasts, so that nothing is judged by
/// one bundle and counted, shown or recorded by another.
#[derive(Debug, Clone)]
pub(crate) struct InForce(Arc<ArcSwap<Bundle>>);

impl InForce {
    pub(crate) fn new(bundle: Arc<Bundle>) -> Self {
        Self(Arc::new(ArcSwap::new(bundle)))
    }

    pub(crate) fn get(&self) -> Arc<Bundle> {
        self.0.load_full()
    }

    pub(crate) fn replace(&self, bundle: Arc<Bundle>) {
        self.0.store(bundle);
    }
}
