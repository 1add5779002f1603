//! A verdict as one line of JSON.

use glassbreak_core::argv::{Role, Token};
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::wire::Id;
use glassbreak_core::call::{Call, Operation};
use glassbreak_core::error::shown_whole;
use glassbreak_core::facts::{Fact, Target};
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::Judgement;
use glassbreak_core::policy::PolicyTrace;
use serde_json::{Map, Value, json};

/// The verdict on one line of input; `line` is named where no id could be read.
pub(crate) fn of(id: Option<&Id>, line: u64, judgement: &Judgement, bundle: &Bundle) -> Map<String, Value> {
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
    let observed = bundle.budgets().observed();
    if observed.len() > 0 {
        let would = ruling.findings().iter().filter_map(|finding| {
            Some(json!({"rule": finding.rule().as_str(), "would": finding.would()?.as_str(), "why": finding.why()}))
        });
        let rules: Vec<&str> = observed.map(|rule| rule.as_str()).collect();
        let observe = json!({"not_enforced": rules, "would": would.collect::<Vec<_>>()});
        verdict.insert("observe".to_owned(), observe);
    }
    verdict
}

/// What would pass without asking, and who must agree otherwise.
pub(crate) fn how_to_ask(judgement: &Judgement) -> String {
    let requirements = judgement.requirements();
    let mut needed: Vec<String> = Vec::new();
    for (_, requirement) in &requirements {
        let part = match (&requirement.group, requirement.quorum) {
            (None, _) => return "no rule names who may agree: set `group` under `[ask]` in glassbreak.toml".to_owned(),
            (Some(group), 1) => format!("one person of `{group}`"),
            (Some(group), quorum) => format!("{quorum} persons of `{group}`"),
        };
        if !needed.contains(&part) {
            needed.push(part);
        }
    }
    // A window is open to a call only when every rule that asks offers one; the shortest counts.
    let windows: Option<Vec<_>> = requirements.iter().map(|(_, requirement)| requirement.window).collect();
    let scope = match windows.and_then(|windows| windows.into_iter().min()) {
        Some(window) => format!("once or for {window}"),
        None => "once".to_owned(),
    };
    let mut parts = vec![format!("{} must agree, {scope}", needed.join(" and "))];
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
    traces: &[PolicyTrace],
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
    verdict.insert("policies".to_owned(), traces.iter().map(trace).collect());
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

/// What one policy says, and which clause decided it.
fn trace(trace: &PolicyTrace) -> Value {
    let clause = trace.clause.as_ref().map(|clause| {
        let saw: Map<String, Value> = (clause.saw.iter())
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({"text": clause.text, "file": clause.file, "line": clause.line, "column": clause.column, "saw": saw})
    });
    json!({
        "id": trace.id, "class": trace.class.as_str(), "held": trace.held.to_string(), "reason": trace.reason,
        "file": trace.file, "line": trace.line, "clause": clause,
    })
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
        Role::Command => "command",
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
        let mut record = Map::new();
        record.insert("program".to_owned(), json!(&*argv.program));
        record.insert("command".to_owned(), json!(&*argv.command));
        record.insert(
            "options".to_owned(),
            argv.options.iter().map(|option| json!(&**option)).collect(),
        );
        record.insert(
            "operands".to_owned(),
            argv.operands.iter().map(|operand| json!(&**operand)).collect(),
        );
        for (name, set) in &argv.sets {
            record.insert(name.to_string(), set.iter().map(|text| json!(&**text)).collect());
        }
        record
    });
    let seq = &judgement.seq;
    let rules = bundle.budgets();
    let budgets = by_id(
        rules.budget_ids().zip(&seq.budgets),
        |b| json!({"count": b.count, "limit": b.limit, "remaining": b.remaining, "over": b.over, "fired": b.fired}),
    );
    let loops = by_id(
        rules.loop_ids().zip(&seq.loops),
        |l| json!({"streak": l.streak, "period": l.period, "fired": l.fired}),
    );
    json!({
        "argv": argv,
        "target": target(&facts.target),
        "labels": bundle.vocabulary().words_of(facts.labels).collect::<Vec<_>>(),
        "risk": facts.risk.as_str(),
        "partial": facts.partial,
        "seq": {
            "budget": budgets,
            "loop": loops,
            "distinct": by_id(rules.distinct_ids().zip(&seq.distincts), |d| {
                json!({"count": d.count, "limit": d.limit, "is_new": d.is_new, "fired": d.fired})
            }),
            "pattern": by_id(rules.pattern_ids().zip(&seq.patterns), |p| {
                json!({"armed": p.armed, "fired": p.fired, "step": p.step, "age_s": p.age_s})
            }),
            "latch": by_id(rules.latch_ids().zip(&seq.latches), |l| {
                json!({"latched": l.latched, "labels": l.labels, "fired": l.fired})
            }),
            "breaker": by_id(rules.breaker_ids().zip(&seq.breakers), |b| {
                json!({"state": b.state, "failures": b.failures})
            }),
            "elapsed_s": seq.elapsed_s,
            "actions": seq.actions,
        },
    })
}

/// The facts of the rules of one kind, by their ids.
fn by_id<'a, T: 'a>(rules: impl Iterator<Item = (&'a str, &'a T)>, told: impl Fn(&T) -> Value) -> Map<String, Value> {
    rules.map(|(id, facts)| (id.to_owned(), told(facts))).collect()
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
