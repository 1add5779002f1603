//! The embedded durable store of glassbreak: reservations, requests, grants and locks in one SQLite file.
//!
//! ```no_run
//! use glassbreak_core::store::Locks;
//! use glassbreak_sqlite::SqliteStore;
//!
//! # async fn example() -> Result<(), glassbreak_core::store::StoreError> {
//! let store = SqliteStore::open("state/glassbreak.db").await?;
//! assert!(store.locks().await?.locks.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! As the store of a gate, which can then be answered from other processes:
//!
//! ```no_run
//! # #[cfg(target_os = "linux")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use glassbreak_core::audit::AuditLog;
//! use glassbreak_core::bundle::Bundle;
//! use glassbreak_core::gate::Gate;
//! use glassbreak_core::notify::Terminal;
//! use glassbreak_sqlite::SqliteStore;
//!
//! let gate = Gate::builder(Bundle::open("policy")?)
//!     .store(SqliteStore::open("state/glassbreak.db").await?)
//!     .notifier(Terminal::new())
//!     .audit(AuditLog::open("state/audit")?)
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! It keeps the contract of [`glassbreak_core::store`], for any number of processes of one machine and one user that
//! open the same file. What it acknowledged survives a crash and a loss of power.
//!
//! [`SqliteStore::look`] opens it only to look, as `glassbreak pending`, `show` and `locks` do.
//!
//! # Where what lives
//!
//! - `store` is the public type: it hands each request to one of two threads, and waits.
//! - `writer` owns the connection that writes, and commits many requests at once; `reader` the one that reads.
//!   `look` reads where nothing may be written.
//! - `ledger`, `counts`, `requests`, `grants`, `locks` do one request each in an open transaction (`books`). No rule is
//!   in them: what a grant covers, what a vote is worth and what a lock stops is asked of core.
//! - `schema` is what the file holds, `meta` the row that every change writes.
//! - `place`, `open`, `anchor` and `adopt` hold that it is the right file, whole, out of others' reach and not an older
//!   state; `time` that a jump of a clock forgives nothing.
//!
//! # Where the contract is silent
//!
//! - **Time over a restart.** Elapsed time is told by the machine's clock since it started, asleep or awake, which all
//!   processes share: so a time is believed as far as the machine has really come since the store's last one, whichever
//!   process was given that. After the machine was started again any later time is believed, and a handle that finds the
//!   store's time more than five seconds ahead of the first time that it is given answers
//!   [`Clock`](glassbreak_core::store::Reserved::Clock) until that has come, or until [`SqliteStore::adopt_time`].
//! - **A rollback** is seen by a process that had seen more, for as long as it runs, and when opening by the anchor, the
//!   file `<database>.anchor`, which may be a second behind. Whoever restores database and anchor together from one backup,
//!   with no process running, is not noticed.
//! - **A request that nobody settles** is forgotten two days after its deadline, as one that was settled.
//! - **A fork** of a process that has a store open gets errors from it, and opens the store by itself.

#![cfg(unix)]

mod adopt;
mod anchor;
mod books;
mod counts;
mod error;
mod grants;
mod ledger;
mod locks;
mod look;
mod meta;
mod open;
mod place;
mod reader;
mod requests;
mod schema;
mod shared;
mod store;
mod time;
mod writer;

pub use self::store::{SqliteBuilder, SqliteStore};
