//! Problems of a policy folder as people read them: each with the line it is about and a caret under the place.

use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path};

use glassbreak_core::bundle::MAX_FILE;
use glassbreak_core::error::{Problem, shown_once};

use crate::style::Style;

/// How many characters of a line are shown on either side of the place.
const AROUND: usize = 70;

/// A problem, and the line of the file in `folder` that it is about. Where the problem is with the file as a whole, or
/// the line cannot be read, only the problem.
pub(crate) fn of(problem: &Problem, folder: &Path, style: Style) -> String {
    let place = format!("{}:{}:{}", problem.file(), problem.line(), problem.column());
    let mut out = format!("{}: {}\n", style.bold(&place), problem.what());
    if let Some(line) = line(problem, folder) {
        let (text, before) = around(&line, problem.column());
        let number = problem.line().to_string();
        let margin = " ".repeat(number.len());
        let caret = format!("{}{}", " ".repeat(before), style.red("^"));
        let _ = write!(out, " {margin} |\n {number} | {text}\n {margin} | {caret}\n");
    }
    let _ = write!(out, "  help: {}", problem.help());
    out
}

/// The line, if it can be shown: of a plain file beneath the folder. What a link leads to is none of the folder.
fn line(problem: &Problem, folder: &Path) -> Option<String> {
    let name = Path::new(problem.file());
    let beneath = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !beneath || problem.is_of_whole_file() {
        return None;
    }
    let path = folder.join(name);
    let meta = fs::symlink_metadata(&path).ok()?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let number = usize::try_from(problem.line()).ok()?.checked_sub(1)?;
    text.split('\n')
        .nth(number)
        .map(|line| line.trim_end_matches('\r').to_owned())
}

/// What is shown of a line, and how many characters of that stand before the column.
fn around(line: &str, column: u32) -> (String, usize) {
    let before = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let count = line.chars().count();
    let before = before.min(count);
    let (from, to) = (before.saturating_sub(AROUND), (before + AROUND).min(count));
    let part = |from: usize, to: usize| {
        let part: String = line.chars().skip(from).take(to.saturating_sub(from)).collect();
        shown_once(&part.replace('\t', "    "))
    };
    let left = if from > 0 { "…" } else { "" };
    let right = if to < count { "…" } else { "" };
    let head = format!("{left}{}", part(from, before));
    let text = format!("{head}{}{right}", part(before, to));
    (text, head.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_whatever_is_before_it() {
        assert_eq!(around("abc", 3), ("abc".to_owned(), 2));
        assert_eq!(around("\tabc", 3), ("    abc".to_owned(), 5));
        assert_eq!(around("a\u{202e}bc", 3), ("a\\u{202e}bc".to_owned(), 9));
        assert_eq!(around("abc", 99), ("abc".to_owned(), 3));
        assert_eq!(around("", 1), (String::new(), 0));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let (text, before) = around(&"x".repeat(1000), 501);
        assert!(text.starts_with('…') && text.ends_with('…'), "{text}");
        assert_eq!((text.chars().count(), before), (2 * AROUND + 2, AROUND + 1));
    }
}
