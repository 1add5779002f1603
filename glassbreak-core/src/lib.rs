//! The guard between an AI agent and its tools.
#![doc = ""]
pub mod argv;
pub mod budget;
pub mod bundle;
pub mod call;
pub mod clock;
pub mod error;
pub mod facts;
pub mod finding;
mod json;
pub mod judge;
pub mod label;
pub mod lock;
pub mod people;
pub mod policy;
#[cfg(feature = "json-schema")]
pub mod schema;
pub mod shape;
mod source;
pub mod store;
mod table;
mod text;
