#!/usr/bin/env bash
# Everything that must hold before a change goes in, and what CI runs. Each step is announced and timed; what cannot
# run on this machine is listed at the end as NOT RUN, and nothing passes silently.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

usage() {
  cat <<'HELP'
./test.sh [--fast] [--help]

Runs all checks: format, clippy, docs, tests, doctests, the examples, the policy folders, licences, benches, the
instruction gate and ten seconds of each fuzz target. The first run installs what is missing (cargo tools beneath
target/tools; valgrind and g++ through apt-get where that is allowed); on two cores it takes well under 40 minutes,
later ones a few.

  --fast   without cargo-deny, the instruction gate and fuzzing

Exit status: 0 when every step that ran passed, 1 otherwise. Steps that could not run are listed as NOT RUN.
HELP
}

fast=
for argument in "$@"; do
  case $argument in
    --fast) fast=1 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

readonly NEXTEST=0.9.143 DENY=0.20.2 CARGO_FUZZ=0.13.2
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_INCREMENTAL=0
tools=$PWD/target/tools
export PATH=$tools/bin:$HOME/.cargo/bin:$PATH
mkdir -p "$tools"

passed=() failed=() not_run=()
begun=$SECONDS

# step NAME COMMAND...: runs it, says how long it took, and goes on whatever it did.
step() {
  local name=$1 at=$SECONDS
  shift
  printf '\n==> %s\n' "$name"
  if "$@"; then
    passed+=("$(printf '%5ds  %s' $((SECONDS - at)) "$name")")
    return 0
  fi
  failed+=("$(printf '%5ds  %s' $((SECONDS - at)) "$name")")
  printf '==> FAILED: %s\n' "$name"
  return 1
}

not_run() {
  not_run+=("$1")
  printf '\n==> NOT RUN: %s\n' "$1"
}

# tool NAME VERSION COMMAND...: installs a cargo tool beneath target/tools unless COMMAND already prints that version.
tool() {
  local name=$1 version=$2
  shift 2
  if "$@" 2>/dev/null | grep -qF "$version"; then
    return 0
  fi
  # Not optimised: it compiles in half the time, and none of them does much work.
  CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$tools/build \
    step "install $name $version" cargo install --quiet --locked --debug --root "$tools" "$name" --version "$version"
}

# package COMMAND PACKAGE: makes sure of a program of the system; says no where it may not install.
package() {
  command -v "$1" >/dev/null && return 0
  command -v apt-get >/dev/null || return 1
  local as=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
    as=(sudo -n)
  fi
  printf '\n==> apt-get install %s\n' "$2"
  { "${as[@]}" apt-get -q update && DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get -qy install "$2"; } >/dev/null
  command -v "$1" >/dev/null
}

# Programs by name and not by package, and with all features as the tests are: one package alone would have other features
# of what it stands on, and all of that compiled a second time.
program() {
  local name=$1
  shift
  cargo run --quiet --locked --all-features --bin "$name" -- "$@"
}

glassbreak() {
  program glassbreak "$@"
}

fresh_folder() {
  local folder
  folder=$(mktemp -d -p "$PWD/target" fresh.XXXXXX) || return 1
  glassbreak new "$folder/policy" && glassbreak test --policy "$folder/policy"
}

documentation() {
  RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --locked --workspace --no-deps --all-features
}

