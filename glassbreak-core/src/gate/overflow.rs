//! Agents that ask more often than they may: each is told of once, and not with every call.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use super::Gate;
use crate::call::Word;
use crate::lock::LockPath;
use crate::notify::Alert;

/// How long notifiers may take to tell it.
const TIME: Duration = Duration::from_secs(10);
/// The most agents that are kept; past it all are forgotten, and told of again.
const MOST: usize = 10_000;

/// The agents that were told of and have not asked anybody since.
#[derive(Debug, Default)]
pub(super) struct Overflows(Mutex<BTreeSet<Word>>);

impl Overflows {
    /// Whether this is the first question of the agent that is too many.
    fn begins(&self, agent: &Word) -> bool {
        let Ok(mut told) = self.0.lock() else { return true };
        if told.len() >= MOST {
            told.clear();
        }
        told.insert(agent.clone())
    }

    /// The agent was let ask: the next question that is too many begins anew.
    pub(super) fn over(&self, agent: &Word) {
        if let Ok(mut told) = self.0.lock() {
            told.remove(agent);
        }
    }
}

/// Records that an agent asks too often, and tells people, if it has just begun to.
pub(super) fn alert(gate: &Gate, agent: Word, caller: &LockPath, why: &str) {
    if !gate.inner.overflows.begins(&agent) {
        return;
    }
    let alert = Alert::new(agent, caller.clone(), why);
    gate.inner.desk.overflown(&alert);
    for notifier in &gate.inner.notifiers {
        let (notifier, alert) = (std::sync::Arc::clone(notifier), alert.clone());
        // Whoever asks does not wait for it, and it is in the log already.
        gate.inner.runtime.spawn(async move {
            let _ = tokio::time::timeout(TIME, notifier.alert(&alert)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_told_of_once_until_it_was_let_ask() {
        let overflows = Overflows::default();
        let word = |name: &str| Word::new(name).unwrap();
        assert!(overflows.begins(&word("a")) && overflows.begins(&word("b")));
        assert!(!overflows.begins(&word("a")));
        overflows.over(&word("a"));
        assert!(overflows.begins(&word("a")) && !overflows.begins(&word("b")));
        for n in 0..MOST {
            overflows.begins(&word(&format!("n{n}")));
        }
        assert!(overflows.0.lock().unwrap().len() <= MOST);
    }
}
