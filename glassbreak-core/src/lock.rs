//! The kill switch: locks, and which calls they stop.
//!
//! A lock has no expiry: it stands until a person lifts it. A call is stopped by a lock on anything along its
//! [`LockPath`]: the session, any agent above it, the person it acts for, the tool or program it names, or all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::{Actor, Text, Word};
use crate::clock::Timestamp;

/// What a lock stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every call.
    All,
    /// Calls of an agent and of all it started: by instance, by role, or as a parent.
    Agent(Word),
    /// Calls of one session.
    Session(Word),
    /// Calls of one tool; a program is a tool by its name.
    Tool(Word),
    /// Calls made for one person or schedule.
    Person(Word),
}

impl Target {
    /// What kind it is: `all`, `agent`, `session`, `tool` or `person`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Agent(_) => "agent",
            Self::Session(_) => "session",
            Self::Tool(_) => "tool",
            Self::Person(_) => "person",
        }
    }

    /// Which one; `None` for all.
    pub const fn name(&self) -> Option<&Word> {
        match self {
            Self::All => None,
            Self::Agent(name) | Self::Session(name) | Self::Tool(name) | Self::Person(name) => Some(name),
        }
    }
}

/// Such as `all` or `session s-7`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

/// A lock: what it stops, why, who set it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// What it stops.
    pub target: Target,
    /// Why, in the words of whoever set it.
    pub reason: Text,
    /// Who set it.
    pub by: Word,
    /// When.
    pub at: Timestamp,
}

/// Everything about a call that a lock may name.
///
/// Made once for a session; [`calling`](Self::calling) then costs a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockPath {
    caller: Arc<Caller>,
    name: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    session: Word,
    /// Whether the first of the agents is an instance: else its role comes first, and a role under a parent would be
    /// the same caller as an instance of the parent's role.
    instance: bool,
    agents: Vec<Word>,
    person: Option<Word>,
}

impl LockPath {
    /// The path of `actor` calling the tool or program `name`.
    pub fn new(actor: &Actor, name: &str) -> Self {
        // No `..` here: a new field of the actor must be looked at.
        let Actor {
            role,
            instance,
            session,
            on_behalf_of,
            parents,
            model: _,
            claims: _,
        } = actor;
        let agents = instance.iter().chain([role]).chain(parents);
        Self {
            caller: Arc::new(Caller {
                session: session.clone(),
                instance: instance.is_some(),
                agents: agents.cloned().collect(),
                person: on_behalf_of.clone(),
            }),
            name: name.into(),
        }
    }

    /// The same caller, calling the tool or program `name`.
    #[must_use]
    pub fn calling(&self, name: &str) -> Self {
        Self {
            caller: Arc::clone(&self.caller),
            name: name.into(),
        }
    }

    /// The session of the caller.
    pub fn session(&self) -> &Word {
        &self.caller.session
    }

    /// The agent that calls: its instance, or its role where it has none.
    pub fn agent(&self) -> Option<&Word> {
        self.caller.agents.first()
    }

    /// The person or schedule that it calls for.
    pub fn person(&self) -> Option<&Word> {
        self.caller.person.as_ref()
    }

    /// The tool or program that is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both calls come from the same caller: session, agents and person alike.
    pub fn same_caller(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.caller, &other.caller) || self.caller == other.caller
    }

    /// Everything that a lock may name to stop the call, the widest first as [`LockSet::find`] has it: for stores that
    /// look locks up elsewhere.
    pub fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        let caller = &self.caller;
        let tool = Word::new(&self.name).ok().map(Target::Tool);
        let agents = caller.agents.iter().cloned().map(Target::Agent);
        let person = caller.person.iter().cloned().map(Target::Person);
        let all = [Target::All].into_iter().chain(tool).chain(agents).chain(person);
        all.chain([Target::Session(caller.session.clone())])
    }

    /// Whether a lock on `target` stops the call.
    pub fn is_under(&self, target: &Target) -> bool {
        match target {
            Target::All => true,
            Target::Agent(agent) => self.caller.agents.contains(agent),
            Target::Session(session) => self.caller.session == *session,
            Target::Tool(tool) => *self.name == *tool.as_str(),
            Target::Person(person) => self.caller.person.as_ref() == Some(person),
        }
    }
}

/// As it is kept: a flat record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<C, N> {
    caller: C,
    name: N,
}

impl Serialize for LockPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Kept {
            caller: &*self.caller,
            name: &*self.name,
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for LockPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let kept: Kept<Caller, String> = Kept::deserialize(from)?;
        Ok(Self {
            caller: Arc::new(kept.caller),
            name: kept.name.into(),
        })
    }
}

/// The locks in force, at most one for each target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockSet {
    all: Option<Arc<Lock>>,
    agents: BTreeMap<Word, Arc<Lock>>,
    sessions: BTreeMap<Word, Arc<Lock>>,
    tools: BTreeMap<Word, Arc<Lock>>,
    persons: BTreeMap<Word, Arc<Lock>>,
}

impl LockSet {
    /// A lock that stops the call, if one does; the widest first.
    ///
    /// A few lookups, however many locks there are.
    pub fn find(&self, path: &LockPath) -> Option<&Arc<Lock>> {
        self.find_at(path, path.name())
    }

