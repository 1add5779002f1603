#!/usr/bin/env bash
# Counts the instructions of judging and fails when they are over the limit (see examples/gate.rs); reports what a whole
# call through the gate costs. Needs valgrind and gungraun-runner of the version that
# Cargo.lock names for gungraun, on PATH or beneath target/tools/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/target/tools/bin:$PATH
counts=target/instructions.json
mkdir -p target
cargo bench --quiet --locked -p glassbreak-benches --bench instructions -- --output-format=json >"$counts"
# As the bench was built, so that nothing is compiled a second time.
cargo run --quiet --locked --profile bench -p glassbreak-benches --example gate <"$counts"
