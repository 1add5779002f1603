#!/usr/bin/env bash
# How long a host compiles: a crate that uses glassbreak-core with #[guard] beside one that uses cedar-policy alone, each
# cold, in turns, with the versions of this repository's Cargo.lock. Fails when the median ratio is over the limit.
# Only on a machine that does nothing else: times are what is measured. Usage: benches/compile.sh [ROUNDS] (3)
set -euo pipefail
cd "$(dirname "$0")/.."
readonly LIMIT=1.25
rounds=${1:-3} # an odd number, for the median
here=$PWD place=$PWD/target/compile
cedar=$(sed -n 's/^cedar-policy = { version = "\([^"]*\)".*/\1/p' Cargo.toml)
rm -rf "$place"

# crate NAME DEPENDENCY: a crate of its own with one dependency; the program comes from standard input.
crate() {
  mkdir -p "$place/$1/src"
  cp Cargo.lock "$place/$1/"
  cat >"$place/$1/src/main.rs"
  printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n%s\n\n[workspace]\n' "$1" "$2" \
    >"$place/$1/Cargo.toml"
}

crate host "glassbreak-core = { path = \"$here/glassbreak-core\" }" <<'RUST'
use glassbreak_core::gate::{Denied, Session};
use glassbreak_core::guard;

#[guard(tool = "restart_service")]
pub async fn restart_service(session: &Session, name: &str) -> Result<usize, Denied> {
    Ok(name.len())
}

fn main() {
    println!("{}", glassbreak_core::guarded::tools().len());
}
RUST
crate alone "cedar-policy = \"$cedar\"" <<'RUST'
use cedar_policy::{Authorizer, Context, Entities, PolicySet, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies: PolicySet = "permit (principal, action, resource);".parse()?;
    let uid = |text: &str| text.parse();
    let request = Request::new(uid("A::\"a\"")?, uid("Action::\"b\"")?, uid("C::\"c\"")?, Context::empty(), None)?;
    println!("{:?}", Authorizer::new().is_authorized(&request, &policies, &Entities::empty()).decision());
    Ok(())
}
RUST

# trees NAME: how many crates are compiled for it, itself left out.
trees() {
  (cd "$place/$1" && cargo tree --offline --edges normal,build --prefix none | sed 's/ (\*)$//' | sort -u | tail -n +2 | wc -l)
}

# Nothing is fetched while the clock runs.
for name in host alone; do
  (cd "$place/$name" && cargo fetch --quiet)
done
printf 'crates: %s for the host, %s for cedar-policy alone\n' "$(trees host)" "$(trees alone)"

# cold NAME: seconds of a build without anything there, and seconds of processors. Without increments, as a dependency from
# a registry is built.
cold() {
  rm -rf "$place/target"
  local TIMEFORMAT='%R %U %S' took
  took=$({ time build "$1" >/dev/null 2>&3; } 2>&1) || return 1
  awk '{ print $1, $2 + $3 }' <<<"$took"
}

build() {
  cd "$place/$1" && CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$place/target cargo build --quiet --offline
}
exec 3>&2

ratios=()
for ((round = 1; round <= rounds; round++)); do
  # The other one first in every other round.
  if ((round % 2)); then
    host=$(cold host)
    alone=$(cold alone)
  else
    alone=$(cold alone)
    host=$(cold host)
  fi
  # Of processors too: that hardly depends on what else runs.
  read -r wall <<<"$(echo "$host $alone" | awk '{ printf "%.3f", $1 / $3 }')"
  ratios+=("$wall")
  echo "$round $host $alone" | awk '{ printf "round %d: host %.1f s, cedar-policy alone %.1f s, ratio %.3f; of processors %.1f s, %.1f s, %.3f\n",
    $1, $2, $4, $2 / $4, $3, $5, $3 / $5 }'
done
rm -rf "$place"
median=$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p")
echo "median ratio $median, limit $LIMIT"
awk -v m="$median" -v l="$LIMIT" 'BEGIN { exit !(m <= l) }'
