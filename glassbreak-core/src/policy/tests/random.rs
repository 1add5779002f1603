//! Random policies, requests, calls and arguments, the same every time, and so many of them that every kind of trouble is
//! among them: the engine finds what Cedar's authorizer finds, the layer says what the obvious judge says, and nothing that
//! a forbid could not be judged of is ever allowed.
//!
//! ```text
//! GLASSBREAK_REQUESTS=1000000 cargo test --release -p glassbreak-core --lib random -- --nocapture
//! ```

use crate::policy::fuzzing::{Holds, Tally, context_from_args, decide_vs_cedar, engine_vs_cedar};

/// Bytes that are the same every time (xorshift64*).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let byte = |_| {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
        };
        (0..count).map(byte).collect()
    }
}

/// Runs `property` over noise until so many were asked: those that the environment wants, or else `few`.
fn over_noise(few: u64, length: usize, property: fn(&[u8], &mut Tally) -> Holds) -> Tally {
    let wanted = std::env::var("GLASSBREAK_REQUESTS").ok().and_then(|n| n.parse().ok());
    let wanted: u64 = wanted.unwrap_or(few);
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut tally = Tally::default();
    while tally.asked < wanted {
        property(&noise.bytes(length), &mut tally).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    println!("{tally:#?}");
    tally
}

#[test]
fn the_engine_finds_what_cedar_finds() {
    let tally = over_noise(20_000, 2_000, engine_vs_cedar);
    // Else this would say nothing about what matters.
    let often = [
        ("allowed", tally.allowed),
        ("in error", tally.in_error),
        ("a forbid in error", tally.forbid_unjudged),
        ("by a link of a template", tally.by_template),
        ("of something that is not there", tally.absent),
        ("met through a group of actions", tally.by_action_group),
        ("met through a group", tally.by_group),
    ];
    for (what, count) in often {
        assert!(count > tally.asked / 50, "{count} of {} are {what}", tally.asked);
    }
    assert!(tally.cedar_allows_in_error > 0, "Cedar's own trap is not among them");
}

#[test]
fn no_call_is_allowed_of_which_a_forbid_could_not_be_judged() {
    let tally = over_noise(1_000, 400, decide_vs_cedar);
    let often = [
        ("allowed", tally.allowed),
        ("in error", tally.in_error),
        ("a forbid that could not be judged", tally.forbid_unjudged),
        ("of something that is not there", tally.absent),
        ("not known whole", tally.open),
    ];
    for (what, count) in often {
        assert!(count > tally.asked / 50, "{count} of {} are {what}", tally.asked);
    }
}

#[test]
fn many_arguments_fit_and_many_do_not() {
    let tally = over_noise(500, 200, context_from_args);
    let fitting = (tally.fitting, tally.asked);
    assert!(
        fitting.0 > fitting.1 / 5 && fitting.0 < fitting.1 * 4 / 5,
        "{fitting:?}"
    );
}
