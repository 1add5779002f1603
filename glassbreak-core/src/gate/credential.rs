//! Handing a permitted call its credential, and taking it back.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::hold::{LEASE, within};
use super::macros::by_result;
use super::permit::{Held, Kind, Permit};
use super::{Denied, Gate};
use crate::argv::ExecPlan;
use crate::audit::{CredentialIssued, CredentialRevoked, Event};
use crate::clock::Timestamp;
use crate::credential::{Credential, CredentialBroker, CredentialId, Handover, Issued, Order, TakenBack, fingerprint};
use crate::error::shown;
use crate::finding::{Denial, Finding, Findings, Layer, RuleId, Ruling};
use crate::grant::{Grant, GrantId};
use crate::store::OpId;

/// How often it is looked whether a grant that a credential was made by is still there.
const LOOK: Duration = Duration::from_millis(500);

impl<K: Kind> Permit<K> {
    /// As [`run`](Self::run), with the credential that `credentials.toml` says the call is handed.
    ///
    /// It is made now, recorded, and taken back when `body` is over or is dropped. A grant that is revoked meanwhile ends
    /// the body, as a lock does.
    ///
    /// # Errors
    /// As [`run`](Self::run); and a refusal where the call is handed none, where it is only handed one once people agreed
    /// and none did, and where the broker or the audit log fails. `body` has not begun then.
    pub async fn run_with_credential<T, E: From<Denied>>(
        self,
        body: impl AsyncFnOnce(&K::Plan, &Credential) -> Result<T, E>,
    ) -> Result<T, E> {
        let handed = match self.held.stopped_now().await {
            Some(denial) => Err(denial),
            None => self.held.hand_over().await,
        };
        let handed = handed.and_then(|handed| handed.ok_or_else(|| self.held.nothing_handed()));
        let handed = match handed {
            Ok(handed) => handed,
            Err(denial) => {
                self.held.not_run().await;
                return Err(E::from(Denied(denial)));
            }
        };
        let digest = self.held.judgement.digest;
        self.run_as(by_result, async move |plan: &K::Plan| {
            let Handed { credential, out, watch } = handed;
            let ended = {
                let mut body = std::pin::pin!(body(plan, &credential));
                let mut revoked = std::pin::pin!(watch.revoked());
                std::future::poll_fn(|context| {
                    if let Poll::Ready(finding) = revoked.as_mut().poll(context) {
                        return Poll::Ready(Err(finding));
                    }
                    body.as_mut().poll(context).map(Ok)
                })
                .await
            };
            drop(credential);
            match ended {
                Ok(result) => {
                    out.take_back("the call ended").await;
                    result
                }
                Err(finding) => {
                    out.take_back("its grant was revoked").await;
                    Err(E::from(Denied(denied(finding, digest))))
                }
            }
        })
        .await
    }
}

/// A credential on its way to whoever performs the call.
pub(super) struct Handed {
    pub(super) credential: Credential,
    pub(super) out: Out,
    pub(super) watch: Watch,
}

impl Held {
    /// What has come between judging and running.
    async fn stopped_now(&self) -> Option<Denial> {
        let revoked = self.revoked().await;
        revoked.or_else(|| self.stopped()).or_else(|| self.changed())
    }