    /// The same for a call of the tool or program `name` by the caller of `path`.
    pub(crate) fn find_at(&self, path: &LockPath, name: &str) -> Option<&Arc<Lock>> {
        if let Some(lock) = &self.all {
            return Some(lock);
        }
        let caller = &path.caller;
        let agent = || caller.agents.iter().find_map(|agent| self.agents.get(agent));
        let person = || caller.person.as_ref().and_then(|person| self.persons.get(person));
        self.tools
            .get(name)
            .or_else(agent)
            .or_else(person)
            .or_else(|| self.sessions.get(&caller.session))
    }

    /// The lock on the tool or program `name`.
    #[cfg(target_os = "linux")]
    pub(crate) fn tool(&self, name: &str) -> Option<&Arc<Lock>> {
        self.tools.get(name)
    }

    /// Whether some tool or program is locked.
    #[cfg(target_os = "linux")]
    pub(crate) fn names_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// The lock on exactly `target`.
    pub fn get(&self, target: &Target) -> Option<&Arc<Lock>> {
        match target {
            Target::All => self.all.as_ref(),
            Target::Agent(name) => self.agents.get(name),
            Target::Session(name) => self.sessions.get(name),
            Target::Tool(name) => self.tools.get(name),
            Target::Person(name) => self.persons.get(name),
        }
    }

    /// Puts `lock` in force. A lock that stands on the same target stays as it is, and `false` comes back.
    pub fn insert(&mut self, lock: Lock) -> bool {
        if self.get(&lock.target).is_some() {
            return false;
        }
        let lock = Arc::new(lock);
        match &lock.target {
            Target::All => self.all = Some(lock),
            Target::Agent(name) => drop(self.agents.insert(name.clone(), Arc::clone(&lock))),
            Target::Session(name) => drop(self.sessions.insert(name.clone(), Arc::clone(&lock))),
            Target::Tool(name) => drop(self.tools.insert(name.clone(), Arc::clone(&lock))),
            Target::Person(name) => drop(self.persons.insert(name.clone(), Arc::clone(&lock))),
        }
        true
    }

    /// Lifts the lock on exactly `target`.
    pub fn remove(&mut self, target: &Target) -> Option<Arc<Lock>> {
        match target {
            Target::All => self.all.take(),
            Target::Agent(name) => self.agents.remove(name),
            Target::Session(name) => self.sessions.remove(name),
            Target::Tool(name) => self.tools.remove(name),
            Target::Person(name) => self.persons.remove(name),
        }
    }

    /// Every lock, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Lock>> {
        let kinds = [&self.agents, &self.sessions, &self.tools, &self.persons];
        self.all.iter().chain(kinds.into_iter().flat_map(BTreeMap::values))
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl FromIterator<Lock> for LockSet {
    fn from_iter<I: IntoIterator<Item = Lock>>(locks: I) -> Self {
        let mut set = Self::default();
        for lock in locks {
            set.insert(lock);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word::new(text).unwrap()
    }

    fn lock(target: Target, by: &str) -> Lock {
        Lock {
            target,
            reason: Text::new("enough").unwrap(),
            by: word(by),
            at: Timestamp::from_millis(0),
        }
    }

    fn path() -> LockPath {
        let mut actor = Actor::new(word("ops"), word("s-1"));
        actor.instance = Some(word("ops-7"));
        actor.on_behalf_of = Some(word("alice"));
        actor.parents = vec![word("planner"), word("root")];
        LockPath::new(&actor, "kubectl")
    }

    #[test]
    fn a_lock_on_anything_along_the_path_stops_the_call() {
        let targets = [
            Target::All,
            Target::Session(word("s-1")),
            Target::Agent(word("ops")),
            Target::Agent(word("ops-7")),
            Target::Agent(word("planner")),
            Target::Agent(word("root")),
            Target::Person(word("alice")),
            Target::Tool(word("kubectl")),
        ];
        for target in targets {
            let set: LockSet = [lock(target.clone(), "bob")].into_iter().collect();
            assert_eq!(set.find(&path()).map(|lock| &lock.target), Some(&target));
            assert!(path().is_under(&target));
            assert!(path().targets().any(|named| named == target), "{target}");
        }
        assert!(path().targets().all(|named| path().is_under(&named)));
    }

    #[test]
    fn of_several_locks_the_first_that_a_path_names_is_the_one_that_is_found() {
        let mut set: LockSet = path().targets().map(|target| lock(target, "bob")).collect();
        for target in path().targets() {
            assert_eq!(set.find(&path()).map(|lock| &lock.target), Some(&target));
            set.remove(&target);
        }
    }

    #[test]
    fn a_lock_on_a_name_of_another_kind_does_not() {
        let others = [
            Target::Session(word("kubectl")),
            Target::Agent(word("alice")),
            Target::Agent(word("s-1")),
            Target::Person(word("ops")),
            Target::Tool(word("ops")),
            Target::Tool(word("kubectl2")),
        ];
        for target in others {
            let set: LockSet = [lock(target.clone(), "bob")].into_iter().collect();
            assert_eq!(set.find(&path()), None, "{target}");
            assert!(!path().is_under(&target), "{target}");
        }
        let set: LockSet = [lock(Target::Tool(word("kubectl")), "bob")].into_iter().collect();
        assert_eq!(set.find(&path().calling("ls")), None);
    }

    #[test]
    fn the_first_lock_on_a_target_stands_until_it_is_lifted() {
        let mut set = LockSet::default();
        assert!(set.insert(lock(Target::All, "bob")));
        assert!(!set.insert(lock(Target::All, "carol")));
        assert_eq!(
            set.remove(&Target::All).map(|lock| lock.by.to_string()),
            Some("bob".into())
        );
        assert!(set.is_empty());
    }
}
