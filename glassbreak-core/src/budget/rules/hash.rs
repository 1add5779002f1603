//! The hash of a rule: what it says, and nothing else.

use sha2::{Digest, Sha256};

use crate::finding::RuleHash;
use crate::table::Fields;

/// SHA-256 over the rule's own table and the defaults that it uses: for each, the key of the rule that would stand
/// in its way, its name among the defaults, and its value.
pub(super) fn hash(kind: &str, fields: Fields<'_>, defaults: &[(&str, &str, &str)]) -> RuleHash {
    let mut hasher = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.update(bytes);
    };
    field(b"glassbreak.rule.v1");
    field(kind.as_bytes());
    field(&fields.canonical());
    for (_, name, value) in defaults.iter().filter(|(key, ..)| fields.get(key).is_none()) {
        field(name.as_bytes());
        field(value.as_bytes());
    }
    RuleHash::from_bytes(hasher.finalize().into())
}
