use glassbreak_core::gate::{ExecCall, Permit};

async fn twice(permit: Permit<ExecCall>) {
    let _ = permit.exec().await;
    let _ = permit.exec().await;
}

fn main() {}
