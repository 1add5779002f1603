//! What is printed: plain lines, with colour on terminals only.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process;

use glassbreak_core::audit::{Teller, Tone};
use glassbreak_core::error::shown_whole;
use glassbreak_core::finding::Outcome;
use glassbreak_core::notify::Sheet;

/// Whether to colour what is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style(bool);

impl Style {
    /// Colour when standard output is a terminal and `NO_COLOR` is not set.
    pub(crate) fn of_stdout() -> Self {
        Self::of(&io::stdout())
    }

    /// The same for standard error.
    pub(crate) fn of_stderr() -> Self {
        Self::of(&io::stderr())
    }

    fn of(stream: &impl IsTerminal) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(!plain && stream.is_terminal())
    }

    pub(crate) fn outcome(self, outcome: Outcome) -> String {
        let code = match outcome {
            Outcome::Allow => "32",
            Outcome::Ask => "33",
            Outcome::Deny => "31",
        };
        self.paint(&format!("1;{code}"), outcome.as_str())
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Tells records of the audit log, in colour where that is wanted.
    pub(crate) fn teller(self) -> Teller {
        if !self.0 {
            return Teller::plain();
        }
        Teller::painted(|tone, text| {
            let style = Self(true);
            match tone {
                Tone::Plain => text.to_owned(),
                Tone::Strong => style.bold(text),
                Tone::Good => style.green(text),
                Tone::Asks => style.paint("1;33", text),
                Tone::Bad => style.red(text),
            }
        })
    }

    /// A request, in colour where that is wanted.
    pub(crate) fn sheet(self, sheet: &Sheet, width: usize) -> String {
        if self.0 { sheet.ansi(width) } else { sheet.text(width) }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Prints a line. A reader that has gone ends the program with success; another failure with 1.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
        process::exit(i32::from(error.kind() != io::ErrorKind::BrokenPipe));
    }
}

/// JSON as a terminal may show it: what cannot be shown is written as JSON's own escapes, so that it reads back the same.
pub(crate) fn json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        let plain = c.is_ascii() && !c.is_ascii_control();
        if plain || shown_whole(&format!("a{c}")) == format!("a{c}") {
            text.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_and_can_be_shown() {
        let value = serde_json::json!({"a": "x\u{9b}31m\u{202e}\u{7f}\u{e0041}\u{1b}[2J\\ \"é漢\"\n"});
        let text = json(&value.to_string());
        assert!(
            text.chars().all(|c| c.is_ascii_graphic() || " é漢".contains(c)),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
