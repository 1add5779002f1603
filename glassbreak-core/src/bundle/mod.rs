//! The policy folder: a host's whole say over its agents, read and checked as one.
//!
//! [`Bundle::open`] reads a folder, [`Bundle::from_files`] the same from memory, and [`Bundle::read_only`] is the
//! built-in one: the shipped packs for the role `anonymous`. A bundle never changes and is shared freely between
//! threads; [`Bundle::digest`] tells two of them apart, and [`Bundle::rule_hash`] one rule of theirs.
//!
//! | file | read by | says |
//! |---|---|---|
//! | `glassbreak.toml` | [`Settings`] | what is not listed, who answers asks and by when, in which stages, the labels and their risk |
//! | `people.toml` | [`People`](crate::people::People) | persons, their groups and accounts |
//! | `safe-bins.toml`, `.json` | [`Programs`](crate::argv::Programs) | the programs that may run, and how each reads its words |
//! | `tools.toml` | [`Tools`] | the tools, what they mean, and what their arguments must be |
//! | `tools.json` | [`Tools`] | the listing of an MCP server, for tools that take their schema from it |
//! | `credentials.toml` | [`Credentials`] | which calls are handed a credential, and how long it may live |
//! | `budgets.toml` | [`Rules`](crate::budget::Rules) | what calls may add up to, of a session or shared |
//! | `*.cedar`, `entities.json`, `schema.cedarschema` | [`Policies`](crate::policy::Policies) | who may do what to what, and what asks |
//! | `tests/*.toml` | [`Case`] | calls with the outcome their author expects |
//!
//! Each reader reports everything that is wrong with its file, each problem at its line and column. A key that is
//! not known is an error, and so is one for a part that is not built: what is silently skipped guards nothing. `*.md`
//! may stand in the folder; names that begin with a dot are not read; links and other folders are refused. All files
//! are optional, and without them everything is denied.
//!
//! ```
//! use glassbreak_core::bundle::{Bundle, Files};
//!
//! let mut files = Files::new();
//! files.insert("glassbreak.toml".to_owned(), b"unlistd = \"ask\"\n".to_vec());
//! let problems = Bundle::from_files(&files).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "glassbreak.toml:1:1: unknown key `unlistd`\n  help: did you mean `unlisted`?"
//! );
//! ```

mod cases;
mod credentials;
mod folder;
mod in_force;
mod load;
mod people;
mod requests;
mod rule_hash;
mod settings;
mod stages;
mod tools;

pub use self::cases::{Case, CaseResult};
pub use self::credentials::Credentials;
pub use self::folder::{BundleDigest, Files, MAX_FILE, MAX_FILES};
pub(crate) use self::in_force::InForce;
pub use self::load::Bundle;
pub use self::requests::RequestLimits;
pub use self::settings::Settings;
pub use self::stages::{StagePlan, StagePlans};
pub use self::tools::{ToolEntry, ToolFacts, Tools};
