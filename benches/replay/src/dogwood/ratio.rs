//! How long both take for rules that count within a window.

use std::time::{Duration, Instant};

use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::judge;
use serde::Deserialize;

use crate::rules::{bundle, call, came, session, user};

/// What Dogwood did, and how long the last calls took it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Times {
    /// Window in seconds, and limit.
    rules: Vec<(u64, u64)>,
    /// Of whom, and when.
    calls: Vec<(String, i64)>,
    /// `1` for each call that is allowed.
    verdicts: String,
    /// How many calls come before those that are measured.
    warm: usize,
    /// The median of those.
    median_ns: u64,
}

pub(crate) const HEAD: &str = "rules    Dogwood     glassbreak   ratio";

impl Times {
    /// Makes the same calls under the same rules, and says how much less time they take.
    ///
    /// # Errors
    /// When a verdict is another one than Dogwood's.
    pub(crate) fn ratio(&self) -> Result<String, String> {
        let tools = "[tools.a]\nlabels = []\ntarget = { name = \"args.user\" }\n[tools.a.schema]\ntype = \"object\"\n\
                     required = [\"user\"]\nproperties.user = { type = \"string\" }\n";
        let rules = self.rules.iter().enumerate().map(|(n, (window, limit))| {
            format!(
                "[[budget]]\nid = \"r{n}\"\nmatch = {{ tools = [\"a\"] }}\nkey = [\"session\", \"target.name\"]\n\
                 limit = {limit}\nwindow = {{ sliding = \"{window}s\" }}\nladder = [{{ over = 0, then = \"deny\" }}]\n"
            )
        });
        let budgets = format!(
            "schema = 1\n[defaults]\ndurability = \"none\"\n{}",
            rules.collect::<String>()
        );
        let bundle = bundle(tools, &budgets, "")?;
        let mut state = session()?;
        let mut times = Vec::new();
        for ((who, at), theirs) in self.calls.iter().zip(self.verdicts.chars()) {
            let call = call("a", user(who))?;
            let at = Timestamp::from_millis(at.saturating_mul(1_000));
            let begun = Instant::now();
            let judgement = judge(&bundle, &state, &call, at);
            came(&bundle, &mut state, &call, &judgement, at);
            times.push(begun.elapsed());
            let allowed = judgement.ruling.outcome() == Outcome::Allow;
            if allowed != (theirs == '1') {
                return Err(format!("{who} at {at}: {} rules differ", self.rules.len()));
            }
        }
        let theirs = Duration::from_nanos(self.median_ns);
        let mut measured = times.split_off(self.warm.min(times.len()));
        measured.sort_unstable();
        let ours = measured.get(measured.len() / 2).copied().ok_or("no call is measured")?;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Ok(format!(
            "{:5}  {:8.1} us  {:8.1} us   {:5.1}",
            self.rules.len(),
            micros(theirs),
            micros(ours),
            micros(theirs) / micros(ours)
        ))
    }
}
