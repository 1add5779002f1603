//! Running a permitted program.

use super::Denied;
use super::permit::{ExecCall, Permit};
use crate::audit::{Finished, Performed, StreamDigest};
use crate::exec::{Cancelled, Collected, Effect, EndedBy, ExecError, Exit, OutputSink, Ran, StreamRecord};
use crate::finding::{Finding, Layer, RuleId};

/// Why a call was not performed, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It was refused, or a lock came while it ran.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The program was not started, or nobody knows how far it came: [`ExecError::effect`] tells.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl Permit<ExecCall> {
    /// Runs the program and collects its output.
    ///
    /// # Errors
    /// As [`exec_into`](Self::exec_into).
    pub async fn exec(self) -> Result<(Ran, Collected), Failure> {
        let mut output = Collected::default();
        let ran = self.exec_into(&mut output).await?;
        Ok((ran, output))
    }

    /// Runs the program and hands its output to `sink` as it comes.
    ///
    /// Just before, the locks and the identity of the file are read again. While it runs, a lock kills its whole
    /// process group at once.
    ///
    /// # Errors
    /// A refusal when the permit has expired, the session's folder or the file has changed, or a lock stands or comes;
    /// and what the operating system refuses. A program that fails is no error: see [`Ran::exit`].
    pub async fn exec_into(self, sink: &mut dyn OutputSink) -> Result<Ran, Failure> {
        let Self { held, plan, .. } = self;
        let stopped = held.revoked().await.or_else(|| held.stopped());
        let (Some(pin), None) = (held.pin.as_ref(), stopped.as_ref()) else {
            held.not_run().await;
            return Err(Denied(stopped.unwrap_or_else(super::check::wrong_permit)).into());
        };
        let gate = &held.gate.inner;
        let dir = &held.made.session.inner.dir;
        let locked = async { Cancelled::by_lock(held.locked().await.why()) };
        let result = gate.runner.run(&plan, pin, dir, gate.limits, locked, sink).await;
        match result {
            Ok(ran) => {
                let finished = finished(&ran, held.finished(outcome(&ran)));
                let stopped = match &ran.ended_by {
                    EndedBy::Cancelled(cancelled) => {
                        let rule = RuleId::known(Layer::Lock, "came");
                        let finding = Finding::deny(rule, cancelled.reason(), "wait until a person lifts the lock");
                        Some(held.denied(finding))
                    }
                    _ => None,
                };
                held.ended(finished).await;
                match stopped {
                    Some(denial) => Err(Denied(denial).into()),
                    None => Ok(ran),
                }
            }
            Err(error) if error.effect() == Effect::NotRun => {
                held.not_run().await;
                Err(error.into())
            }
            Err(error) => {
                let finished = held.finished(Performed::Failed);
                held.ended(finished).await;
                Err(error.into())
            }
        }
    }
}

fn outcome(ran: &Ran) -> Performed {
    match (&ran.ended_by, ran.exit) {
        (EndedBy::Finished, Exit::Code(0)) => Performed::Done,
        _ => Performed::Failed,
    }
}

fn finished(ran: &Ran, mut finished: Finished) -> Finished {
    let digest = |stream: &StreamRecord| StreamDigest {
        sha256: *stream.sha256.as_bytes(),
        bytes: stream.bytes,
    };
    match ran.exit {
        Exit::Code(code) => finished.exit = Some(code),
        Exit::Signal(signal) => finished.signal = Some(signal),
    }
    finished.ran_ms = u64::try_from(ran.duration.as_millis()).ok();
    finished.waited_ms = finished
        .waited_ms
        .zip(finished.ran_ms)
        .map(|(all, ran)| all.saturating_sub(ran));
    finished.stdout = Some(digest(&ran.stdout));
    finished.stderr = Some(digest(&ran.stderr));
    finished
}
