//! Runs sequences through a gate.

use std::path::PathBuf;

use glassbreak_core::approval::{Answer, Ballot};
use glassbreak_core::audit::AuditLog;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Args, Word, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::{Denial, DenialKind};
use glassbreak_core::gate::{AnyPermit, Denied, Escalation, Gate, Session, Verdict};
use glassbreak_core::shape::ArgType;
use glassbreak_core::store::{MemoryStore, OpId};
use serde_json::{Map, Value};

use crate::cases::{Call, Cases, Sequence, Source};
use crate::plan::Plan;
use crate::tally::{Counts, Each, Tally, What};

/// A gate over the policy folder, with a store in memory and a real audit log in a folder that goes when this does.
#[derive(Debug)]
pub(crate) struct Replay {
    gate: Gate,
    plan: Plan,
    folder: Folder,
}

/// What became of a call.
#[derive(Debug)]
enum Met {
    Allowed,
    /// It asked, and the person's own request had agreed to it.
    Consented,
    Asked(Vec<String>, String),
    Denied(Vec<String>, String),
}

/// What the person does who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    /// Agrees: the sequence is what they wanted.
    Agrees,
    /// Is not there: it ends here.
    Absent,
}

impl Replay {
    /// # Errors
    /// When the gate cannot be built.
    pub(crate) async fn new(bundle: Bundle, plan: Plan) -> Result<Self, String> {
        let folder = Folder::new()?;
        let audit = AuditLog::open(folder.0.join("audit")).map_err(|error| error.to_string())?;
        let gate = Gate::builder(bundle).store(MemoryStore::new()).audit(audit);
        let gate = gate
            .answered_elsewhere()
            .build()
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self { gate, plan, folder })
    }

    /// Runs every honest sequence, and every attack that can be made of them.
    ///
    /// # Errors
    /// When a session cannot be opened, or a call cannot be written as one.
    pub(crate) async fn all(&self, cases: &Cases) -> Result<Tally, String> {
        let mut tally = Tally::default();
        for (name, source) in &cases.sources {
            let mut counts = Counts::default();
            for sequence in &source.honest {
                self.honest(sequence, &mut counts).await?;
            }
            self.attacks(source, &mut counts).await?;
            tally.sources.insert(name.clone(), counts);
        }
        Ok(tally)
    }

    async fn honest(&self, sequence: &Sequence, counts: &mut Counts) -> Result<(), String> {
        let session = self.session()?;
        let asked = counts.asks;
        for call in &sequence.calls {
            counts.calls += 1;
            let (what, rules, why) = match self.call(&session, call, &sequence.goal, Person::Agrees).await? {
                Met::Allowed => continue,
                Met::Consented => {
                    counts.consented += 1;
                    continue;
                }
                Met::Asked(rules, why) => {
                    counts.asks += 1;
                    (What::Ask, rules, why)
                }
                Met::Denied(rules, why) => {
                    counts.denies += 1;
                    (What::Deny, rules, why)
                }
            };
            counts.each.push(Each {
                what,
                task: sequence.task.clone(),
                tool: call.tool.clone(),
                rules,
                why,
            });
        }
        counts.sessions += 1;
        counts.asking += u64::from(counts.asks > asked);
        Ok(())
    }

    /// Each honest sequence until an attacker's text is read, and then what each injection wants.
    async fn attacks(&self, source: &Source, counts: &mut Counts) -> Result<(), String> {
        for sequence in &source.honest {
            let Some(before) = sequence.until_untrusted() else {
                continue;
            };
            for injection in &source.injections {
                let session = self.session()?;
                for call in before {
                    self.call(&session, call, &sequence.goal, Person::Agrees).await?;
                }
                self.attack(&session, sequence, injection, counts).await?;
            }
        }
        Ok(())
    }

    async fn attack(
        &self,
        session: &Session,
        sequence: &Sequence,
        injection: &Sequence,
        counts: &mut Counts,
    ) -> Result<(), String> {
        for call in &injection.calls {
            let met = self.call(session, call, &sequence.goal, Person::Absent).await?;
            let stopped = matches!(met, Met::Asked(..) | Met::Denied(..));
            if !self.is_effect(&call.tool) {
                // An attack that cannot even read does not come to its first effect.
                if stopped {
                    counts.attacks += 1;
                    counts.stopped += 1;
                    return Ok(());
                }
                continue;
            }
            counts.attacks += 1;
            counts.stopped += u64::from(stopped);
            if !stopped {
                counts.each.push(Each {
                    what: What::Passed,
                    task: format!("{} {}", sequence.task, injection.task),
                    tool: call.tool.clone(),
                    rules: Vec::new(),
                    why: match met {
                        Met::Consented => "the person's own words name where it goes".to_owned(),
                        _ => "nothing asked".to_owned(),
                    },
                });
            }
            return Ok(());
        }
        counts.idle += 1;
        Ok(())
    }

    /// Whether calls of the tool do something. One that the folder does not know might.
    fn is_effect(&self, tool: &str) -> bool {
        let bundle = self.gate.bundle();
        let tool = bundle.tools().get(tool);
        tool.is_none_or(|tool| tool.labels().intersects(self.plan.effects))
    }

    /// A session of an agent of its own: no sequence sees what another did.
    fn session(&self) -> Result<Session, String> {
        let name = Word::new(&OpId::mint(Timestamp::now()).to_string()).map_err(|bad| bad.to_string())?;
        let mut actor = Actor::new(self.plan.role.clone(), name.clone());
        actor.instance = Some(name);
        actor.on_behalf_of = Some(self.plan.person.clone());
        let session = self.gate.session(actor).workspace(self.folder.0.join("work"));
        session.map_err(|error| error.to_string())
    }

    async fn call(&self, session: &Session, call: &Call, goal: &str, person: Person) -> Result<Met, String> {
        let name = Word::new(&call.tool).map_err(|bad| bad.to_string())?;
        let args = self.arguments(call)?;
        // The gate looks after its locks by a task of its own, and nothing else here waits.
        tokio::task::yield_now().await;
        let escalation = match session.tool(name, args).check().await {
            Verdict::Allow(permit) => return performed(permit, Met::Allowed).await,
            Verdict::Deny(denial) => return denied(&denial),
            Verdict::Ask(escalation) => escalation,
        };
        let rules: Vec<String> = escalation.requirements().map(|(rule, _)| rule.to_string()).collect();
        let own = (self.plan.consent).covers(rules.iter().map(String::as_str), &call.tool, &call.args, goal);
        let met = match own {
            true => Met::Consented,
            false => Met::Asked(rules, escalation.denial().why().to_owned()),
        };
        if !own && person == Person::Absent {
            return Ok(met);
        }
        match self.agree(*escalation).await? {
            Ok(permit) => performed(permit, met).await,
            Err(denial) => denied(&denial),
        }
    }

    /// The person agrees to this one call.
    async fn agree(&self, escalation: Escalation) -> Result<Result<AnyPermit, Denial>, String> {
        // People who cannot be asked would make every ask a denial: a fault of the folder, and no result.
        let waiting = escalation.open().await.map_err(|denial| denial.why().to_owned())?;
        let ballot = Ballot {
            account: self.plan.account.clone(),
            answer: Answer::Once,
            reason: None,
            card: waiting.request().card.digest(),
        };
        let request = waiting.request().id;
        let voted = self.gate.desk().vote(request, &ballot).await;
        voted.map_err(|why| format!("{}: {why}", self.plan.account))?;
        Ok(waiting.wait().await)
    }

    /// The arguments as a call can hold them. An argument that is null is left out; a number where the folder wants a text
    /// is written as one, because a call holds no fractions.
    fn arguments(&self, call: &Call) -> Result<Args, String> {
        let bundle = self.gate.bundle();
        let fields = bundle.tools().get(&call.tool).map(|tool| &tool.shape().args);
        let wants_text = |name: &str| {
            let field = fields.and_then(|fields| fields.iter().find(|field| field.name == name));
            field.is_some_and(|field| matches!(field.ty, ArgType::Str { .. }))
        };
        let given = call.args.iter().filter(|(_, value)| !value.is_null());
        let written = given.map(|(name, value)| match value {
            Value::Number(number) if wants_text(name) => (name.clone(), Value::String(number.to_string())),
            _ => (name.clone(), value.clone()),
        });
        let written: Map<String, Value> = written.collect();
        wire::arguments(&Value::Object(written)).map_err(|bad| format!("{}: {bad}", call.tool))
    }
}

/// Uses a permit, with a body that does nothing.
async fn performed(permit: AnyPermit, met: Met) -> Result<Met, String> {
    let AnyPermit::Tool(permit) = permit else {
        return Err("this is no permit of a tool".to_owned());
    };
    match permit.run(async |_: &_| Ok::<(), Denied>(())).await {
        Ok(()) => Ok(met),
        Err(refused) => denied(refused.denial()),
    }
}

/// A denial by the rules. One because something broke says nothing of the rules, and ends the replay.
fn denied(denial: &Denial) -> Result<Met, String> {
    let rules: Vec<String> = denial.rules().iter().map(ToString::to_string).collect();
    match denial.kind() {
        DenialKind::Refused => Ok(Met::Denied(rules, denial.why().to_owned())),
        DenialKind::Unavailable => Err(format!("{}: {}", rules.join(" "), denial.why())),
    }
}

/// A folder of its own, removed at the end.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let name = format!("glassbreak-replay-{}", OpId::mint(Timestamp::now()));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(folder.join("work")).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
