//! Verdict by verdict.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::rules::{Leaf, Rule};

/// A trace, the policies over it, and what Dogwood says of every request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    case: String,
    policies: Vec<Policy>,
    leaves: Vec<Seen>,
    /// When, which event of the trace, its action, and whether it is allowed.
    verdicts: Vec<(i64, usize, String, bool)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    permits: bool,
    action: String,
    unless: bool,
    condition: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Condition {
    All(Vec<Condition>),
    Not(Box<Condition>),
    Leaf(usize),
}

/// A rule, and what it sees: when, which event, what it is to the rule, and in which session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    rule: Rule,
    steps: Vec<(i64, usize, String, String)>,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Agreed {
    pub(crate) traces: usize,
    verdicts: usize,
    allowed: usize,
    /// Which differ.
    pub(crate) differ: Vec<String>,
}

impl Agreed {
    /// # Errors
    /// When the case cannot be read, or its rules do not load.
    pub(crate) fn take(&mut self, case: &Case) -> Result<(), String> {
        let mut answers = Vec::new();
        for seen in &case.leaves {
            let mut leaf = Leaf::new(&seen.rule)?;
            let mut answer: BTreeMap<usize, bool> = BTreeMap::new();
            for (at, point, what, key) in &seen.steps {
                if let Some(held) = leaf.see(*at, what, key)? {
                    answer.insert(*point, held);
                }
            }
            answers.push(answer);
        }
        self.traces += 1;
        for (at, point, action, theirs) in &case.verdicts {
            let (mut permitted, mut forbidden) = (false, false);
            for policy in case.policies.iter().filter(|policy| policy.action == *action) {
                let held = match &policy.condition {
                    Some(condition) => condition.holds(&answers, *point)? != policy.unless,
                    None => true,
                };
                permitted |= held && policy.permits;
                forbidden |= held && !policy.permits;
            }
            let ours = permitted && !forbidden;
            self.verdicts += 1;
            self.allowed += usize::from(ours);
            if ours != *theirs {
                let (case, word) = (&case.case, |allowed| if allowed { "allows" } else { "refuses" });
                self.differ.push(format!(
                    "{case}, event {point} at {at}: glassbreak {}, Dogwood {}",
                    word(ours),
                    word(*theirs)
                ));
            }
        }
        Ok(())
    }
}

impl Condition {
    fn holds(&self, answers: &[BTreeMap<usize, bool>], point: usize) -> Result<bool, String> {
        match self {
            Self::All(all) => {
                for one in all {
                    if !one.holds(answers, point)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(one) => Ok(!one.holds(answers, point)?),
            Self::Leaf(leaf) => {
                let answer = answers.get(*leaf).ok_or_else(|| format!("there is no rule {leaf}"))?;
                Ok(answer.get(&point).copied().unwrap_or(false))
            }
        }
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.differ {
            writeln!(f, "differs: {one}")?;
        }
        write!(
            f,
            "{} traces, {} verdicts ({} of them allow): {} differ",
            self.traces,
            self.verdicts,
            self.allowed,
            self.differ.len()
        )
    }
}
