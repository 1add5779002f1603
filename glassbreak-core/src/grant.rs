//! Grants: what an approval opens, and what it covers.
//!
//! A [`Grant`] lifts the asks of certain rules, as they were when people agreed, for one caller (agent and session), for
//! exactly one call or for a narrow window of calls, a limited number of times, until it ends by itself. It never lifts
//! a denial. [`Grant::covers`] says so for one [`Use`]; it is a plain function, and stores call it in the same atomic
//! step in which they count the use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::approval::RequestId;
use crate::call::{CallDigest, Word};
use crate::clock::{Span, Timestamp};
use crate::finding::{RuleHash, RuleId};
use crate::lock::LockPath;
use crate::stored::id_type;

id_type! {
    /// The id of a grant.
    GrantId
}

/// The facts that a window holds fixed, by name: `command`, `target.kind`, and what profile or manifest marks `pin`.
pub type Pins = BTreeMap<Box<str>, Box<str>>;

/// The facts by which it is judged who may agree to a call. A window always holds them fixed: else whoever may agree to
/// a call of low risk, or to one resource, could open a window on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Its risk.
    Risk,
    /// Its labels.
    Labels,
    /// Its Cedar resource.
    Resource,
}

impl Judged {
    pub(crate) const ALL: [Self; 3] = [Self::Risk, Self::Labels, Self::Resource];

    /// The name among the facts; no fact of a target or an argument has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Labels => "labels",
            Self::Resource => "resource",
        }
    }
}

/// What an approval opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The request that it answers; there is never a second grant of it.
    pub request: RequestId,
    /// Whose it is: nobody else can use it. The name at its end is the tool or program.
    pub path: LockPath,
    /// The rules whose asks it lifts, as they were.
    pub lifts: Vec<(RuleId, RuleHash)>,
    /// Which calls.
    pub scope: Scope,
    /// A digest of the identity of the file that runs, for a program. Another file is not covered.
    pub file: Option<FileMark>,
    /// How often it was used.
    pub uses: u32,
    /// How often it may be.
    pub max_uses: u32,
    /// Not before.
    pub not_before: Timestamp,
    /// Not at this moment, nor after.
    pub expires_at: Timestamp,
    /// Who revoked it and when, if anybody did.
    pub revoked: Option<Revoked>,
}

/// Which calls a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// Exactly the call that was shown.
    Once {
        /// Its digest.
        digest: CallDigest,
    },
    /// Calls of one action whose pinned facts are those.
    Window {
        /// The Cedar action, such as `exec:kubectl`.
        action: Box<str>,
        /// The facts.
        pins: Pins,
    },
}

/// The end of a grant before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The person, or `lock` where a lock took it.
    pub by: Word,
    /// When.
    pub at: Timestamp,
}

/// A digest of the identity of a program's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMark([u8; 32]);

impl FileMark {
    /// The mark of a file whose identity is written as `pin`.
    pub fn of(pin: &str) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(pin.as_bytes()).into())
    }
}

impl fmt::Display for FileMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::call::write_hex(f, &self.0)
    }
}

impl fmt::Debug for FileMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::stored::stored_as_text!(FileMark, |text: &str| crate::stored::hash_of(text).map(FileMark));

/// A call that asks to pass by a grant: everything that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Who calls what.
    pub path: LockPath,
    /// The call.
    pub digest: CallDigest,
    /// Its Cedar action.
    pub action: Arc<str>,
    /// Its facts that a window could hold fixed; one that is not known for sure is not among them.
    pub facts: Arc<Pins>,
    /// Every rule that asks, as it is now.
    pub asks: Vec<(RuleId, RuleHash)>,
    /// The identity of the file that would run.
    pub file: Option<FileMark>,
}

