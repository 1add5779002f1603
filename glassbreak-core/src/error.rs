//! What goes wrong outside a verdict: words that are not what they claim, and policy folders that do not load.
//!
//! A refusal is not an error: it is an answer, and lives in [`finding`](crate::finding).

use std::fmt;

/// A word that is not of the kind its place asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {kind}: {help}", shown(.word))]
pub struct BadWord {
    kind: &'static str,
    word: String,
    help: &'static str,
}

impl BadWord {
    pub(crate) fn new(kind: &'static str, word: &str, help: &'static str) -> Self {
        Self {
            kind,
            word: word.to_owned(),
            help,
        }
    }

    /// What would have been right.
    pub const fn help(&self) -> &'static str {
        self.help
    }
}

/// One thing wrong in a policy folder: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    file: String,
    line: u32,
    column: u32,
    what: String,
    help: String,
    whole: bool,
}

impl Problem {
    /// A problem with a whole file, or with its absence.
    pub fn in_file(file: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            whole: true,
            ..Self::at(file, 1, 1, what, help)
        }
    }

    /// A problem at a line and column of a file, both counted from 1.
    pub fn at(
        file: impl Into<String>,
        line: u32,
        column: u32,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            line,
            column,
            // Both may quote what a file says, and nothing of that may do more than be seen.
            what: shown_once(&what.into()),
            help: shown_once(&help.into()),
            whole: false,
        }
    }

    /// The file, relative to the policy folder; `builtin:<name>` for a shipped pack.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from 1.
    pub const fn column(&self) -> u32 {
        self.column
    }

    /// Whether it is with the whole file, or its absence; line and column then say nothing.
    pub const fn is_of_whole_file(&self) -> bool {
        self.whole
    }

    /// What is wrong, in one line.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it, in one line.
    pub fn help(&self) -> &str {
        &self.help
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}\n  help: {}",
            self.file, self.line, self.column, self.what, self.help
        )
    }
}

/// Everything found wrong in a policy folder. A folder with a problem is not loaded at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    /// The problems, by file and line.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Text as a person may see it: control, bidirectional, invisible and odd blank characters escaped, and combining marks
/// that stand alone or pile up;
/// cut after 120 characters with the number left out.
///
/// Use it for whatever an agent or a file wrote before it goes on a terminal, a card or in a message.
pub fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut out = String::with_capacity(text.len().min(4 * MOST));
    let mut marks = MARKS;
    for (n, c) in text.chars().enumerate() {
        if n == MOST {
            out.push_str(&format!("… ({} more)", text.chars().count() - MOST));
            break;
        }
        push_shown(&mut out, c, &mut marks);
    }
    out
}

/// As [`shown`], without a limit.
pub fn shown_whole(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = MARKS;
    text.chars().for_each(|c| push_shown(&mut out, c, &mut marks));
    out
}

/// As [`shown_whole`], for text that quotes what was escaped already: a backslash stays one, so that nothing is escaped
/// twice. What comes out can be shown, but a backslash in it may be of either making.
pub fn shown_once(text: &str) -> String {
    text.split('\\').map(shown_whole).collect::<Vec<_>>().join("\\")
}

/// How many combining marks one character may bear: more pile up over the lines around it.
const MARKS: usize = 3;

/// Whether it looks like a blank, or like nothing, and is not the common one.
fn is_blank(c: char) -> bool {
    // An empty pattern of Braille, a place for an object that is not there, and a note without a head.
    (c.is_whitespace() && c != ' ') || matches!(c, '\u{2800}' | '\u{fffc}' | '\u{1d159}')
}

/// `marks` are those in a row before `c`; a text begins as if it had its fill, for there is nothing to bear one.
fn push_shown(out: &mut String, c: char, marks: &mut usize) {
    let is_mark = !c.is_ascii() && unicode_normalization::char::is_combining_mark(c);
    *marks = if is_mark { *marks + 1 } else { 0 };
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\\' => out.push_str("\\\\"),
        c if crate::text::is_unshowable(c) || is_blank(c) || *marks > MARKS => {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
        c => out.push(c),
    }
}

/// The word of `candidates` nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with swaps of neighbours counted as one (optimal string alignment), over at most 64 characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, j) + usize::from(x != y))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_not_escaped_again() {
        assert_eq!(shown_once("a\u{1b}[2J b"), "a\\u{1b}[2J b");
        assert_eq!(shown_once("a\\u{1b}[2J b"), "a\\u{1b}[2J b");
    }

    #[test]
    fn the_nearest_word_is_found_or_none() {
        let labels = ["k8s.pod.delete", "mutating", "secret.read"];
        assert_eq!(nearest("k8s.pod.delte", labels), Some("k8s.pod.delete"));
        assert_eq!(nearest("mutatign", labels), Some("mutating"));
        assert_eq!(nearest("frobnicate", labels), None);
    }

    #[test]
    fn combining_marks_do_not_pile_up() {
        let stack = "Z\u{300}\u{301}\u{302}\u{303}\u{304}x\u{301}";
        assert_eq!(shown_whole(stack), "Z\u{300}\u{301}\u{302}\\u{303}\\u{304}x\u{301}");
        assert_eq!(shown("\u{301}a"), "\\u{301}a");
        assert_eq!(shown("\u{928}\u{93f}"), "\u{928}\u{93f}", "as languages write them");
    }

    #[test]
    fn shown_text_hides_nothing() {
        assert_eq!(
            shown("a\u{202e}b\u{200b}c\u{a0}d\n"),
            "a\\u{202e}b\\u{200b}c\\u{a0}d\\n"
        );
        assert!(shown(&"x".repeat(500)).ends_with("… (380 more)"));
    }
}
