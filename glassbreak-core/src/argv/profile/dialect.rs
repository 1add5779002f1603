//! How a program reads its words.

use serde::{Deserialize, Serialize};

/// How a program reads its words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Dialect {
    /// How long options are written.
    pub long: Long,
    /// How a long option takes its value: `--name=value`, `--name value`, or both.
    pub long_value: LongValue,
    /// Whether `-ab` is `-a -b`.
    pub short_cluster: bool,
    /// Whether `-nVALUE` is `-n VALUE`.
    pub short_attached: bool,
    /// Whether `-n=VALUE` is `-n VALUE` (else `=VALUE` is the value).
    pub short_equals: bool,
    /// Whether an option without value may be written `--flag=true` or `--flag=false`.
    pub flag_equals: bool,
    /// Where options may stand.
    pub order: Order,
    /// What `--` means.
    pub dashdash: DashDash,
    /// Whether the program takes a unique beginning of a long name for the name. Such a word is never allowed;
    /// it is only used to find what is denied.
    pub abbreviates: bool,
    /// Whether `-20` is an option: the one called `-NUM`.
    pub numeric_short: bool,
    /// Whether `_` stands for `-` in names. As with `abbreviates`, only used to find what is denied.
    pub underscore_is_dash: bool,
    /// Whether words that begin with `+` are options, such as `+10`, `+cmd` or `+F`: the one spelt just so, else `+NUM`
    /// for digits, else `+`, which takes what stands behind the plus for its value. Else they are operands.
    pub plus: bool,
    /// Whether the first word may be a row of short options without a dash, as in `tar tvf a.tar`: options that take a
    /// value take the words behind it, in their order.
    pub old_bundle: bool,
    /// Whether upper and lower case are alike in verbs. The profile writes them in lower case.
    pub verbs_fold: bool,
    /// Whether every word behind a verb is an operand or a verb, also one with a dash, as with `redis-cli`.
    pub verbs_end_options: bool,
    /// Beginnings that turn any value into a file, such as `@` or `file://`; refused outside paths.
    pub value_refs: Vec<String>,
}

impl Default for Dialect {
    /// GNU `getopt_long` without abbreviations.
    fn default() -> Self {
        Self {
            long: Long::Double,
            long_value: LongValue::Both,
            short_cluster: true,
            short_attached: true,
            short_equals: false,
            flag_equals: false,
            order: Order::Any,
            dashdash: DashDash::End,
            abbreviates: false,
            numeric_short: false,
            underscore_is_dash: false,
            plus: false,
            old_bundle: false,
            verbs_fold: false,
            verbs_end_options: false,
            value_refs: Vec::new(),
        }
    }
}

/// How long options are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Long {
    /// There are none.
    None,
    /// `--name`.
    Double,
    /// `-name`, as in find.
    Single,
    /// Both mean the same, as in Go's flag package.
    Either,
}

/// How a long option takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LongValue {
    /// `--name=value` and `--name value`.
    Both,
    /// `--name=value` only.
    Equals,
    /// `--name value` only.
    Space,
}

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Before, between and after operands.
    Any,
    /// Only before the first operand; what follows is an operand even with a dash.
    OptionsFirst,
    /// Only after the last operand, as in find; an operand after an option asks.
    OperandsFirst,
}

/// What `--` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DashDash {
    /// What follows are operands.
    End,
    /// What follows are operands of another kind: the `after` slots of a form, as git's paths.
    Paths,
    /// The program has none: it asks.
    Absent,
}
