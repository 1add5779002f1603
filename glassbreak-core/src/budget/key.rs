//! Whose count a call adds to, and what is counted apart within it.
//!
//! Both are written as parts, each a tag of one byte, a length of four bytes (big-endian) and the text, so that no
//! value can pass for another key. Stores keep hashes of these, so the tags never change their meaning.

mod bytes;

use sha2::{Digest, Sha256};

pub(super) use self::bytes::LONGEST;
use self::bytes::{KeyBytes, Writer};

use super::{Event, Name};
use crate::call::Actor;

/// Whose count a budget keeps: what its key begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Session,
    /// The instance, or the role of an agent that has none.
    Agent,
    Role,
    /// The person that the agent acts for. Calls made for nobody have a count of their own.
    Person,
    /// All that share the store.
    Fleet,
}

impl Whose {
    /// All of them, as files write them.
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("session", Self::Session),
        ("agent", Self::Agent),
        ("role", Self::Role),
        ("person", Self::Person),
        ("fleet", Self::Fleet),
    ];

    /// What stands behind the numbers in a finding. A session's own count goes without saying.
    pub(super) const fn of_whom(self) -> &'static str {
        match self {
            Self::Session => "",
            Self::Agent => " by this agent",
            Self::Role => " by this role",
            Self::Person => " for the same person",
            Self::Fleet => " by all agents",
        }
    }

    /// The first 16 bytes of SHA-256 over the one part that says whose: its tag tells a name of one kind from the same
    /// name of another, and nobody from a person.
    #[cfg(test)]
    pub(super) fn scope(self, actor: &Actor) -> [u8; 16] {
        let (tag, text) = self.own(actor);
        short_of(tag, text)
    }

    /// Every scope that a call of `actor` counts in: its own first, then those of the agents that started it, so that a
    /// sub-agent spends what its parents may spend. A parent is known by its name alone, which may be that of an instance
    /// or of a role: it counts as both.
    pub(super) fn scopes(self, actor: &Actor) -> Vec<[u8; 16]> {
        let parts = self.parts(actor);
        parts.into_iter().map(|(tag, text)| short_of(tag, text)).collect()
    }

    /// How many scopes those are.
    pub(super) fn scope_count(self, actor: &Actor) -> usize {
        if actor.parents.is_empty() {
            1
        } else {
            self.parts(actor).len()
        }
    }

    fn parts(self, actor: &Actor) -> Vec<(u8, &str)> {
        let mut parts = vec![self.own(actor)];
        let tags: &[u8] = match self {
            Self::Agent => &[2, 3],
            Self::Role => &[4],
            Self::Session | Self::Person | Self::Fleet => &[],
        };
        for parent in &actor.parents {
            for tag in tags {
                let part = (*tag, parent.as_str());
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        parts
    }

    fn own(self, actor: &Actor) -> (u8, &str) {
        match (self, &actor.instance, &actor.on_behalf_of) {
            (Self::Session, ..) => (1, actor.session.as_str()),
            (Self::Agent, Some(instance), _) => (2, instance.as_str()),
            (Self::Agent, None, _) => (3, actor.role.as_str()),
            (Self::Role, ..) => (4, actor.role.as_str()),
            (Self::Person, _, Some(person)) => (5, person.as_str()),
            (Self::Person, _, None) => (6, ""),
            (Self::Fleet, ..) => (7, ""),
        }
    }
}

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPart {
    /// A fact of the target, by its name.
    Target(&'static str),
    Program,
    Tool,
}

impl KeyPart {
    /// What begins this part in a key.
    const fn tag(self) -> u8 {
        match self {
            Self::Program => 1,
            Self::Tool => 2,
            Self::Target(name) => match name.as_bytes() {
                b"kind" => 3,
                b"namespace" => 4,
                b"name" => 5,
                _ => 6,
            },
        }
    }

    /// How files write it.
    pub(super) fn spelt(self) -> String {
        match self {
            Self::Program => "program".to_owned(),
            Self::Tool => "tool".to_owned(),
            Self::Target(name) => format!("target.{name}"),
        }
    }

    /// What `event` says of it, or `None` where it does not say which one.
    ///
    /// A call that was not understood may act on anything, and one on all namespaces (`*`) acts on each: neither has
    /// a known target.
    pub(super) fn text<'a>(self, event: &Event<'a>) -> Option<&'a str> {
        match (self, event.name) {
            (Self::Target(_), _) if event.facts.partial => None,
            (Self::Target(name), _) => {
                let text = event.facts.target.get(name)?.text()?;
                (name != "namespace" || text != "*").then_some(text)
            }
            (Self::Program, Name::Program(name)) | (Self::Tool, Name::Tool(name)) => Some(name),
            (Self::Program, Name::Tool(_)) | (Self::Tool, Name::Program(_)) => Some(""),
        }
    }
}

