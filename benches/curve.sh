#!/usr/bin/env bash
# Counts the instructions that judging hostile words takes for each byte, at three lengths up to the most that a call may
# have, and fails when a byte of a long call costs over 1.3 times one of a call a quarter as long. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --locked --release -p glassbreak-benches --bin curve
out=$(mktemp)
trap 'rm -f "$out"' EXIT
count() { # kind, bytes, shape, times
  valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/curve "$@" 2>"$out" || { cat "$out" >&2; exit 1; }
  sed -n 's/.*Collected : //p' "$out"
}
bad=0
printf '%-10s %-5s %9s %9s %9s   instructions for each byte\n' '' '' 3,968 15,872 62,992
for shape in many one; do
  for kind in $(target/release/curve); do
    each=()
    for bytes in 3968 15872 62992; do
      none=$(count "$kind" "$bytes" "$shape" 0)
      one=$(count "$kind" "$bytes" "$shape" 1)
      each+=($(((one - none) / bytes)))
    done
    printf '%-10s %-5s %9d %9d %9d\n' "$kind" "$shape" "${each[@]}"
    # Over 256 operands `cat` looks through its words twice.
    most=13
    [[ $kind-$shape == paths-many ]] && most=26
    ((each[2] * 10 <= each[1] * most + 10)) || { echo "not linear: $kind, $shape" >&2; bad=1; }
  done
done
exit $bad
