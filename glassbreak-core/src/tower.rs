//! A tower layer: a service whose requests can be turned into calls runs behind a gate.
//!
//! [`GuardLayer`] makes a [tool call](crate::gate::PendingTool) of each request, has it judged, and calls the service
//! inside the permit. Two things the host may say besides: [what a refusal becomes](GuardLayer::refusing), for services
//! that have no error to give (in axum an error cannot happen, and a refusal is a response), and [how an answer
//! counts](GuardLayer::outcome), for services whose failures are answers too (a status of 500).
//!
//! ```
//! use glassbreak_core::call::{Arguments, Malformed, Word};
//! use glassbreak_core::gate::{Gate, PendingTool, Session};
//! use glassbreak_core::tower::GuardLayer;
//!
//! struct Refund {
//!     session: Session,
//!     order: u64,
//! }
//!
//! fn call_of(request: &Refund) -> Result<PendingTool, Malformed> {
//!     let arguments = Arguments::new().with("order", &request.order).finish()?;
//!     let name = Word::new("refund").map_err(|bad| Malformed::new("tool.unknown", "", bad.to_string(), bad.help()))?;
//!     Ok(request.session.tool(name, arguments))
//! }
//!
//! fn layer(gate: &Gate) -> GuardLayer<impl Fn(&Refund) -> Result<PendingTool, Malformed> + Clone> {
//!     GuardLayer::new(gate, call_of)
//! }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::audit::Performed;
use crate::call::Malformed;
use crate::gate::{Denied, Gate, PendingTool, ToolPlan};

/// Puts services behind a gate.
#[derive(Debug, Clone)]
pub struct GuardLayer<C, R = AsError, O = ByResult> {
    gate: Gate,
    call: C,
    refuse: R,
    outcome: O,
}

impl<C> GuardLayer<C> {
    /// Services behind `gate`, where `call` makes the call of a request. A request that is no call is refused as what
    /// `call` says it is, and recorded; so is a call of a session of another gate.
    pub fn new(gate: &Gate, call: C) -> Self {
        Self {
            gate: gate.clone(),
            call,
            refuse: AsError,
            outcome: ByResult,
        }
    }
}

impl<C, R, O> GuardLayer<C, R, O> {
    /// What a refusal becomes: a function from [`Denied`] to what the service gives. Without it, the service's error by
    /// `From<Denied>`.
    pub fn refusing<N>(self, refuse: N) -> GuardLayer<C, N, O> {
        GuardLayer {
            gate: self.gate,
            call: self.call,
            refuse,
            outcome: self.outcome,
        }
    }

    /// How what the service gives counts: a function from it to [`Performed`]. Without it `Ok` is done, `Err` failed.
    pub fn outcome<N>(self, outcome: N) -> GuardLayer<C, R, N> {
        GuardLayer {
            gate: self.gate,
            call: self.call,
            refuse: self.refuse,
            outcome,
        }
    }
}

impl<S, C: Clone, R: Clone, O: Clone> Layer<S> for GuardLayer<C, R, O> {
    type Service = GuardedService<S, C, R, O>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardedService {
            inner,
            guard: self.clone(),
        }
    }
}

/// A service behind a gate.
#[derive(Debug, Clone)]
pub struct GuardedService<S, C, R = AsError, O = ByResult> {
    inner: S,
    guard: GuardLayer<C, R, O>,
}

/// What a refusal becomes.
pub trait Refuse<T, E> {
    /// What the service gives in place of its answer.
    ///
    /// # Errors
    /// As the host wants refusals.
    fn refuse(&self, denied: Denied) -> Result<T, E>;
}

/// A refusal is an error of the service.
#[derive(Debug, Clone, Copy)]
pub struct AsError;

impl<T, E: From<Denied>> Refuse<T, E> for AsError {
    fn refuse(&self, denied: Denied) -> Result<T, E> {
        Err(E::from(denied))
    }
}

impl<T, E, F: Fn(Denied) -> Result<T, E>> Refuse<T, E> for F {
    fn refuse(&self, denied: Denied) -> Result<T, E> {
        self(denied)
    }
}

/// How what a service gives counts.
pub trait Outcome<T, E> {
    /// Whether the call was done, failed, or is proven not to have run.
    fn outcome(&self, result: &Result<T, E>) -> Performed;
}

/// `Ok` is done, `Err` is failed.
#[derive(Debug, Clone, Copy)]
pub struct ByResult;

impl<T, E> Outcome<T, E> for ByResult {
    fn outcome(&self, result: &Result<T, E>) -> Performed {
        match result {
            Ok(_) => Performed::Done,
            Err(_) => Performed::Failed,
        }
    }
}

impl<T, E, F: Fn(&Result<T, E>) -> Performed> Outcome<T, E> for F {
    fn outcome(&self, result: &Result<T, E>) -> Performed {
        self(result)
    }
}

/// The call, if it is of a session of this gate: another one may judge by other policies, or none that anyone meant.
fn of_this_gate(gate: &Gate, call: PendingTool) -> Result<PendingTool, Malformed> {
    if call.is_of(gate) {
        return Ok(call);
    }
    let help = "make it by a session of the gate that the layer was given";
    Err(Malformed::new(
        "tool.session",
        "",
        "the call is of a session of another gate",
        help,
    ))
}

impl<S, Q, C, R, O> Service<Q> for GuardedService<S, C, R, O>
where
    S: Service<Q> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    Q: Send + 'static,
    C: Fn(&Q) -> Result<PendingTool, Malformed>,
    R: Refuse<S::Response, S::Error> + Clone + Send + 'static,
    O: Outcome<S::Response, S::Error> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        // The one that is ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let GuardLayer {
            gate, refuse, outcome, ..
        } = &self.guard;
        let (gate, refuse, outcome) = (gate.clone(), refuse.clone(), outcome.clone());
        let call = (self.guard.call)(&request).and_then(|call| of_this_gate(&gate, call));
        Box::pin(async move {
            let permit = match call {
                Ok(call) => call.authorize().await,
                Err(malformed) => Err(gate.refuse_malformed(&malformed)),
            };
            let permit = match permit {
                Ok(permit) => permit,
                Err(denial) => return refuse.refuse(Denied(denial)),
            };
            // What the service gives is an answer to the permit, whatever it is: only a lock is an error of it.
            let outcome = move |result: &Result<Result<S::Response, S::Error>, Denied>| match result {
                Ok(answer) => outcome.outcome(answer),
                Err(_) => Performed::Failed,
            };
            let body = async move |_: &ToolPlan| Ok(inner.call(request).await);
            match permit.run_as(outcome, body).await {
                Ok(answer) => answer,
                Err(denied) => refuse.refuse(denied),
            }
        })
    }
}
