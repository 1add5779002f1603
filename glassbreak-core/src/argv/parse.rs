//! Reading words as the program itself would: by its dialect, verb by verb.
//!
//! The first word that is not understood stops the reading, because nobody can tell what it would do to the words
//! behind it. What was read so far stays; the rest is [unread](Role::Unread), and the facts are partial.

use std::sync::Arc;

use super::profile::{DashDash, Dialect, Long, LongValue, Order};
use super::program::{Node, Opt, Program};
use super::refuse;
use super::types::{self, Ground, Said};
use crate::finding::Finding;

/// What one word was taken for, and the rule that took it. A row of these, one for every word, is the certificate
/// that every word of an allowed call was covered by exactly one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The program's name.
    Program,
    /// A verb, by its place in the tree.
    Verb(usize),
    /// An option, with its value if that is attached.
    Option(usize),
    /// The value of the option before it.
    Value(usize),
    /// An operand, by its type; `None` until a form has taken it.
    Operand(Option<usize>),
    /// The name of a program that this one runs; the roles behind it are of that program's profile.
    Command,
    /// `--`.
    DashDash,
    /// Not understood: the reading stopped here.
    Unknown,
    /// Behind a word that was not understood.
    Unread,
}

/// An option that is present.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present<'a> {
    pub(crate) opt: usize,
    pub(crate) value: Option<&'a str>,
    /// The second value, of an option that takes two.
    pub(crate) second: Option<&'a str>,
    /// The place of the word that it stands in.
    pub(crate) word: usize,
    /// Whether its value is the `true` or `false` of an option without value.
    pub(crate) is_switch: bool,
}

