//! Who may work the kill switch, take back grants and adopt sessions: Cedar over persons, two-valued.
//!
//! ```text
//! // Nobody lifts the lock of an agent that acts for them.
//! @id("not-ones-own")
//! forbid (principal, action == Action::"unlock", resource)
//! when { context.operate.on_behalf_of == principal.name };
//! ```

use cedar_policy::EntityTypeName;

use super::Policies;
use super::load::uid;
use super::persons::{Deed, text};
use super::plan::{REPORT, refusal};
use crate::call::Word;
use crate::finding::Finding;

/// Something an operator does. Outside `call`: it judges people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operate {
    /// Refuse everything under a target, and end what runs.
    Lock,
    /// Lift a lock.
    Unlock,
    /// Take back what an approval opened, or a question before it is answered.
    Revoke,
    /// Go on with a session that another process left behind.
    Adopt,
}

impl Operate {
    /// All of them: what `Action::"operate"` holds.
    pub const ALL: [Self; 4] = [Self::Lock, Self::Unlock, Self::Revoke, Self::Adopt];

    /// The action's name in Cedar.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Revoke => "revoke",
            Self::Adopt => "adopt",
        }
    }
}

/// What an operator wants to do to what.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The person, by their name in `people.toml`.
    pub person: &'a Word,
    /// What.
    pub operate: Operate,
    /// The kind of target: `all`, `agent`, `session`, `tool` or `person`; to revoke, also `grant`, `request` or `rule`.
    pub kind: &'a str,
    /// Its name; empty for all.
    pub id: &'a str,
    /// The person that the target acts for, or is; empty where there is none, or it is not known.
    pub on_behalf_of: &'a str,
}

/// What `context.operate.kind` can be.
pub(super) const KINDS: [&str; 8] = ["all", "agent", "session", "tool", "person", "grant", "request", "rule"];

/// The realm, as Cedar names it. One store holds one realm.
const REALM: &str = "default";

impl Policies {
    /// Whether a person may do this: some permit holds, no forbid holds, and none of those that could say something is
    /// in error.
    ///
    /// # Errors
    /// The refusal: under `policy.<id>` of the forbid that holds, `policy.<id>.error` of what could not be judged, else
    /// under `policy.operate`.
    pub fn may_operate(&self, operation: &Operation<'_>) -> Result<(), Finding> {
        // No `..` here: what the schema declares must be built.
        let Operation {
            person,
            operate,
            kind,
            id,
            on_behalf_of,
        } = *operation;
        // A policy that compares with the kinds that are promised must not be slipped past by another one.
        let realm = "Realm".parse::<EntityTypeName>().ok();
        let Some(realm) = realm.filter(|_| KINDS.contains(&kind)) else {
            return Err(refusal("internal", "operators do nothing to such a thing", REPORT));
        };
        let what = match id {
            "" => format!("{} {kind}", operate.as_str()),
            id => format!("{} {kind} `{id}`", operate.as_str()),
        };
        self.may(Deed {
            person,
            action: operate.as_str(),
            resource: uid(&realm, REALM),
            about: (
                "operate",
                vec![
                    ("kind", text(kind)),
                    ("id", text(id)),
                    ("on_behalf_of", text(on_behalf_of)),
                ],
            ),
            rule: "operate",
            what,
        })
    }
}
