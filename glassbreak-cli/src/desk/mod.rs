//! `glassbreak pending`, `show`, `approve`, `deny`, `revoke`, `lock`, `unlock` and `locks`: what people do about the calls
//! of agents, at the store that their guards share.

mod confirm;
mod look;
mod operate;
mod vote;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use glassbreak_core::audit::{AuditError, AuditOptions};
use glassbreak_core::desk::{Desk, OperateError, VoteError};
use glassbreak_core::error::shown_once;
use glassbreak_core::store::{Store, StoreError};
use glassbreak_sqlite::SqliteStore;

pub(crate) use self::look::{Locks, Pending, Show, locks, pending, show};
pub(crate) use self::operate::{Lock, Revoke, Unlock, lock, revoke, unlock};
pub(crate) use self::vote::{Approve, Deny, approve, deny};
use crate::Failure;

/// The answer does not count, or no policy permits it.
const REFUSED: u8 = 1;
/// The store or the audit log cannot be used.
const UNAVAILABLE: u8 = 3;
/// There is no terminal, or not in its foreground.
const NO_TERMINAL: u8 = 4;

/// The exit codes, as each command's help tells them.
const EXIT: &str = "\
Exit status:
    0  done
    1  refused: it does not count, no policy permits it, or it was left undone
    2  wrong usage, or a policy folder that does not load
    3  the store or the audit log is unavailable; look again at what became of it
    4  no terminal: a person must answer";

/// Which store.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The store's file, which the guards share. It must be there.
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
}

/// Where somebody sits who changes something: the store, by which policies, and where it is recorded.
#[derive(Debug, clap::Args)]
pub(crate) struct Seat {
    #[command(flatten)]
    place: Place,
    /// The policy folder that says who may.
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,
    /// The folder of the audit log; made when it is not there.
    #[arg(long, value_name = "DIR")]
    audit: PathBuf,
}

/// Opens a store that is there, only to look.
async fn look_at(path: &Path) -> Result<Arc<dyn Store>, Failure> {
    Ok(Arc::new(SqliteStore::look(path).await?))
}

/// Opens a store that is there. A mistyped path must not make a new one, in which nothing is pending and nothing locked.
async fn open_store(path: &Path) -> Result<Arc<dyn Store>, Failure> {
    if !path.exists() {
        let path = shown_once(&path.to_string_lossy());
        return Err(unavailable(format!(
            "there is no store at {path}: name the file that the guards were given"
        )));
    }
    let store = SqliteStore::open(path).await.map_err(unavailable)?;
    Ok(Arc::new(store))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(unavailable)
}

/// Looks at the store, and changes nothing of it.
fn at_store<T>(place: &Place, work: impl AsyncFnOnce(Arc<dyn Store>) -> Result<T, Failure>) -> Result<T, Failure> {
    runtime()?.block_on(async { work(look_at(&place.store).await?).await })
}

impl Seat {
    /// Loads the policy folder, has `before` look whether it can go on, and does something at the desk.
    fn at_desk<B>(
        &self,
        before: impl FnOnce() -> Result<B, Failure>,
        work: impl AsyncFnOnce(&Desk, B) -> Result<ExitCode, Failure>,
    ) -> Result<ExitCode, Failure> {
        let bundle = crate::open(&self.policy)?;
        let before = before()?;
        runtime()?.block_on(async {
            let store = open_store(&self.place.store).await?;
            let audit = AuditOptions::new().bundle(bundle.digest()).open(&self.audit);
            let audit = audit.map_err(unavailable)?;
            let desk = Desk::new(Arc::new(bundle), store, audit.clone());
            let done = work(&desk, before).await;
            if let Err(error) = audit.close() {
                eprintln!("glassbreak: the audit log was not closed: {error}");
            }
            done
        })
    }
}

fn failure(code: u8, why: impl std::fmt::Display) -> Failure {
    Failure {
        message: format!("glassbreak: {}", shown_once(&why.to_string())),
        code,
    }
}

fn unavailable(why: impl std::fmt::Display) -> Failure {
    failure(UNAVAILABLE, why)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        unavailable(error)
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        unavailable(error)
    }
}

impl From<VoteError> for Failure {
    fn from(error: VoteError) -> Self {
        match error {
            VoteError::Unknown(_) | VoteError::Refused(_) | VoteError::Locked(_) => {
                failure(REFUSED, format!("refused: {error}"))
            }
            error => unavailable(error),
        }
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::UnknownAccount(_) | OperateError::Refused(_) => failure(REFUSED, format!("refused: {error}")),
            error => unavailable(error),
        }
    }
}

/// The one thing whose id is `text`, or begins or ends with it: ids of one minute begin alike.
fn one_of<T: Copy + ToString>(what: &str, text: &str, ids: impl Iterator<Item = T>) -> Result<T, Failure> {
    const LEAST: usize = 4;
    let text = text.to_ascii_lowercase();
    let shown = shown_once(&text);
    if text.len() < LEAST {
        return Err(Failure::usage(format!(
            "glassbreak: `{shown}` is too short for an id: write at least {LEAST} characters of its beginning or end"
        )));
    }
    let found: Vec<T> = ids
        .filter(|id| {
            let id = id.to_string();
            id.starts_with(&text) || id.ends_with(&text)
        })
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::usage(format!(
            "glassbreak: there is no {what} `{shown}`: `glassbreak pending` lists what is open"
        ))),
        many => {
            let many: Vec<String> = many.iter().map(ToString::to_string).collect();
            let many = many.join(", ");
            Err(Failure::usage(format!(
                "glassbreak: `{shown}` is more than one {what}: {many}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_either_end_if_it_is_the_only_one() {
        let ids = ["0195aaaa-1111", "0195aaaa-2222", "0195bbbb-3333"];
        let find = |text: &str| one_of("request", text, ids.iter().copied()).map_err(|failure| failure.message);
        assert_eq!(find("0195B"), Ok("0195bbbb-3333"));
        assert_eq!(find("2222"), Ok("0195aaaa-2222"));
        assert_eq!(find("0195aaaa-1111"), Ok("0195aaaa-1111"));
        assert!(find("0195").unwrap_err().contains("more than one"));
        assert!(find("222").unwrap_err().contains("too short"));
        assert!(
            find("ffff\u{1b}[2J")
                .unwrap_err()
                .contains("no request `ffff\\u{1b}[2j`")
        );
    }
}
