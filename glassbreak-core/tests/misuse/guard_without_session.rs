use glassbreak_core::gate::Denied;
use glassbreak_core::guard;

#[guard(tool = "restart")]
async fn restart(name: &str) -> Result<(), Denied> {
    Ok(())
}

fn main() {}
