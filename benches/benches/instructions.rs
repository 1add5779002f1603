//! How many instructions judging takes, counted by callgrind. `gate.sh` holds the figures to their limit.
#![expect(missing_docs, unused_qualifications, reason = "what the macros write")]

use std::hint::black_box;

use cedar_policy::{PolicySet, Response};
use glassbreak_benches::{Asking, Calling, Counted, Counting, Guarding, Hundred, Judging, Made, SmallTask, Tried};
use glassbreak_core::argv::{Judged, Programs};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::CallDigest;
use glassbreak_core::error::Problems;
use glassbreak_core::exec::Pin;
use glassbreak_core::finding::{Denial, Finding};
use glassbreak_core::gate::AnyPermit;
use glassbreak_core::judge::Judgement;
use glassbreak_core::policy::Ready;
use glassbreak_core::store::Held;
use gungraun::Dhat;
use gungraun::prelude::*;
use sha2::{Digest, Sha256};

/// Kept for good: taking it apart is not what is measured.
fn kept<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

#[library_benchmark]
#[bench::small_task(kept(SmallTask::new()))]
fn yardstick(task: &SmallTask) -> Response {
    black_box(task.ask())
}

#[library_benchmark]
#[bench::one_permit(kept(Judging::one_permit()))]
#[bench::ops_policy(kept(Judging::ops()))]
fn whole_call(judging: &Judging) -> Judgement {
    black_box(judging.judge())
}

#[library_benchmark]
#[bench::eight_words(kept(Judging::one_permit()))]
#[bench::twelve_words(kept(Judging::twelve_words()))]
fn argv_alone(judging: &Judging) -> Judged {
    black_box(judging.argv())
}

#[library_benchmark]
#[bench::eight_words(kept(Judging::one_permit()))]
fn digest_alone(judging: &Judging) -> CallDigest {
    black_box(judging.digest())
}

#[library_benchmark]
#[bench::packs()]
fn load_packs() -> &'static mut Result<Programs, Problems> {
    kept(black_box(Programs::shipped()))
}

#[library_benchmark]
#[bench::bundle()]
fn load_bundle() -> &'static mut Result<Bundle, Problems> {
    kept(black_box(Bundle::read_only()))
}

#[library_benchmark]
#[bench::policies(kept(Hundred::new()))]
fn load_cedar(hundred: &Hundred) -> &'static mut PolicySet {
    kept(black_box(hundred.load()))
}

#[library_benchmark]
#[bench::among_1(kept(Asking::among(1)).ready())]
#[bench::among_1000(kept(Asking::among(1_000)).ready())]
#[bench::eight(kept(Asking::eight()).ready())]
fn policy_ready(ready: Ready<'static>) -> Ready<'static> {
    black_box(ready.decide());
    ready
}

#[library_benchmark]
#[bench::among_1(kept(Asking::among(1)))]
#[bench::among_1000(kept(Asking::among(1_000)))]
fn policy_decide(asking: &Asking) -> Vec<Finding> {
    black_box(asking.decide())
}

#[library_benchmark]
#[bench::eight(Box::leak(Box::new(kept(Asking::eight()).ready())).cedar_of_relevant())]
fn policy_cedar<A: Fn() -> usize>(ask: A) -> (A, usize) {
    let count = black_box(ask());
    (ask, count)
}

#[library_benchmark]
#[bench::tool(Calling::tool().made())]
#[bench::kubectl(Calling::kubectl().made())]
#[bench::kubectl_among(Calling::kubectl_among(1_000, 100, 400).made())]
fn gate_whole(made: Made) {
    black_box(made).whole();
}

#[library_benchmark]
#[bench::tool(Calling::tool().made())]
#[bench::kubectl(Calling::kubectl().made())]
fn gate_check(made: Made) -> AnyPermit {
    black_box(black_box(made).permit())
}

#[library_benchmark]
#[bench::tool(kept(Calling::tool().tried()))]
#[bench::kubectl(kept(Calling::kubectl().tried()))]
fn gate_judge(tried: &Tried) -> Judgement {
    black_box(tried.judge())
}

#[library_benchmark]
#[bench::tool(kept(Calling::tool().tried()))]
#[bench::kubectl(kept(Calling::kubectl().tried()))]
fn gate_permitted(tried: &Tried) {
    black_box(tried).record_permitted();
}

#[library_benchmark]
#[bench::tool(kept(Calling::tool().tried()))]
#[bench::kubectl(kept(Calling::kubectl().tried()))]
fn gate_run(tried: &mut Tried) {
    black_box(tried).run();
}

#[library_benchmark]
#[bench::tool(kept(Calling::tool().tried()))]
#[bench::kubectl(kept(Calling::kubectl().tried()))]
fn gate_finished(tried: &Tried) {
    black_box(tried).record_finished();
}

#[library_benchmark]
#[bench::kubectl(kept(Calling::kubectl().tried()))]
fn gate_file(tried: &Tried) -> Pin {
    black_box(tried.looked_at())
}

#[library_benchmark]
#[bench::kubectl(kept(Calling::kubectl().tried()).hashed())]
fn gate_hashes(inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for input in &inputs {
        black_box(Sha256::digest(black_box(input)));
    }
    inputs
}

#[library_benchmark]
#[bench::kubectl(kept(Calling::kubectl().tried()).cedar())]
fn gate_cedar<A: Fn() -> usize>(ask: A) -> (A, usize) {
    let count = black_box(ask());
    (ask, count)
}

#[library_benchmark]
#[bench::tool(kept(Guarding::new()))]
fn guard_macro(guarding: &Guarding) -> Result<usize, Denial> {
    black_box(black_box(guarding).guarded())
}

#[library_benchmark]
#[bench::tool(kept(Guarding::new()))]
fn guard_by_hand(guarding: &Guarding) -> Result<usize, Denial> {
    black_box(black_box(guarding).by_hand())
}

#[library_benchmark]
#[bench::after_10(kept(Counting::alone(10)).ready())]
#[bench::after_2000(kept(Counting::alone(2_000)).ready())]
fn store_twenty(ready: Counted) -> Held {
    ready.count()
}

library_benchmark_group!(
    name = guarding,
    config = LibraryBenchmarkConfig::default().tool(Dhat::default()),
    benchmarks = [guard_macro, guard_by_hand]
);
library_benchmark_group!(
    name = calling,
    config = LibraryBenchmarkConfig::default().tool(Dhat::default()),
    benchmarks = [
        gate_whole,
        gate_check,
        gate_judge,
        gate_permitted,
        gate_run,
        gate_finished,
        gate_file,
        gate_hashes,
        gate_cedar
    ]
);
library_benchmark_group!(
    name = judging,
    config = LibraryBenchmarkConfig::default().tool(Dhat::default()),
    benchmarks = [yardstick, whole_call, argv_alone, digest_alone]
);
library_benchmark_group!(name = policy, benchmarks = [policy_ready, policy_decide, policy_cedar]);
library_benchmark_group!(name = loading, benchmarks = [load_packs, load_bundle, load_cedar]);
library_benchmark_group!(name = counting, benchmarks = [store_twenty]);
main!(library_benchmark_groups = [judging, policy, calling, guarding, loading, counting]);
