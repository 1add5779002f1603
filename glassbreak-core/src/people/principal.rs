//! Whom an issuer vouches for, and which person that is.

use std::fmt;

use super::{Account, People};
use crate::bundle::Bundle;
use crate::call::Word;
use crate::error::BadWord;

/// An e-mail address, in lower case: ASCII, one `@`, and of the characters of a name.
///
/// Others are not read, although mail may know them: two addresses that look alike must not be two persons.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(Word);

impl Email {
    /// Reads an address; its letters are taken in lower case.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(text: &str) -> Result<Self, BadWord> {
        let lower = text.to_ascii_lowercase();
        let word = Word::new(&lower).ok();
        let fits = lower.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !lower.contains([':', '/'])
        });
        word.filter(|_| fits).map(Self).ok_or_else(|| {
            BadWord::new(
                "mail address",
                text,
                "write one such as alice@example.com, of ASCII letters, digits and `_-.+`",
            )
        })
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn into_word(self) -> Word {
        self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody as an issuer knows them: an account, and their e-mail address where the issuer says that it is verified.
///
/// Whoever makes one vouches for it: it is for what was read from the kernel or from a token whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    account: Account,
    email: Option<Email>,
}

impl Principal {
    /// Somebody of whom nothing but the account is known.
    pub const fn new(account: Account) -> Self {
        Self { account, email: None }
    }

    /// With an address that the issuer says is theirs. One that it only repeats is none: anybody could claim it.
    #[must_use]
    pub fn verified_email(mut self, email: Email) -> Self {
        self.email = Some(email);
        self
    }

    /// The account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// The address, where the issuer vouches for it.
    pub const fn email(&self) -> Option<&Email> {
        self.email.as_ref()
    }
}

/// A person, and the account that they answer by: votes name it, and it is looked up again whenever they are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The person.
    pub person: Word,
    /// The account. Of somebody who was found by their e-mail address it names that, and not the subject.
    pub account: Account,
}

/// Why somebody is none of the people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Nobody has the account, nor the address where addresses of this issuer count.
    #[error(
        "no person in people.toml has the account {0}: write it among the `accounts` of the person, or let e-mail addresses of its issuer count"
    )]
    Unknown(Account),
    /// The account is one person's and the address another's.
    #[error(
        "the account {account} is that of {by_account}, and its e-mail address that of {by_email}: one of them is wrong in people.toml"
    )]
    Several {
        /// The account.
        account: Account,
        /// Whose the account is.
        by_account: Word,
        /// Whose the address is.
        by_email: Word,
    },
    /// The person may do nothing for now.
    #[error("{person}, who has the account {account}, is disabled in people.toml")]
    Disabled {
        /// The account.
        account: Account,
        /// The person.
        person: Word,
    },
}

impl Unresolved {
    /// The word used in records and output.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown",
            Self::Several { .. } => "several",
            Self::Disabled { .. } => "disabled",
        }
    }
}

/// Says which one person somebody is.
///
/// Implemented by [`People`] and by the [`Bundle`] that holds them. A host may put its own around one of these to be
/// stricter; what it answers is only who somebody is, and what they may do is asked of the policies when their vote
/// counts.
pub trait IdentityResolver: fmt::Debug + Send + Sync {
    /// The one person that `principal` is.
    ///
    /// # Errors
    /// When it is nobody, more than one, or somebody who is disabled.
    fn resolve(&self, principal: &Principal) -> Result<Resolved, Unresolved>;
}

impl IdentityResolver for People {
    fn resolve(&self, principal: &Principal) -> Result<Resolved, Unresolved> {
        let account = &principal.account;
        let by_account = self.person_of(account);
        let mailed = principal.email.as_ref().and_then(|email| {
            let mailed = Account::of_email(account.issuer(), email).ok()?;
            Some((self.person_of(&mailed)?, mailed))
        });
        let (person, account) = match (by_account, mailed) {
            (Some(person), Some((other, _))) if other != person => {
                return Err(Unresolved::Several {
                    account: account.clone(),
                    by_account: person.clone(),
                    by_email: other.clone(),
                });
            }
            (Some(person), _) => (person, account.clone()),
            (None, Some((person, mailed))) => (person, mailed),
            (None, None) => return Err(Unresolved::Unknown(account.clone())),
        };
        let person = person.clone();
        if self.is_disabled(&person) {
            return Err(Unresolved::Disabled { account, person });
        }
        Ok(Resolved { person, account })
    }
}

impl IdentityResolver for Bundle {
    fn resolve(&self, principal: &Principal) -> Result<Resolved, Unresolved> {
        self.people().resolve(principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(name: &str) -> Word {
        Word::new(name).unwrap()
    }

    fn people() -> People {
        let mut people = People::default();
        for name in ["alice", "bob", "eve"] {
            people.add_person(word(name), []);
        }
        people.trust_email(word("sso"));
        for (person, account, email) in [
            ("alice", "sso:0a1", "alice@example.com"),
            ("bob", "old:bob", "bob@example.com"),
            ("eve", "sso:eve", "eve@example.com"),
        ] {
            people
                .add_account(Account::of_host(account).unwrap(), word(person))
                .unwrap();
            people.add_email(Email::new(email).unwrap(), word(person)).unwrap();
        }
        people.disable(word("eve"));
        people
    }

    fn who(account: &str, email: Option<&str>) -> Result<(String, String), &'static str> {
        let mut principal = Principal::new(Account::of_host(account).unwrap());
        if let Some(email) = email {
            principal = principal.verified_email(Email::new(email).unwrap());
        }
        match people().resolve(&principal) {
            Ok(Resolved { person, account }) => Ok((person.to_string(), account.to_string())),
            Err(why) => Err(why.code()),
        }
    }

    fn is(person: &str, account: &str) -> Result<(String, String), &'static str> {
        Ok((person.to_owned(), account.to_owned()))
    }

    #[test]
    fn somebody_is_exactly_one_person_or_refused() {
        assert_eq!(who("sso:0a1", None), is("alice", "sso:0a1"));
        assert_eq!(who("sso:0a1", Some("alice@example.com")), is("alice", "sso:0a1"));
        assert_eq!(who("sso:new", None), Err("unknown"));
        assert_eq!(who("sso:eve", None), Err("disabled"));
        assert_eq!(who("sso:x", Some("eve@example.com")), Err("disabled"));
        assert_eq!(who("sso:0a1", Some("bob@example.com")), Err("several"));
    }

    #[test]
    fn an_address_counts_only_of_an_issuer_that_is_trusted_with_it() {
        assert_eq!(
            who("sso:new", Some("Bob@Example.COM")),
            is("bob", "sso:email:bob@example.com")
        );
        assert_eq!(who("old:new", Some("bob@example.com")), Err("unknown"));
        assert_eq!(who("other:new", Some("bob@example.com")), Err("unknown"));
        // A longer, shorter or other address is somebody else's.
        for other in ["bob@example.co", "xbob@example.com", "bob+1@example.com"] {
            assert_eq!(who("sso:new", Some(other)), Err("unknown"), "{other}");
        }
    }

    #[test]
    fn an_address_is_one_at_sign_and_plain_letters() {
        assert_eq!(Email::new("A.b+c@Example.ORG").unwrap().as_str(), "a.b+c@example.org");
        for text in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "a@b@c",
            "al ice@example.com",
            "\u{430}lice@example.com",
            "a:b@example.com",
            "a/b@example.com",
            "alice@example.com\n",
        ] {
            assert!(Email::new(text).is_err(), "{text:?}");
        }
    }
}
