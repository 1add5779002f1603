//! What may stand in one place of a command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Verdict;

/// What may stand in a place. Just one of the keys that make a type: `literal`, `one-of`, `words`, `int`, `pattern`,
/// `text`, `path`, `script`, `url`, `any-of`, `list`, `pair`.
///
/// Built in: `text` (one line of at most 4,096 bytes), `lines` (the same with newlines and tabs), `int` (0 to
/// 2,147,483,647), `duration` (`90s`, `1h30m`), `seconds` (`5`, `0.5s`, `2m`), `byte-size` (`512`, `10K`, `4MiB`), `path` (a path beneath the workspace, read), `out-path` (written),
/// `command` (a program and all words behind it, judged by its own profile), `env-variable` (`TZ=UTC`; variables that load
/// code are denied), `stdin` (`-`), `path-or-stdin`, `glob` (a pattern of file names; one that singles out secret files asks).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TypeSpec {
    /// What it is, for the person who reads the refusal: "a namespace".
    pub about: Option<String>,
    /// Just this text.
    pub literal: Option<String>,
    /// One of these texts.
    pub one_of: Option<Vec<String>>,
    /// One of these texts or its other spellings: the key is what facts say.
    pub words: Option<BTreeMap<String, Vec<String>>>,
    /// For `words`: whether upper and lower case are alike.
    #[serde(default)]
    pub fold: bool,
    /// For `words` and `one-of`: what some of them mean, and whether they ask or deny.
    #[serde(default)]
    pub rules: BTreeMap<String, WordRule>,
    /// A whole number from the first to the second, both included.
    pub int: Option<(i64, i64)>,
    /// A regular expression that the whole text must match (linear time, no look-around).
    pub pattern: Option<String>,
    /// Any text of at most this many bytes, on one line.
    pub text: Option<usize>,
    /// A path beneath the workspace: `read` or `write`.
    pub path: Option<PathUse>,
    /// A program of this language that only reads what it is given; may have several lines.
    pub script: Option<ScriptLanguage>,
    /// An address such as `https://example.com/`.
    pub url: Option<UrlSpec>,
    /// The first of these types that fits.
    pub any_of: Option<Vec<String>>,
    /// Texts of one type with a separator between them.
    pub list: Option<String>,
    /// For `list`: the separator; a comma unless said otherwise.
    pub separator: Option<String>,
    /// Two types with a text between them, such as `["kind", "/", "name"]`; split at its first occurrence.
    pub pair: Option<(String, String, String)>,
    /// The facts that a text of this type is added to.
    #[serde(default)]
    pub facts: Vec<String>,
    /// The outcome of using it at all: allow unless said otherwise.
    pub verdict: Option<Verdict>,
    /// Why it asks or denies.
    pub why: Option<String>,
    /// What its use means.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// Which addresses fit. What is not plain never does: a user name, a number in an odd spelling, an escape in the host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UrlSpec {
    /// `https`, `http` or both.
    pub schemes: Vec<String>,
    /// Hosts that fit: names, or `*.example.org` for every name beneath a domain; any host unless said.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Ports that fit, besides the scheme's own.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Whether hosts that are not of the public network fit: `localhost`, `10.0.0.1`, `db.internal`, a name without dot.
    #[serde(default)]
    pub private: bool,
    /// The facts that the host is added to, such as `target.name`.
    #[serde(default)]
    pub host_facts: Vec<String>,
}

/// A small language whose programs are words of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ScriptLanguage {
    /// sed: commands that only edit what is printed.
    Sed,
    /// awk: programs that only compute and print.
    Awk,
    /// jq: filters that see neither the environment nor modules.
    Jq,
    /// SQL: one statement that reads.
    Sql,
}

/// What one word of a type means.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WordRule {
    /// Allow, ask or deny.
    pub verdict: Option<Verdict>,
    /// Why.
    pub why: Option<String>,
    /// What it means.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Other words of the type that it stands for too: they join the type's facts.
    #[serde(default)]
    pub means: Vec<String>,
}

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PathUse {
    /// It is read.
    Read,
    /// It is written.
    Write,
}
