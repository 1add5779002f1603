//! What callgrind cannot show of the policy layer: ten thousand policies, two threads, and loading. All of it in the time
//! that threads spend on a processor, so that a busy machine tells the same proportions.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use glassbreak_benches::{Asking, Texts};
use rustix::time::{ClockId, clock_gettime};

/// How many decisions are timed together.
const BATCH: u32 = 2_000;
/// How many batches; the least and the median of them count.
const BATCHES: usize = 100;

fn main() {
    flat();
    threads();
    load();
}

fn spent(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What one call of `body` takes of this thread's time, in nanoseconds.
fn each(body: impl Fn()) -> f64 {
    let begun = spent(ClockId::ThreadCPUTime);
    for _ in 0..BATCH {
        body();
    }
    (spent(ClockId::ThreadCPUTime) - begun).as_secs_f64() * 1e9 / f64::from(BATCH)
}

fn least_and_median(mut all: Vec<f64>) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |n: usize| all.get(n).copied().unwrap_or(f64::NAN);
    (at(0), at(all.len() / 2))
}

fn flat() {
    println!("one decision among policies that do not matter, from a call to findings; least of {BATCHES} batches:");
    let asking: Vec<(usize, Asking)> = [1, 1_000, 10_000].map(|count| (count, Asking::among(count))).into();
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); asking.len()];
    // In turn, so that whatever slows the machine slows all of them.
    for _ in 0..BATCHES {
        for ((_, asking), found) in asking.iter().zip(&mut found) {
            found.push(each(|| drop(black_box(asking.decide()))));
        }
    }
    let least: Vec<f64> = found.into_iter().map(|all| least_and_median(all).0).collect();
    let one = least.first().copied().unwrap_or(f64::NAN);
    for ((count, _), least) in asking.iter().zip(&least) {
        println!("{count:>10} policies: {least:>7.0} ns, {:.3} of one", least / one);
    }
}

fn threads() {
    println!("the same bundle, asked by one thread and by two at once ({BATCHES} batches each, in turn):");
    let asking = Asking::among(1_000);
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        alone.push(each(|| drop(black_box(asking.decide()))));
        let begin = Barrier::new(2);
        let both = || {
            begin.wait();
            each(|| drop(black_box(asking.decide())))
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(both);
            (both(), other.join().unwrap_or(f64::NAN))
        });
        together.push(f64::midpoint(one, other));
    }
    let (alone, together) = (least_and_median(alone), least_and_median(together));
    for (name, one, two) in [("least", alone.0, together.0), ("median", alone.1, together.1)] {
        println!(
            "{name:>10}: one {one:>7.0} ns, two {two:>7.0} ns each, {:.3}",
            two / one
        );
    }
}

#[expect(clippy::expect_used, reason = "a bench that cannot set up has nothing to measure")]
fn load() {
    const TIMES: usize = 15;
    let texts = Texts::among(1_000);
    let schema_text = texts.load().policies().schema().to_owned();
    let policies = texts.policies();
    let cpu = |body: &dyn Fn()| {
        let begun = spent(ClockId::ProcessCPUTime);
        body();
        (spent(ClockId::ProcessCPUTime) - begun).as_secs_f64() * 1e3
    };
    let (schema, _) = Schema::from_cedarschema_str(&schema_text).expect("the schema that the bundle wrote");
    let parsed = || policies.iter().map(|text| text.parse::<PolicySet>().expect("policies"));
    // Ids are by place in each file, so what is validated together gets new ones, outside of what is timed.
    let numbered = parsed()
        .flat_map(|set| set.policies().cloned().collect::<Vec<_>>())
        .enumerate();
    let numbered = numbered.map(|(n, policy)| policy.new_id(cedar_policy::PolicyId::new(format!("p{n}"))));
    let set = PolicySet::from_policies(numbered).expect("a set");
    let without = Texts::among(1);
    let (mut parse, mut validate, mut ours, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMES {
        parse.push(cpu(&|| parsed().for_each(|set| drop(black_box(set)))));
        validate.push(cpu(&|| {
            let validator = Validator::new(schema.clone());
            assert!(
                validator.validate(&set, ValidationMode::Strict).validation_passed(),
                "it is valid"
            );
        }));
        ours.push(cpu(&|| drop(black_box(texts.load()))));
        rest.push(cpu(&|| drop(black_box(without.load()))));
    }
    let [parse, validate, ours, rest] = [parse, validate, ours, rest].map(|all| least_and_median(all).0);
    println!("loading 1,000 policies over 50 actions; least of {TIMES}, in ms of processor time:");
    for (name, time) in [
        ("Cedar parses", parse),
        ("Cedar validates, strictly", validate),
        ("a bundle with them", ours),
        ("a bundle with one of them", rest),
    ] {
        println!("{name:>30}: {time:>7.1}");
    }
    println!(
        "{:>30}: {:.2}",
        "of Cedar's, bundle with one taken off",
        (ours - rest) / (parse + validate)
    );
    println!(
        "{:>30}: {:.2}",
        "of Cedar's, all of the bundle",
        ours / (parse + validate)
    );
}
