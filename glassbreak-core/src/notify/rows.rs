//! Lines as a terminal has them: in rows of a bounded width, plain or in colour.

use crate::label::Risk;

/// The column that the facts of a card begin in.
const INDENT: usize = 14;
/// The narrowest that a page is written.
const NARROW: usize = 40;
/// The longest word, in bytes, that is kept in one row where it can be.
const WORD: usize = 24;
/// Ends every colour.
const RESET: &str = "\u{1b}[0m";

/// One line, before it is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// What it is, in a word or two; empty where it goes on under the one before, `None` for a headline.
    pub(super) title: Option<Box<str>>,
    /// The fact.
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How a line is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// The first line.
    Risk(Risk),
    /// What must not be overlooked.
    Beware,
    /// What would be done.
    Action,
    /// Any other fact.
    Plain,
    /// The agent's own words.
    Says,
}

impl Tone {
    /// The sequence that begins it; it never comes from anything that a call holds.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Risk(Risk::High) => "\u{1b}[1;31m",
            Self::Risk(Risk::Medium) | Self::Beware => "\u{1b}[1;33m",
            Self::Risk(Risk::Low) | Self::Action => "\u{1b}[1m",
            Self::Plain => "",
            Self::Says => "\u{1b}[2m",
        }
    }
}

/// The colour of titles.
pub(super) const TITLE: &str = "\u{1b}[36m";

impl Row {
    /// The line as plain text.
    pub(super) fn line(&self) -> String {
        match &self.title {
            None => self.text.clone(),
            Some(title) => format!("  {title:12}{}", self.text),
        }
    }

    /// Writes it in rows of at most `width` columns. A longer one goes on in a row that begins with blanks and `…`, so
    /// that nothing an agent wrote can begin a row of the terminal and pass for a line of the card, or for a prompt. A blank
    /// after the `…` is the line's own: without one, a word goes on.
    pub(super) fn fold(&self, page: &mut String, width: usize, colour: bool) {
        let rows = folded(&self.line(), width.max(NARROW));
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                page.push('\n');
            }
            // A headline has no title, and goes on like the others.
            let titled = if n == 0 && self.title.is_none() { 0 } else { INDENT };
            let (title, text) = row.split_at_checked(titled).unwrap_or(("", row));
            if !colour {
                page.push_str(row);
                continue;
            }
            paint(page, if title.trim().is_empty() { "" } else { TITLE }, title);
            paint(page, self.tone.begin(), text);
        }
    }
}

fn paint(page: &mut String, begin: &str, text: &str) {
    page.push_str(begin);
    page.push_str(text);
    if !begin.is_empty() {
        page.push_str(RESET);
    }
}

fn folded(line: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut column = 0;
    for c in line.chars() {
        // Wider than it may be is safe: only a row that the terminal breaks by itself is not.
        let wide = if c.is_ascii() { 1 } else { 2 };
        if column + wide > width {
            // The blank goes with the word after it.
            let last = rows.last_mut();
            let rest = last.and_then(|last| {
                let at = last
                    .rfind(' ')
                    .filter(|at| *at + WORD > last.len() && *at > INDENT + 3)?;
                Some(last.split_off(at))
            });
            let rest = rest.unwrap_or_default();
            column = INDENT + 2 + rest.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
            rows.push(format!("{:INDENT$}…{rest}", ""));
        }
        if let Some(row) = rows.last_mut() {
            row.push(c);
        }
        column += wide;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_never_begins_a_row_of_its_own() {
        let line = format!("  agent says  \"{}HIGH risk: fake", "x ".repeat(60));
        for width in [40, 41, 80, 100] {
            let rows = folded(&line, width);
            assert!(rows.len() > 1, "{rows:?}");
            for row in &rows {
                assert!(
                    row.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>() <= width,
                    "{row}"
                );
            }
            for row in rows.iter().skip(1) {
                assert!(row.starts_with("              …"), "{row:?}");
            }
            let whole: String = rows.join("\n").replace("\n              …", "");
            assert_eq!(whole, line);
        }
        assert_eq!(folded(&"漢".repeat(50), 80).len(), 2);
        let rows = folded(&format!("  runs        {} last words", "x".repeat(60)), 80);
        assert_eq!(
            rows[1], "              … words",
            "a word is not torn, and its blank is kept"
        );
        let rows = folded(&format!("  runs        {}", "x".repeat(70)), 80);
        assert_eq!(rows[1], "              …xxxx", "one without a blank is");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        for title in [None, Some("agent says".into()), Some("".into())] {
            let row = Row {
                title,
                text: "漢x ".repeat(60),
                tone: Tone::Beware,
            };
            let (mut plain, mut colour) = (String::new(), String::new());
            row.fold(&mut plain, 80, false);
            row.fold(&mut colour, 80, true);
            let bare = colour
                .replace(Tone::Beware.begin(), "")
                .replace(TITLE, "")
                .replace(RESET, "");
            assert_eq!(bare, plain);
            assert!(colour.len() > plain.len());
        }
    }
}
