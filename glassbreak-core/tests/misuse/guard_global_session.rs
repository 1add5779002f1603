use std::sync::OnceLock;

use glassbreak_core::gate::{Denied, Session};
use glassbreak_core::guard;

static SESSION: OnceLock<Session> = OnceLock::new();

#[guard(tool = "count", session = SESSION.get().unwrap())]
async fn count(of: u32) -> Result<u32, Denied> {
    Ok(of)
}

fn main() {}
