//! What a shared rule wants counted, put so that any store can.

use std::sync::Arc;

use super::Window;

/// So much more under one key of one rule, if that stays within a ceiling.
///
/// Stores count by `(rule, scope, key)`. A call whose key is not known counts under every key of its scope, and is held
/// against the fullest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The rule. Counts of different rules are apart, whatever their keys.
    pub rule: Arc<str>,
    /// A hash of whose count it is: a session's, an agent's, a person's, or one of all.
    pub scope: [u8; 16],
    /// A hash of what the rule counts apart within the scope; `None` where the call does not say which.
    pub key: Option<[u8; 16]>,
    /// How long a call counts.
    pub window: Window,
    /// How much it counts.
    pub amount: u64,
    /// The most that may count, this call included.
    pub ceiling: u64,
}
