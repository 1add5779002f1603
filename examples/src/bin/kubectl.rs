//! **NOT KUBECTL.** A stand-in for the examples: see `glassbreak_examples::kubectl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    glassbreak_examples::kubectl::main()
}
