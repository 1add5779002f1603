//! The story of what an agent remembers of what people opened.

use std::process::Command;

#[test]
fn the_memory_is_built_anew_of_what_was_done_when_the_glass_closes() {
    let output = Command::new(env!("CARGO_BIN_EXE_after_glass")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    for line in [
        "  refund 1003: nothing",
        "  A grant is revoked by dana. Under it:",
        "  - refund {\"cents\":7500,\"order\":1002}: done",
        "  - refund {\"cents\":8000,\"order\":1003}: failed",
        "  the index has 2 notes and ",
        "  refund 1003: - refund {\"cents\":8000,\"order\":1003}: failed",
    ] {
        assert!(told.contains(line), "{line}\n\n{told}");
    }
}
