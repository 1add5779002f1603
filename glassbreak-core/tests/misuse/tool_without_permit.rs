use glassbreak_core::gate::{Denied, Permit, ToolCall};

async fn restart(permit: Permit<ToolCall>, name: &str) -> Result<(), Denied> {
    permit.run(async |_| Ok(println!("{name}"))).await
}

async fn agent() {
    let _ = restart("web").await;
}

fn main() {}
