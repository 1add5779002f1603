//! Reads what `instructions` counted (JSON on standard input) and fails when judging costs more than its limit.
//!
//! The limit is a ratio of instruction counts of one run, because those hardly differ between machines and times do.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;

use serde_json::Value;

/// Judging one allowed call of eight words costs at most so much of the yardstick, by one permit or by the ops policy;
/// the digest is in it, though callgrind counts a SHA-256 in software and most machines have it in hardware.
const LIMIT: f64 = 2.5;

fn main() -> ExitCode {
    let mut counts = BTreeMap::new();
    for summary in serde_json::Deserializer::from_reader(io::stdin().lock()).into_iter::<Value>() {
        match summary {
            Ok(summary) => counts.extend(count(&summary)),
            Err(error) => return fail(&format!("what callgrind counted cannot be read: {error}")),
        }
    }
    let of = |name: &str| counts.get(name).copied();
    let (Some(yardstick), Some(whole), Some(ops), Some(argv), Some(digest)) = (
        of("yardstick small_task"),
        of("whole_call one_permit"),
        of("whole_call ops_policy"),
        of("argv_alone eight_words"),
        of("digest_alone eight_words"),
    ) else {
        return fail(&format!("a figure is missing; there are {counts:?}"));
    };
    println!("{:>44} {:>12} {:>7}", "", "instructions", "of B");
    for (name, count) in [
        ("B: Cedar alone, the one relevant policy", yardstick),
        ("judge, one permit", whole),
        ("judge, one permit, without the digest", whole.saturating_sub(digest)),
        ("judge, the ops policy", ops),
        ("judge, the ops policy, without the digest", ops.saturating_sub(digest)),
        ("argv alone", argv),
        ("digest alone (SHA-256 in software)", digest),
    ] {
        println!("{name:>44} {count:>12} {:>7.2}", ratio(count, yardstick));
    }
    let ratio = ratio(whole.max(ops), yardstick);
    if ratio > LIMIT {
        return fail(&format!("judging costs {ratio:.2} B, and may cost {LIMIT} B"));
    }
    println!("within the limit: {ratio:.2} of {LIMIT} B");
    ExitCode::SUCCESS
}

#[expect(clippy::cast_precision_loss, reason = "counts of some thousands")]
fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}

fn fail(why: &str) -> ExitCode {
    eprintln!("gate: {why}");
    ExitCode::FAILURE
}

/// The name of a bench, and its instructions.
fn count(summary: &Value) -> Option<(String, u64)> {
    let text = |key: &str| summary.get(key).and_then(Value::as_str);
    let name = format!("{} {}", text("function_name")?, text("id")?);
    let total = find(summary.get("profiles")?, "total")?;
    let count = find(find(total, "Ir")?, "new")?.as_u64()?;
    Some((name, count))
}

/// What stands under `key`, at whatever depth.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields
            .get(key)
            .or_else(|| fields.values().find_map(|value| find(value, key))),
        Value::Array(items) => items.iter().find_map(|item| find(item, key)),
        _ => None,
    }
}
