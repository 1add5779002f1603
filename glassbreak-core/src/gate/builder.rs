//! Building a gate: what it needs, and what it refuses to stand on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::closed::{AfterGlass, Glass};
use super::follow::{Origin, follow};
use super::locks::{self, Mirror};
use super::overflow::Overflows;
use super::{Gate, Inner, reach};
use crate::audit::AuditLog;
use crate::budget::Needs;
use crate::bundle::{Bundle, InForce};
use crate::call::Word;
use crate::credential::CredentialBroker;
use crate::desk::Desk;
use crate::exec::{ExecError, Limits, ProgramDirs, Runner};
use crate::finding::{Layer, RuleId};
use crate::guard::Check;
use crate::notify::Notifier;
use crate::store::{Durability, Store, StoreError};

/// A gate that is not built yet.
#[derive(Debug)]
pub struct GateBuilder {
    bundle: Bundle,
    store: Option<Arc<dyn Store>>,
    store_time: Duration,
    audit: Option<AuditLog>,
    notifiers: Vec<Arc<dyn Notifier>>,
    elsewhere: bool,
    hook: Option<Arc<dyn AfterGlass>>,
    hook_time: Duration,
    checks: Vec<Arc<dyn Check>>,
    check_time: Duration,
    brokers: BTreeMap<Word, Arc<dyn CredentialBroker>>,
    broker_time: Duration,
    permit_time: Duration,
    dirs: Vec<PathBuf>,
    limits: Limits,
    home: Option<String>,
}

/// Why a gate was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no store.
    #[error("a gate needs a store: GateBuilder::store")]
    NoStore,
    /// There is no audit log.
    #[error("a gate needs an audit log: GateBuilder::audit")]
    NoAudit,
    /// The policy folder could be changed by others.
    #[error("`{}` can be written by others: an agent that runs as one of them could change its own judge", .0.display())]
    Exposed(PathBuf),
    /// A budget needs a store that keeps more than this one.
    #[error(
        "the budget `{budget}` says durability = \"{needs}\", and this store would lose its count with the process; take a durable store, or write \"process\""
    )]
    Forgetful {
        /// The budget.
        budget: String,
        /// What it needs.
        needs: &'static str,
    },
    /// The store did not say which locks stand.
    #[error("the store does not say which locks stand: {0}")]
    Store(#[from] StoreError),
    /// A folder for programs is not fit.
    #[error(transparent)]
    Programs(#[from] ExecError),
    /// Two notifiers have one name.
    #[error("two notifiers are called `{0}`: records and stages could not tell them apart")]
    SameNotifier(String),
    /// A stage names a notifier that the gate does not have.
    #[error(
        "[stages.{group}] in glassbreak.toml names the notifier `{notifier}`, and this gate has {has}; mend the name, add it by GateBuilder::notifier, or say GateBuilder::answered_elsewhere where another process has it"
    )]
    UnknownNotifier {
        /// The group whose stages they are.
        group: Word,
        /// The notifier that is not there.
        notifier: Word,
        /// Those that are.
        has: String,
    },
    /// People can be asked, and nobody would be told.
    #[error(
        "`{0}` can ask people, and this gate has no notifier: nobody would learn of it; add one by GateBuilder::notifier, or say GateBuilder::answered_elsewhere where requests are shown and answered in another way"
    )]
    NoNotifier(String),
    /// `credentials.toml` names a credential that nothing makes.
    #[error("credentials.toml hands over `{0}`, and the gate has no broker of this name: GateBuilder::broker")]
    NoBroker(Word),
    /// A host check's name cannot stand in a rule id.
    #[error("`{0}` is not the name of a check: write letters, digits, `_` and `-`")]
    CheckName(String),
}

impl GateBuilder {
    pub(super) fn new(bundle: Bundle) -> Self {
        Self {
            bundle,
            store: None,
            store_time: Duration::from_secs(5),
            audit: None,
            notifiers: Vec::new(),
            elsewhere: false,
            hook: None,
            hook_time: Duration::from_secs(60),
            checks: Vec::new(),
            check_time: Duration::from_secs(5),
            brokers: BTreeMap::new(),
            broker_time: Duration::from_secs(5),
            permit_time: Duration::from_secs(60),
            dirs: Vec::new(),
            limits: Limits::default(),
            home: None,
        }
    }

