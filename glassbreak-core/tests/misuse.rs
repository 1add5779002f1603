//! Misuse does not compile, and says why in words of the one who wrote it. The expected words are those of the
//! toolchain that CI uses; after an upgrade, look at the difference and run with `TRYBUILD=overwrite`.
#![cfg(all(target_os = "linux", feature = "macros"))]

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/misuse/*.rs");
}
