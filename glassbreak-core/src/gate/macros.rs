//! What `#[guard]` expands to. Not part of the public interface.

use super::permit::{Permit, ToolCall, ToolPlan};
use super::session::PendingTool;
use super::{Denied, Session};
use crate::audit::Performed;
use crate::call::{Args, Arguments, Malformed, Word};
use crate::finding::Denial;

/// A result that can also say that the guard refused.
#[diagnostic::on_unimplemented(
    message = "a guarded function may be refused, and `{Self}` cannot say so",
    label = "let it be a Result whose error is From<glassbreak_core::gate::Denied>"
)]
pub trait Refusable {}

impl<T, E: From<Denied>> Refusable for Result<T, E> {}

/// Fails to compile, in words, for a function whose result cannot hold a refusal.
pub const fn can_be_refused<R: Refusable>() {}

/// What a result counts as where nobody says otherwise.
pub fn by_result<T, E>(result: &Result<T, E>) -> Performed {
    match result {
        Ok(_) => Performed::Done,
        Err(_) => Performed::Failed,
    }
}

/// A call of a guarded function, not judged yet.
#[derive(Debug)]
pub struct Guarded(Result<PendingTool, Denial>);

/// The call of a guarded function. Arguments that cannot be any are refused here, and recorded.
pub fn call(session: &Session, tool: &str, arguments: Arguments) -> Guarded {
    let word = |tool| Word::new(tool).map_err(|bad| Malformed::new("tool.unknown", "", bad.to_string(), bad.help()));
    let made = |tool| -> Result<(Word, Args), Malformed> { Ok((word(tool)?, arguments.finish()?)) };
    Guarded(match made(tool) {
        Ok((name, arguments)) => Ok(session.tool(name, arguments)),
        Err(malformed) => Err(session.gate().refuse_malformed(&malformed)),
    })
}

/// Judges the call and runs the body inside its permit.
pub async fn run<T, E: From<Denied>>(
    call: Guarded,
    outcome: impl FnOnce(&Result<T, E>) -> Performed,
    body: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let permit: Result<Permit<ToolCall>, Denial> = match call.0 {
        Ok(call) => call.authorize().await,
        Err(denial) => Err(denial),
    };
    match permit {
        Ok(permit) => permit.run_as(outcome, async move |_: &ToolPlan| body().await).await,
        Err(denial) => Err(E::from(Denied(denial))),
    }
}

/// The same for functions that are not async.
pub fn run_now<T, E: From<Denied>>(
    call: Guarded,
    outcome: impl FnOnce(&Result<T, E>) -> Performed,
    body: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    match call.0.and_then(PendingTool::authorize_now) {
        Ok(permit) => permit.run_now(outcome, |_: &ToolPlan| body()),
        Err(denial) => Err(E::from(Denied(denial))),
    }
}
