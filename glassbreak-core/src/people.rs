//! The people of a bundle: persons, the groups they belong to, and the accounts they answer by.
//!
//! Votes, locks and grants count persons, never accounts: whoever answers by an [`Account`] is first looked up with
//! [`People::person_of`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::call::Word;
use crate::error::BadWord;

/// An account that somebody answers by, such as `uid:1000` or `sso:alice@example.com`: an issuer, a colon, and what the
/// issuer calls them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Word);

impl Account {
    /// The account of a user of this machine, by the id that the kernel gives.
    ///
    /// # Errors
    /// Never: every number makes a name.
    pub fn uid(uid: u32) -> Result<Self, BadWord> {
        Word::new(&format!("uid:{uid}")).map(Self)
    }

    /// An account that the host vouches for, as `issuer:subject`.
    ///
    /// # Errors
    /// When it is not a name with a colon in it, or the issuer is `uid`, which only the kernel vouches for.
    pub fn of_host(text: &str) -> Result<Self, BadWord> {
        let word = Word::new(text)?;
        match text.split_once(':') {
            Some((issuer, subject)) if issuer != "uid" && !subject.is_empty() => Ok(Self(word)),
            _ => Err(BadWord::new(
                "name of an account",
                text,
                "write `issuer:subject`, such as `sso:alice@example.com`; `uid` is the machine's own issuer",
            )),
        }
    }

    /// Reads an account of any issuer, as it was stored.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_stored(text: &str) -> Result<Self, BadWord> {
        if let Some(Ok(uid)) = text.strip_prefix("uid:").map(str::parse) {
            let account = Self::uid(uid)?;
            // `uid:+7` and `uid:07` are nobody's: an account has one name.
            if account.as_str() == text {
                return Ok(account);
            }
        }
        Self::of_host(text)
    }

    /// The whole name, issuer and subject.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

crate::stored::stored_as_text!(Account, Account::from_stored);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Persons, their groups and their accounts, from `people.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct People {
    groups: BTreeSet<Word>,
    persons: BTreeMap<Word, BTreeSet<Word>>,
    accounts: BTreeMap<Account, Word>,
    disabled: BTreeSet<Word>,
}

impl People {
    /// Declares a group.
    pub fn add_group(&mut self, group: Word) {
        self.groups.insert(group);
    }

    /// Declares a person and the groups they belong to.
    pub fn add_person(&mut self, person: Word, groups: impl IntoIterator<Item = Word>) {
        self.persons.insert(person, groups.into_iter().collect());
    }

    /// Says that `person` answers by `account`.
    ///
    /// # Errors
    /// When somebody answers by it already, perhaps the same person: who. It stays theirs, because an account that
    /// stood for two persons would let one of them answer as both.
    pub fn add_account(&mut self, account: Account, person: Word) -> Result<(), Word> {
        match self.accounts.get(&account) {
            Some(known) => Err(known.clone()),
            None => {
                self.accounts.insert(account, person);
                Ok(())
            }
        }
    }

    /// Says that `person` may do nothing for now. Their entry and accounts stay, so that a refusal can tell them why.
    pub fn disable(&mut self, person: Word) {
        self.disabled.insert(person);
    }

    /// The declared groups.
    pub fn groups(&self) -> impl Iterator<Item = &Word> {
        self.groups.iter()
    }

    /// Every person with their groups, also those who are disabled.
    pub fn persons(&self) -> impl Iterator<Item = (&Word, &BTreeSet<Word>)> {
        self.persons.iter()
    }

    /// Every account with the person who answers by it.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, &Word)> {
        self.accounts.iter()
    }

    /// The person who answers by `account`, also one who is disabled; `None` for a stranger.
    pub fn person_of(&self, account: &Account) -> Option<&Word> {
        self.accounts.get(account)
    }

    /// The groups of `person`, also of one who is disabled; `None` for a stranger.
    pub fn groups_of(&self, person: &Word) -> Option<&BTreeSet<Word>> {
        self.persons.get(person)
    }

    /// Whether `person` may do nothing for now.
    pub fn is_disabled(&self, person: &Word) -> bool {
        self.disabled.contains(person)
    }

    /// Who may do nothing for now.
    pub fn disabled(&self) -> impl Iterator<Item = &Word> {
        self.disabled.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_name() {
        for text in ["uid:0", "uid:1000", "sso:alice@example.com", "a:b:c", "UID:7"] {
            assert_eq!(Account::from_stored(text).unwrap().as_str(), text);
        }
        for text in [
            "uid:+7",
            "uid:07",
            "uid:",
            "uid:-1",
            "uid:4294967296",
            "uid:x",
            "alice",
            ":x",
            "s:",
            "",
        ] {
            assert!(Account::from_stored(text).is_err(), "{text}");
        }
        assert!(Account::of_host("uid:7").is_err());
    }

    #[test]
    fn an_account_stays_with_whom_it_was_given_to() {
        let word = |name: &str| Word::new(name).unwrap();
        let mut people = People::default();
        let account = Account::uid(7).unwrap();
        assert_eq!(people.add_account(account.clone(), word("alice")), Ok(()));
        for other in ["bob", "alice"] {
            assert_eq!(people.add_account(account.clone(), word(other)), Err(word("alice")));
        }
        assert_eq!(people.person_of(&account), Some(&word("alice")));
    }
}
