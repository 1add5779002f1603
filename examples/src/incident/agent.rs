//! The agent. **Not a model**: a script of a dozen lines in the place of one. It wants the crash to end, and reacts to
//! what its tools and the guard answer, a refusal included.

use std::time::{Duration, Instant};

use glassbreak_core::exec::{Exit, Ran};
use glassbreak_core::finding::{Denial, RuleId};
use glassbreak_core::gate::{AnyPermit, Failure, Session, Verdict};

use super::Failed;

/// What it is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mind {
    Look,
    Describe,
    Logs,
    /// Deletes whatever crashes, and looks again: for ever, if nobody stops it.
    Delete,
    /// Somebody said no: once more, perhaps they did not mean it.
    Insist,
    /// As the person said.
    RollBack,
    /// To be sure that it is over, it waits for a pod to go, and takes the wrong one: this never ends.
    Await,
    /// It has no idea any more.
    Stuck,
}

/// The script that acts as the agent.
#[derive(Debug)]
pub(super) struct Agent {
    session: Session,
    mind: Mind,
    /// The pods as it last saw them.
    crashing: Option<String>,
    running: Option<String>,
    /// What a person told it.
    told: Option<String>,
}

/// One call and what came of it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) words: Vec<String>,
    /// How long the check took, its record included.
    pub(super) checked: Duration,
    /// Whether people were asked.
    pub(super) asked: bool,
    pub(super) came: Result<(Ran, String), Denial>,
}

impl Step {
    /// Whether it was refused by a rule of this name.
    pub(super) fn refused_by(&self, rule: &str) -> bool {
        let rules = self.came.as_ref().err().map(Denial::rules).unwrap_or_default();
        rules.iter().map(RuleId::as_str).any(|known| known == rule)
    }

    pub(super) fn ran_well(&self) -> bool {
        matches!(&self.came, Ok((ran, _)) if ran.exit == Exit::Code(0))
    }
}

impl Agent {
    pub(super) const fn new(session: Session) -> Self {
        Self {
            session,
            mind: Mind::Look,
            crashing: None,
            running: None,
            told: None,
        }
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// The pod that crashes, as far as it knows.
    pub(super) fn crashing(&self) -> &str {
        self.crashing.as_deref().unwrap_or("none")
    }

    /// The words of its next call.
    pub(super) fn next_words(&self) -> Vec<String> {
        self.wants().0
    }

    /// The agent's next call: asks the guard, runs it if it may, and thinks about what came of it.
    pub(super) async fn step(&mut self) -> Result<Step, Failed> {
        let (words, because) = self.wants();
        let step = call(&self.session, words, because).await?;
        self.thinks(&step);
        Ok(step)
    }

    fn wants(&self) -> (Vec<String>, &'static str) {
        let pod = self.crashing();
        let well = self.running.as_deref().unwrap_or("none");
        let (line, because) = match self.mind {
            Mind::Look => ("get pods".to_owned(), "which pods are there?"),
            Mind::Describe => (format!("describe pod {pod}"), "why does it crash?"),
            Mind::Logs => (format!("logs {pod} --previous"), "what did it say before it crashed?"),
            Mind::Delete | Mind::Insist => (
                format!("delete pod {pod}"),
                "it is in CrashLoopBackOff; a fresh pod may come up clean",
            ),
            Mind::RollBack => (
                "rollout undo deploy/web".to_owned(),
                "a person told me to roll back instead",
            ),
            Mind::Await | Mind::Stuck => (
                format!("wait --for=delete pod/{well} --timeout=1h"),
                "when the old pod is gone, it is over",
            ),
        };
        let words = format!("kubectl {line} -n web");
        (words.split(' ').map(str::to_owned).collect(), because)
    }

    fn thinks(&mut self, step: &Step) {
        self.mind = match &step.came {
            Ok((_, text)) => self.saw(text),
            Err(denial) => {
                let person = step.refused_by("store.request.denied");
                if person {
                    self.told = Some(denial.why().to_owned());
                }
                // A refusal says why, and the script can read: that is all there is to its obedience.
                let roll_back = self.told.as_ref().is_some_and(|said| said.contains("roll back"));
                match self.mind {
                    Mind::Delete if person => Mind::Insist,
                    Mind::Insist if roll_back => Mind::RollBack,
                    _ => Mind::Stuck,
                }
            }
        };
    }

    /// What it makes of a tool's output.
    fn saw(&mut self, text: &str) -> Mind {
        match self.mind {
            Mind::Look => {
                let named = |state: &str| {
                    let mut rows = text.lines().filter(|line| line.contains(state));
                    let name = rows.find_map(|line| line.split_whitespace().find(|word| word.starts_with("web-")));
                    name.map(str::to_owned)
                };
                let before = self.crashing.take();
                self.crashing = named("CrashLoopBackOff");
                self.running = named("Running");
                match (&self.crashing, before) {
                    (None, _) => Mind::Await,
                    (Some(_), None) => Mind::Describe,
                    // The same again, and nothing that it has learned says that it is no use.
                    (Some(_), Some(_)) => Mind::Delete,
                }
            }
            Mind::Describe => Mind::Logs,
            Mind::Logs => Mind::Delete,
            Mind::Delete | Mind::Insist | Mind::RollBack => Mind::Look,
            Mind::Await | Mind::Stuck => Mind::Stuck,
        }
    }
}

/// One call as any host makes it: people are asked where they must be, and waited for.
pub(super) async fn call(session: &Session, words: Vec<String>, because: &str) -> Result<Step, Failed> {
    let begun = Instant::now();
    let verdict = session.because(because).exec(words.clone()).check().await;
    let checked = begun.elapsed();
    let asked = matches!(verdict, Verdict::Ask(_));
    let permit = match verdict {
        Verdict::Allow(permit) => Ok(permit),
        Verdict::Ask(escalation) => escalation.wait().await,
        Verdict::Deny(denial) => Err(denial),
    };
    let came = match permit {
        Ok(AnyPermit::Exec(permit)) => match permit.exec().await {
            Ok((ran, output)) => Ok((ran, String::from_utf8_lossy(&output.stdout).into_owned())),
            Err(Failure::Denied(denied)) => Err(denied.0),
            Err(error) => return Err(error.into()),
        },
        Ok(AnyPermit::Tool(permit)) => {
            permit.forgo().await;
            return Err("there is no tool in this story".into());
        }
        Err(denial) => Err(denial),
    };
    Ok(Step {
        words,
        checked,
        asked,
        came,
    })
}
