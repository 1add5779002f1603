use glassbreak_core::gate::Session;
use glassbreak_core::guard;

#[guard(tool = "count")]
async fn count(session: &Session, of: u32) -> u32 {
    of
}

#[guard(tool = "count")]
fn count_now(session: &Session, of: u32) -> Result<u32, std::num::ParseIntError> {
    Ok(of)
}

fn main() {}
