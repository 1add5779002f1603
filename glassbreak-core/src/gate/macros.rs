//! What `#[guard]` expands to. Not part of the public interface.

use serde::Serialize;

use super::permit::ToolPlan;
use super::{Denied, Session};

use crate::call::{Args, Malformed, Word, wire};

/// One argument as JSON, or why it cannot be one.
pub fn argument(value: &(impl Serialize + ?Sized)) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

/// The arguments of a call by name. One that is null is left out: it is an `Option` that is `None`.
pub fn arguments<const N: usize>(named: [(&str, Result<serde_json::Value, String>); N]) -> Result<Args, Malformed> {
    let mut object = serde_json::Map::new();
    for (name, value) in named {
        let value = value.map_err(|why| {
            Malformed::new(
                "tool.argument",
                name,
                format!("it cannot be written as JSON: {why}"),
                "give it another type",
            )
        })?;
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    }
    wire::arguments(&serde_json::Value::Object(object))
}

/// Judges the call and runs the body inside its permit.
pub async fn run<T, E: From<Denied>>(
    session: &Session,
    tool: &str,
    arguments: Result<Args, Malformed>,
    body: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let named = Word::new(tool).map_err(|bad| Malformed::new("tool.unknown", "", bad.to_string(), bad.help()));
    let denied = |malformed: &Malformed| match super::check::malformed(session, malformed) {
        super::Verdict::Deny(denial) => denial,
        _ => super::check::wrong_permit(),
    };
    let permit = match named.and_then(|name| Ok((name, arguments?))) {
        Ok((name, arguments)) => session.tool(name, arguments).authorize().await,
        Err(malformed) => Err(denied(&malformed)),
    };
    match permit {
        Ok(permit) => permit.run(async move |_: &ToolPlan| body().await).await,
        Err(denial) => Err(E::from(Denied(denial))),
    }
}
