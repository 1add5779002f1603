//! A service behind the layer.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use glassbreak_core::audit::Performed;
use glassbreak_core::call::{Arguments, Malformed};
use glassbreak_core::gate::{Denied, PendingTool, Session};
use glassbreak_core::tower::GuardLayer;
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{House, rules, word};

struct Deploy {
    session: Session,
    env: &'static str,
}

fn call_of(request: &Deploy) -> Result<PendingTool, Malformed> {
    if request.env.is_empty() {
        return Err(Malformed::new("deploy.env", "env", "it is empty", "name one"));
    }
    let arguments = Arguments::new()
        .with("service", "web")
        .with("env", request.env)
        .finish()?;
    Ok(request.session.tool(word("deploy"), arguments))
}

/// Answers with a status, as services over HTTP do.
#[derive(Clone, Default)]
struct Web {
    calls: Arc<AtomicU32>,
    status: u16,
}

impl Service<Deploy> for Web {
    type Response = u16;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<u16, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Deploy) -> Self::Future {
        let (calls, status) = (Arc::clone(&self.calls), self.status);
        Box::pin(async move {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(status)
        })
    }
}

fn refused(denied: Denied) -> Result<u16, Infallible> {
    let Denied(denial) = denied;
    assert!(!denial.rules().is_empty());
    Ok(403)
}

fn by_status(result: &Result<u16, Infallible>) -> Performed {
    match result {
        Ok(503) => Performed::NotRun,
        Ok(status) if *status < 400 => Performed::Done,
        _ => Performed::Failed,
    }
}

async fn ask<S: Service<Deploy>>(
    service: &mut S,
    session: &Session,
    env: &'static str,
) -> Result<S::Response, S::Error> {
    poll_fn(|context| service.poll_ready(context)).await?;
    let session = session.clone();
    service.call(Deploy { session, env }).await
}

#[tokio::test]
async fn a_service_runs_inside_the_permit_and_a_refusal_is_what_the_host_makes_of_it() {
    let house = House::new().await;
    let session = house.session("s");
    let web = Web {
        status: 200,
        ..Web::default()
    };
    let layer = GuardLayer::new(&house.gate, call_of)
        .refusing(refused)
        .outcome(by_status);
    let mut service = layer.layer(web.clone());
    assert_eq!(ask(&mut service, &session, "moon").await, Ok(403));
    assert_eq!(ask(&mut service, &session, "").await, Ok(403));
    assert_eq!(web.calls.load(Ordering::Relaxed), 0);
    assert_eq!(house.records(), ["call.refused", "call.refused"]);

    let waiting = tokio::spawn({
        let (mut service, session) = (service.clone(), session.clone());
        async move { ask(&mut service, &session, "staging").await }
    });
    let request = house.asked().await;
    house.once("sso:bob", &request).await;
    assert_eq!(waiting.await.unwrap(), Ok(200));
    assert_eq!(web.calls.load(Ordering::Relaxed), 1);
}

/// A service whose own error can say no.
#[derive(Clone)]
struct Plain;

impl Service<Deploy> for Plain {
    type Response = ();
    type Error = Denied;
    type Future = std::future::Ready<Result<(), Denied>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Deploy) -> Self::Future {
        panic!("must not run")
    }
}

#[tokio::test]
async fn without_more_a_refusal_is_an_error_and_making_the_future_asks_nobody() {
    let house = House::new().await;
    let session = house.session("s");
    let mut service = GuardLayer::new(&house.gate, call_of).layer(Plain);
    let denied = ask(&mut service, &session, "moon").await.unwrap_err();
    assert_eq!(rules(denied.denial()), ["policy.never"]);
    drop(service.call(Deploy { session, env: "moon" }));
    assert_eq!(house.records(), ["call.refused"]);
}

#[tokio::test]
async fn a_call_of_another_gates_session_is_refused() {
    let (house, other) = (House::new().await, House::new().await);
    let session = other.session("s");
    let web = Web {
        status: 200,
        ..Web::default()
    };
    let mut service = GuardLayer::new(&house.gate, call_of)
        .refusing(refused)
        .layer(web.clone());
    let waiting = tokio::spawn(async move { ask(&mut service, &session, "staging").await });
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
    assert_eq!(answer.unwrap().unwrap(), Ok(403));
    assert_eq!(web.calls.load(Ordering::Relaxed), 0);
    assert_eq!((house.records().len(), other.records().len()), (1, 0));
}
