//! The command line.

use glassbreak_core::notify::Tty;

pub(super) const HELP: &str = "\
An incident, replayed with real processes on a cluster that is a folder: an agent deletes a crashing pod again and again.

  cargo run -p glassbreak-examples --bin incident [-- OPTIONS]

  --approver script     persons answer from a script, each with an account of their own (what CI runs)
  --approver terminal   you answer, at this terminal
  --approver second     you answer at a second terminal: the command to type there is shown, and this one waits
  --pace                with short pauses, for reading along
  --seed N              other names for the pods that come back (unless said, 7)
  --keep                leaves policy, store and audit log in their folder, and says where
  --help                this

Without --approver it is `terminal` where there is one, else `script`. Exit status: 0 when everything went as told.
";

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approver {
    Script,
    Terminal,
    Second,
}

/// What the command line says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) approver: Approver,
    /// Whether the approver was chosen for want of a word.
    pub(super) guessed: bool,
    pub(super) pace: bool,
    pub(super) keep: bool,
    pub(super) seed: u64,
}

impl Options {
    /// `None` where help is wanted.
    pub(super) fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut approver = None;
        let (mut pace, mut keep, mut seed) = (false, false, 7);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--pace" => pace = true,
                "--keep" => keep = true,
                "--seed" => {
                    let number = words.next().unwrap_or_default();
                    seed = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
                }
                "--approver" => {
                    approver = match words.next().as_deref() {
                        Some("script") => Some(Approver::Script),
                        Some("terminal") => Some(Approver::Terminal),
                        Some("second") => Some(Approver::Second),
                        other => return Err(format!("there is no approver `{}`", other.unwrap_or_default())),
                    }
                }
                other => return Err(format!("unknown word `{other}`")),
            }
        }
        if approver == Some(Approver::Terminal) {
            // Sooner than after a question that nobody sees.
            Tty::open().map_err(|why| why.to_string())?;
        }
        let there = || match Tty::open() {
            Ok(_) => Approver::Terminal,
            Err(_) => Approver::Script,
        };
        Ok(Some(Self {
            guessed: approver.is_none(),
            approver: approver.unwrap_or_else(there),
            pace,
            keep,
            seed,
        }))
    }
}
