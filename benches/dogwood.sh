#!/usr/bin/env bash
# Sequence rules beside Dogwood's: whether the verdicts agree wherever both can say a rule, and what each takes. Two
# programs, because Dogwood stands on an earlier Cedar and one build cannot hold both.
#
#   benches/dogwood.sh            the corpus, 600 random policies, and times
#   benches/dogwood.sh corpus     only that; so also: random [how many], times
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --release --locked --manifest-path benches/dogwood/Cargo.toml
cargo build --quiet --release --locked -p glassbreak-replay --bin against-dogwood
theirs() { benches/dogwood/target/release/glassbreak-dogwood "$@"; }
ours() { "${CARGO_TARGET_DIR:-target}/release/against-dogwood"; }

case ${1:-all} in
  corpus) theirs corpus | ours ;;
  random) theirs random "${2:-600}" | ours ;;
  times) theirs times | ours ;;
  all) theirs corpus | ours; theirs random 600 | ours; theirs times | ours ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
