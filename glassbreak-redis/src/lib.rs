//! The shared store of glassbreak: reservations, requests, grants and locks in one Redis, for any number of machines.

mod adopt;
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
