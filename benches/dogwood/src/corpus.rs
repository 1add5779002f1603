//! Dogwood's published temporal corpus, as far as both can say it.

use std::collections::BTreeMap;

use dogwood_language::corpus::{CorpusTrace, macro_cases, temporal_cases};

use crate::{cases, schema};

struct Case {
    name: String,
    policy: String,
    schema: String,
    own: bool,
    traces: Vec<CorpusTrace>,
}

/// Every trace of every case that both can say, as a line; what cannot be said is counted on the error output.
pub fn print() {
    let temporal = temporal_cases().into_iter().filter(|case| !case.is_parse_rejected());
    let temporal = temporal.map(|case| Case {
        name: case.name,
        policy: case.policy_src,
        schema: case.schema_src,
        own: case.event_schema_src.is_some(),
        traces: case.traces,
    });
    let macros = macro_cases().into_iter().map(|case| Case {
        own: case.event_schema_src.is_some() || case.macros_src.is_some(),
        name: case.name,
        policy: case.policy_src,
        schema: case.schema_src,
        traces: case.traces,
    });
    let (mut said, mut all) = (0, 0);
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for case in temporal.chain(macros) {
        all += 1;
        let policies = match schema::policies(&case.policy) {
            _ if case.own => Err("an event schema or macros of its own"),
            policies => policies,
        };
        let policies = match policies {
            Ok(policies) => policies,
            Err(why) => {
                *left.entry(why).or_default() += 1;
                continue;
            }
        };
        said += 1;
        for trace in &case.traces {
            let lowered = schema::lowered(&case.policy, &case.schema).expect("the corpus's own policy");
            let verdicts = cases::verdicts(lowered, &trace.trace_log, false);
            let lines: Vec<String> = (verdicts.iter())
                .map(|(at, point, allowed)| format!("@{at} (time point {point}): {allowed}"))
                .collect();
            // The oracle says what the corpus expects, so what it says can be held against.
            assert_eq!(lines.join("\n"), trace.expected.trim(), "{}", case.name);
            let name = format!("{} trace {}", case.name, trace.index);
            println!("{}", cases::line(&name, &policies, &trace.trace_log, &verdicts));
        }
    }
    eprintln!("{said} of {all} cases of the corpus can be said in both");
    for (why, count) in &left {
        eprintln!("{count:5} cannot, for {why}");
    }
}
