//! The policy benches' decision in other engines, beside glassbreak's: one run, one thread, the time that it spends on a
//! processor, everything that can be made beforehand made beforehand. What each engine is asked is below, to be judged:
//! the same call, and the nearest that its language has to the same condition.

mod engines;

use std::hint::black_box;
use std::time::Duration;

use glassbreak_benches::Asking;
use rustix::time::{ClockId, clock_gettime};

/// How many batches of each; the least counts.
const BATCHES: usize = 40;
/// How long a batch lasts, about.
const BATCH: Duration = Duration::from_millis(4);

/// One decision, and what it is called.
type Row = (String, Box<dyn FnMut()>);

fn main() {
    let mut rows: Vec<Row> = Vec::new();
    for count in [1, 1_000] {
        let among = if count == 1 { "1 policy" } else { "1,000 policies" };
        let mut add = |name: &str, ask: Box<dyn FnMut()>| rows.push((format!("{name}, {among}"), ask));
        let asking: &'static Asking = Box::leak(Box::new(Asking::among(count)));
        let ready = asking.ready();
        add(
            "glassbreak, request ready",
            Box::new(move || drop(black_box(ready.decide()))),
        );
        add(
            "glassbreak, from the call",
            Box::new(move || drop(black_box(asking.decide()))),
        );
        add("Cedar, request ready", engines::cedar(count));
        add("Cedar, fed from JSON by its schema", engines::cedar_from_json(count));
        add("regorus, its VM", engines::regorus(count));
        add("cel, a program for each policy", engines::cel(count));
        add("casbin, simpler conditions", engines::casbin(count));
    }
    let mut least = vec![f64::INFINITY; rows.len()];
    let times: Vec<u32> = rows.iter_mut().map(|(_, ask)| times_in_a_batch(ask)).collect();
    // In turn, so that whatever slows the machine slows all of them.
    for _ in 0..BATCHES {
        for (((_, ask), times), least) in rows.iter_mut().zip(&times).zip(&mut least) {
            *least = least.min(each(ask, *times));
        }
    }
    let one = least.first().copied().unwrap_or(f64::NAN);
    println!("{:>52} {:>10} {:>8}", "", "ns", "of ours");
    for ((name, _), least) in rows.iter().zip(&least) {
        println!("{name:>52} {least:>10.0} {:>8.1}", least / one);
    }
}

fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn each(ask: &mut dyn FnMut(), times: u32) -> f64 {
    let begun = spent();
    for _ in 0..times {
        ask();
    }
    (spent() - begun).as_secs_f64() * 1e9 / f64::from(times)
}

fn times_in_a_batch(ask: &mut dyn FnMut()) -> u32 {
    let mut times = 1;
    loop {
        let took = each(ask, times) * f64::from(times);
        if took > BATCH.as_secs_f64() * 1e9 / 2.0 || times >= 1 << 20 {
            return times;
        }
        times *= 2;
    }
}