    /// Where shared counts, requests, grants and locks live.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// How long the store may take for one step; 5 seconds unless said otherwise. Past it the call is denied.
    #[must_use]
    pub const fn store_time(mut self, time: Duration) -> Self {
        self.store_time = time;
        self
    }

    /// One more way to people, by a name that no other has. All of them show every request, unless `[stages]` of
    /// `glassbreak.toml` names those that do; whoever answers first, by whatever way, is heard.
    #[must_use]
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.notifiers.push(Arc::new(notifier));
        self
    }

    /// Says that people see requests and answer them in another way than by this gate's notifiers: by `glassbreak pending`
    /// and `approve` over the same store, in another process, on a page that reads [`Desk::pending`]. The gate then needs no
    /// notifier, stages may name those of other processes, and a request that no notifier could deliver counts as one that
    /// somebody may have seen.
    #[must_use]
    pub const fn answered_elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// Who is told when a grant has ended, and what was done under it; one for a gate.
    #[must_use]
    pub fn after_glass(mut self, hook: impl AfterGlass) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// How long that may take each time; 60 seconds unless said otherwise, and ten minutes at most. Past it, it has failed.
    #[must_use]
    pub fn after_glass_time(mut self, time: Duration) -> Self {
        self.hook_time = time.min(Duration::from_secs(600));
        self
    }

    /// Where calls are recorded.
    #[must_use]
    pub fn audit(mut self, audit: AuditLog) -> Self {
        self.audit = Some(audit);
        self
    }

    /// One more judge of the host's own. They are asked in this order; the first that denies ends it.
    #[must_use]
    pub fn check(mut self, check: impl Check) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// How long each host check may take; 5 seconds unless said otherwise. Past it the call is denied.
    #[must_use]
    pub const fn check_time(mut self, time: Duration) -> Self {
        self.check_time = time;
        self
    }

    /// What makes the credential that `credentials.toml` calls `name`. A second one of the name takes the place of the
    /// first.
    #[must_use]
    pub fn broker(mut self, name: Word, broker: impl CredentialBroker) -> Self {
        self.brokers.insert(name, Arc::new(broker));
        self
    }

    /// How long a broker may take to make a credential, or to take one back; 5 seconds unless said otherwise. Past it the
    /// call is denied.
    #[must_use]
    pub const fn broker_time(mut self, time: Duration) -> Self {
        self.broker_time = time;
        self
    }

    /// How long a permit may lie unused; 60 seconds unless said otherwise.
    #[must_use]
    pub const fn permit_time(mut self, time: Duration) -> Self {
        self.permit_time = time;
        self
    }

    /// One more folder that programs are found in, before the system's own.
    #[must_use]
    pub fn program_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dirs.push(dir.into());
        self
    }

    /// The home folder that programs are given: one that no agent can write, because programs take settings from it.
    /// Unless said otherwise, one that does not exist.
    #[must_use]
    pub fn home(mut self, folder: impl Into<String>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// How long programs may run and how much they may write.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Builds the gate, and asks the store which locks stand. Needs a tokio runtime: the mirror of the locks is kept
    /// fresh by a task that ends with the gate.
    ///
    /// # Errors
    /// When a part is missing or not fit, or the store does not answer.
    pub async fn build(self) -> Result<Gate, BuildError> {
        let store = self.store.ok_or(BuildError::NoStore)?;
        let audit = self.audit.ok_or(BuildError::NoAudit)?;
        let ways = Ways {
            names: names(&self.notifiers)?,
            elsewhere: self.elsewhere,
        };
        check_bundle(&self.bundle, store.as_ref(), &ways)?;
        check_brokers(&self.bundle, &self.brokers)?;
        let bundle = InForce::new(Arc::new(self.bundle));
        for check in &self.checks {
            let name = check.name();
            if name.contains('.') || RuleId::new(Layer::Host, name).is_err() {
                return Err(BuildError::CheckName(crate::error::shown(name)));
            }
        }
        let mut programs = ProgramDirs::new();
        for dir in self.dirs {
            programs = programs.program_dir(dir)?;
        }
        let runner = Runner::new().home(self.home.as_deref().unwrap_or("/nonexistent"))?;
        let mirror = Arc::new(Mirror::new(store.locks().await?));
        tokio::spawn(locks::follow(Arc::clone(&store), Arc::downgrade(&mirror)));
        let desk = Desk::of_gate(bundle.clone(), Arc::clone(&store), audit.clone());
        let open = store.pending().await?;
        let glass = self.hook.map(|hook| {
            Arc::new(Glass {
                hook,
                hook_time: self.hook_time,
                store: Arc::clone(&store),
                store_time: self.store_time,
                audit: audit.clone(),
                grants: Mutex::default(),
                over: tokio::sync::Notify::new(),
            })
        });
        let gate = Gate {
            inner: Arc::new(Inner {
                bundle,
                sessions: Mutex::default(),
                store,
                store_time: self.store_time,
                audit,
                desk,
                notifiers: self.notifiers,
                ways,
                overflows: Overflows::default(),
                glass,
                followers: Mutex::default(),
                runtime: tokio::runtime::Handle::current(),
                checks: self.checks,
                check_time: self.check_time,
                brokers: self.brokers,
                broker_time: self.broker_time,
                permit_time: self.permit_time,
                programs,
                limits: self.limits,
                runner,
                locks: mirror,
            }),
        };
        // What was asked before a restart is shown again: its old cards are gone. What nobody can answer any more is only
        // brought to its end.
        let now = Gate::now();
        for request in &open {
            let late = request.is_late(now);
            follow(&gate, request, if late { Origin::Late } else { Origin::Found });
        }
        if let Some(glass) = &gate.inner.glass {
            gate.spawn(Arc::clone(glass).sweep());
        }
        Ok(gate)
    }
}

