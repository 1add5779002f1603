//! How long Dogwood's engine takes for rules that count within a window.

use std::time::{Duration, Instant};

use dogwood_language::{Authorizer, Event, Value};
use dogwood_local_engine::LocalTemporalEngine;
use serde_json::json;

use crate::schema;

const SCHEMA: &str = r#"
namespace Test {
  type In = { user: String };
  entity Gateway;
  entity User;
  action "A" appliesTo { principal: [User], resource: [Gateway], context: { input: In } };
}
"#;
const WARM: i64 = 1_000;
const MEASURED: i64 = 200;

/// A line for 10, 100 and 1,000 rules: the rules as window and limit, the calls, the verdicts, and the median of the last
/// calls in nanoseconds.
pub fn print() {
    for rules in [10, 100, 1_000] {
        let rules: Vec<(i64, i64)> = (0..rules).map(|n| (30 + n % 600, 18 + n % 40)).collect();
        let mut authorizer = authorizer(&rules);
        let (mut times, mut verdicts, mut calls) = (Vec::new(), String::new(), Vec::new());
        for second in 0..WARM + MEASURED {
            // A busy minute every five, so that limits are reached and left.
            let at = second + second / 60 * 240;
            let user = ["ann", "bob", "eve"][usize::try_from(second % 3).expect("small")];
            let event = event(user, at);
            let begun = Instant::now();
            let response = authorizer.is_authorized(&event);
            times.push(begun.elapsed());
            verdicts.push(if response.expect("a request is judged").allowed() {
                '1'
            } else {
                '0'
            });
            calls.push(json!([user, at]));
        }
        let median = median(times.split_off(usize::try_from(WARM).expect("small")));
        println!(
            "{}",
            json!({"rules": rules, "calls": calls, "verdicts": verdicts, "warm": WARM, "median_ns": median.as_nanos()})
        );
    }
}

/// The engine in memory, without its log.
fn authorizer(rules: &[(i64, i64)]) -> Authorizer {
    let mut policy = "permit (principal, action == Test::Action::\"A\", resource);\n".to_owned();
    for (window, limit) in rules {
        policy.push_str(&format!(
            "forbid (principal, action == Test::Action::\"A\", resource) when temporal {{ exists (n: Long). \
             ((count_within({window}s, Test::Action::\"A\"::request{{ input.user: context.input.user }})) == n && n > {limit}) }};\n"
        ));
    }
    let lowered = schema::lowered(&policy, SCHEMA).expect("Dogwood takes the rules");
    let builder = Authorizer::builder(lowered).temporal_engine(LocalTemporalEngine::new());
    builder.build().expect("its engine takes the rules")
}

fn event(user: &str, at: i64) -> Event {
    Event::builder("Test::Action::A", "request")
        .timestamp(at)
        .principal("Test::User::\"p\"")
        .resource("Test::Gateway::\"g\"")
        .field("input", "user", Value::String(user.to_owned()))
        .request_context("input", "user", Value::String(user.to_owned()))
        .build()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
