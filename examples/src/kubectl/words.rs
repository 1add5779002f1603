//! The words of a command line.

use std::time::Duration;

use glassbreak_core::clock::Span;

/// The words of a command line, read as kubectl would.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) operands: Vec<String>,
    pub(super) namespace: String,
    pub(super) tail: Option<usize>,
    pub(super) previous: bool,
    pub(super) follow: bool,
    /// What `wait` waits for.
    pub(super) until: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) help: bool,
}

impl Words {
    pub(super) fn read(words: &[String]) -> Result<Self, String> {
        let mut read = Self {
            operands: Vec::new(),
            namespace: "default".to_owned(),
            tail: None,
            previous: false,
            follow: false,
            until: None,
            timeout: None,
            help: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| words.next().cloned())
                    .ok_or_else(|| format!("error: flag needs an argument: {name}"))
            };
            match name {
                "-n" | "--namespace" => read.namespace = value()?,
                "--tail" => {
                    let number = value()?;
                    // As kubectl has it: -1 shows all.
                    read.tail = match number.as_str() {
                        "-1" => None,
                        _ => Some(
                            number
                                .parse()
                                .map_err(|_| format!("error: invalid argument \"{number}\" for \"--tail\""))?,
                        ),
                    };
                }
                // Rows are kept in the order they are shown.
                "--sort-by" => drop(value()?),
                "-p" | "--previous" => read.previous = true,
                "-f" | "--follow" => read.follow = true,
                "--for" => read.until = Some(value()?),
                "--timeout" => {
                    let span = value()?;
                    let bad = |_| format!("error: invalid argument \"{span}\" for \"--timeout\"");
                    read.timeout = Some(Duration::from_millis(Span::from_word(&span).map_err(bad)?.as_millis()));
                }
                "-h" | "--help" => read.help = true,
                _ if name.starts_with('-') => return Err(format!("error: unknown flag: {name}")),
                _ => read.operands.push(word.clone()),
            }
        }
        Ok(read)
    }
}
