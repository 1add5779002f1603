use glassbreak_core::gate::{Permit, ToolCall};

async fn program(permit: Permit<ToolCall>) {
    let _ = permit.exec().await;
}

fn main() {}
