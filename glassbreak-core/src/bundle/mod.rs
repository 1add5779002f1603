//! The policy folder: a host's whole say over its agents, read and checked as one.
//!
//! | file | read by | says |
//! |---|---|---|
//! | `glassbreak.toml` | [`Settings`] | what is not listed, who answers asks, the labels and their risk |
//! | `people.toml` | [`People`](crate::people::People) | persons and groups |
//! | `tools.toml` | [`Tools`] | the tools, what they mean, and what their arguments must be |
//!
//! Each reader reports everything that is wrong with its file, each problem at its line and column. A key that is
//! not known is an error, and so is one for a part that is not built: what is silently skipped guards nothing.

mod people;
mod settings;
mod tools;

pub use self::settings::Settings;
pub use self::tools::{ToolEntry, ToolFacts, Tools};
