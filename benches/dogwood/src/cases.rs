//! A case as the other half reads it: the rules, what each of them sees, and what Dogwood says.

use dogwood_language::{Authorizer, Event, LoweredPolicySet, Value, parse_trace};
use dogwood_local_engine::LocalTemporalEngine;
use serde_json::{Value as Json, json};

use crate::said::{Past, Said};
use crate::schema::Policy;

/// A case as one line. `verdicts` are what Dogwood says of every request: when, which event of the trace, and whether.
pub fn line(name: &str, policies: &[Policy], log: &str, verdicts: &[(i64, usize, bool)]) -> Json {
    let events = parse_trace(log).expect("the trace parses");
    let mut leaves = Vec::new();
    let policies: Vec<Json> = (policies.iter())
        .map(|policy| {
            let condition = policy.condition.as_ref();
            json!({
                "permits": policy.permits,
                "action": policy.action,
                "unless": condition.is_some_and(|(unless, _)| *unless),
                "condition": condition.map(|(_, said)| tree(said, &policy.action, &events, &mut leaves)),
            })
        })
        .collect();
    let verdicts: Vec<Json> = (verdicts.iter())
        .map(|(at, point, allowed)| json!([at, point, action(&events[*point]), allowed]))
        .collect();
    json!({ "case": name, "policies": policies, "leaves": leaves, "verdicts": verdicts })
}

/// The verdicts, from Dogwood's interpreter or from the engine that is published beside it.
pub fn verdicts(policies: LoweredPolicySet, log: &str, engine: bool) -> Vec<(i64, usize, bool)> {
    let mut authorizer = if engine {
        let builder = Authorizer::builder(policies).temporal_engine(LocalTemporalEngine::new());
        builder.build().expect("the engine takes the policies")
    } else {
        Authorizer::new(policies)
    };
    let events = parse_trace(log).expect("the trace parses");
    let judged = events.iter().enumerate().filter_map(|(point, event)| {
        let response = authorizer.is_authorized(event)?;
        Some((event.timestamp(), point, response.allowed()))
    });
    judged.collect()
}

fn tree(said: &Said, judged: &str, events: &[Event], leaves: &mut Vec<Json>) -> Json {
    let rule = match said {
        Said::All(all) => {
            let all: Vec<Json> = all.iter().map(|said| tree(said, judged, events, leaves)).collect();
            return json!({ "all": all });
        }
        Said::Not(said) => return json!({ "not": tree(said, judged, events, leaves) }),
        Said::Formerly { within, unless, .. } => json!({ "within": within, "unless": unless.is_some() }),
        Said::Count { within, op, with, .. } => json!({ "within": within, "op": op, "with": with }),
    };
    let (past, unless, counts) = match said {
        Said::Formerly { past, unless, .. } => (past, unless.as_ref(), false),
        Said::Count { past, .. } => (past, None, true),
        Said::All(_) | Said::Not(_) => unreachable!("answered above"),
    };
    let mut steps = Vec::new();
    for (point, event) in events.iter().enumerate() {
        let mut step = |key: &[String], what: &str| {
            steps.push(json!([event.timestamp(), point, what, key.join("\u{1f}")]));
        };
        // A count takes in the judged call by itself.
        if !counts {
            if let Some(key) = key_of(past, event) {
                step(&key, "past");
            }
            if let Some(key) = unless.and_then(|unless| key_of(unless, event)) {
                step(&key, "breaks");
            }
        }
        // A call whose context lacks the field is alike nothing, and the condition does not hold: no step.
        let alike = past
            .alike
            .iter()
            .map(|(_, context)| event.request_context_path(context).map(text));
        if event.kind() == "request"
            && action(event) == judged
            && let Some(key) = alike.collect::<Option<Vec<_>>>()
        {
            step(&key, "now");
        }
    }
    leaves.push(json!({ "rule": rule, "steps": steps }));
    json!({ "leaf": leaves.len() - 1 })
}

fn action(event: &Event) -> String {
    format!("{}::\"{}\"", event.namespace().join("::"), event.action())
}

/// The values of what is alike; `None` for another event.
fn key_of(past: &Past, event: &Event) -> Option<Vec<String>> {
    let other = action(event) != past.action || event.kind() != past.kind;
    if other || past.has.iter().any(|field| event.field_path(field).is_none()) {
        return None;
    }
    past.alike
        .iter()
        .map(|(field, _)| event.field_path(field).map(text))
        .collect()
}

fn text(value: &Value) -> String {
    format!("{value:?}")
}
