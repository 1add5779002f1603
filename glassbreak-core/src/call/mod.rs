//! A call: one thing an agent asks to do, and who asks.
//!
//! A [`Call`] is an [`Actor`] and an [`Operation`]: run a program ([`Exec`], whose words are an [`Argv`]), call a
//! [`Tool`], or [`Connect`]. Its [`CallDigest`] is what two calls that do the same have in common.
//!
//! What is made by a constructor here is checked there: names are [`Word`]s, words of an argv hold no NUL and no
//! character that cannot be shown, and nothing is over its size. What is not such a thing is [`Malformed`], which says
//! where and what to do, and becomes a denial under `hygiene.*` through [`Malformed::finding`]. What a call may *do* is
//! judged elsewhere. [`wire`] reads a call from a line of JSON, with the same checks.
//!
//! ```
//! use glassbreak_core::call::{Argv, Exec, Workspace};
//!
//! let exec = Exec::new(Argv::new(["cat", "notes.txt"])?).in_folder("docs")?;
//! assert_eq!(exec.argv().program(), "cat");
//! assert_eq!(Workspace::new("/srv/ops")?.locate("docs", "../../etc/passwd"), None);
//!
//! let nul = Argv::new(["cat", "notes.txt\0.png"]).map_err(|malformed| malformed.to_string());
//! assert_eq!(nul.unwrap_err(), "[1]: holds a NUL byte, which would end the word for the program");
//! # Ok::<(), glassbreak_core::call::Malformed>(())
//! ```

mod args;
mod arguments;
mod digest;
mod exec;
mod shell;
pub mod wire;
mod word;

use std::collections::BTreeMap;

pub use self::args::{ArgValue, Args, Secret};
pub use self::arguments::Arguments;
pub use self::digest::CallDigest;
pub(crate) use self::digest::{hex_digits, write_hex};

pub use self::exec::{Argv, Exec, Workspace};
pub use self::word::{Text, Word};

use crate::finding::{Finding, Layer, RuleId};

/// One thing an agent asks to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub operation: Operation,
    /// The agent's own words; shown and recorded as unverified, never judged.
    pub reason: Option<Text>,
    /// The conversation it comes from; shown and recorded, never judged.
    pub conversation: Option<Conversation>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// A role that the bundle declares.
    pub role: Word,
    /// Which agent of that role.
    pub instance: Option<Word>,
    /// The session the call belongs to; sequence rules count within it.
    pub session: Word,
    /// The person or schedule that the agent acts for.
    pub on_behalf_of: Option<Word>,
    /// The agents that started this one, the nearest first.
    pub parents: Vec<Word>,
    /// The model behind it: its id, and a digest where one is known.
    pub model: Option<Model>,
    /// What an identity provider vouched for.
    pub claims: BTreeMap<Word, Text>,
}

impl Actor {
    /// An agent of `role` in `session`, with nothing else known.
    pub fn new(role: Word, session: Word) -> Self {
        Self {
            role,
            instance: None,
            session,
            on_behalf_of: None,
            parents: Vec::new(),
            model: None,
            claims: BTreeMap::new(),
        }
    }
}

/// The model behind an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its id, as its maker names it.
    pub id: Word,
    /// A digest of it, where one is known.
    pub digest: Option<Word>,
}

/// The conversation a call comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: Word,
    /// A digest of its text.
    pub digest: Option<Word>,
    /// Where a person can read it.
    pub link: Option<Text>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Run a program.
    Exec(Exec),
    /// Call a tool.
    Tool(Tool),
    /// Open a network connection. Judging it is not built: it is refused as `hygiene.connect.not-built`.
    Connect(Connect),
}

/// A tool and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name in the manifest.
    pub name: Word,
    /// Its arguments.
    pub arguments: Args,
}

/// A place on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// A host name or address, as it came.
    pub host: Word,
    /// The port.
    pub port: u16,
}

/// Input that is not a call: which rule of hygiene it breaks, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    code: &'static str,
    place: String,
    what: String,
    help: String,
}

impl Malformed {
    /// Input refused under `hygiene.<code>`: what is wrong at `place`, and what to do.
    pub fn new(code: &'static str, place: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            place: place.into(),
            what: what.into(),
            help: help.into(),
        }
    }

    /// Where in the input, such as `exec.argv[3]`; empty for the whole.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The same as a finding that denies.
    pub fn finding(&self) -> Finding {
        Finding::deny(
            RuleId::known(Layer::Hygiene, self.code),
            self.to_string(),
            self.help.as_str(),
        )
    }

    /// The same, found inside `place`.
    #[must_use]
    pub(crate) fn within(mut self, place: &str) -> Self {
        let joint = if self.place.is_empty() || self.place.starts_with('[') {
            ""
        } else {
            "."
        };
        self.place = [place, joint, &self.place].concat();
        self
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.place, self.what)
        }
    }
}

impl std::error::Error for Malformed {}
