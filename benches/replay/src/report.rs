//! What was counted, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::tally::{Counts, Share, Tally};

/// Tables.
pub(crate) fn text(tally: &Tally, each: bool) -> String {
    let mut out = String::new();
    let total = tally.total();
    let rows = || {
        tally
            .sources
            .iter()
            .map(|(name, counts)| (name.as_str(), counts))
            .chain([("all", &total)])
    };
    let width = rows()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default()
        .max("source".len());
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a text does not fail.
        let _ = writeln!(out, "{}", text.to_string().trim_end());
    };
    line(format_args!(
        "{:width$}  {:26} {:28} {:>6} {:>9}",
        "honest", "sessions with an ask", "asks per 100 calls", "denies", "own words"
    ));
    for (name, counts) in rows() {
        line(format_args!(
            "{name:width$}  {:26} {:28} {:>6} {:>9}",
            share(Share::new(counts.asking, counts.sessions)),
            share(Share::new(counts.asks, counts.calls)),
            counts.denies,
            counts.consented,
        ));
    }
    line(format_args!(""));
    line(format_args!(
        "{:width$}  {:34} {}",
        "attacks", "stopped at the first effect", "without an effect"
    ));
    for (name, counts) in rows() {
        line(format_args!(
            "{name:width$}  {:34} {}",
            share(Share::new(counts.stopped, counts.attacks)),
            counts.idle
        ));
    }
    if each {
        for (name, counts) in &tally.sources {
            for one in &counts.each {
                let rules = one.rules.join(" ");
                line(format_args!(
                    "{name} {}: {} {} {rules} {}",
                    one.task,
                    one.what.as_str(),
                    one.tool,
                    one.why
                ));
            }
        }
    }
    out
}

/// Such as `9/40 22.5 % [12.3, 37.5]`.
fn share(share: Share) -> String {
    let Share {
        count,
        of,
        percent,
        low,
        high,
    } = share;
    format!("{count}/{of} {percent:.1} % [{low:.1}, {high:.1}]")
}

/// One object.
pub(crate) fn json(tally: &Tally, bundle: &str, each: bool) -> Value {
    let sources: serde_json::Map<String, Value> = tally
        .sources
        .iter()
        .map(|(name, counts)| (name.clone(), one(counts, each)))
        .collect();
    json!({ "bundle": bundle, "sources": sources, "all": one(&tally.total(), false) })
}

fn one(counts: &Counts, each: bool) -> Value {
    let share = |count, of| {
        let share = Share::new(count, of);
        json!({ "count": share.count, "of": share.of, "percent": share.percent, "low": share.low, "high": share.high })
    };
    let mut value = json!({
        "sessions_with_an_ask": share(counts.asking, counts.sessions),
        "asks_per_100_calls": share(counts.asks, counts.calls),
        "denies": counts.denies,
        "own_words": counts.consented,
        "attacks_stopped_at_the_first_effect": share(counts.stopped, counts.attacks),
        "attacks_without_an_effect": counts.idle,
    });
    if let Some(fields) = value.as_object_mut().filter(|_| each) {
        let each = counts.each.iter().map(|one| {
            json!({ "what": one.what.as_str(), "task": one.task, "tool": one.tool, "rules": one.rules, "why": one.why })
        });
        fields.insert("each".to_owned(), each.collect());
    }
    value
}
