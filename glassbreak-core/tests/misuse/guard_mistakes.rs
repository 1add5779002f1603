use glassbreak_core::guard;

#[guard(tol = "restart")]
fn restart(name: &str, #[guard(skp)] client: &str) {}

fn main() {}
