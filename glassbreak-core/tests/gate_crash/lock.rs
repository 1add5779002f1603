//! From a lock to a dead process group, through the gate.

use std::time::{Duration, Instant};

use glassbreak_core::gate::Failure;
use glassbreak_core::lock::Target;
use rustix::process::{Pid, test_kill_process_group};

use crate::support::{self, Scratch, text, word};

const RUNS: u32 = 200;

/// The one process that this one has started and not yet reaped; it leads its own group.
fn child() -> Option<Pid> {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut words = rest.split_ascii_whitespace().skip(1);
        let (parent, group) = (words.next()?, words.next()?);
        let pid = entry.file_name().into_string().ok()?;
        // Between fork and exec it is in our group still.
        let found = parent == me && group == pid;
        found.then(|| Pid::from_raw(pid.parse().ok()?))?
    })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// `cargo test -p glassbreak-core --test gate_crash -- --ignored --nocapture lock_to_dead`
#[test]
#[ignore = "a measurement: run it alone"]
fn lock_to_dead_process_group() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let scratch = Scratch::new();
    let root = scratch.root();
    let (mut dead, mut answered) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let (gate, _audit) = support::gate(root, |builder| builder).await;
        for run in 0..RUNS {
            let name = format!("s{run}");
            let session = support::session(&gate, root, &name);
            let permit = session.exec(["sleep", "600"]).authorize().await.unwrap();
            let running = tokio::spawn(permit.exec());
            let group = loop {
                if let Some(pid) = child() {
                    break pid;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            let began = Instant::now();
            let watch = std::thread::spawn(move || {
                while test_kill_process_group(group).is_ok() {
                    std::thread::sleep(Duration::from_micros(20));
                }
                began.elapsed()
            });
            let target = Target::Session(word(&name));
            gate.lock(target, text("runaway"), word("bob")).await.unwrap();
            answered.push(began.elapsed());
            let ended = running.await.unwrap().unwrap_err();
            assert!(matches!(ended, Failure::Denied(_)), "{ended:?}");
            dead.push(watch.join().unwrap());
        }
    });
    let mut after: Vec<_> = dead
        .iter()
        .zip(&answered)
        .map(|(dead, answer)| dead.saturating_sub(*answer))
        .collect();
    let p50 = median(&mut dead);
    println!("lock to dead process group, {RUNS} runs:");
    for (what, times) in [
        ("all of it", &mut dead),
        ("until `lock` answers", &mut answered),
        ("after that", &mut after),
    ] {
        println!(
            "{what:>22}: p50 {:?}, p90 {:?}, p99 {:?}",
            median(times),
            times[180],
            times[198]
        );
    }
    assert!(p50 <= Duration::from_millis(5), "{p50:?}");
}
