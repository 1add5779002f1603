//! The story of an agent and people who come with tokens.

use std::process::Command;

#[test]
fn who_signs_in_is_who_they_are_and_what_they_agree_to_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_jwt_identity")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8_lossy(&output.stdout);
    for line in [
        "deployer deploys-7, for kim",
        "one whose end was changed: the token's signature does not hold",
        "a person's token in its place: the token is of type `JWT`, and at+jwt is wanted",
        "its own, five minutes later: the token ended at",
        "hands over  deploys: for 2m at most, and only once people agreed",
        "kim: kim may not answer this: the agent acts for them",
        "eve: no person in people.toml has the account sso:id-of-eve",
        "dana: dana agrees, as sso:email:dana@example.com: approved",
        "deploy is in place, for deployer/deploys-7 by a grant",
        "it lives for two minutes at most: true",
        "a copy of it, after that: the token ended at",
        "the same at another service: the issuer has no key",
        "handed     deploys (jwt) for",
        "verified: intact",
    ] {
        assert!(told.contains(line), "{line}\n\n{told}");
    }
    assert!(!told.contains("TAKEN"), "{told}");
}
