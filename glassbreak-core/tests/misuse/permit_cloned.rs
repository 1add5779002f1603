use glassbreak_core::gate::{ExecCall, Permit};

fn twice(permit: Permit<ExecCall>) -> [Permit<ExecCall>; 2] {
    [permit.clone(), permit]
}

fn main() {}