    /// Has the credential made that the call is to be handed, and records it; `Ok(None)` where it is to be handed none.
    pub(super) async fn hand_over(&self) -> Result<Option<Handed>, Denial> {
        let (gate, grant) = (&self.gate, self.made.grant.as_ref());
        let Some(handover) = self.judgement.handover.clone() else {
            return Ok(None);
        };
        if handover.granted && grant.is_none() {
            return Ok(None);
        }
        let Some(broker) = gate.inner.brokers.get(&handover.name).cloned() else {
            return Err(self.unhanded("no-broker", format!("the gate has no broker `{}`", handover.name)));
        };
        let order = self.order(&handover, grant)?;
        let mut out = Out {
            gate: gate.clone(),
            broker: Some(Arc::clone(&broker)),
            id: order.id,
            call: order.call,
            // Until it says otherwise it is over at the latest when it was ordered to be.
            expires_at: order.not_after,
        };
        let order = Arc::new(order);
        let issued = match self.issue(&broker, &order).await {
            Ok(issued) => issued,
            Err(denial) => {
                // It may have been made all the same. Nobody waits for that.
                drop(out.begin("it is not known to have been made"));
                return Err(denial);
            }
        };
        out.expires_at = issued.expires_at;
        if issued.secret.reveal().is_empty() || issued.expires_at > order.not_after || issued.expires_at <= Gate::now()
        {
            let why = format!(
                "the broker `{}` gave a credential until {}, and {} was the latest",
                handover.name, issued.expires_at, order.not_after
            );
            out.take_back("it is not what was ordered").await;
            return Err(self.unhanded("broker", why));
        }
        let record = CredentialIssued {
            id: order.id,
            call: order.call,
            handover: &handover,
            kind: broker.kind(),
            action: &order.action,
            grant,
            at: order.now,
            expires_at: issued.expires_at,
            fingerprint: &fingerprint(issued.secret.reveal()),
        };
        if let Err(error) = gate.inner.audit.append_synced(Event::CredentialIssued(record)) {
            out.take_back("it could not be recorded").await;
            return Err(self.unhanded("audit", format!("the credential cannot be recorded: {error}")));
        }
        Ok(Some(Handed {
            credential: Credential {
                id: order.id,
                secret: issued.secret,
                expires_at: issued.expires_at,
            },
            out,
            watch: Watch {
                gate: gate.clone(),
                grant: grant.map(|grant| grant.id),
            },
        }))
    }

    /// The same for a program, which finds it in a variable that nobody else may have set.
    pub(super) async fn hand_over_to(&self, plan: &ExecPlan) -> Result<Option<Handed>, Denial> {
        let handover = self.judgement.handover.as_ref();
        let variable = handover.and_then(|handover| handover.variable.as_deref());
        if let Some(variable) = variable
            && plan.env().any(|(name, _)| name == variable)
        {
            let why = format!("the variable {variable} is for the credential, and the call or the profile sets it");
            let rule = RuleId::known(Layer::Store, "credential.variable");
            let finding = Finding::deny(rule, why, format!("make the call without {variable}"));
            return Err(denied(finding, self.judgement.digest));
        }
        self.hand_over().await
    }

    /// Watches nothing.
    pub(super) fn unwatched(&self) -> Watch {
        Watch {
            gate: self.gate.clone(),
            grant: None,
        }
    }

    fn order(&self, handover: &Handover, grant: Option<&Grant>) -> Result<Order, Denial> {
        let now = Gate::now();
        let longest = now.after(handover.lasts.min(LEASE));
        let not_after = grant.map_or(longest, |grant| grant.expires_at.min(longest));
        let (made, judgement) = (&self.made, &self.judgement);
        let Some(digest) = judgement.digest else {
            return Err(super::check::wrong_permit());
        };
        Ok(Order {
            id: CredentialId::mint(now),
            call: made.id,
            actor: made.call.actor.clone(),
            tool: super::check::name_of(&made.call, &judgement.facts).into(),
            action: judgement.action(),
            digest,
            grant: grant.cloned(),
            now,
            not_after,
        })
    }

    /// In a task of its own: a broker that panics is one that fails, and one that hangs is left to itself.
    async fn issue(&self, broker: &Arc<dyn CredentialBroker>, order: &Arc<Order>) -> Result<Issued, Denial> {
        let (maker, order) = (Arc::clone(broker), Arc::clone(order));
        let most = self.gate.inner.broker_time;
        let mut task = self.gate.inner.runtime.spawn(async move { maker.issue(&order).await });
        let why = match tokio::time::timeout(most, &mut task).await {
            Ok(Ok(Ok(issued))) => return Ok(issued),
            Ok(Ok(Err(error))) => shown(&error.to_string()),
            Ok(Err(_)) => "the broker broke".to_owned(),
            Err(_) => {
                task.abort();
                format!("the broker gave no answer in {} ms", most.as_millis())
            }
        };
        Err(self.unhanded("broker", why))
    }

