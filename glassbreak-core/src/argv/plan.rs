//! What would run: a value, made from the parse and never from the text that was judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::canonical;
use super::parse::Parse;
use super::program::Program;
use super::types::Ground;
use crate::call::Exec;

/// One judged way to run a program.
///
/// The words go out as they came, with those that the profile puts in, or written anew where the profile says
/// `canonical` and the same is read of it again; a call that was not understood to its end goes out just as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecPlan {
    program: Arc<str>,
    argv: Arc<[Box<str>]>,
    cwd: Box<str>,
    env: Arc<BTreeMap<Box<str>, Box<str>>>,
    stdin: Option<Box<[u8]>>,
}

impl ExecPlan {
    /// The words as they came. The variables that the profile sets are set all the same: they only ever restrain, and
    /// a call that a person lets through must not run with less of them for not having been understood.
    pub(crate) fn as_it_came(exec: &Exec, cwd: &str, program: Option<&Program>) -> Self {
        Self::with(exec, cwd, exec.argv().shared(), program)
    }

    /// The call with the words and variables that the profile puts in.
    pub(crate) fn emit(exec: &Exec, ground: Ground<'_>, program: &Program, parse: &Parse<'_>, partial: bool) -> Self {
        let (words, node, verb_at) = (exec.argv().words(), program.node(parse.node), parse.verb_at);
        let cwd = ground.cwd;
        if node.is_some_and(|node| node.canonical && !partial)
            && let Some(argv) = canonical::words(program, words, parse, ground)
        {
            return Self::with(exec, cwd, argv.into(), Some(program));
        }
        let after_verb = node.map_or(&[][..], |node| &node.inject);
        if program.inject.is_empty() && after_verb.is_empty() {
            return Self::with(exec, cwd, exec.argv().shared(), Some(program));
        }
        let mut argv = Vec::with_capacity(words.len() + program.inject.len() + after_verb.len());
        for (at, word) in words.iter().enumerate() {
            argv.push(word.clone());
            if at == 0 {
                argv.extend(program.inject.iter().cloned());
            }
            if at == verb_at {
                argv.extend(after_verb.iter().cloned());
            }
        }
        Self::with(exec, cwd, argv.into(), Some(program))
    }

    /// The plan of a program that runs another: its own words up to the last `replaced`, then all of `inner`.
    pub(crate) fn around(outer: Self, replaced: usize, inner: Self) -> Self {
        let own = outer.argv.len().saturating_sub(replaced);
        let mut env = outer.env;
        if !inner.env.is_empty() {
            Arc::make_mut(&mut env).extend(Arc::unwrap_or_clone(inner.env));
        }
        Self {
            argv: outer.argv.iter().take(own).chain(inner.argv.iter()).cloned().collect(),
            env,
            program: outer.program,
            cwd: outer.cwd,
            stdin: outer.stdin,
        }
    }

    /// With the variables that the profile sets, and those that the call adds.
    fn with(exec: &Exec, cwd: &str, argv: Arc<[Box<str>]>, program: Option<&Program>) -> Self {
        let mut env = program.map_or_else(Arc::default, |program| Arc::clone(&program.env_set));
        if !exec.env().is_empty() {
            let added = exec.env().iter().map(|(name, value)| (name.clone(), value.clone()));
            Arc::make_mut(&mut env).extend(added);
        }
        Self {
            program: match program {
                Some(program) if *program.name == *exec.argv().program() => Arc::clone(&program.name),
                _ => exec.argv().program().into(),
            },
            argv,
            cwd: cwd.into(),
            env,
            stdin: exec.stdin().map(Into::into),
        }
    }

    /// The program's bare name, as the call has it.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The words that would run, the program's name first.
    pub fn argv(&self) -> impl Iterator<Item = &str> + Clone {
        self.argv.iter().map(|word| &**word)
    }

    /// The working folder, relative to the workspace; empty for the workspace itself.
    pub fn cwd(&self) -> &str {
        &self.cwd
    }

    /// The variables that the profile sets and the call adds.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.env.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The standard input, if any.
    pub fn stdin(&self) -> Option<&[u8]> {
        self.stdin.as_deref()
    }
}
