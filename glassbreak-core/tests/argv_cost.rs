//! What loading the packs and judging hostile words cost, beside Cedar in the same build. Measurements, so they are run by
//! hand: `cargo test --release -p glassbreak-core --test argv_cost -- --ignored --nocapture --test-threads 1`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::str::FromStr;
use std::time::{Duration, Instant};

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Argv, Exec, Workspace};

/// The least of several runs: what else the machine does only ever adds.
fn least(times: usize, mut run: impl FnMut()) -> Duration {
    let timed = |()| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    std::iter::repeat_n((), times).map(timed).min().unwrap()
}

#[test]
#[ignore = "a measurement"]
fn loading_every_pack_beside_a_hundred_policies_of_cedar() {
    let packs = least(5, || {
        Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    });
    let schema = "entity Team; entity Agent in [Team]; entity Tool;\n\
        action exec appliesTo { principal: Agent, resource: Tool, context: { argv0: String, flags: Set<String>, spent: Long, cwd: String } };";
    let mut policies = String::new();
    for n in 0..100 {
        let _ = writeln!(
            policies,
            "@id(\"p{n}\") permit (principal in Team::\"t{n}\", action == Action::\"exec\", resource is Tool) when {{ \
             context.argv0 == \"cargo\" && !context.flags.containsAny([\"--force\", \"-f\"]) && context.spent + {n} <= 5000 && \
             context.cwd like \"/home/*/src/*\" }};"
        );
    }
    let cedar = least(5, || {
        let (schema, _) = Schema::from_cedarschema_str(schema).unwrap();
        let set = PolicySet::from_str(&policies).unwrap();
        assert!(
            Validator::new(schema)
                .validate(&set, ValidationMode::Strict)
                .validation_passed()
        );
    });
    println!("every pack, a bundle of them   {packs:?}\n100 policies of Cedar          {cedar:?}");
}

#[test]
#[ignore = "a measurement"]
fn hostile_words_cost_as_much_per_byte_at_every_length() {
    let bundle = Bundle::read_only().unwrap_or_else(|problems| panic!("{problems}"));
    let workspace = Workspace::new("/workspace").unwrap();
    // Each row: the program, and the word that is repeated.
    for (program, word) in [
        ("kubectl", "--namespace=aaaaaaaaaaaaaaaa"),
        ("git", "-caaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("find", "(((((((((((((((((((((((((((((("),
        ("grep", "-eeeeeeeeeeeeeeeeeeeeeeeeeeeee"),
        ("sed", "s/[[[[[[[[[[[[[[[[[[[[[[[[[[[[/"),
        ("awk", "//////////////////////////////"),
        ("jq", "\"\\(\"\\(\"\\(\"\\(\"\\(\"\\(\"\\(\"\\(\"\\("),
        ("env", "A=aaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("timeout", "kubectl"),
        ("xargs", "env"),
    ] {
        let mut line = format!("{program:<10}");
        for size in [4096usize, 8192, 16_384, 32_768, 64_000] {
            // As many words as there may be, each as long as it must be.
            let count = (size / word.len()).min(500);
            let long = word.repeat((size / word.len()).div_ceil(count));
            let words = std::iter::once(program.to_owned()).chain(std::iter::repeat_n(long, count));
            let Ok(argv) = Argv::new(words.map(String::into_boxed_str)) else {
                continue;
            };
            let exec = Exec::new(argv);
            let took = least(5, || {
                let _ = bundle.programs().judge(&exec, "", &workspace);
            });
            let _ = write!(line, " {:>6.1} ns/B", took.as_nanos() as f64 / size as f64);
        }
        println!("{line}");
    }
}
