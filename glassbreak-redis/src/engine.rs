//! Asking the server: one message, its answer, and what the answer says of the server itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::{Clock, StoreErrorKind};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::anchor::Anchor;
use crate::error::{Fault, Trouble};
use crate::known::{Known, Met, Seen};
use crate::line::Line;
use crate::realm::{Key, Realm};
use crate::reply::{self, Reply};
use crate::script::{self, Args, Script};

/// How often a message is sent again.
const REPEATS: u32 = 2;
/// How often servers may take over from each other while one message waits.
const REIGNS: u32 = 4;

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) script: &'static Script,
    pub(crate) keys: Vec<String>,
    /// What time the caller takes it to be.
    pub(crate) at: Timestamp,
    pub(crate) args: Args,
}

/// One realm on a server.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) realm: Realm,
    pub(crate) line: Line,
    pub(crate) known: Known,
    /// Where it is said how far it had come, if that is said anywhere.
    pub(crate) anchor: Option<Anchor>,
    /// What tells elapsed time, where it is not the server.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// Raised whenever something may have changed that somebody waits for.
    pub(crate) news: watch::Sender<u64>,
}

impl Engine {
    /// Asks, and returns the answer and where the store stood; within the time that a call has.
    pub(crate) async fn ask(&self, call: &Call) -> Result<(Reply, Seen), Fault> {
        if let Some(fault) = self.known.fault() {
            return Err(fault);
        }
        self.ask_anyway(call).await
    }