# npm's oidc-provider, just what the lock file names, without running any script of a package. Where this works, so does
# what the tests do.
openid_provider() {
  local from=$PWD/glassbreak-identity/tests/openid to=$PWD/target/tmp/openid
  cmp -s "$from/package-lock.json" "$to/package-lock.json" && [ -d "$to/node_modules" ] && return 0
  rm -rf "$to" && mkdir -p "$to" && cp "$from"/package*.json "$to" &&
    (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
}

# Ten seconds of one target; new inputs go to a scratch folder, not to the committed seeds.
fuzz() {
  mkdir -p "fuzz/target/corpus/$1"
  cargo +nightly fuzz run "$1" "fuzz/target/corpus/$1" "fuzz/corpus/$1" -- \
    -max_total_time=10 -max_len=512 -timeout=20 -print_final_stats=1
}

step "format" cargo fmt --check
step "clippy" cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
step "documentation" documentation

without=()
if ! { package redis-server redis-server && package openssl openssl; }; then
  without=(-E 'not (package(glassbreak-redis) and kind(test))')
  not_run "the Redis store against a server: redis-server (Redis 7) or openssl is not here and cannot be installed"
fi
if tool cargo-nextest "$NEXTEST" cargo nextest --version; then
  step "tests" cargo nextest run --locked --workspace --all-features --no-fail-fast "${without[@]}"
else
  not_run "nextest could not be installed; cargo test ran instead"
  step "tests" cargo test --quiet --locked --workspace --all-features --lib --bins --tests --no-fail-fast
fi
step "doctests" cargo test --quiet --locked --doc --workspace --all-features
# 62,000 requests and what Cedar answered, from cedar-policy/cedar-integration-tests; the archive is not in this repository.
corpus=${GLASSBREAK_CEDAR_CORPUS:-$PWD/../shared/cases/cedar/corpus-tests.tar.gz}
if [ -n "$fast" ]; then
  :
elif [ -f "$corpus" ]; then
  GLASSBREAK_CEDAR_CORPUS=$corpus step "Cedar's own corpus" \
    cargo test --quiet --locked --workspace --all-features --lib corpus -- --ignored
else
  not_run "Cedar's own corpus: set GLASSBREAK_CEDAR_CORPUS to corpus-tests.tar.gz of cedar-policy/cedar-integration-tests"
fi
step "quickstart" program quickstart
step "afternoon" program afternoon
step "incident" program incident --approver script
step "guarded tools" program guarded_tools
step "shadow mode" program shadow_mode
step "after the glass" program after_glass
step "jwt identity" program jwt_identity
chromium=${GLASSBREAK_CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
chromium=${chromium:-$(find "$HOME/.cache/ms-playwright" -type f \( -name chrome -o -name headless_shell \) 2>/dev/null | sort | tail -n 1)}
if [ -n "$chromium" ]; then
  GLASSBREAK_CHROMIUM=$chromium step "the inbox in Chromium" \
    cargo test --quiet --locked --workspace --all-features --test axum_inbox_browser -- --ignored
else
  not_run "the inbox in Chromium: there is none on PATH, of Playwright's, or in GLASSBREAK_CHROMIUM"
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  not_run "a real OpenID provider: node or npm is not here"
elif ! openid_provider; then
  not_run "a real OpenID provider: npm cannot get oidc-provider from here"
else
  step "a real OpenID provider" \
    cargo test --quiet --locked --workspace --all-features --test openid_provider -- --ignored
fi
step "the ops policy" glassbreak test --policy examples/policies/ops
step "the incident policy" glassbreak test --policy examples/policies/incident
step "the tools policy" glassbreak test --policy examples/policies/tools
step "the inbox policy" glassbreak test --policy examples/policies/inbox
step "the identity policy" glassbreak test --policy examples/policies/identity
step "the replay policy" glassbreak test --policy benches/replay/agentdojo
step "a fresh policy folder" fresh_folder

if [ -n "$fast" ]; then
  not_run "licences and bans, advisories, instruction gate, fuzzing (--fast)"
else
  if tool cargo-deny "$DENY" cargo-deny --version; then
    step "licences, bans, sources" cargo deny --log-level error check bans licenses sources
    if timeout 120 cargo deny --log-level error fetch db; then
      step "advisories" cargo deny --log-level error check advisories
    else
      not_run "advisories: the database of cargo-deny cannot be reached from here"
    fi
  else
    not_run "cargo-deny could not be installed"
  fi

  # The runner must be of the very version that the benches link.
  gungraun=$(sed -n '/^name = "gungraun"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
  if ! package valgrind valgrind; then
    not_run "instruction gate: valgrind is not here and cannot be installed"
  elif ! tool gungraun-runner "$gungraun" cat "$tools/gungraun-runner.version"; then
    not_run "instruction gate: gungraun-runner could not be installed"
  else
    echo "$gungraun" >"$tools/gungraun-runner.version"
    step "instruction gate" benches/gate.sh
  fi

  if ! cargo +nightly --version >/dev/null 2>&1; then
    not_run "fuzzing: there is no nightly toolchain (rustup toolchain install nightly)"
  elif ! package c++ g++; then
    not_run "fuzzing: there is no C++ compiler and none can be installed"
  elif ! tool cargo-fuzz "$CARGO_FUZZ" cargo-fuzz --version; then
    not_run "fuzzing: cargo-fuzz could not be installed"
  else
    for target in argv_parse argv_forbidden_spellings profile_load bundle_load context_from_args findings_never_widen policy_decide_vs_cedar; do
      step "fuzz $target, 10 s" fuzz "$target"
    done
  fi
fi

printf '\n%s\n' "------------------------------------------------------------"
[ ${#passed[@]} = 0 ] || printf 'passed    %s\n' "${passed[@]}"
[ ${#failed[@]} = 0 ] || printf 'FAILED    %s\n' "${failed[@]}"
[ ${#not_run[@]} = 0 ] || printf 'NOT RUN: %s\n' "${not_run[@]}"
printf '%d passed, %d failed, %d not run, in %d min %d s\n' \
  ${#passed[@]} ${#failed[@]} ${#not_run[@]} $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60))
[ ${#failed[@]} = 0 ]