/// Why a grant does not cover a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// There is no such grant.
    Unknown,
    /// It was revoked.
    Revoked {
        /// By whom.
        by: Word,
    },
    /// It has not begun.
    NotYet,
    /// It has ended.
    Expired,
    /// It was used as often as it may be.
    UsedUp,
    /// It belongs to another agent or session, or is for another tool.
    OtherCaller,
    /// It is for exactly another call.
    OtherCall,
    /// It is for another action.
    OtherAction,
    /// A fact that it holds fixed is another one, or not known.
    OtherFact {
        /// Which.
        name: Box<str>,
    },
    /// Another rule asks.
    OtherRule {
        /// Which.
        rule: RuleId,
    },
    /// A rule that it lifts has been changed.
    RuleChanged {
        /// Which.
        rule: RuleId,
    },
    /// Another file would run than the one that was shown.
    OtherFile,
    /// The call asks nothing, so there is nothing to lift.
    NothingAsked,
}

impl Mismatch {
    /// The word used in records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Revoked { .. } => "revoked",
            Self::NotYet => "not-yet",
            Self::Expired => "expired",
            Self::UsedUp => "used-up",
            Self::OtherCaller => "other-caller",
            Self::OtherCall => "other-call",
            Self::OtherAction => "other-action",
            Self::OtherFact { .. } => "other-fact",
            Self::OtherRule { .. } => "other-rule",
            Self::RuleChanged { .. } => "rule-changed",
            Self::OtherFile => "other-file",
            Self::NothingAsked => "nothing-asked",
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such grant"),
            Self::Revoked { by } => write!(f, "the grant was revoked by {by}"),
            Self::NotYet => f.write_str("the grant has not begun"),
            Self::Expired => f.write_str("the grant has ended"),
            Self::UsedUp => f.write_str("the grant is used up"),
            Self::OtherCaller => f.write_str("the grant is for another agent, session or tool"),
            Self::OtherCall => f.write_str("the grant is for exactly another call"),
            Self::OtherAction => f.write_str("the grant is for another action"),
            Self::OtherFact { name } => write!(f, "the grant is for another {name}"),
            Self::OtherRule { rule } => write!(f, "the grant does not lift {rule}"),
            Self::RuleChanged { rule } => write!(f, "{rule} was changed since the grant was given"),
            Self::OtherFile => f.write_str("another file would run than the one that was shown"),
            Self::NothingAsked => f.write_str("nothing asks"),
        }
    }
}

impl Grant {
    /// The longest window that can be opened.
    pub const MAX_WINDOW: Span = Span::from_millis(60 * 60_000);
    /// How long a grant for one call stands.
    pub const ONCE: Span = Span::from_millis(5 * 60_000);
    /// The most uses of a window.
    pub const MAX_USES: u32 = 50;

    /// Whether it stands at `now`: begun, not ended, not revoked, not used up.
    ///
    /// # Errors
    /// Why it does not.
    pub fn stands(&self, now: Timestamp) -> Result<(), Mismatch> {
        if let Some(Revoked { by, .. }) = &self.revoked {
            return Err(Mismatch::Revoked { by: by.clone() });
        }
        if now < self.not_before {
            return Err(Mismatch::NotYet);
        }
        if now >= self.expires_at {
            return Err(Mismatch::Expired);
        }
        if self.uses >= self.max_uses {
            return Err(Mismatch::UsedUp);
        }
        Ok(())
    }