/// What a call is counted under in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// These parts; hashed where long.
    Known(KeyBytes),
    /// Some part is not known.
    Unknown,
}

/// Begins the scope of a shared budget; no part has this tag.
const SCOPED: u8 = 0xfe;
/// The bytes of a scope in a key, with what begins it.
pub(super) const SCOPE: usize = 17;

impl Key {
    /// The key of `event` under `parts`, within `scope` where the sessions of a store would share the count.
    pub(super) fn of(parts: &[KeyPart], event: &Event<'_>, scope: Option<[u8; 16]>) -> Self {
        let mut writer = Writer::new();
        if let Some(scope) = scope {
            writer.push(&[SCOPED]);
            writer.push(&scope);
        }
        match write(parts, event, &mut writer) {
            Some(()) => Self::Known(writer.key()),
            None => Self::Unknown,
        }
    }
}

/// What a store counts `event` under: the first 16 bytes of SHA-256 over the parts, of nothing where there are none, or
/// `None` where some part is not known.
pub(super) fn hashed(parts: &[KeyPart], event: &Event<'_>) -> Option<[u8; 16]> {
    let mut writer = Writer::new();
    write(parts, event, &mut writer)?;
    Some(short(writer.bytes()))
}

/// Such as `target.namespace "prod", program "kubectl"`; a part that is not known is shown empty.
pub(super) fn told(parts: &[KeyPart], event: &Event<'_>) -> String {
    let parts = parts.iter().map(|part| {
        let text = part.text(event).unwrap_or_default();
        format!("{} \"{}\"", part.spelt(), crate::error::shown(text))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn write(parts: &[KeyPart], event: &Event<'_>, writer: &mut Writer) -> Option<()> {
    for part in parts {
        writer.part(part.tag(), part.text(event)?);
    }
    Some(())
}

/// The hash of one part.
fn short_of(tag: u8, text: &str) -> [u8; 16] {
    let mut writer = Writer::new();
    writer.part(tag, text);
    short(writer.bytes())
}

fn short(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short
        .iter_mut()
        .zip(Sha256::digest(bytes))
        .for_each(|(to, from)| *to = from);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Word;

    fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    #[test]
    fn nobody_is_not_a_person_without_a_name() {
        // No `Word` is empty; the tags keep the two apart all the same.
        let nobody = Whose::Person.scope(&Actor::new(word("ops"), word("s")));
        assert_eq!(nobody, short(&[6, 0, 0, 0, 0]));
        assert_ne!(nobody, short_of(5, ""));
    }

    #[test]
    fn a_name_of_one_kind_is_no_name_of_another() {
        let mut actor = Actor::new(word("x"), word("x"));
        let mut scopes = vec![Whose::Agent.scope(&actor)];
        actor.instance = Some(word("x"));
        actor.on_behalf_of = Some(word("x"));
        scopes.extend(Whose::WORDS.map(|(_, whose)| whose.scope(&actor)));
        let apart: std::collections::BTreeSet<_> = scopes.iter().collect();
        assert_eq!(apart.len(), 6, "{scopes:?}");
    }

    #[test]
    fn what_stores_keep_stays_as_it_is() {
        // SHA-256 of nothing, and of the part that says `agent ops-7`; stores hold these across versions.
        let mut actor = Actor::new(word("ops"), word("s"));
        actor.instance = Some(word("ops-7"));
        assert_eq!(short(b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(Whose::Agent.scope(&actor), short(b"\x02\0\0\0\x05ops-7"));
    }
}
