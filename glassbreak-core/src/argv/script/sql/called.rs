//! `x.f` where `f` is a function: to `PostgreSQL` it is `f(x)`, if `x` is a value and no column is called `f`.
//!
//! A value in front of a dot is what stands in parentheses or brackets, or the name that a call in `FROM` goes by.

use std::collections::BTreeSet;

/// Words that call a function without a parenthesis behind them.
const BARE: &[&str] = &[
    "CURRENT_CATALOG",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_SCHEMA",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "SESSION_USER",
    "SYSTEM_USER",
    "USER",
];

/// A longer name is cut, so that two that differ may be one.
const LONGEST: usize = 63;

/// The names of a statement that stand in front of a dot, and those that calls may go by; all in upper case.
#[derive(Debug, Default)]
pub(super) struct Called {
    dotted: BTreeSet<String>,
    called: BTreeSet<String>,
    /// For each open parenthesis, whether it holds a query: what that goes by is a row, not a value.
    open: Vec<bool>,
    last: Last,
}

/// What the last token was, as far as the next depends on it.
#[derive(Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Name(String),
    /// What ends a call, or a word that is one: a name behind it may be what the call goes by.
    Call(Option<String>),
    Open,
    Bracket,
}

impl Called {
    /// A name, in upper case, which stood in quotes or did not.
    pub(super) fn name(&mut self, name: String, quoted: bool) -> Result<(), String> {
        if name.len() > LONGEST {
            return Err(format!("a name of more than {LONGEST} bytes, which is cut"));
        }
        self.last = match &self.last {
            Last::Call(_) if !quoted && name == "AS" => Last::Call(None),
            Last::Open if !quoted && matches!(&*name, "SELECT" | "VALUES" | "WITH" | "TABLE") => {
                if let Some(query) = self.open.last_mut() {
                    *query = true;
                }
                Last::Other
            }
            before => {
                if matches!(before, Last::Call(_)) {
                    self.called.insert(name.clone());
                }
                if !quoted && BARE.contains(&&*name) {
                    self.called.insert(name.clone());
                    Last::Call(Some(name))
                } else {
                    Last::Name(name)
                }
            }
        };
        Ok(())
    }

    pub(super) fn dot(&mut self) -> Result<(), String> {
        match std::mem::take(&mut self.last) {
            Last::Name(name) | Last::Call(Some(name)) => {
                self.dotted.insert(name);
                Ok(())
            }
            Last::Call(None) | Last::Bracket => {
                Err("a dot behind a parenthesis or bracket, which may call a function".to_owned())
            }
            Last::Other | Last::Open => Ok(()),
        }
    }

    pub(super) fn mark(&mut self, mark: char) {
        let before = std::mem::take(&mut self.last);
        self.last = match mark {
            '(' => {
                self.open.push(false);
                match before {
                    Last::Name(name) if !matches!(&*name, "FROM" | "JOIN" | "LATERAL") => {
                        self.called.insert(name);
                        Last::Other
                    }
                    _ => Last::Open,
                }
            }
            ')' if self.open.pop() == Some(true) => Last::Bracket,
            ')' => Last::Call(None),
            ']' => Last::Bracket,
            _ => Last::Other,
        };
    }

    /// Whether no name stands in front of a dot that a call may go by.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.dotted.intersection(&self.called).next() {
            Some(name) => Err(format!(
                "`{}.` may call a function on what a call returned",
                crate::error::shown(name)
            )),
            None => Ok(()),
        }
    }
}
