//! The story: eight acts, each of which is checked; the last three are in [`stops`](super::stops).

use glassbreak_core::gate::Verdict;

use super::agent::{Agent, Step, call};
use super::options::{Approver, Options};
use super::page::{Ink, act, quote, say};
use super::people::{Says, Scene};
use super::stage::Stage;
use super::{Failed, expect};

/// Tells it.
pub(super) fn tell(options: &Options) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stage = Stage::build(options).await?;
        opening(options, &stage);
        let agent = Agent::new(stage.session()?);
        let mut story = Story { stage, agent };
        story.looking().await?;
        story.first_deletion().await?;
        story.within_the_window().await?;
        story.runaway().await?;
        story.fix().await?;
        let mut story = story.kill_switch().await?;
        story.unlocked().await?;
        story.afterwards(options.keep).await
    })
}

fn opening(options: &Options, stage: &Stage) {
    println!(
        "An incident at night: an agent deletes a crashing pod, again and again, and may. Programs, guard, store and audit"
    );
    println!("log are real; kubectl with its cluster (a folder) is a stand-in, and the agent a script, no model.\n");
    let who = match options.approver {
        Approver::Script => "persons answer from a script, by accounts of their own",
        Approver::Terminal => "you answer, at this terminal",
        Approver::Second => "you answer at a second terminal",
    };
    let why = if options.guessed { " (--help shows others)" } else { "" };
    println!("  approver  {who}{why}");
    println!(
        "  policy    examples/policies/incident, copied; bob's account there is {}: you",
        stage.account
    );
    println!("  state     {}", stage.folder().display());
}

pub(super) struct Story {
    pub(super) stage: Stage,
    pub(super) agent: Agent,
}

impl Story {
    async fn pause(&self) {
        tokio::time::sleep(self.stage.pause).await;
    }

    /// The agent's next call, told; people have said by then what they had to say.
    pub(super) async fn step(&mut self) -> Result<Step, Failed> {
        self.pause().await;
        asks(&self.agent.next_words());
        let step = self.agent.step().await?;
        self.stage.people.heard().await;
        told(&step);
        Ok(step)
    }

    async fn looking(&mut self) -> Result<(), Failed> {
        act(1, "Looking is free");
        for _ in 0..3 {
            let step = self.step().await?;
            expect(step.ran_well() && !step.asked, || {
                format!("a read did not pass: {step:?}")
            })?;
        }
        if cfg!(debug_assertions) {
            say(
                Ink::Bold,
                "note",
                "the check and its record; this is an unoptimised build, and --release is far quicker",
            );
        }
        Ok(())
    }

    async fn first_deletion(&mut self) -> Result<(), Failed> {
        act(2, "The first deletion asks");
        self.stage.people.prepare(Scene {
            whole: true,
            vainly: Some(("alice", Says::Once)),
            then: ("bob", Says::Window { minutes: 5, uses: 50 }),
        });
        let pod = self.agent.crashing().to_owned();
        let step = self.step().await?;
        expect(step.asked && step.ran_well(), || {
            format!("the deletion was not agreed to: {step:?}")
        })?;
        let grants = self.stage.gate.desk().grants().await?;
        expect(grants.len() == 1, || "nobody opened a window".to_owned())?;
        self.look_for_another(&pod).await
    }

    async fn within_the_window(&mut self) -> Result<(), Failed> {
        act(
            3,
            "Within the window nobody is asked, and the crash comes back each time",
        );
        for _ in 0..2 {
            let pod = self.agent.crashing().to_owned();
            let step = self.step().await?;
            expect(!step.asked && step.ran_well(), || {
                format!("the window did not cover it: {step:?}")
            })?;
            self.look_for_another(&pod).await?;
        }
        Ok(())
    }

    /// The pod is gone, and another one crashes.
    async fn look_for_another(&mut self, pod: &str) -> Result<(), Failed> {
        let looked = self.agent.step().await?;
        let now = self.agent.crashing().to_owned();
        let gone = looked.came.is_ok_and(|(_, text)| !text.contains(pod));
        expect(gone && now != "none", || format!("after {pod} came {now}"))?;
        say(
            Ink::Bad,
            "cluster",
            &format!("{pod} is gone; {now} is there in its place, and crashes"),
        );
        Ok(())
    }

    async fn runaway(&mut self) -> Result<(), Failed> {
        act(4, "The budget stops the runaway");
        self.stage.people.prepare(Scene {
            whole: false,
            vainly: None,
            then: ("carol", Says::No("it is the config, not the pod: roll back instead")),
        });
        let step = self.step().await?;
        expect(step.asked && step.refused_by("store.request.denied"), || {
            format!("nobody said no: {step:?}")
        })?;
        let step = self.step().await?;
        expect(step.refused_by("store.request.resting"), || {
            format!("people were asked again: {step:?}")
        })?;
        let nobody = "this time nobody was asked: a person's no rests on the question for ten minutes";
        say(Ink::Bold, "note", nobody);
        let words = ["kubectl", "delete", "pod", "db-0", "-n", "web"].map(str::to_owned);
        asks(&words);
        let step = call(self.agent.session(), words.to_vec(), "perhaps it is the database").await?;
        told(&step);
        expect(!step.asked && step.refused_by("policy.no-database-delete"), || {
            format!("the database is not safe: {step:?}")
        })
    }

    async fn fix(&mut self) -> Result<(), Failed> {
        act(5, "The agent does as it was told, and the crash stops");
        self.stage.people.prepare(Scene {
            whole: false,
            vainly: None,
            then: ("bob", Says::Once),
        });
        let step = self.step().await?;
        expect(step.asked && step.ran_well(), || {
            format!("it was not rolled back: {step:?}")
        })?;
        let looked = self.step().await?;
        let calm = looked.came.as_ref().is_ok_and(|(_, text)| !text.contains("CrashLoop"));
        expect(calm, || format!("it still crashes: {looked:?}"))?;
        // Once more, as a nervous agent would; another undo would bring the bad revision back.
        let again = self.agent.session().exec(step.words.clone()).check().await;
        let Verdict::Ask(escalation) = again else {
            return Err(format!("a grant for one call was good for two: {again:?}").into());
        };
        asks(&step.words);
        let why = "not run: the approval was for one call, and is spent. People would have to agree anew: ";
        say(Ink::Asks, "asks", &format!("{why}{}", escalation.denial().why()));
        Ok(())
    }
}

pub(super) fn asks(words: &[String]) {
    say(Ink::Bold, "agent", &words.join(" "));
}

/// What came of a call.
pub(super) fn told(step: &Step) {
    match &step.came {
        Ok((ran, text)) => {
            let how = if step.asked { "agreed" } else { "allowed" };
            let took = step.checked.as_micros();
            say(Ink::Good, how, &format!("checked in {took} µs; ran, {}", ran.exit));
            // The rest is for the agent, and what became of a pod is told by the cluster.
            let verb = step.words.get(1).map(String::as_str);
            if !matches!(verb, Some("describe" | "delete")) {
                quote(text, 5);
            }
        }
        Err(denial) => say(Ink::Bad, "refused", &format!("{} ({})", denial.why(), denial.hint())),
    }
}