    fn unhanded(&self, code: &str, why: String) -> Denial {
        let rule = RuleId::known(Layer::Store, &["credential.", code].concat());
        denied(Finding::unavailable(rule, why), self.judgement.digest)
    }

    fn nothing_handed(&self) -> Denial {
        let (why, hint) = match &self.judgement.handover {
            Some(handover) => (
                format!(
                    "`{}` is handed over only where people agreed to the call",
                    handover.name
                ),
                "write hand = \"always\" in credentials.toml, or let a policy ask people about the call",
            ),
            None => (
                "the call is handed no credential".to_owned(),
                "name its tool in credentials.toml of the policy folder",
            ),
        };
        let rule = RuleId::known(Layer::Store, "credential.none");
        denied(Finding::deny(rule, why, hint), self.judgement.digest)
    }
}

fn denied(finding: Finding, digest: Option<crate::call::CallDigest>) -> Denial {
    let ruling = Ruling::combine(Findings {
        lock: vec![finding],
        ..Findings::default()
    });
    Denial::from_ruling(&ruling, digest).unwrap_or_else(super::check::wrong_permit)
}

/// Looks whether the grant is still there.
pub(super) struct Watch {
    gate: Gate,
    grant: Option<GrantId>,
}

impl Watch {
    /// Ready when the grant is revoked. A store that does not answer says nothing: its silence stops the call by the
    /// locks that nobody knows of then, and the credential ends by itself.
    pub(super) async fn revoked(self) -> Finding {
        let Some(grant) = self.grant else {
            return std::future::pending().await;
        };
        loop {
            let why = match within(&self.gate, self.gate.inner.store.grant(grant)).await {
                Ok(Some(Grant {
                    revoked: Some(revoked), ..
                })) => Some(format!("what people agreed to was revoked by {}", revoked.by)),
                Ok(Some(_)) | Err(_) => None,
                // Stores forget grants that are over, and that ends nothing.
                Ok(None) => return std::future::pending().await,
            };
            if let Some(why) = why {
                let rule = RuleId::known(Layer::Store, "grant.revoked");
                return Finding::deny(rule, why, "ask again, or do something else");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A credential that is out. Dropped, it is taken back: the body broke, or nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Out {
    gate: Gate,
    /// Taken when it is taken back.
    broker: Option<Arc<dyn CredentialBroker>>,
    id: CredentialId,
    call: OpId,
    expires_at: Timestamp,
}

impl Out {
    /// Takes it back, and records that.
    pub(super) async fn take_back(mut self, why: &'static str) {
        if let Some(task) = self.begin(why) {
            // It goes on also where this is dropped, and nothing hangs on what it says.
            let _ = task.await;
        }
    }

    fn begin(&mut self, why: &'static str) -> Option<JoinHandle<()>> {
        let broker = self.broker.take()?;
        let (gate, id, call, expires_at) = (self.gate.clone(), self.id, self.call, self.expires_at);
        Some(self.gate.inner.runtime.spawn(async move {
            let most = gate.inner.broker_time;
            // In a task of its own, so that the record is written also where the broker panics.
            let mut task = tokio::spawn(async move { broker.revoke(id).await });
            let (taken, failed) = match tokio::time::timeout(most, &mut task).await {
                Ok(Ok(Ok(taken))) => (taken, None),
                Ok(Ok(Err(error))) => (TakenBack::Lives, Some(shown(&error.to_string()))),
                Ok(Err(_)) => (TakenBack::Lives, Some("the broker broke".to_owned())),
                Err(_) => {
                    task.abort();
                    (TakenBack::Lives, Some("the broker gave no answer".to_owned()))
                }
            };
            let lives = taken == TakenBack::Lives && Gate::now() < expires_at;
            let record = CredentialRevoked {
                id,
                call,
                why,
                residual_until: lives.then_some(expires_at),
                failed: failed.as_deref(),
            };
            // The credential is over or taken back, whether that can be written or not.
            let _ = gate.inner.audit.append_synced(Event::CredentialRevoked(record));
        }))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        drop(self.begin("the call was ended before its time"));
    }
}
