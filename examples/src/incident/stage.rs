//! What the story stands on: a folder with a policy, a cluster, a `kubectl`, a store and an audit log of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Model, Word};
use glassbreak_core::gate::{Gate, Session};
use glassbreak_core::notify::Tty;
use glassbreak_sqlite::SqliteStore;

use super::Failed;
use super::options::Options;
use super::people::{People, Place};
use crate::scratch::{Scratch, copy_folder};

/// The agent's name, for the kill switch.
pub(super) const AGENT: &str = "ops-7";
/// The line of `people.toml` that the uid of whoever runs this takes.
const UID: &str = "# uid = 1000 ";

/// Everything that is there before the first act. The folder goes when it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) gate: Gate,
    pub(super) people: People,
    pub(super) log: AuditLog,
    pub(super) place: Place,
    /// What the account of whoever runs this is mapped to `bob` by.
    pub(super) account: String,
    /// How long a reader gets between two acts.
    pub(super) pause: Duration,
    // The last to go: the store lies in it.
    scratch: Scratch,
}

impl Stage {
    pub(super) async fn build(options: &Options) -> Result<Self, Failed> {
        let scratch = Scratch::new("incident")?;
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let work = scratch.folder("work")?;
        copy_folder(&here.join("cluster"), &work.join("cluster"))?;
        fs::write(work.join("cluster/seed"), options.seed.to_string())?;
        let account = Tty::account()?.to_string();
        let place = Place {
            policy: policy(&scratch, &here.join("policies/incident"), &account)?,
            store: scratch.folder("state")?.join("glassbreak.db"),
            audit: scratch.path().join("audit"),
        };
        let log = AuditLog::open(&place.audit)?;
        let people = People::new(options, place.clone());
        let gate = Gate::builder(Bundle::open(&place.policy)?)
            .store(SqliteStore::open(&place.store).await?)
            .audit(log.clone())
            .notifier(people.clone())
            .program_dir(stand_in(&scratch)?)
            .build()
            .await?;
        Ok(Self {
            gate,
            people,
            log,
            place,
            account,
            pause: Duration::from_millis(if options.pace { 1_500 } else { 0 }),
            scratch,
        })
    }

    /// A session of the agent, which acts for alice.
    pub(super) fn session(&self) -> Result<Session, Failed> {
        let actor = Actor {
            instance: Some(Word::new(AGENT)?),
            on_behalf_of: Some(Word::new("alice")?),
            model: Some(Model {
                id: Word::new("a-script-and-no-model")?,
                digest: None,
            }),
            ..Actor::new(Word::new("ops-agent")?, Word::new("incident-42")?)
        };
        Ok(self.gate.session(actor).workspace(self.scratch.path().join("work"))?)
    }

    /// The folder of it all.
    pub(super) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Leaves the folder where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.scratch.keep()
    }
}

/// The policy folder of the examples, with the uid of whoever runs this filled in: files that nobody else may write,
/// whatever the umask of the checkout was.
fn policy(scratch: &Scratch, from: &Path, account: &str) -> Result<PathBuf, Failed> {
    let uid = account.strip_prefix("uid:").ok_or("this system has no uids")?;
    let folder = scratch.folder("policy")?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // The cases of `glassbreak test` judge nothing here.
        if entry.file_type()?.is_dir() {
            continue;
        }
        let mut text = fs::read_to_string(entry.path())?;
        if entry.file_name() == "people.toml" {
            let (before, after) = text.split_once(UID).ok_or("people.toml has no place for a uid")?;
            text = format!("{before}uid = {uid} # {after}");
        }
        let mut file = fs::OpenOptions::new();
        file.write(true).create_new(true).mode(0o600);
        file.open(folder.join(entry.file_name()))?.write_all(text.as_bytes())?;
    }
    Ok(folder)
}

/// This program once more, as `kubectl`, in a folder that nobody else may write to.
fn stand_in(scratch: &Scratch) -> Result<PathBuf, Failed> {
    let programs = scratch.folder("bin")?;
    let kubectl = programs.join("kubectl");
    fs::copy(std::env::current_exe()?, &kubectl)?;
    fs::set_permissions(&kubectl, PermissionsExt::from_mode(0o755))?;
    Ok(programs)
}
