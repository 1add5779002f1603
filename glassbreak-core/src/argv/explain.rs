//! What each word of a call was taken for, in words.

use super::program::Program;
use super::{Programs, Role};
use crate::error::shown_whole;

/// One word of a call and what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word, with what cannot be shown escaped.
    pub word: String,
    /// What it was taken for.
    pub role: Role,
    /// The same in words, such as ``option `--namespace` `` or `not understood: the reading stops here`.
    pub taken_for: String,
}

impl Programs {
    /// What each word of a call to `program` was taken for. `roles` are those of
    /// [`Judged`](super::Judged::roles).
    pub fn tokens<'a>(&self, program: &str, words: impl IntoIterator<Item = &'a str>, roles: &[Role]) -> Vec<Token> {
        let mut program = self.find(program);
        let words = words.into_iter().zip(roles);
        words
            .map(|(word, role)| {
                if *role == Role::Command {
                    program = self.find(word);
                }
                Token {
                    word: shown_whole(word),
                    role: *role,
                    taken_for: taken_for(program, *role),
                }
            })
            .collect()
    }
}

fn taken_for(program: Option<&Program>, role: Role) -> String {
    let option = |index: usize| {
        program
            .and_then(|program| program.opt(index))
            .map_or("", |opt| &opt.name)
    };
    match role {
        Role::Program => "program".to_owned(),
        Role::Command if program.is_none() => "a program without a profile: its words are not read".to_owned(),
        Role::Command => "the program that is run".to_owned(),
        Role::Verb(index) => {
            let path = program
                .and_then(|program| program.node(index))
                .map_or("", |node| &node.path);
            format!("verb `{path}`")
        }
        Role::Option(index) => format!("option `{}`", option(index)),
        Role::Value(index) => format!("value of `{}`", option(index)),
        Role::Operand(Some(ty)) => {
            let what = program.and_then(|program| Some(program.ty(ty)?.describe(program)));
            format!("operand: {}", what.unwrap_or_default())
        }
        Role::Operand(None) => "operand that fits no form".to_owned(),
        Role::DashDash => "end of the options".to_owned(),
        Role::Unknown if program.is_none() => "a program without a profile: its words are not read".to_owned(),
        Role::Unknown => "not understood: the reading stops here".to_owned(),
        Role::Unread => "not read".to_owned(),
    }
}
