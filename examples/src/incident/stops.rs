//! How it ends: the kill switch, the lock's end, and what the audit log tells afterwards.

use std::time::Instant;

use glassbreak_core::audit::State;
use glassbreak_core::call::{Text, Word};
use glassbreak_core::gate::{OperateError, Verdict};
use glassbreak_core::lock::Target;
use glassbreak_core::store::Unlocked;

use super::agent::call;
use super::page::{Ink, act, say};
use super::stage::AGENT;
use super::story::{Story, asks, told};
use super::{Failed, after, child, expect};

impl Story {
    pub(super) async fn kill_switch(self) -> Result<Self, Failed> {
        act(6, "A command hangs, and the kill switch ends it");
        let Self { stage, mut agent } = self;
        asks(&agent.next_words());
        let before = stage.gate.desk().grants().await?.len();
        expect(before == 1, || format!("{before} grants stand before the lock"))?;
        let running = tokio::spawn(async move {
            let step = agent.step().await.map_err(|error| error.to_string());
            (step, agent)
        });
        let process = child::appears().await?;
        tokio::time::sleep(stage.pause).await;
        say(
            Ink::Bold,
            "note",
            &format!("it hangs: process {process}, for an hour if nobody stops it"),
        );
        let target = Target::Agent(Word::new(AGENT)?);
        let begun = Instant::now();
        let reason = Text::new("it is fixed; hands off")?;
        stage.gate.lock(target.clone(), reason, Word::new("bob")?).await?;
        let (step, agent) = running.await?;
        let took = begun.elapsed();
        let step = step?;
        expect(step.refused_by("lock.came"), || {
            format!("the lock did not end it: {step:?}")
        })?;
        expect(child::is_gone(process), || format!("process {process} still runs"))?;
        say(
            Ink::Bad,
            "bob",
            &format!(
                "locks {target}: {:.1} ms later process {process} is gone",
                took.as_secs_f64() * 1e3
            ),
        );
        told(&step);
        let left = stage.gate.desk().grants().await?.len();
        expect(left == 0, || format!("{left} grants outlived the lock"))?;
        say(
            Ink::Bold,
            "grants",
            &format!("{before} stood before the lock, {left} after it: bob's window is closed"),
        );
        let mut story = Self { stage, agent };
        let step = story.step().await?;
        expect(step.refused_by("lock.agent"), || {
            format!("it goes on under a lock: {step:?}")
        })?;
        Ok(story)
    }

    pub(super) async fn unlocked(&mut self) -> Result<(), Failed> {
        act(7, "A person lifts the lock");
        let target = Target::Agent(Word::new(AGENT)?);
        let gate = &self.stage.gate;
        let why = Text::new("the incident is over")?;
        match gate.unlock(target.clone(), why.clone(), Word::new("bob")?).await {
            Err(OperateError::Refused(finding)) => {
                say(Ink::Bad, "bob", &format!("may lock, and not unlock: {}", finding.why()));
            }
            other => return Err(format!("bob lifted the lock: {other:?}").into()),
        }
        let lifted = gate.unlock(target.clone(), why, Word::new("carol")?).await?;
        expect(matches!(lifted, Unlocked::Lifted { .. }), || {
            format!("the lock still stands: {lifted:?}")
        })?;
        say(
            Ink::Good,
            "carol",
            &format!("lifts the lock on {target}: she is one of the leads"),
        );
        let session = self.agent.session();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        asks(&words("kubectl get pods -n web"));
        let looked = call(session, words("kubectl get pods -n web"), "is it over?").await?;
        say(Ink::Good, "allowed", "and ran");
        expect(looked.ran_well(), || format!("it does not look again: {looked:?}"))?;
        let delete = session.exec(words("kubectl delete pod web-9c2f -n web")).check().await;
        expect(matches!(delete, Verdict::Ask(_)), || {
            format!("the window came back with the lock's end: {delete:?}")
        })?;
        say(
            Ink::Asks,
            "asks",
            "to delete would ask anew: what the lock closed stays closed",
        );
        Ok(())
    }

    pub(super) async fn afterwards(self, keep: bool) -> Result<(), Failed> {
        act(8, "Afterwards: the audit log");
        let Self { stage, agent } = self;
        expect(stage.people.left() == 0, || "somebody was not asked".to_owned())?;
        agent.session().close().await?;
        drop(agent);
        stage.log.close()?;
        let audit = stage.place.audit.clone();
        let lines = after::timeline(&audit)?;
        expect(lines <= 60, || format!("the timeline has {lines} lines"))?;
        let (state, records) = after::verified(&audit)?;
        expect(state == State::Intact, || format!("the log is {}", state.as_str()))?;
        say(
            Ink::Good,
            "verify",
            &format!("{records} records, each chained to the one before: {}", state.as_str()),
        );
        after::tampered(&audit, &stage.folder().join("tampered"))?;
        if keep {
            let place = stage.place.clone();
            let folder = stage.keep();
            println!("\nKept in {}. To look again:", folder.display());
            println!(
                "  cargo run -q -p glassbreak-cli -- audit show {}",
                place.audit.display()
            );
        }
        println!("\nEverything went as it is told.");
        Ok(())
    }
}
