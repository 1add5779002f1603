use glassbreak_core::gate::{ExecCall, Permit};

fn forged() -> Permit<ExecCall> {
    Permit { kind: std::marker::PhantomData }
}

fn main() {}
