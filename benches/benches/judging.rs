//! How long judging takes on this machine.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glassbreak_benches::{Judging, SmallTask, load_ops};

fn one_call(c: &mut Criterion) {
    let mut group = c.benchmark_group("allowed call of 8 words");
    let (yardstick, one_permit, ops) = (SmallTask::new(), Judging::one_permit(), Judging::ops());
    group.bench_function("yardstick: Cedar alone, one policy", |b| {
        b.iter(|| black_box(yardstick.ask()));
    });
    group.bench_function("judge, one permit", |b| {
        b.iter(|| black_box(one_permit.judge()));
    });
    group.bench_function("judge, the ops policy", |b| {
        b.iter(|| black_box(ops.judge()));
    });
    group.bench_function("argv alone", |b| {
        b.iter(|| black_box(one_permit.argv()));
    });
    group.bench_function("digest alone", |b| {
        b.iter(|| black_box(one_permit.digest()));
    });
    group.finish();
}

/// Twice the words must not cost four times as much.
fn hostile(c: &mut Criterion) {
    let mut group = c.benchmark_group("hostile words");
    group.sample_size(20);
    for kib in [4, 16, 63] {
        group.throughput(Throughput::Bytes(kib as u64 * 1024));
        let (clusters, list) = (Judging::hostile(kib), Judging::long_list(kib));
        group.bench_function(format!("{kib} KiB of clusters"), |b| {
            b.iter(|| black_box(clusters.judge()));
        });
        group.bench_function(format!("{kib} KiB in one list"), |b| {
            b.iter(|| black_box(list.judge()));
        });
    }
    group.finish();
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(20);
    group.bench_function("the ops policy", |b| {
        b.iter(|| black_box(load_ops()));
    });
    group.finish();
}

criterion_group!(benches, one_call, hostile, load);
criterion_main!(benches);
