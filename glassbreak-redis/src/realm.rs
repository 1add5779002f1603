//! Where a realm is kept: its keys, all in one slot of a cluster.

use glassbreak_core::lock::LockPath;
use sha2::{Digest, Sha256};

use crate::error::Fault;

/// A realm, by its name.
#[derive(Debug, Clone)]
pub(crate) struct Realm {
    prefix: String,
}

/// The keys that every realm has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// What every script reads first.
    Meta,
    /// Which server held the realm from which epoch on.
    Reigns,
    Locks,
    Ops,
    /// When each op may be forgotten.
    Due,
    Requests,
    RequestBodies,
    Pending,
    /// The last request of each question.
    Last,
    /// The last no to each question.
    No,
    Grants,
    GrantBodies,
    /// The grants that have not ended.
    Live,
    /// When each request and grant may be forgotten.
    Ends,
    /// When each group of counters may be dropped.
    Groups,
}

impl Key {
    const fn name(self) -> &'static str {
        match self {
            // The scripts find the channel by cutting these four letters off.
            Self::Meta => "meta",
            Self::Reigns => "reigns",
            Self::Locks => "locks",
            Self::Ops => "ops",
            Self::Due => "due",
            Self::Requests => "requests",
            Self::RequestBodies => "requests:bodies",
            Self::Pending => "pending",
            Self::Last => "last",
            Self::No => "no",
            Self::Grants => "grants",
            Self::GrantBodies => "grants:bodies",
            Self::Live => "live",
            Self::Ends => "ends",
            Self::Groups => "groups",
        }
    }
}

impl Realm {
    /// The realm of this name.
    pub(crate) fn new(name: &str) -> Result<Self, Fault> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            let what = format!("a realm is 1 to 64 of a-z, 0-9, `_` and `-`, and not {name:?}");
            return Err(Fault::Unsafe(what));
        }
        Ok(Self {
            prefix: format!("gb1:{{{name}}}:"),
        })
    }

    /// A key that every realm has.
    pub(crate) fn key(&self, key: Key) -> String {
        format!("{}{}", self.prefix, key.name())
    }

    pub(crate) fn keys(&self, keys: &[Key]) -> Vec<String> {
        keys.iter().map(|key| self.key(*key)).collect()
    }

    /// Where changes are told.
    pub(crate) fn channel(&self) -> String {
        format!("{}ev", self.prefix)
    }

    /// The grants of the caller of a path.
    pub(crate) fn of_caller(&self, path: &LockPath) -> String {
        let caller = serde_json::to_vec(&path.calling("")).unwrap_or_default();
        format!("{}of:{}", self.prefix, hex(&short(&[&caller])))
    }

    /// The requests of an agent.
    pub(crate) fn by_agent(&self, agent: &str) -> String {
        format!("{}by:{}", self.prefix, hex(&short(&[agent.as_bytes()])))
    }

    /// The three keys of a group of counters.
    pub(crate) fn group(&self, group: &str) -> [String; 3] {
        ["t", "a", "e"].map(|part| format!("{}{part}:{group}", self.prefix))
    }
}

/// The name of the counters of a rule in a scope.
pub(crate) fn group_of(rule: &str, scope: &[u8; 16]) -> String {
    hex(&short(&[rule.as_bytes(), scope]))
}

/// Sixteen bytes of a hash of fields; none can be taken for two.
fn short(fields: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for field in fields {
        hasher.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(field);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 16];
    short.iter_mut().zip(hash).for_each(|(short, byte)| *short = byte);
    short
}

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    uuid::Uuid::from_bytes(*bytes).as_simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_one_slot_and_cannot_name_another() {
        let realm = Realm::new("prod-1").unwrap();
        assert_eq!(realm.key(Key::Meta), "gb1:{prod-1}:meta");
        for name in ["", "a}b", "A", "a b", "a:b", &"a".repeat(65)] {
            assert!(Realm::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn rule_and_scope_are_told_apart() {
        assert_ne!(group_of("ab", &[b'c'; 16]), group_of("abc", &[b'c'; 16]));
        assert_ne!(group_of("a", &[1; 16]), group_of("a", &[2; 16]));
    }
}
