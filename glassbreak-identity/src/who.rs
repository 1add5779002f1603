//! From what an issuer vouches for to a person, or to an agent.

use std::collections::BTreeMap;

use glassbreak_core::call::{Actor, Model, Text, Word};
use glassbreak_core::people::{Account, IdentityResolver, Principal, Resolved, Unresolved};
use serde_json::Value;

use crate::verify::Verified;

/// Why a token that holds says nobody who may act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhoError {
    /// A claim that the mapping needs is missing or no such thing.
    #[error("the token's `{name}` is missing or not {wanted}, and the agent's `{field}` is to come from it")]
    Claim {
        /// Which claim.
        name: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is for.
        field: &'static str,
    },
    /// The token says a role that the mapping does not take.
    #[error("the token's `{claim}` says the role `{said}`, and only {taken} is taken from it")]
    Role {
        /// Which claim.
        claim: String,
        /// What it says, escaped.
        said: String,
        /// What is taken.
        taken: String,
    },
    /// The person that the agent acts for is nobody here.
    #[error("the agent acts for somebody who is nobody here: {0}")]
    Person(#[from] Unresolved),
}

/// The person that a token is of, and the account to vote by: `Ballot::account`.
///
/// What they may answer is not looked at here: the desk does, when their vote counts.
///
/// # Errors
/// When they are nobody, more than one, or disabled.
pub fn person(verified: &Verified, people: &dyn IdentityResolver) -> Result<Resolved, Unresolved> {
    people.resolve(&verified.principal())
}

/// Where an agent's role comes from.
#[derive(Debug, Clone)]
enum Role {
    Always(Word),
    Claim(String, Vec<Word>),
}

/// How a token becomes an agent: which claim says what. What no claim is named for comes from nowhere, and nothing comes
/// from the agent.
///
/// A token says who an agent is; in which session it is says the host.
#[derive(Debug, Clone)]
pub struct ActorMapping {
    role: Role,
    instance: Option<String>,
    person: Option<(String, String)>,
    model: Option<String>,
    claims: Vec<(String, Word)>,
}

impl ActorMapping {
    /// Every agent of this issuer has this role.
    pub const fn role(role: Word) -> Self {
        Self::of(Role::Always(role))
    }

    /// The role is what this claim says, if it is one of `taken`.
    pub fn role_from(claim: impl Into<String>, taken: impl IntoIterator<Item = Word>) -> Self {
        Self::of(Role::Claim(claim.into(), taken.into_iter().collect()))
    }

    const fn of(role: Role) -> Self {
        Self {
            role,
            instance: None,
            person: None,
            model: None,
            claims: Vec::new(),
        }
    }

    /// Which agent of the role: what this claim says, such as `sub` or `client_id`.
    #[must_use]
    pub fn instance_from(mut self, claim: impl Into<String>) -> Self {
        self.instance = Some(claim.into());
        self
    }

    /// For whom the agent acts: the person of the account whose subject this claim says, at the issuer that people.toml
    /// calls `issuer`. A token without it, or one of nobody here, makes no agent: whoever is not known might otherwise
    /// agree to what is done for them.
    #[must_use]
    pub fn on_behalf_of(mut self, claim: impl Into<String>, issuer: impl Into<String>) -> Self {
        self.person = Some((claim.into(), issuer.into()));
        self
    }

    /// The model: its id is what this claim says.
    #[must_use]
    pub fn model_from(mut self, claim: impl Into<String>) -> Self {
        self.model = Some(claim.into());
        self
    }

    /// A claim that goes into the actor's claims, under this name: a text, number, or truth value, which must be there.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<String>, name: Word) -> Self {
        self.claims.push((claim.into(), name));
        self
    }

    /// The agent that a token is of, in `session`.
    ///
    /// The account goes among its claims as `account`, so that records name it.
    ///
    /// # Errors
    /// When a claim that is named here is missing or does not fit, or the person is nobody.
    pub fn actor(&self, verified: &Verified, session: Word, people: &dyn IdentityResolver) -> Result<Actor, WhoError> {
        let role = match &self.role {
            Role::Always(role) => role.clone(),
            Role::Claim(claim, taken) => {
                let said = text(verified, claim, "role")?;
                taken
                    .iter()
                    .find(|role| role.as_str() == said)
                    .cloned()
                    .ok_or_else(|| WhoError::Role {
                        claim: claim.clone(),
                        said: glassbreak_core::error::shown(said),
                        taken: taken.iter().map(Word::as_str).collect::<Vec<_>>().join(" or "),
                    })?
            }
        };
        let mut actor = Actor::new(role, session);
        if let Some(claim) = &self.instance {
            actor.instance = Some(word(verified, claim, "instance")?);
        }
        if let Some((claim, issuer)) = &self.person {
            let subject = text(verified, claim, "on_behalf_of")?;
            let account =
                Account::of_issuer(issuer, subject).map_err(|_| missing(claim, "on_behalf_of", "a subject"))?;
            actor.on_behalf_of = Some(people.resolve(&Principal::new(account))?.person);
        }
        if let Some(claim) = &self.model {
            let id = word(verified, claim, "model")?;
            actor.model = Some(Model { id, digest: None });
        }
        actor.claims = self.taken(verified)?;
        Ok(actor)
    }

    fn taken(&self, verified: &Verified) -> Result<BTreeMap<Word, Text>, WhoError> {
        const WANTED: &str = "a text, number or truth value of at most 4 KiB";
        let mut taken = BTreeMap::new();
        for (claim, name) in &self.claims {
            let said = match verified.claim(claim) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                _ => None,
            };
            let said = said.and_then(|said| Text::new(&said).ok());
            taken.insert(name.clone(), said.ok_or_else(|| missing(claim, "claims", WANTED))?);
        }
        let account = Text::new(verified.account().as_str()).ok();
        if let (Ok(name), Some(account)) = (Word::new("account"), account) {
            taken.insert(name, account);
        }
        Ok(taken)
    }
}

fn missing(claim: &str, field: &'static str, wanted: &'static str) -> WhoError {
    WhoError::Claim {
        name: claim.to_owned(),
        wanted,
        field,
    }
}

fn text<'v>(verified: &'v Verified, claim: &str, field: &'static str) -> Result<&'v str, WhoError> {
    let said = verified.claim(claim).and_then(Value::as_str);
    said.ok_or_else(|| missing(claim, field, "a text"))
}

fn word(verified: &Verified, claim: &str, field: &'static str) -> Result<Word, WhoError> {
    let said = text(verified, claim, field)?;
    Word::new(said).map_err(|_| missing(claim, field, "a name of letters, digits and `_-.:@/+`"))
}