    /// The same, also where everything is denied: to learn of the end of it.
    pub(crate) async fn ask_anyway(&self, call: &Call) -> Result<(Reply, Seen), Fault> {
        let most = self.line.times.call;
        match timeout(most, self.rounds(call)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.line.gave_up();
                Err(Fault::Slow(most.as_millis()))
            }
        }
    }

    async fn rounds(&self, call: &Call) -> Result<(Reply, Seen), Fault> {
        let (mut failures, mut reigns, mut repeated) = (0, 0, false);
        loop {
            // Before it is sent: what is learnt while it is on its way may be later than its answer.
            let before = self.known.seen();
            match self.exchange(call, &before).await {
                Ok(mut reply) => {
                    reply.repeated = repeated;
                    match stood(&before, &mut reply)? {
                        Some(seen) if before.met(&seen) == Met::Fine => {
                            self.known.saw(&seen);
                            return Ok((reply, seen));
                        }
                        Some(seen) => {
                            Box::pin(self.overtaken(&before, &seen)).await?;
                            return Ok((reply, seen));
                        }
                        None => Box::pin(self.judge(&before, &mut reply)).await?,
                    }
                    reigns += 1;
                    if reigns > REIGNS {
                        let what = "servers took over from each other again and again".to_owned();
                        return Err(Fault::Unreachable(what));
                    }
                }
                Err(trouble) => {
                    failures += 1;
                    repeated |= !trouble.undone;
                    if failures > REPEATS || !(trouble.undone || call.script.repeats) {
                        return Err(trouble.fault);
                    }
                    sleep(Duration::from_millis(5) * failures).await;
                }
            }
        }
    }

    /// Sends it, and once more with the whole text where the server does not have the script.
    async fn exchange(&self, call: &Call, before: &Seen) -> Result<Reply, Trouble> {
        let shown = match &self.clock {
            Some(clock) => clock.elapsed().as_millis().to_string(),
            None => String::new(),
        };
        let head = Args::default()
            .text(&hex(&before.generation))
            .signed(call.at.as_millis())
            .text(&shown);
        let args = [head.0, call.args.0.clone()].concat();
        let answer = match self.line.send(&call.script.message(false, &call.keys, &args)).await {
            Err(trouble) if trouble.unknown_script => {
                self.line.send(&call.script.message(true, &call.keys, &args)).await?
            }
            answer => answer?,
        };
        Reply::read(answer).map_err(|fault| Trouble {
            fault,
            undone: false,
            lost: false,
            unknown_script: false,
        })
    }

    /// An answer of a reign that was not known: it is taken if nothing is lost.
    async fn overtaken(&self, before: &Seen, seen: &Seen) -> Result<(), Fault> {
        match before.met(seen) {
            Met::Fine => Ok(()),
            Met::Later => self.take_over(before).await,
            Met::Lost(why) => Err(self.lost(before, why).await),
        }
    }

    /// An answer that says of no store that is known where it stands: after this the message is sent again.
    async fn judge(&self, before: &Seen, reply: &mut Reply) -> Result<(), Fault> {
        match reply.word() {
            "OTHER" => self.succeed(before, reply).await,
            "REIGN" => self.take_over(before).await,
            "SCHEMA" => Err(other_version(&reply.text()?)),
            _ => Err(self.lost(before, GONE.to_owned()).await),
        }
    }

    /// Has the server begin its reign, if it has not, and sees that it had seen everything.
    async fn take_over(&self, before: &Seen) -> Result<(), Fault> {
        let keys = self.realm.keys(&[Key::Meta, Key::Reigns]);
        let args = Args::default().text(&hex(&before.generation));
        let mut reply = self.plain(&script::REIGN, &keys, &args).await?;
        match reply.word() {
            "GONE" => return Err(self.lost(before, GONE.to_owned()).await),
            "OTHER" => return self.succeed(before, &mut reply).await,
            "REIGNS" => {}
            _ => return Err(reply.unknown()),
        }
        let seen = Seen {
            generation: before.generation,
            reign: reply.number()?,
            run: reply.text()?.into(),
            epoch: reply.number()?,
        };
        let mut reigns = BTreeMap::new();
        let table = reply.all(reply::text)?;
        for pair in table.chunks_exact(2) {
            let [reign, began] = pair else { continue };
            let epoch = began.split_once(':').map_or("", |(epoch, _)| epoch);
            reigns.insert(reply::number(reign)?, reply::number(epoch)?);
        }
        let found = match before.met(&seen) {
            Met::Fine => Ok(()),
            Met::Later => before.follows(&reigns),
            Met::Lost(why) => Err(why),
        };
        match found {
            Ok(()) => {
                self.known.saw(&seen);
                Ok(())
            }
            Err(why) => Err(self.lost(before, why).await),
        }
    }

    /// Goes on with another generation, if it was adopted from the one that is known.
    async fn succeed(&self, before: &Seen, reply: &mut Reply) -> Result<(), Fault> {
        let (_, adopted_from) = (reply.text()?, reply.text()?);
        let found = self.find(&[]).await?;
        if adopted_from != hex(&before.generation) {
            let why = "the realm is another store than the one that was known".to_owned();
            return Err(self.lost(before, why).await);
        }
        let Some(found) = found else {
            return Err(self.lost(before, GONE.to_owned()).await);
        };
        self.known.adopted(found);
        self.tell();
        Ok(())
    }

    /// What is there now; made new by this generation, if one is given and there is nothing.
    pub(crate) async fn find(&self, new: &[u8]) -> Result<Option<Seen>, Fault> {
        const ALL: [Key; 9] = [
            Key::Meta,
            Key::Reigns,
            Key::Locks,
            Key::Ops,
            Key::Due,
            Key::Requests,
            Key::Grants,
            Key::Pending,
            Key::Live,
        ];
        let args = Args::default().bytes(new);
        let mut reply = self.plain(&script::INIT, &self.realm.keys(&ALL), &args).await?;
        match reply.word() {
            "NOTHING" => Ok(None),
            "PARTIAL" => {
                let key = reply.text()?;
                let what = format!("{key} is there, and what says whose it is is not: something was lost");
                Err(Fault::RolledBack(what))
            }
            "FOUND" => {
                let schema = reply.text()?;
                if schema != "1" {
                    return Err(other_version(&schema));
                }
                let generation = reply.text()?;
                let bad = || Fault::Damaged(format!("a generation is {generation:?}"));
                let generation = uuid::Uuid::try_parse(&generation).map_err(|_| bad())?.into_bytes();
                Ok(Some(Seen {
                    generation,
                    reign: reply.number()?,
                    run: reply.text()?.into(),
                    epoch: reply.number()?,
                }))
            }
            _ => Err(reply.unknown()),
        }
    }

    /// Something is lost: from now on everything is denied, here and by everybody who asks this server.
    async fn lost(&self, before: &Seen, why: String) -> Fault {
        let fault = Fault::RolledBack(why.clone());
        self.known.fail(fault.clone());
        self.tell();
        let keys = self.realm.keys(&[Key::Meta]);
        let args = Args::default().text(&hex(&before.generation)).text(&why);
        // Where that fails too, those who know of nothing lost go on.
        let _ = self.plain(&script::DOUBT, &keys, &args).await;
        fault
    }

    /// Sends a script that looks by itself where the store stands.
    pub(crate) async fn plain(&self, script: &Script, keys: &[String], args: &Args) -> Result<Reply, Fault> {
        let mut failures = 0;
        loop {
            let answer = self.line.send(&script.message(true, keys, &args.0)).await;
            match answer {
                Ok(answer) => return Reply::read(answer),
                Err(trouble) => {
                    failures += 1;
                    if failures > REPEATS || !(trouble.undone || script.repeats) {
                        return Err(trouble.fault);
                    }
                    sleep(Duration::from_millis(5) * failures).await;
                }
            }
        }
    }

    /// Says how far it has come. After a loss the file goes on saying what was there.
    pub(crate) fn say(&self) -> Result<(), Fault> {
        match &self.anchor {
            Some(anchor) if self.known.fault().is_none() => anchor.write(&self.known.seen()),
            _ => Ok(()),
        }
    }

    /// Wakes whoever waits.
    pub(crate) fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Where an answer says that the store stood; `None` where it says that of none that is known.
fn stood(before: &Seen, reply: &mut Reply) -> Result<Option<Seen>, Fault> {
    if matches!(reply.word(), "GONE" | "SCHEMA" | "OTHER" | "REIGN") {
        return Ok(None);
    }
    let seen = Seen {
        generation: before.generation,
        reign: reply.number()?,
        run: reply.text()?.into(),
        epoch: reply.number()?,
    };
    match reply.word() {
        "DOUBT" => Err(Fault::RolledBack(reply.text()?)),
        _ => Ok(Some(seen)),
    }
}

fn other_version(schema: &str) -> Fault {
    let what = format!("the realm has schema {schema}, and this version of glassbreak knows 1");
    Fault::answer(StoreErrorKind::OtherVersion, what)
}

const GONE: &str = "the realm is not there any more: it was flushed, or this is another database";

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    crate::realm::hex(bytes)
}
