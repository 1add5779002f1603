//! How many instructions judging takes, counted by callgrind. `gate.sh` holds the figures to their limit.
#![expect(missing_docs, unused_qualifications, reason = "what the macros write")]

use std::hint::black_box;

use cedar_policy::Response;
use glassbreak_benches::{Asking, Calling, Judging, SmallTask, Tried};
use glassbreak_core::argv::Judged;
use glassbreak_core::call::CallDigest;
use glassbreak_core::finding::Finding;
use glassbreak_core::gate::{Permit, ToolCall};
use glassbreak_core::judge::Judgement;
use glassbreak_core::policy::Ready;
use gungraun::Dhat;
use gungraun::prelude::*;

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
fn argv_alone(judging: &Judging) -> Judged {
    black_box(judging.argv())
}

#[library_benchmark]
#[bench::eight_words(kept(Judging::one_permit()))]
fn digest_alone(judging: &Judging) -> CallDigest {
    black_box(judging.digest())
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
#[bench::tool(kept(Calling::new()))]
fn gate_whole(calling: &Calling) {
    black_box(calling).whole();
}

#[library_benchmark]
#[bench::tool(kept(Calling::new()))]
fn gate_check(calling: &Calling) -> Permit<ToolCall> {
    black_box(calling.permit())
}

#[library_benchmark]
#[bench::tool(kept(Calling::new().tried()))]
fn gate_judge(tried: &Tried) -> Judgement {
    black_box(tried.judge())
}

#[library_benchmark]
#[bench::tool(kept(Calling::new().tried()))]
fn gate_permitted(tried: &Tried) {
    black_box(tried).record_permitted();
}

#[library_benchmark]
#[bench::tool(kept(Calling::new().tried()))]
fn gate_run(tried: &mut Tried) {
    black_box(tried).run();
}

#[library_benchmark]
#[bench::tool(kept(Calling::new().tried()))]
fn gate_finished(tried: &Tried) {
    black_box(tried).record_finished();
}

library_benchmark_group!(
    name = calling,
    config = LibraryBenchmarkConfig::default().tool(Dhat::default()),
    benchmarks = [
        gate_whole,
        gate_check,
        gate_judge,
        gate_permitted,
        gate_run,
        gate_finished
    ]
);
library_benchmark_group!(
    name = judging,
    benchmarks = [yardstick, whole_call, argv_alone, digest_alone]
);
library_benchmark_group!(name = policy, benchmarks = [policy_ready, policy_decide, policy_cedar]);
main!(library_benchmark_groups = [judging, policy, calling]);
