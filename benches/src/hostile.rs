//! Words that try hard: calls up to the longest there may be, for showing that judging them is linear in their bytes.

use glassbreak_core::argv::{Judged, Programs};
use glassbreak_core::call::{Argv, Exec, Workspace};

/// How long the words of a call of many words are, in bytes.
const WORD: usize = 124;

/// Each kind: its name, the words that a call begins with, and the text that its other words repeat.
const KINDS: [(&str, &[&str], &str); 12] = [
    ("letters", &["ls"], "-llllllll"),
    ("unknown", &["git"], "--zz=delete:force=x"),
    ("clusters", &["tar"], "-xvfIF"),
    ("values", &["kubectl"], "--namespace=aaaa"),
    ("lists", &["kubectl", "get"], "po,po,"),
    ("brackets", &["find"], "((((("),
    ("paths", &["cat"], "../a/"),
    ("globs", &["find", ".", "-name"], "*{a,b}[c-d]"),
    ("wrapped", &["timeout"], "kubectl "),
    ("sed", &["sed"], "s/[[[a/b/;"),
    ("awk", &["awk"], "{print $1}//"),
    ("jq", &["jq"], "\"\\(\"\\("),
];

/// A call of hostile words, and the packs that judge it.
#[derive(Debug)]
pub struct Hostile {
    programs: Programs,
    exec: Exec,
    workspace: Workspace,
}

impl Hostile {
    /// A call of the kind called `kind` of about so many bytes; of words of 124 bytes each, or of one word as long as the
    /// call. It has been judged once, so that the pack is read.
    pub fn of(kind: &str, bytes: usize, one: bool) -> Self {
        let (_, begin, text) = KINDS.iter().find(|(name, ..)| *name == kind).expect("a kind");
        let length = if one { bytes } else { WORD };
        let word: String = text.chars().cycle().take(length).collect();
        let words = begin.iter().map(|word| (*word).to_owned());
        let words = words.chain(std::iter::repeat_n(word, bytes / length));
        let argv = Argv::new(words.map(String::into_boxed_str)).expect("a call");
        let hostile = Self {
            programs: Programs::shipped().expect("the packs load"),
            exec: Exec::new(argv),
            workspace: Workspace::new("/workspace").expect("a workspace"),
        };
        hostile.judge();
        hostile
    }

    /// The names of the kinds.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, ..)| *name)
    }

    /// Judges it.
    pub fn judge(&self) -> Judged {
        self.programs.judge(&self.exec, "", &self.workspace)
    }
}