    /// Whether it covers this call at `now`. Every field is compared; nothing that is missing matches.
    ///
    /// # Errors
    /// The first reason why it does not.
    pub fn covers(&self, call: &Use, now: Timestamp) -> Result<(), Mismatch> {
        self.stands(now)?;
        // No `..` here: a new field must be compared.
        let Use {
            path,
            digest,
            action,
            facts,
            asks,
            file,
        } = call;
        if !self.path.same_caller(path) || self.path.name() != path.name() {
            return Err(Mismatch::OtherCaller);
        }
        match &self.scope {
            Scope::Once { digest: shown } if shown != digest => return Err(Mismatch::OtherCall),
            Scope::Once { .. } => {}
            Scope::Window { action: opened, .. } if **opened != **action => return Err(Mismatch::OtherAction),
            Scope::Window { pins, .. } => {
                if let Some((name, _)) = pins.iter().find(|(name, value)| facts.get(*name) != Some(*value)) {
                    return Err(Mismatch::OtherFact { name: name.clone() });
                }
            }
        }
        if self.file != *file {
            return Err(Mismatch::OtherFile);
        }
        if asks.is_empty() {
            return Err(Mismatch::NothingAsked);
        }
        for (rule, hash) in asks {
            let rule = rule.clone();
            match self.lifts.iter().find(|(lifted, _)| *lifted == rule) {
                None => return Err(Mismatch::OtherRule { rule }),
                Some((_, lifted)) if lifted != hash => return Err(Mismatch::RuleChanged { rule }),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Actor, Args, Tool};
    use crate::finding::Layer;

    fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn rule(id: &str, hash: u8) -> (RuleId, RuleHash) {
        (
            RuleId::new(Layer::Policy, id).unwrap(),
            RuleHash::from_bytes([hash; 32]),
        )
    }

    fn digest(name: &str) -> CallDigest {
        CallDigest::of_tool(&Tool {
            name: word(name),
            arguments: Args::new(),
        })
    }

    fn actor() -> Actor {
        let mut actor = Actor::new(word("ops"), word("s-1"));
        actor.instance = Some(word("ops-7"));
        actor.on_behalf_of = Some(word("alice"));
        actor.parents = vec![word("planner")];
        actor
    }

    fn call() -> Use {
        let facts = [("target.kind", "pod"), ("target.name", "web"), ("command", "delete")];
        Use {
            path: LockPath::new(&actor(), "kubectl"),
            digest: digest("kubectl"),
            action: "exec:kubectl".into(),
            facts: Arc::new(facts.map(|(name, value)| (name.into(), value.into())).into()),
            asks: vec![rule("r", 1), rule("s", 2)],
            file: Some(FileMark::of("inode 7")),
        }
    }

    fn grant(scope: Scope) -> Grant {
        let call = call();
        Grant {
            id: GrantId::mint(at(0)),
            request: RequestId::mint(at(0)),
            path: call.path,
            lifts: call.asks,
            scope,
            file: call.file,
            uses: 0,
            max_uses: 2,
            not_before: at(1_000),
            expires_at: at(2_000),
            revoked: None,
        }
    }

    fn once() -> Grant {
        let digest = call().digest;
        grant(Scope::Once { digest })
    }

    fn window() -> Grant {
        let pins = [("target.kind", "pod"), ("command", "delete")];
        grant(Scope::Window {
            action: "exec:kubectl".into(),
            pins: pins.map(|(name, value)| (name.into(), value.into())).into(),
        })
    }

    #[test]
    fn a_grant_stands_from_its_beginning_until_its_end() {
        for grant in [once(), window()] {
            let covers = |millis| grant.covers(&call(), at(millis));
            assert_eq!((covers(999), covers(1_000)), (Err(Mismatch::NotYet), Ok(())));
            assert_eq!((covers(1_999), covers(2_000)), (Ok(()), Err(Mismatch::Expired)));
            assert_eq!(covers(i64::MAX), Err(Mismatch::Expired));
        }
    }

    #[test]
    fn what_is_revoked_or_used_up_covers_nothing() {
        for grant in [once(), window()] {
            let (by, at) = (word("carol"), at(1_500));
            let revoked = Grant {
                revoked: Some(Revoked { by: by.clone(), at }),
                ..grant.clone()
            };
            assert_eq!(revoked.covers(&call(), at), Err(Mismatch::Revoked { by }));
            for (uses, covers) in [
                (1, Ok(())),
                (2, Err(Mismatch::UsedUp)),
                (u32::MAX, Err(Mismatch::UsedUp)),
            ] {
                let used = Grant { uses, ..grant.clone() };
                assert_eq!(used.covers(&call(), at), covers);
            }
        }
    }

    #[test]
    fn a_change_of_any_field_is_noticed() {
        let path = |change: &dyn Fn(&mut Actor)| {
            let mut actor = actor();
            change(&mut actor);
            LockPath::new(&actor, "kubectl")
        };
        let asks = |asks: &[(RuleId, RuleHash)]| Use {
            asks: asks.to_vec(),
            ..call()
        };
        let other = |id| Mismatch::OtherRule { rule: rule(id, 0).0 };
        let changed = |id| Mismatch::RuleChanged { rule: rule(id, 0).0 };
        let mut all = vec![
            (asks(&[]), Mismatch::NothingAsked),
            (asks(&[rule("r", 1), rule("s", 2), rule("t", 3)]), other("t")),
            (asks(&[rule("t", 1)]), other("t")),
            (asks(&[rule("r", 2), rule("s", 2)]), changed("r")),
            (asks(&[rule("r", 1), rule("s", 1)]), changed("s")),
            (Use { file: None, ..call() }, Mismatch::OtherFile),
            (
                Use {
                    file: Some(FileMark::of("inode 8")),
                    ..call()
                },
                Mismatch::OtherFile,
            ),
        ];
        let paths = [
            path(&|actor| actor.session = word("s-2")),
            path(&|actor| actor.instance = Some(word("ops-8"))),
            path(&|actor| actor.instance = None),
            path(&|actor| actor.role = word("dev")),
            path(&|actor| actor.on_behalf_of = Some(word("bob"))),
            path(&|actor| actor.on_behalf_of = None),
            path(&|actor| actor.parents = Vec::new()),
            call().path.calling("helm"),
            call().path.calling("KUBECTL"),
        ];
        all.extend(paths.map(|path| (Use { path, ..call() }, Mismatch::OtherCaller)));
        for grant in [once(), window()] {
            for (call, why) in &all {
                assert_eq!(grant.covers(call, at(1_500)).as_ref(), Err(why));
            }
            // A part of what it lifts may ask; no file is a file of its own.
            assert_eq!(grant.covers(&asks(&[rule("s", 2)]), at(1_500)), Ok(()));
            let bare = Grant {
                file: None,
                ..grant.clone()
            };
            assert_eq!(bare.covers(&call(), at(1_500)), Err(Mismatch::OtherFile));
        }
    }

    #[test]
    fn once_is_one_digest_and_a_window_its_action_and_pins() {
        let digest = digest("helm");
        let other = Use { digest, ..call() };
        assert_eq!(once().covers(&other, at(1_500)), Err(Mismatch::OtherCall));
        assert_eq!(window().covers(&other, at(1_500)), Ok(()));
        let action: Arc<str> = "exec:helm".into();
        let other = Use { action, ..call() };
        assert_eq!(window().covers(&other, at(1_500)), Err(Mismatch::OtherAction));
        let facts = |change: &dyn Fn(&mut Pins)| {
            let mut call = call();
            change(Arc::make_mut(&mut call.facts));
            call
        };
        for name in ["target.kind", "command"] {
            let why = Err(Mismatch::OtherFact { name: name.into() });
            for value in ["", "POD", "pod ", "*"] {
                let other = facts(&|facts| drop(facts.insert(name.into(), value.into())));
                assert_eq!(window().covers(&other, at(1_500)), why);
            }
            assert_eq!(
                window().covers(&facts(&|facts| drop(facts.remove(name))), at(1_500)),
                why
            );
            assert!(window().covers(&facts(&Pins::clear), at(1_500)).is_err());
        }
        let other = facts(&|facts| drop(facts.insert("target.name".into(), "db".into())));
        assert_eq!(window().covers(&other, at(1_500)), Ok(()));
    }
}
