//! Another bundle in the place of the one in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use super::builder::{check_brokers, check_bundle};
use super::{BuildError, Gate, reach};
use crate::audit::{AuditError, BundleReloaded, Event};
use crate::bundle::{Bundle, BundleDigest};

/// Why the bundle in force stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It is another bundle than the one expected.
    #[error("the bundle's digest is {found}, and {expected} was expected: the folder holds something else")]
    NotExpected {
        /// What was to be put in place.
        expected: BundleDigest,
        /// What was given.
        found: BundleDigest,
    },
    /// A gate could not be built over it.
    #[error(transparent)]
    Unfit(#[from] BuildError),
    /// It would lie within an agent's reach.
    #[error("`{}` lies in the workspace of an open session, where the agent could change it", .0.display())]
    Within(PathBuf),
    /// It cannot be recorded, so it was not put in place.
    #[error("the reload cannot be recorded: {0}")]
    Audit(#[from] AuditError),
    /// The gate's list of sessions broke: who could reach the folder is not known.
    #[error("the gate no longer knows its sessions; build a new gate")]
    Broken,
}

impl Gate {
    /// Puts `bundle` in the place of the one in force, whole and at once, for this gate, its desk and all its sessions;
    /// returns the digest of the one before. It must have the digest `expected`: what was reviewed, not what happens to
    /// lie in the folder.
    ///
    /// - A call that is being judged is judged, counted and recorded by the bundle it began with; its record says which.
    /// - A permit that was handed out still runs: it was judged. What it gives back goes to the rules it was judged by.
    /// - Counters go on, by the ids of their rules.
    /// - What people are asked stays open. A vote is judged by the bundle in force, and one on a rule that now says
    ///   something else is refused; so does a grant no longer lift such a rule.
    ///
    /// `bundle.reloaded` is on disk before it takes effect. A bundle of the same digest changes nothing and is not
    /// recorded.
    ///
    /// ```no_run
    /// # fn reload(gate: &glassbreak_core::gate::Gate, reviewed: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use glassbreak_core::bundle::{Bundle, BundleDigest};
    ///
    /// gate.reload(Bundle::open("policy")?, BundleDigest::from_text(reviewed)?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Why the one before stays in force; nothing has changed then.
    pub fn reload(&self, bundle: Bundle, expected: BundleDigest) -> Result<BundleDigest, ReloadError> {
        let found = bundle.digest();
        if found != expected {
            return Err(ReloadError::NotExpected { expected, found });
        }
        check_bundle(&bundle, self.inner.store.as_ref(), &self.inner.ways)?;
        check_brokers(&bundle, &self.inner.brokers)?;
        // Held until the end: no session opens over the new folder meanwhile, and reloads come one after the other.
        let sessions = self.inner.sessions.lock().map_err(|_| ReloadError::Broken)?;
        if let Some(folder) = bundle.folder() {
            let mut open = sessions.iter().filter_map(Weak::upgrade);
            if open.any(|session| reach::still_lies_in(folder, Path::new(session.dir.workspace().as_str()))) {
                return Err(ReloadError::Within(folder.to_owned()));
            }
        }
        let old = self.bundle().digest();
        if old != found {
            let record = BundleReloaded { old, new: found };
            self.inner.audit.append_synced(Event::BundleReloaded(record))?;
            self.inner.bundle.replace(Arc::new(bundle));
        }
        drop(sessions);
        Ok(old)
    }
}
