//! The shared store of glassbreak: reservations, requests, grants and locks in one Redis, for any number of machines.
//!
//! ```no_run
//! use glassbreak_core::store::Locks;
//! use glassbreak_redis::RedisStore;
//!
//! # async fn example() -> Result<(), glassbreak_core::store::StoreError> {
//! // Once for each realm, by a person:
//! RedisStore::builder("redis://127.0.0.1:6379").realm("prod").init().await?;
//! // In every process:
//! let store = RedisStore::builder("redis://127.0.0.1:6379").realm("prod").connect().await?;
//! assert!(store.locks().await?.locks.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! It keeps the contract of [`glassbreak_core::store`] over one server ([`RedisStore::builder`]), the server that sentinels
//! name ([`RedisStore::sentinel`]) and a cluster ([`RedisStore::cluster`]), of Redis 7 or Valkey 8.
//!
//! # What a server must be
//!
//! `appendonly yes` and `maxmemory-policy noeviction`: each connection is looked at before it is used, and again every thirty
//! seconds. Where replicas follow, set `min-replicas-to-write` and `min-replicas-max-lag` too: a master that is cut off then
//! takes no calls. Servers of other machines are reached by `rediss://user:password@host` (feature `tls`), and by
//! `redis://` only where [`danger_in_clear`](RedisBuilder::danger_in_clear) is said; both want an ACL user of their own, not
//! `default`. A user that may do no more than is needed, for the realm `prod` on one server (tried there; a cluster and sentinels
//! are asked in other words too, which was not tried):
//!
//! ```text
//! ACL SETUSER gate on >PASSWORD resetkeys ~gb1:{prod}:* resetchannels &gb1:{prod}:* -@all +@read +@write +@scripting
//!     -@dangerous +info +time +publish +subscribe +unsubscribe +ping
//! ```
//!
//! # Where what lives
//!
//! - `store` is the public type, `builder` its settings; `place` and `server` hold that it is a server that may be trusted.
//! - `engine` sends one message and reads what the answer says of the server; `known` is what follows from that. `line` is
//!   the connection.
//! - `ledger` and `asks` do one step each: they write the message of a `script`, and read the `reply`.
//! - `src/lua` are the scripts. `head.lua` begins each of them, `count.lua` counts. No rule is in them: what a grant covers,
//!   what a decision may be, on which side of a deadline it may come and what is ended by what is asked of core before.
//! - `watch` hears of changes, and forgets what nobody needs. `adopt` is the way on after a loss, and
//!   `anchor` the file by which one is noticed while no process runs.
//!
//! # Where the contract is silent
//!
//! - **Messages.** `reserve` and `settle` are one; a settle of what another handle reserved is two, and so is a claim by a
//!   grant that the handle was not told of; a decision is two. A message whose answer was lost is sent again where that
//!   changes nothing: not a lock, a lifting or a revocation, because what they ended is named only once. A call takes 400 ms
//!   at most ([`call_limit`](RedisBuilder::call_limit)).
//! - **Time.** A time more than five seconds ahead of the server's is not believed; one more than five seconds behind, and
//!   every time while the store's is that far ahead of the server's, is refused.
//! - **What is lost.** Every answer says which server gave it and how many changes it had seen. A server that is behind what
//!   some process has seen is denied by that process, which says so in the realm: then everybody denies, until an operator
//!   [adopts](RedisStore::adopt) what is there. So is a realm that was flushed. A loss while no process runs is noticed by the file
//!   of [`remember_in`](RedisBuilder::remember_in), where there is one.
//! - **A master that is cut off** and has not noticed goes on taking the calls of those that still reach it, up to
//!   `min-replicas-max-lag`. What it took is missed when it comes back, and then everybody denies; until then a budget may be
//!   passed by as much.

mod adopt;
mod anchor;
mod asks;
mod builder;
mod engine;
mod error;
mod kept;
mod known;
mod ledger;
mod line;
mod place;
mod realm;
mod reply;
mod script;
mod server;
mod store;
mod watch;

pub use self::builder::RedisBuilder;
pub use self::store::RedisStore;
