//! How the story is printed: plain lines, wrapped; colour only on a terminal.

use std::io::IsTerminal;
use std::sync::LazyLock;

use glassbreak_core::error::shown_whole;

/// The longest line.
const WIDE: usize = 120;

static COLOUR: LazyLock<bool> =
    LazyLock::new(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

/// What a line is about, and its colour.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Bold,
    Good,
    Asks,
    Bad,
}

pub(super) fn inked(ink: Ink, text: &str) -> String {
    let code = match ink {
        Ink::Bold => "1",
        Ink::Good => "32",
        Ink::Asks => "33",
        Ink::Bad => "31",
    };
    if *COLOUR {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Begins an act.
pub(super) fn act(number: u8, title: &str) {
    println!("\n{}", inked(Ink::Bold, &format!("{number}. {title}")));
}

/// A line of the story, wrapped, with a word before it that says what it is.
pub(super) fn say(ink: Ink, word: &str, text: &str) {
    for (n, line) in wrapped(text, WIDE - 12).iter().enumerate() {
        let word = if n == 0 {
            inked(ink, &format!("{word:<8}"))
        } else {
            " ".repeat(8)
        };
        println!("  {word}  {line}");
    }
}

/// Lines as a program or a card has them, escaped and indented.
pub(super) fn quote(text: &str, most: usize) {
    for line in text.lines().take(most) {
        println!("            | {}", shown_whole(line));
    }
    match text.lines().count().saturating_sub(most) {
        0 => {}
        more => println!("            | … ({more} more)"),
    }
}

fn wrapped(text: &str, wide: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= wide {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
