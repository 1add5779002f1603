//! Whatever is done to the bytes is reported.

use std::fs;
use std::process::Command;

use glassbreak_core::audit::{ChainEnd, Report, State, Timeline, VerifyOptions, verify};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::support::{SAMPLE, Scratch, lay_out};

type Files = Vec<(String, Vec<u8>)>;

/// What a verifier that has nothing but the folder says.
fn alone(scratch: &Scratch, files: &Files) -> Report {
    lay_out(scratch, files);
    verify(scratch.dir(), &VerifyOptions::default()).unwrap()
}

/// What a verifier with the key and the checkpoints says.
fn armed(scratch: &Scratch, files: &Files) -> Report {
    lay_out(scratch, files);
    verify(scratch.dir(), &options(scratch)).unwrap()
}

fn options(scratch: &Scratch) -> VerifyOptions {
    VerifyOptions {
        keys: vec![scratch.public_key()],
        checkpoints: vec![scratch.write("checkpoints.jsonl", &SAMPLE.checkpoints)],
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

/// The sample with the lines of one chain changed.
fn with_lines(chain: usize, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    let mut files = SAMPLE.files.clone();
    let mut all = lines(&files[chain].1);
    change(&mut all);
    files[chain].1 = all.concat();
    files
}

#[test]
fn an_untouched_log_is_intact() {
    let scratch = Scratch::new();
    let report = armed(&scratch, &SAMPLE.files);
    assert_eq!(report.state(), State::Intact, "{report:#?}");
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    for chain in &report.chains {
        assert_eq!((chain.end.clone(), chain.signed), (Ok(ChainEnd::Closed), chain.records));
    }
    assert_eq!(alone(&scratch, &SAMPLE.files).state(), State::Intact);
}

#[test]
fn every_single_byte_matters() {
    let scratch = Scratch::new();
    for chain in 0..2 {
        for at in 0..SAMPLE.files[chain].1.len() {
            let mut files = SAMPLE.files.clone();
            // Another bit each time, and never the same byte.
            files[chain].1[at] ^= 1 << (at % 8);
            let report = alone(&scratch, &files);
            assert_eq!(report.state(), State::Tampered, "chain {chain} byte {at}: {report:#?}");
        }
    }
}

#[test]
fn a_log_cut_anywhere_is_reported_as_cut_and_against_checkpoints_as_tampered_with() {
    let scratch = Scratch::new();
    let whole = &SAMPLE.files[1].1;
    for at in 0..whole.len() {
        let mut files = SAMPLE.files.clone();
        files[1].1.truncate(at);
        let report = alone(&scratch, &files);
        assert_eq!(report.state(), State::Cut, "cut at {at}: {report:#?}");
        let kept = lines(&whole[..at]).iter().filter(|line| line.ends_with(b"\n")).count();
        assert_eq!(report.chains[1].records, kept as u64);
        if at % 7 == 0 {
            assert_eq!(armed(&scratch, &files).state(), State::Tampered, "cut at {at}");
        }
    }
    // A machine that loses power may leave zeros where bytes should be.
    let mut files = SAMPLE.files.clone();
    let length = files[1].1.len();
    files[1].1.truncate(length - 200);
    files[1].1.resize(length, 0);
    assert_eq!(alone(&scratch, &files).state(), State::Cut);
    // The older chain was seen by the younger one: that is enough to miss its end.
    let mut files = SAMPLE.files.clone();
    let length = files[0].1.len();
    files[0].1.truncate(length - 10);
    let report = alone(&scratch, &files);
    assert_eq!(report.state(), State::Tampered);
    assert!(
        report.chains[0]
            .end
            .clone()
            .unwrap_err()
            .what
            .contains("its end was removed")
    );
}

#[test]
fn records_removed_doubled_swapped_and_moved_are_reported_at_their_place() {
    let scratch = Scratch::new();
    let count = lines(&SAMPLE.files[1].1).len();
    let first_bad = |files: &Files, want: usize, words: &str| {
        let report = alone(&scratch, files);
        let fault = report.chains[1].end.clone().unwrap_err();
        assert_eq!(fault.seq, Some(want as u64 + 1), "{fault}");
        assert!(fault.what.contains(words), "{fault}");
    };
    for n in 0..count - 1 {
        first_bad(&with_lines(1, |l| drop(l.remove(n))), n, "removed");
        first_bad(&with_lines(1, |l| l.insert(n, l[n].clone())), n + 1, "duplicated");
        first_bad(&with_lines(1, |l| l.swap(n, n + 1)), n, "moved");
        first_bad(
            &with_lines(1, |l| l[n] = lines(&SAMPLE.files[0].1)[n].clone()),
            n,
            "of log",
        );
    }
    let last = with_lines(1, |l| l.push(l[count - 1].clone()));
    first_bad(&last, count, "duplicated");
    first_bad(&with_lines(1, |l| l.push(b"\n".to_vec())), count, "hash");
    first_bad(&with_lines(1, |l| l.push(b"x".to_vec())), count, "after `log.closed`");
}

#[test]
fn a_chain_computed_anew_is_caught_by_its_checkpoints() {
    let scratch = Scratch::new();
    let forge = |chain: usize| {
        let mut files = SAMPLE.files.clone();
        let mut head = [0u8; 32];
        let mut out = Vec::new();
        for line in lines(&files[chain].1) {
            let text = String::from_utf8(line).unwrap();
            let (record, _) = text.rsplit_once(",\"hash\":").unwrap();
            let record = record.replace("tidy", "prod") + "}";
            let (before, after) = record.split_once("\"prev\":\"").unwrap();
            let (_, after) = after.split_once('"').unwrap();
            let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
            let record = [before, "\"prev\":\"", &hex, "\"", after].concat();
            let length = (record.len() as u64).to_be_bytes();
            let bytes = [&[2][..], &head, &length, record.as_bytes()].concat();
            head = Sha256::digest(bytes).into();
            let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
            out.extend(
                [record.strip_suffix('}').unwrap(), ",\"hash\":\"", &hex, "\"}\n"]
                    .concat()
                    .bytes(),
            );
        }
        files[chain].1 = out;
        files
    };
    for chain in 0..2 {
        let report = armed(&scratch, &forge(chain));
        let fault = report.chains[chain].end.clone().unwrap_err();
        assert!(fault.what.contains("written anew"), "{fault}");
    }
    // With the checkpoint's record taken out as well, only what lies elsewhere tells.
    let mut forged = forge(1);
    forged.remove(0);
    let report = armed(&scratch, &forged);
    assert!(report.faults[0].what.contains("the whole chain is gone"), "{report:#?}");
    assert_eq!(alone(&scratch, &forged).state(), State::Tampered);
}

#[test]
fn false_checkpoints_do_not_pass() {
    let scratch = Scratch::new();
    lay_out(&scratch, &SAMPLE.files);
    let good = options(&scratch);
    for at in 0..SAMPLE.checkpoints.len() {
        let mut bytes = SAMPLE.checkpoints.clone();
        bytes[at] ^= 1 << (at % 7);
        // Two lines in one, or a line in two, are broken lines; a newline at the very end may be missing.
        if at + 1 < bytes.len() {
            scratch.write("checkpoints.jsonl", &bytes);
            let report = verify(scratch.dir(), &good).unwrap();
            assert_eq!(report.state(), State::Tampered, "byte {at}");
        }
    }
}

#[test]
fn foreign_files_and_renamed_chains_are_reported() {
    let scratch = Scratch::new();
    let mut files = SAMPLE.files.clone();
    files.push(("notes.txt".to_owned(), b"hello".to_vec()));
    let report = armed(&scratch, &files);
    assert_eq!(report.faults.len(), 1);
    assert!(
        report.faults[0].to_string().starts_with("notes.txt: "),
        "{:?}",
        report.faults
    );
    assert_eq!(
        alone(&scratch, &Files::new()).state(),
        State::Tampered,
        "an empty folder"
    );
    let mut files = SAMPLE.files.clone();
    files[1].0 = "01930000-0000-7000-8000-000000000000.jsonl".to_owned();
    assert_eq!(alone(&scratch, &files).state(), State::Tampered);
    lay_out(&scratch, &SAMPLE.files);
    let (here, there) = (scratch.dir().join(&SAMPLE.files[0].0), scratch.path().join("elsewhere"));
    fs::rename(&here, &there).unwrap();
    std::os::unix::fs::symlink(&there, &here).unwrap();
    assert_eq!(
        verify(scratch.dir(), &VerifyOptions::default()).unwrap().state(),
        State::Tampered
    );
}

#[test]
fn a_script_of_thirty_lines_agrees() {
    let scratch = Scratch::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/audit_verify.py");
    let run = |files: &Files| {
        lay_out(&scratch, files);
        let paths = files.iter().map(|(name, _)| scratch.dir().join(name));
        let output = Command::new("python3").arg(script).args(paths).output().ok()?;
        Some((output.status.code(), String::from_utf8(output.stdout).unwrap()))
    };
    let Some((code, text)) = run(&SAMPLE.files) else {
        eprintln!("SKIPPED: there is no python3 to check the format with");
        return;
    };
    assert_eq!(code, Some(0), "{text}");
    for at in (0..SAMPLE.files[1].1.len()).step_by(997) {
        let mut files = SAMPLE.files.clone();
        files[1].1[at] ^= 1;
        let (code, text) = run(&files).unwrap();
        assert_ne!(code, Some(0), "byte {at}: {text}");
    }
    assert_eq!(run(&with_lines(0, |l| drop(l.pop()))).unwrap().0, Some(1));
}

#[test]
fn the_timeline_tells_all_chains_in_order_and_stops_a_broken_one() {
    let scratch = Scratch::new();
    lay_out(&scratch, &SAMPLE.files);
    let records: Vec<_> = Timeline::open(scratch.dir()).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        records.len(),
        SAMPLE.files.iter().map(|(_, bytes)| lines(bytes).len()).sum::<usize>()
    );
    assert!(records.windows(2).all(|pair| pair[0].at() <= pair[1].at()));
    lay_out(&scratch, &with_lines(0, |l| drop(l.remove(3))));
    let steps: Vec<_> = Timeline::open(scratch.dir()).unwrap().collect();
    assert_eq!(steps.iter().filter(|step| step.is_err()).count(), 1);
    assert_eq!(steps.len(), 3 + 1 + lines(&SAMPLE.files[1].1).len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any few changes of bytes, in any places, that leave something changed.
    #[test]
    fn any_change_is_reported(
        chain in 0usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let scratch = Scratch::new();
        let mut files = SAMPLE.files.clone();
        let bytes = &mut files[chain].1;
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        prop_assume!(files[chain].1 != SAMPLE.files[chain].1);
        prop_assert_eq!(armed(&scratch, &files).state(), State::Tampered);
        prop_assert!(alone(&scratch, &files).state() > State::Intact);
    }
}
