//! A writer that is killed loses nothing that it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use glassbreak_core::audit::{AuditLog, ChainEnd, State, Timeline, VerifyOptions, verify};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::store::OpId;

use crate::support::{Scratch, finished, permitted};

const DIR: &str = "GLASSBREAK_TEST_AUDIT_DIR";

/// Not a test: the process that the test below kills.
#[test]
#[ignore = "runs as a child of another test"]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let log = AuditLog::open(dir).unwrap();
    let mut out = std::io::stdout().lock();
    loop {
        let id = OpId::mint(Timestamp::now());
        let receipt = log.append(permitted(id)).unwrap();
        writeln!(out, "ack {} {}", receipt.seq, receipt.hash).unwrap();
        log.finish(finished(id)).unwrap();
    }
}

#[test]
fn what_was_acknowledged_before_a_kill_is_in_the_log() {
    let scratch = Scratch::new();
    let mut acknowledged = 0;
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
            .env(DIR, scratch.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks: Vec<String> = Vec::new();
        let next = |acks: &mut Vec<String>, line: String| {
            // The first line follows the harness's own words.
            if let Some((_, ack)) = line.split_once("ack ") {
                acks.push(format!("ack {ack}"));
            }
        };
        while acks.is_empty() {
            next(&mut acks, lines.next().unwrap().unwrap());
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(137 * round * round) {
            next(&mut acks, lines.next().unwrap().unwrap());
        }
        child.kill().unwrap();
        lines.for_each(|line| next(&mut acks, line.unwrap()));
        child.wait().unwrap();

        let report = verify(scratch.dir(), &VerifyOptions::default()).unwrap();
        assert_eq!(report.state(), State::Cut, "{report:#?}");
        let last = report.chains.last().unwrap();
        assert!(
            matches!(last.end, Ok(ChainEnd::Open | ChainEnd::Cut { .. })),
            "{report:#?}"
        );
        let written: Vec<_> = Timeline::open(scratch.dir())
            .unwrap()
            .map(Result::unwrap)
            .filter(|record| record.log() == last.log)
            .map(|record| format!("ack {} {}", record.seq(), record.hash()))
            .collect();
        // The last line from the pipe may be half of one.
        let whole = acks
            .iter()
            .filter(|ack| ack.len() > 64 + 5 && ack.rsplit(' ').next().unwrap().len() == 64);
        for ack in whole {
            let seq: usize = ack.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(written.get(seq - 1), Some(ack), "round {round}");
            acknowledged += 1;
        }
    }
    println!("{acknowledged} records acknowledged over 25 kills, all there");
    assert!(acknowledged > 25);
}
