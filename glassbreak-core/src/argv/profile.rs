//! The file format of profiles: what a program may be run with.
//!
//! A profile is read from `safe-bins.toml` or from a shipped pack, compiled, and then only ever read. Every key is
//! known or refused; nothing has a default that allows: a node without `verdict` asks, an operand without a slot asks.

mod dialect;
mod types;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::dialect::{DashDash, Dialect, Long, LongValue, Order};
pub use self::types::{PathUse, ScriptLanguage, TypeSpec, UrlSpec, WordRule};

/// `safe-bins.toml`: the programs that may be run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SafeBins {
    /// The version of this format: 1.
    pub schema: u32,
    /// Shipped packs taken as they are, such as `builtin:git-readonly`.
    #[serde(default, rename = "use")]
    pub uses: Vec<String>,
    /// Profiles of one's own, by the name of the program.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

/// What one program may be run with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// The program's name, in a shipped pack; elsewhere it is the key of the table.
    pub program: Option<String>,
    /// Other names of the same program, such as `python3` for `python`: one profile, and one action for policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The shipped pack this one adds to, such as `builtin:kubectl-readonly`. All of it is taken; a verb's verdict
    /// may be set anew, but a deny stays a deny.
    pub extends: Option<String>,
    /// The version of the program that the profile was written for.
    pub version: Option<String>,
    /// One line on what it allows.
    pub about: Option<String>,
    /// How the program reads its words. Not with `extends`.
    pub dialect: Option<Dialect>,
    /// Options that may stand anywhere, before and after the verbs.
    #[serde(default)]
    pub globals: Vec<OptSpec>,
    /// The types that options and operands name.
    #[serde(default)]
    pub types: BTreeMap<String, TypeSpec>,
    /// The profile's own facts, each a set of texts: policies read them as `context.argv.<name>`.
    #[serde(default)]
    pub facts: Vec<String>,
    /// What an approval that opens a window holds fixed, beside the command and the kind of target, which it always
    /// does: `namespace`, `name` or `owner`, a fact of the target that the profile fills. With `extends` these are added
    /// to those of the pack, which stay.
    #[serde(default)]
    pub pin: Vec<String>,
    /// What a call costs, for budgets: for each unit, the profile's own facts whose sizes multiply to it, such as
    /// `objects = ["kinds", "names"]`. Where one of them is empty or open, the cost is not known. With `extends` these are
    /// added to those of the pack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cost: BTreeMap<String, Vec<String>>,
    /// Words put right behind the program's name.
    #[serde(default)]
    pub inject: Vec<String>,
    /// For a program that is a script (`#!`): the bare name of the interpreter it is run by, which is found and pinned
    /// like the program itself. Without it a script is not run.
    pub interpreter: Option<String>,
    /// Where it may run: `workspace` for the workspace itself only, where the program takes settings from the folder
    /// it is in; anywhere beneath the workspace unless said otherwise.
    pub cwd: Option<CwdRule>,
    /// The environment.
    #[serde(default)]
    pub env: EnvSpec,
    /// The program itself: its options before any verb, and what it does without one.
    #[serde(default)]
    pub root: Node,
    /// The verbs beneath it.
    #[serde(default)]
    pub verbs: BTreeMap<String, Node>,
    /// Calls with the outcome expected, checked whenever the profile is loaded. A profile has at least one.
    #[serde(default)]
    pub examples: Examples,
}

/// Where a program may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CwdRule {
    /// Only in the workspace itself; anywhere else asks.
    Workspace,
}

/// The program, or one of its verbs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Other words for the same verb.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Allow, ask (unless said otherwise) or deny. A verb's verdict is its own; that of the node above does not count.
    pub verdict: Option<Verdict>,
    /// Why it asks or denies, for the person who reads the refusal.
    pub why: Option<String>,
    /// Where this node reads its words otherwise than the profile does.
    pub dialect: Option<Dialect>,
    /// Its options; they count until the next verb.
    #[serde(default)]
    pub options: Vec<OptSpec>,
    /// Its operands: the first form that fits is taken. No form: no operands, not even none.
    #[serde(default)]
    pub forms: Vec<Form>,
    /// Options that must be present with just this value, such as `"--dry-run" = "client"`; else it asks. An empty
    /// text stands for an option without value.
    #[serde(default)]
    pub require: BTreeMap<String, String>,
    /// The verbs beneath it. A node with verbs takes its first operand for one.
    #[serde(default)]
    pub verbs: BTreeMap<String, Node>,
    /// What an unknown verb gets: ask (unless said otherwise) or deny.
    pub unknown_verb: Option<Verdict>,
    /// What every call of it means.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What a call of it means when a fact holds.
    #[serde(default)]
    pub labels_if: Vec<LabelIf>,
    /// Whether a call of it runs as it was understood and not as it was spelt: options by the names they are known by, and
    /// before the operands; `--` before the operands where the program knows it. A call that would then be read as another
    /// runs as it came. Not for a program that runs another.
    #[serde(default, skip_serializing_if = "is_false")]
    pub canonical: bool,
    /// Words put right behind the verb.
    #[serde(default)]
    pub inject: Vec<String>,
    /// Whether it may be given input.
    #[serde(default)]
    pub stdin: bool,
}

