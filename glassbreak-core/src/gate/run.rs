//! Running a permitted program.

use std::task::Poll;

use super::Denied;
use super::credential::{Handed, Watch};
use super::permit::{ExecCall, Held, Permit};
use crate::audit::{Finished, Performed, StreamDigest};
use crate::credential::Credential;
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
    /// Just before, the locks and the identity of the file are read again. A program that `credentials.toml` hands a
    /// credential finds it in its variable, and a grant that is revoked meanwhile ends it as a lock does. While it runs, a lock kills its whole
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
        let handed = match held.hand_over_to(&plan).await {
            Ok(Some(handed)) => {
                // A broker may take its time: what was revoked or locked meanwhile does not begin.
                if let Some(denial) = held.revoked().await.or_else(|| held.stopped()) {
                    let Handed { credential, out, .. } = handed;
                    drop(credential);
                    out.take_back("it was stopped before it began").await;
                    held.not_run().await;
                    return Err(Denied(denial).into());
                }
                Some(handed)
            }
            Ok(None) => None,
            Err(denial) => {
                held.not_run().await;
                return Err(Denied(denial).into());
            }
        };
        let (credential, out, watch) = match handed {
            Some(Handed { credential, out, watch }) => (Some(credential), Some(out), watch),
            None => (None, None, held.unwatched()),
        };
        let gate = &held.gate.inner;
        let dir = &held.made.session.inner.dir;
        let variable = held.judgement.handover.as_ref();
        let variable = variable.and_then(|handover| handover.variable.as_deref());
        let value = credential.as_ref().map(Credential::reveal);
        let cancel = stopping(&held, watch);
        let result = gate
            .runner
            .run_handed(&plan, pin, dir, gate.limits, variable.zip(value), cancel, sink)
            .await;
        drop(credential);
        if let Some(out) = out {
            out.take_back("the call ended").await;
        }
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

/// Ready when a lock comes, or what people agreed to is revoked while the program has a credential by it.
async fn stopping(held: &Held, watch: Watch) -> Cancelled {
    let mut lock = std::pin::pin!(held.locked());
    let mut revoked = std::pin::pin!(watch.revoked());
    std::future::poll_fn(|context| {
        if let Poll::Ready(denial) = lock.as_mut().poll(context) {
            return Poll::Ready(Cancelled::by_lock(denial.why()));
        }
        revoked
            .as_mut()
            .poll(context)
            .map(|finding| Cancelled::by_lock(finding.why()))
    })
    .await
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