impl Present<'_> {
    /// Whether it is an option without value that was switched off: `--flag=false`.
    pub(crate) fn is_off(&self, program: &Program) -> bool {
        self.value == Some("false") && program.opt(self.opt).is_some_and(|opt| opt.value.is_none())
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Parse<'a> {
    /// The place of the last verb in the tree; 0 for the program itself.
    pub(crate) node: usize,
    /// The place of the last verb among the words; 0 for the program itself.
    pub(crate) verb_at: usize,
    pub(crate) roles: Vec<Role>,
    pub(crate) options: Vec<Present<'a>>,
    /// Operands before `--`, or all where `--` only ends the options; each with its place among the words.
    pub(crate) operands: Vec<(usize, &'a str)>,
    /// Operands after `--`, where the dialect says that they are of another kind.
    pub(crate) after: Vec<(usize, &'a str)>,
    /// Why the reading stopped, if it did.
    pub(crate) stopped: Option<Finding>,
}

/// Reads the words of a call of `program`, its name first.
pub(crate) fn parse<'a>(program: &Program, words: &'a [Box<str>], ground: Ground<'_>, said: &mut Said) -> Parse<'a> {
    let mut reader = Reader {
        program,
        words,
        ground,
        said,
        next: 1,
        ended: false,
        out: Parse {
            node: 0,
            verb_at: 0,
            roles: Vec::with_capacity(words.len()),
            options: Vec::with_capacity(words.len().min(8)),
            operands: Vec::with_capacity(4),
            after: Vec::new(),
            stopped: None,
        },
    };
    reader.out.roles.push(Role::Program);
    if let Err(finding) = reader.read() {
        // A word that was begun (an option without its value, say) is the one that was not understood.
        reader.out.roles.truncate(reader.next);
        if let Some(last) = reader
            .out
            .roles
            .get_mut(reader.next.saturating_sub(1))
            .filter(|_| reader.next > 1)
        {
            *last = Role::Unknown;
        }
        while reader.out.roles.len() < words.len() {
            reader.out.roles.push(if reader.out.roles.len() < reader.next {
                Role::Unknown
            } else {
                Role::Unread
            });
        }
        reader.out.stopped = Some(finding);
    }
    reader.out
}

struct Reader<'a, 'p> {
    program: &'p Program,
    words: &'a [Box<str>],
    ground: Ground<'p>,
    said: &'p mut Said,
    /// The place of the word to be read next.
    next: usize,
    /// Whether `--` has ended the options.
    ended: bool,
    out: Parse<'a>,
}

/// The reading stops with this finding.
type Stop = Finding;

impl<'a, 'p> Reader<'a, 'p> {
    fn read(&mut self) -> Result<(), Stop> {
        while let Some(word) = self.take() {
            let Some(node) = self.program.node(self.out.node) else {
                return Err(refuse::broken(self.program));
            };
            self.word(word, node)?;
        }
        Ok(())
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn word(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        let dialect = &*node.dialect;
        if self.ended || (dialect.verbs_end_options && self.out.node != 0) {
            return self.operand(word, node);
        }
        if dialect.old_bundle && self.next == 2 && !word.starts_with('-') {
            return self.bundle(word, node);
        }
        if node.bare_options
            && !word.starts_with('-')
            && let Some(opt) = node.names.get(word)
        {
            return self.found(opt, word, None, node);
        }
        let after_operand = !self.out.operands.is_empty();
        if dialect.order == Order::OptionsFirst && after_operand {
            return self.operand(word, node);
        }
        if word == "--" {
            if !node.verbs.is_empty() || dialect.dashdash == DashDash::Absent {
                return Err(refuse::dashdash(self.program, node));
            }
            self.out.roles.push(Role::DashDash);
            self.ended = true;
            return Ok(());
        }
        if dialect.plus && word.starts_with('+') {
            return self.plus(word, node);
        }
        if !word.starts_with('-') || word == "-" {
            return self.operand(word, node);
        }
        if dialect.numeric_short && word.len() > 1 && word.bytes().skip(1).all(|b| b.is_ascii_digit()) {
            return match node.names.get("-NUM") {
                // Where the number is of no type, the option stands for itself.
                Some(index) => {
                    let number = word
                        .get(1..)
                        .filter(|_| self.program.opt(index).is_some_and(|opt| opt.value.is_some()));
                    self.found(index, word, number, node)
                }
                None => Err(refuse::unknown_option(self.program, node, word)),
            };
        }
        if word.starts_with("--") {
            return match dialect.long {
                Long::Double | Long::Either => self.long(word, node),
                // Some of these know a few words with two dashes all the same, as find does `--version`.
                Long::None | Long::Single => match node.names.get(word) {
                    Some(opt) => self.found(opt, word, None, node),
                    None => Err(refuse::unknown_option(self.program, node, word)),
                },
            };
        }
        match dialect.long {
            Long::Single | Long::Either if self.find_long(word, node).is_some() => self.long(word, node),
            Long::Single => Err(refuse::unknown_option(self.program, node, word)),
            _ => self.cluster(word, node),
        }
    }

    /// `--name`, `--name=value`, `--name value`; with one dash where the dialect writes it so.
    fn long(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        match self.find_long(word, node) {
            Some((opt, value)) => self.found(opt, word, value, node),
            None => Err(refuse::unknown_option(self.program, node, word)),
        }
    }

    fn find_long(&self, word: &'a str, node: &Node) -> Option<(usize, Option<&'a str>)> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if node.dialect.long_value != LongValue::Space => (name, Some(value)),
            _ => (word, None),
        };
        let exact = node
            .names
            .get(name)
            .filter(|_| name.len() > 2 || node.dialect.long != Long::Double);
        let found = exact.or_else(|| {
            // Where one dash and two mean the same, the profile names one of them.
            let either = node.dialect.long == Long::Either;
            let twin = match name.strip_prefix("--") {
                Some(stem) => ["-", stem].concat(),
                None => ["-", name].concat(),
            };
            node.names.get(&twin).filter(|_| either)
        });
        found.map(|opt| (opt, value))
    }

    /// `-a`, `-abc`, `-nVALUE`, `-n VALUE`.
    fn cluster(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        let dialect = &*node.dialect;
        let mut rest = word.get(1..).unwrap_or_default();
        let mut first = true;
        while let Some(letter) = rest.chars().next() {
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
            let mut name = [0u8; 5];
            let name = short_name(letter, &mut name);
            let (Some(index), true) = (node.names.get(name), first || dialect.short_cluster) else {
                return Err(refuse::unknown_option(self.program, node, word));
            };
            let opt = self.opt(index)?;
            if opt.value.is_some() {
                let attached = match rest.strip_prefix('=') {
                    Some(value) if dialect.short_equals => Some(value),
                    _ if rest.is_empty() => None,
                    _ if dialect.short_attached => Some(rest),
                    _ => return Err(refuse::unknown_option(self.program, node, word)),
                };
                return self.present(index, opt, attached, node, word, first);
            }
            if let Some(value) = rest.strip_prefix('=') {
                return self.present(index, opt, Some(value), node, word, first);
            }
            self.present(index, opt, None, node, word, first)?;
            first = false;
        }
        Ok(())
    }

    /// `tvf`: the first word, as tar reads it when it has no dash. Values stand behind it, in the order of the letters.
    fn bundle(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        if word.is_empty() {
            // No letter, and so no option that would cover the word.
            return Err(refuse::unknown_option(self.program, node, word));
        }
        for (at, letter) in word.char_indices() {
            let mut name = [0u8; 5];
            let Some(index) = node.names.get(short_name(letter, &mut name)) else {
                return Err(refuse::unknown_option(self.program, node, word));
            };
            let opt = self.opt(index)?;
            self.present(index, opt, None, node, word, at == 0)?;
        }
        Ok(())
    }

    /// `+word`: never takes the next word.
    fn plus(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        let rest = word.get(1..).unwrap_or_default();
        let number = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        let found = node.names.get(word).filter(|_| word != "+").map(|index| (index, None));
        let numbered = || node.names.get("+NUM").filter(|_| number);
        let found = found.or_else(|| Some((numbered().or_else(|| node.names.get("+"))?, Some(rest))));
        let Some((index, value)) = found else {
            return Err(refuse::unknown_option(self.program, node, word));
        };
        let opt = self.opt(index)?;
        let value = if opt.value.is_some() { value.or(Some("")) } else { None };
        self.present(index, opt, value, node, word, true)
    }

    fn found(&mut self, index: usize, word: &'a str, value: Option<&'a str>, node: &'p Node) -> Result<(), Stop> {
        let opt = self.opt(index)?;
        self.present(index, opt, value, node, word, true)
    }

    fn opt(&self, index: usize) -> Result<&'p Opt, Stop> {
        self.program.opt(index).ok_or_else(|| refuse::broken(self.program))
    }

    /// Takes an option with the value attached to it, or fetches its value from the next word.
    fn present(
        &mut self,
        index: usize,
        opt: &'p Opt,
        attached: Option<&'a str>,
        node: &'p Node,
        word: &'a str,
        whole: bool,
    ) -> Result<(), Stop> {
        let dialect: &Dialect = &node.dialect;
        // Before its value is fetched.
        let at = self.next - 1;
        if whole {
            self.out.roles.push(Role::Option(index));
        }
        let same = self.out.options.iter().filter(|present| present.opt == index);
        // What is said of an option is said once, however often it stands there.
        let before = same.clone().take(2).count();
        // Of one that was switched off nothing has been said.
        let told = same.clone().any(|present| !present.is_off(self.program));
        let value = match (opt.value, attached) {
            (None, None) => None,
            (None, Some("true" | "false")) if dialect.flag_equals => attached,
            (None, Some(_)) => return Err(refuse::no_value_wanted(self.program, opt, word)),
            (Some(_), Some(_)) if opt.second.is_some() => {
                return Err(refuse::missing_value(
                    self.program,
                    opt,
                    "write both its values behind it",
                ));
            }
            (Some(_), Some(value)) => Some(value),
            (Some(_), None) if opt.optional => None,
            (Some(_), None)
                if opt.equals_only || (dialect.long_value == LongValue::Equals && word.starts_with("--")) =>
            {
                return Err(refuse::missing_value(self.program, opt, "write it attached, with `=`"));
            }
            (Some(ty), None) => Some(self.value(index, opt, ty)?),
        };
        self.out.options.push(Present {
            opt: index,
            value,
            second: None,
            word: at,
            is_switch: opt.value.is_none() && value.is_some(),
        });
        if before == 1 && !opt.many {
            self.said
                .findings
                .push(refuse::repeated(self.program, node, index, opt));
        }
        if let (Some(ty), Some(value)) = (opt.value, value) {
            self.fit(opt, ty, value, dialect)?;
            if !opt.facts.is_empty() {
                let text: Arc<str> = value.into();
                self.said
                    .facts
                    .extend(opt.facts.iter().map(|fact| (*fact, Arc::clone(&text))));
            }
        }
        if let Some(ty) = opt.second {
            let value = self.value(index, opt, ty)?;
            self.fit(opt, ty, value, dialect)?;
            if let Some(present) = self.out.options.last_mut() {
                present.second = Some(value);
            }
        }
        // `--flag=false` is the same as leaving it out; that it stands there is still a fact.
        if opt.value.is_none() && value == Some("false") {
            return Ok(());
        }
        self.said
            .facts
            .extend(opt.sets.iter().map(|(fact, text)| (*fact, Arc::clone(text))));
        self.said.labels = self.said.labels.union(opt.labels);
        if let Some(finding) = refuse::option(opt).filter(|_| !told) {
            self.said.findings.push(finding);
        }
        Ok(())
    }

    /// The next word, as a value of `opt`.
    fn value(&mut self, index: usize, opt: &Opt, ty: usize) -> Result<&'a str, Stop> {
        let Some(value) = self.take() else {
            return Err(refuse::missing_value(self.program, opt, "write its value behind it"));
        };
        let dash = value.len() > 1 && value.starts_with('-');
        let signed = self
            .program
            .ty(ty)
            .is_some_and(|ty| matches!(ty.kind, types::Kind::Int { min, .. } if min < 0));
        let number = value.bytes().skip(1).all(|b| b.is_ascii_digit());
        if dash && !opt.dash_value && !(signed && number) {
            self.next -= 1;
            return Err(refuse::missing_value(
                self.program,
                opt,
                "a value may not begin with a dash here",
            ));
        }
        self.out.roles.push(Role::Value(index));
        Ok(value)
    }

    fn fit(&mut self, opt: &Opt, ty: usize, value: &str, dialect: &Dialect) -> Result<(), Stop> {
        let mark = self.said.mark();
        let reference = dialect
            .value_refs
            .iter()
            .any(|prefix| value.starts_with(prefix.as_str()));
        if reference || !types::fits(self.program, ty, value, self.ground, self.said) {
            self.said.go_back(mark);
            let reason = self.said.unfit.take();
            return Err(refuse::unfit_value(self.program, opt, ty, value, reason));
        }
        Ok(())
    }

    fn operand(&mut self, word: &'a str, node: &'p Node) -> Result<(), Stop> {
        let at = self.next - 1;
        if !node.verbs.is_empty() {
            let verb = if node.dialect.verbs_fold {
                node.verbs.get(&word.to_ascii_lowercase())
            } else {
                node.verbs.get(word)
            };
            let Some(verb) = verb else {
                return Err(refuse::unknown_verb(self.program, node, word));
            };
            self.out.roles.push(Role::Verb(verb));
            self.out.node = verb;
            self.out.verb_at = at;
            return Ok(());
        }
        if node.dialect.order == Order::OperandsFirst && !self.out.options.is_empty() {
            return Err(refuse::late_operand(self.program, node, word));
        }
        self.out.roles.push(Role::Operand(None));
        if self.ended && node.dialect.dashdash == DashDash::Paths {
            self.out.after.push((at, word));
        } else {
            self.out.operands.push((at, word));
        }
        Ok(())
    }
}

/// `-x` for a letter, without a heap.
pub(super) fn short_name(letter: char, buffer: &mut [u8; 5]) -> &str {
    let [dash, rest @ ..] = buffer;
    *dash = b'-';
    let length = 1 + letter.encode_utf8(rest).len();
    buffer
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or("-")
}
