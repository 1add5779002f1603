//! The people of a bundle: persons, the groups they belong to, and the accounts they answer by.
//!
//! Votes, locks and grants count persons, never accounts: whoever answers by an [`Account`] is first looked up with
//! [`People::person_of`], and whoever comes with a [`Principal`] of an issuer by an [`IdentityResolver`].

mod principal;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use self::principal::{Email, IdentityResolver, Principal, Resolved, Unresolved};
use crate::call::Word;
use crate::error::BadWord;

/// An account that somebody answers by, such as `uid:1000` or `sso:alice@example.com`: an issuer, a colon, and what the
/// issuer calls them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Word);

/// What stands before an address in place of a subject: no subject begins so.
const EMAIL: &str = "email:";
/// What stands before a subject that is written otherwise than it is.
const WRITTEN: &str = "enc:";

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
    /// When it is not a name with a colon in it, the issuer is `uid`, which only the kernel vouches for, or the subject
    /// begins with `email:`, which is how addresses are kept apart from subjects.
    pub fn of_host(text: &str) -> Result<Self, BadWord> {
        let word = Word::new(text)?;
        match text.split_once(':') {
            Some((_, subject)) if subject.starts_with(EMAIL) => Err(BadWord::new(
                "name of an account",
                text,
                "write email = \"alice@example.com\" at the person, and [issuers.<name>] email = true",
            )),
            Some((issuer, subject)) if issuer != "uid" && !subject.is_empty() => Ok(Self(word)),
            _ => Err(BadWord::new(
                "name of an account",
                text,
                "write `issuer:subject`, such as `sso:alice@example.com`; `uid` is the machine's own issuer",
            )),
        }
    }

    /// The account of a subject of `issuer`, whatever characters the issuer has in its subjects.
    ///
    /// A subject that may stand in a name stays as it is. Any other is written `enc:`, and then with `+` and two
    /// hexadecimal digits for each byte that is no letter, digit or one of `_-.`: `auth0|7` is `enc:auth0+7C7`. No two
    /// subjects are written alike.
    ///
    /// # Errors
    /// When the issuer is not a name without a colon, or is `uid`, or the subject is empty or too long.
    pub fn of_issuer(issuer: &str, subject: &str) -> Result<Self, BadWord> {
        if issuer.contains(':') {
            return Err(BadWord::new("name of an issuer", issuer, "write it without a colon"));
        }
        let plain = !subject.starts_with(EMAIL) && !subject.starts_with(WRITTEN);
        let as_it_is = [issuer, ":", subject].concat();
        if plain && Word::new(&as_it_is).is_ok() {
            return Self::of_host(&as_it_is);
        }
        let mut written = [issuer, ":", WRITTEN].concat();
        for byte in subject.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
                written.push(char::from(byte));
            } else {
                written.push_str(&format!("+{byte:02X}"));
            }
        }
        if subject.is_empty() || written.len() > Word::MAX {
            return Err(BadWord::new(
                "subject of an account",
                subject,
                "it is empty or too long: 128 bytes are the most for issuer and subject",
            ));
        }
        Self::of_host(&written)
    }

    /// The account of whoever has this address at `issuer`.
    ///
    /// # Errors
    /// When issuer and address are too long together, or the issuer is not a name without a colon.
    pub fn of_email(issuer: &str, email: &Email) -> Result<Self, BadWord> {
        if issuer.contains(':') || issuer == "uid" {
            return Err(BadWord::new("name of an issuer", issuer, "write it without a colon"));
        }
        Word::new(&[issuer, ":", EMAIL, email.as_str()].concat()).map(Self)
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
        if let Some((issuer, subject)) = text.split_once(':')
            && let Some(address) = subject.strip_prefix(EMAIL)
        {
            let account = Self::of_email(issuer, &Email::new(address)?)?;
            if account.as_str() == text {
                return Ok(account);
            }
        }
        Self::of_host(text)
    }

    /// Who vouches for it.
    pub fn issuer(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(issuer, _)| issuer)
    }

    /// The address, where it is the account of one.
    fn address(&self) -> Option<&str> {
        self.as_str().split_once(':')?.1.strip_prefix(EMAIL)
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
    emails: BTreeMap<Word, Word>,
    /// The issuers whose word on e-mail addresses counts.
    mailing: BTreeSet<Word>,
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

    /// Says that `person` has this address.
    ///
    /// # Errors
    /// When somebody has it already, perhaps the same person: who. It stays theirs.
    pub fn add_email(&mut self, email: Email, person: Word) -> Result<(), Word> {
        match self.emails.entry(email.into_word()) {
            Entry::Occupied(known) => Err(known.get().clone()),
            Entry::Vacant(free) => {
                free.insert(person);
                Ok(())
            }
        }
    }

    /// Says that whoever has a verified address at `issuer` is the person who has it here. Without this nobody is found
    /// by an address.
    pub fn trust_email(&mut self, issuer: Word) {
        self.mailing.insert(issuer);
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
        match account.address() {
            Some(address) if self.mailing.contains(account.issuer()) => self.emails.get(address),
            Some(_) => None,
            None => self.accounts.get(account),
        }
    }

    /// Whether `person` is found by an address at `issuer`: then any account of it may be theirs.
    pub fn has_address(&self, person: &Word, issuer: &str) -> bool {
        self.mailing.contains(issuer) && self.emails.values().any(|owner| owner == person)
    }

    /// Whether `person` has any account to answer by.
    pub fn can_answer(&self, person: &Word) -> bool {
        let mailed = !self.mailing.is_empty() && self.emails.values().any(|owner| owner == person);
        mailed || self.accounts.values().any(|owner| owner == person)
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
    fn no_two_subjects_and_no_address_have_one_account() {
        let subjects = [
            "alice",
            "auth0|7",
            "auth0+7C7",
            "enc:auth0+7C7",
            "email:alice@x.org",
            "a b",
            "a+20b",
            "A B",
            "\u{430}",
            "a:b",
            "\u{202e}x",
            "-",
            "x|",
        ];
        let mut seen = BTreeSet::new();
        for subject in subjects {
            let account = Account::of_issuer("sso", subject).unwrap();
            assert_eq!(Account::from_stored(account.as_str()).unwrap(), account, "{subject:?}");
            assert_eq!((account.issuer(), account.address()), ("sso", None), "{subject:?}");
            assert!(seen.insert(account), "{subject:?}");
        }
        assert_eq!(
            Account::of_issuer("sso", "auth0|7").unwrap().as_str(),
            "sso:enc:auth0+7C7"
        );
        let email = Email::new("alice@x.org").unwrap();
        let address = Account::of_email("sso", &email).unwrap();
        assert!(!seen.contains(&address));
        assert_eq!(Account::from_stored(address.as_str()).unwrap(), address);
        assert!(Account::of_host(address.as_str()).is_err(), "a host does not say so");
        assert!(Account::from_stored("sso:email:Alice@x.org").is_err(), "one name");
        for (issuer, subject) in [
            ("uid", "7"),
            ("a:b", "x"),
            ("sso", ""),
            ("sso", &"x".repeat(200)),
            ("", "x"),
        ] {
            assert!(Account::of_issuer(issuer, subject).is_err(), "{issuer} {subject}");
        }
        assert!(Account::of_email("uid", &email).is_err());
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
