//! The two traits that stand at a tool call: [`Guard`], which hosts hold, and [`Check`], which hosts may add.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::facts::Case;
use crate::finding::{Denial, Finding};
use crate::gate::{AnyPermit, SessionCall, Verdict};

/// Judges calls, and gives the right to perform them.
///
/// Hosts call it, wrappers may implement it around another to tighten it; only [`Gate`](crate::gate::Gate) can make a
/// permit, so no implementation can allow what a gate did not.
///
/// Both methods are infallible: a breakdown is a denial of kind
/// [`Unavailable`](crate::finding::DenialKind::Unavailable). A future that is dropped before it is ready leaves
/// nothing behind that could allow a call.
#[async_trait]
pub trait Guard: Debug + Send + Sync + 'static {
    /// Judges one call. Ready on the first poll where no store need be asked and no host check has to wait.
    async fn check(&self, call: SessionCall) -> Verdict;

    /// Judges one call and, where people must agree, asks them and waits, at most until the deadline. Dropped meanwhile,
    /// the question stays open.
    async fn authorize(&self, call: SessionCall) -> Result<AnyPermit, Denial>;
}

/// A host's own judge.
///
/// It sees the judged call and its facts. It can object, never permit: a clear finding leaves the others as they are.
/// A panic in it, and no answer within the gate's time limit, are denials.
#[async_trait]
pub trait Check: Debug + Send + Sync + 'static {
    /// The check's name: letters, digits, `_` and `-`. Rule ids of its breakdowns are `host.<name>.<code>`.
    fn name(&self) -> &str;

    /// What it says of a call.
    async fn inspect(&self, case: Case<'_>) -> Finding;
}