/// Whether all that a bundle hands over is made by somebody.
pub(super) fn check_brokers(
    bundle: &Bundle,
    brokers: &BTreeMap<Word, Arc<dyn CredentialBroker>>,
) -> Result<(), BuildError> {
    match bundle.credentials().names().find(|name| !brokers.contains_key(*name)) {
        Some(name) => Err(BuildError::NoBroker(name.clone())),
        None => Ok(()),
    }
}

/// What a gate asks of every bundle that it is to judge by: the first one, and each that takes its place.
pub(super) fn check_bundle(bundle: &Bundle, store: &dyn Store, ways: &Ways) -> Result<(), BuildError> {
    if let Some(exposed) = bundle.folder().and_then(reach::exposed) {
        return Err(BuildError::Exposed(exposed));
    }
    if let Some(needs @ Needs::Strict) = bundle.budgets().durability()
        && store.durability() <= Durability::Process
    {
        let budget = bundle.budgets().first_needing(needs).unwrap_or_default().to_owned();
        let needs = needs.as_str();
        return Err(BuildError::Forgetful { budget, needs });
    }
    ways.check(bundle)
}

/// The ways to people that a gate has.
#[derive(Debug)]
pub(super) struct Ways {
    names: Vec<String>,
    /// Whether requests are answered elsewhere too.
    pub(super) elsewhere: bool,
}

impl Ways {
    /// Whether whoever this bundle can ask would learn of it.
    fn check(&self, bundle: &Bundle) -> Result<(), BuildError> {
        if self.elsewhere {
            return Ok(());
        }
        if self.names.is_empty()
            && let Some(rule) = bundle.can_ask()
        {
            return Err(BuildError::NoNotifier(rule));
        }
        let mut named = bundle.settings().stages.notifiers();
        match named.find(|(_, notifier)| !self.names.iter().any(|name| name == notifier.as_str())) {
            None => Ok(()),
            Some((group, notifier)) => Err(BuildError::UnknownNotifier {
                group: group.clone(),
                notifier: notifier.clone(),
                has: match &*self.names {
                    [] => "none".to_owned(),
                    names => names
                        .iter()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(", "),
                },
            }),
        }
    }
}

/// The names of the notifiers, which differ.
fn names(notifiers: &[Arc<dyn Notifier>]) -> Result<Vec<String>, BuildError> {
    let mut names: Vec<String> = Vec::new();
    for notifier in notifiers {
        let name = crate::error::shown(notifier.name());
        if names.contains(&name) {
            return Err(BuildError::SameNotifier(name));
        }
        names.push(name);
    }
    Ok(names)
}