/// Allow, ask or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may run.
    Allow,
    /// A person must agree.
    Ask,
    /// Never.
    Deny,
}

/// One option.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OptSpec {
    /// Every spelling, dashes included, the best known last; `-NUM` for `-20`, `+NUM` for `+20`, `+` for `+anything`. The
    /// last one names it in facts.
    pub names: Vec<String>,
    /// The type of its value; none for an option without value.
    pub value: Option<String>,
    /// The type of a second value, for an option that takes two words, such as `--arg name value`.
    pub second: Option<String>,
    /// Whether the value may be left out; then it is only ever taken attached (`--color=always`, `-Mfoo`).
    #[serde(default)]
    pub optional: bool,
    /// Whether it may be given more than once. An option that may not, and is, asks.
    #[serde(default)]
    pub many: bool,
    /// Whether its value is only ever taken as `--name=value`, never as a word of its own.
    #[serde(default)]
    pub equals_only: bool,
    /// Whether its value, as a word of its own, may begin with a dash.
    #[serde(default)]
    pub dash_value: bool,
    /// Allow (unless said otherwise), ask or deny.
    pub verdict: Option<Verdict>,
    /// Why it asks or denies.
    pub why: Option<String>,
    /// The facts that its value is added to, such as `target.namespace`.
    #[serde(default)]
    pub facts: Vec<String>,
    /// The facts that its presence sets, such as `"target.namespace" = "*"`.
    #[serde(default)]
    pub sets: BTreeMap<String, String>,
    /// What its presence means.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it makes the program load: code, config, credentials or an endpoint. A free value on such an option is
    /// reported when a profile allows it.
    pub loads: Option<String>,
}

/// One way to write a node's operands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Form {
    /// Only when all these options are present.
    #[serde(default)]
    pub when: Vec<String>,
    /// Only when none of these options is present.
    #[serde(default)]
    pub unless: Vec<String>,
    /// The operands, in order. Each slot takes as many words as fit before the next begins.
    #[serde(default)]
    pub operands: Vec<Slot>,
    /// The operands after `--`, where the dialect says `paths`.
    #[serde(default)]
    pub after: Vec<Slot>,
}

/// One operand, or a row of operands of one type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Slot {
    /// The type.
    #[serde(rename = "type")]
    pub ty: String,
    /// The fewest words; 1 unless said otherwise.
    #[serde(default = "one")]
    pub min: usize,
    /// The most words; `min`, or 1, unless said otherwise.
    pub max: Option<usize>,
    /// For a `command`: whether the program adds words of its own to it, as xargs does. Then it asks.
    #[serde(default)]
    pub adds_words: bool,
    /// The facts that each word is added to.
    #[serde(default)]
    pub facts: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

const fn one() -> usize {
    1
}

/// Labels that hold when a fact does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LabelIf {
    /// A fact of the profile (a set), or `target.kind` and the like.
    pub fact: String,
    /// The text it must hold.
    pub has: String,
    /// The labels.
    pub labels: Vec<String>,
}

/// The environment a program runs in; beyond it only `LANG`, `LC_*`, `TZ`, `NO_COLOR` and `TERM` may be passed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnvSpec {
    /// Variables that a call may set.
    #[serde(default)]
    pub pass: Vec<String>,
    /// Variables that are always set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// Calls with the outcome that the profile alone gives them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Examples {
    /// Allowed.
    #[serde(default)]
    pub allow: Vec<Example>,
    /// A person must agree.
    #[serde(default)]
    pub ask: Vec<Example>,
    /// Refused.
    #[serde(default)]
    pub deny: Vec<Example>,
}

impl Examples {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Example> {
        self.allow.iter().chain(&self.ask).chain(&self.deny)
    }
}

/// One call: a text is split at every space (there is no quoting), a list is taken word for word.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Example {
    /// Words with single spaces between them.
    Line(String),
    /// The words.
    Words(Vec<String>),
}

impl Example {
    /// The words.
    pub fn words(&self) -> Vec<&str> {
        match self {
            Self::Line(line) => line.split(' ').collect(),
            Self::Words(words) => words.iter().map(String::as_str).collect(),
        }
    }
}
