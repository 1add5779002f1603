//! The story of a policy that only looks on.

use std::process::Command;

#[test]
fn it_refuses_nothing_and_says_what_it_would_have_done() {
    let output = Command::new(env!("CARGO_BIN_EXE_shadow_mode")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    for line in [
        "ask   21m  refund          budget.refunds: 3 of 2 in 1h",
        "deny  50m  erase_customer  policy.no-erasing: erasing customers is for people",
        "9 calls ran. Of these the policy",
        "would allow  5",
        "would ask    2",
        "would deny   2",
        "21m  refund          budget.refunds: OBSERVED, NOT ENFORCED, would ask",
        "6 calls ran, 1 of them only because the rule is observed",
    ] {
        assert!(told.contains(line), "{line}\n\n{told}");
    }
}
