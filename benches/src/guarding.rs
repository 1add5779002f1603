//! One function behind `#[guard]`, and the same written by hand: what the macro adds.

use std::hint::black_box;

use glassbreak_core::call::{Arguments, Malformed, Word};
use glassbreak_core::finding::Denial;
use glassbreak_core::gate::{Denied, PendingTool, Session};
use glassbreak_core::guard;

use crate::calling::{Calling, now};

/// A note of a few words.
const TEXT: &str = "pods of team-a-web are fine";

#[guard(tool = "note")]
async fn guarded(session: &Session, text: &str) -> Result<usize, Denied> {
    Ok(black_box(text).len())
}

/// As somebody writes it who has read the gate's page: a wrong name and wrong arguments are refused and recorded, too.
async fn by_hand(session: &Session, text: &str) -> Result<usize, Denied> {
    match call(session, text) {
        Ok(call) => {
            let permit = call.authorize().await?;
            permit.run(async |_| Ok(black_box(text).len())).await
        }
        Err(malformed) => Err(Denied(session.gate().refuse_malformed(&malformed))),
    }
}

fn call(session: &Session, text: &str) -> Result<PendingTool, Malformed> {
    let name = Word::new("note").map_err(|bad| Malformed::new("tool.unknown", "", bad.to_string(), bad.help()))?;
    Ok(session.tool(name, Arguments::new().with("text", &text).finish()?))
}

/// A session of a tool that both functions are.
#[derive(Debug)]
pub struct Guarding(&'static Calling);

impl Guarding {
    /// That of [`Calling::tool`], kept for good.
    pub fn new() -> Self {
        Self(Calling::tool().kept())
    }

    /// The guarded function, called and polled once.
    ///
    /// # Errors
    /// When it is refused, which is none of what is measured.
    pub fn guarded(&self) -> Result<usize, Denial> {
        self.0
            .entered(|session| now(guarded(session, black_box(TEXT))))
            .map_err(|denied| denied.0)
    }

    /// The one by hand, in the same way.
    ///
    /// # Errors
    /// When it is refused.
    pub fn by_hand(&self) -> Result<usize, Denial> {
        self.0
            .entered(|session| now(by_hand(session, black_box(TEXT))))
            .map_err(|denied| denied.0)
    }
}

impl Default for Guarding {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_run_the_body() {
        let guarding = Guarding::new();
        assert_eq!(guarding.guarded(), Ok(TEXT.len()));
        assert_eq!(guarding.by_hand(), Ok(TEXT.len()));
    }
}
