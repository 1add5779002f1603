//! A verdict as one line of JSON.

use glassbreak_core::argv::{Role, Token};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::wire::Id;
use glassbreak_core::call::{Call, Operation};
use glassbreak_core::error::shown_whole;
use glassbreak_core::facts::{Fact, Target};
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::Judgement;
use serde_json::{Map, Value, json};

/// The verdict on one line of input; `line` is named where no id could be read.
pub(crate) fn of(id: Option<&Id>, line: u64, judgement: &Judgement) -> Map<String, Value> {
    let mut verdict = Map::new();
    match id {
        Some(Id::Str(id)) => verdict.insert("id".to_owned(), json!(id)),
        Some(Id::Int(id)) => verdict.insert("id".to_owned(), json!(id)),
        None => {
            verdict.insert("id".to_owned(), Value::Null);
            verdict.insert("line".to_owned(), json!(line))
        }
    };
    let ruling = &judgement.ruling;
    let rules: Vec<&str> = ruling.deciding().map(|finding| finding.rule().as_str()).collect();
    let (why, hint) = match ruling.outcome() {
        Outcome::Allow => (
            if ruling.why().is_empty() {
                "every rule agrees".to_owned()
            } else {
                ruling.why()
            },
            String::new(),
        ),
        Outcome::Ask => (ruling.why(), how_to_ask(judgement)),
        Outcome::Deny => (ruling.why(), ruling.hint()),
    };
    verdict.insert("verdict".to_owned(), json!(ruling.outcome().as_str()));
    verdict.insert("rules".to_owned(), json!(rules));
    verdict.insert("why".to_owned(), json!(why));
    verdict.insert("hint".to_owned(), json!(hint));
    verdict.insert(
        "digest".to_owned(),
        json!(judgement.digest.map(|digest| digest.to_string())),
    );
    verdict
}

/// What would pass without asking, and who must agree otherwise.
pub(crate) fn how_to_ask(judgement: &Judgement) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (rule, requirement) in judgement.requirements() {
        let part = match &requirement.group {
            None => format!("`{rule}` names nobody who may agree"),
            Some(group) => {
                let people = if requirement.quorum == 1 {
                    "one person"
                } else {
                    "distinct persons"
                };
                let count = if requirement.quorum == 1 {
                    String::new()
                } else {
                    format!("{} ", requirement.quorum)
                };
                let window = requirement
                    .window
                    .map_or_else(|| "once".to_owned(), |window| format!("once or for {window}"));
                format!("{count}{people} of `{group}` may agree, {window}")
            }
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let hint = judgement.ruling.hint();
    if !hint.is_empty() {
        parts.push(hint);
    }
    parts.join("; ")
}

/// Everything the verdict was based on.
pub(crate) fn explained(
    mut verdict: Map<String, Value>,
    bundle: &Bundle,
    call: Option<&Call>,
    judgement: &Judgement,
) -> Map<String, Value> {
    let findings: Vec<Value> = judgement
        .ruling
        .findings()
        .iter()
        .map(|f| json!({"rule": f.rule().as_str(), "level": f.level().as_str(), "why": f.why(), "hint": f.hint()}))
        .collect();
    let requires: Vec<Value> = judgement
        .requirements()
        .into_iter()
        .map(|(rule, requirement)| {
            json!({
                "rule": rule.as_str(),
                "group": requirement.group.as_ref().map(|group| group.as_str()),
                "quorum": requirement.quorum,
                "window": requirement.window.map(|window| window.to_string()),
                "self_approval": requirement.self_approval,
            })
        })
        .collect();
    let tokens: Vec<Value> = tokens(bundle, call, judgement)
        .iter()
        .map(|token| json!({"word": token.word, "role": role(token.role), "taken_for": token.taken_for}))
        .collect();
    verdict.insert("findings".to_owned(), json!(findings));
    verdict.insert("requires".to_owned(), json!(requires));
    verdict.insert("facts".to_owned(), facts(bundle, judgement));
    verdict.insert("tokens".to_owned(), json!(tokens));
    let plan = judgement.plan.as_ref().map(|plan| {
        let env: Map<String, Value> = plan
            .env()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        json!({"argv": plan.argv().collect::<Vec<_>>(), "cwd": plan.cwd(), "env": env})
    });
    verdict.insert("plan".to_owned(), json!(plan));
    verdict.insert("bundle".to_owned(), json!(bundle.digest().to_string()));
    verdict
}

/// What each word of a program's call was taken for.
pub(crate) fn tokens(bundle: &Bundle, call: Option<&Call>, judgement: &Judgement) -> Vec<Token> {
    let Some(Call {
        operation: Operation::Exec(exec),
        ..
    }) = call
    else {
        return Vec::new();
    };
    let words = exec.argv().words().iter().map(|word| &**word);
    bundle.programs().tokens(exec.argv().program(), words, &judgement.roles)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Program => "program",
        Role::Verb(_) => "verb",
        Role::Option(_) => "option",
        Role::Value(_) => "value",
        Role::Operand(_) => "operand",
        Role::DashDash => "dashdash",
        Role::Unknown => "unknown",
        Role::Unread => "unread",
    }
}

fn facts(bundle: &Bundle, judgement: &Judgement) -> Value {
    let facts = &judgement.facts;
    let argv = facts.argv.as_ref().map(|argv| {
        let mut record = json!({
            "program": &*argv.program,
            "command": &*argv.command,
            "options": argv.options.iter().map(|option| &**option).collect::<Vec<_>>(),
            "operands": argv.operands.iter().map(|operand| &**operand).collect::<Vec<_>>(),
        });
        if let Some(record) = record.as_object_mut() {
            let sets = argv.sets.iter();
            record.extend(sets.map(|(name, set)| {
                (
                    name.to_string(),
                    json!(set.iter().map(|text| &**text).collect::<Vec<_>>()),
                )
            }));
        }
        record
    });
    let seq = &judgement.seq;
    let budgets: Map<String, Value> = bundle
        .budgets()
        .budget_ids()
        .zip(&seq.budgets)
        .map(|(id, b)| {
            let facts =
                json!({"count": b.count, "limit": b.limit, "remaining": b.remaining, "over": b.over, "fired": b.fired});
            (id.to_owned(), facts)
        })
        .collect();
    let loops: Map<String, Value> = bundle
        .budgets()
        .loop_ids()
        .zip(&seq.loops)
        .map(|(id, l)| {
            (
                id.to_owned(),
                json!({"streak": l.streak, "period": l.period, "fired": l.fired}),
            )
        })
        .collect();
    json!({
        "argv": argv,
        "target": target(&facts.target),
        "labels": bundle.vocabulary().words_of(facts.labels).collect::<Vec<_>>(),
        "risk": facts.risk.as_str(),
        "partial": facts.partial,
        "seq": {"budget": budgets, "loop": loops},
    })
}

/// The target's facts; null where the call names several.
fn target(target: &Target) -> Value {
    let fact = |fact: &Fact| fact.text().map(shown_whole);
    json!({
        "kind": fact(&target.kind),
        "namespace": fact(&target.namespace),
        "name": fact(&target.name),
        "owner": fact(&target.owner),
    })
}
