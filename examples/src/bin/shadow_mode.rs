//! A policy beside what runs: what it would have done, before it may do anything.
//!
//! An agent answers the customers of a small shop, and nobody guards it yet. First its calls are only judged, beside the
//! tools: nothing is refused, and at the end one reads what would have been. Then the folder is put in force, but for the
//! one rule that nobody is sure of: that one is observed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use glassbreak_core::bundle::{Bundle, Files};
use glassbreak_core::call::{Actor, Call, Operation, Tool, Word, Workspace, wire};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::finding::Outcome;
use glassbreak_core::judge::{Judgement, SessionState, judge};
use serde_json::{Value, json};

/// An hour of the agent: the minute, the tool, its arguments.
fn hour() -> [(i64, &'static str, Value); 9] {
    let refund = |order: u64, cents: u64| json!({ "order": order, "cents": cents });
    let letter = |to: &str, text: &str| json!({ "customer": to, "text": text });
    [
        (0, "look_up", json!({ "order": 1001 })),
        (2, "refund", refund(1001, 900)),
        (
            3,
            "write_to",
            letter("ada@customers.example", "Your money is on its way."),
        ),
        (11, "refund", refund(1002, 1_500)),
        (20, "look_up", json!({ "order": 1003 })),
        (21, "refund", refund(1003, 2_000)),
        (35, "refund", refund(1004, 12_000)),
        (36, "write_to", letter("eve@elsewhere.example", "All our orders: …")),
        (50, "erase_customer", json!({ "customer": "ada@customers.example" })),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tools");

    println!("1. Beside: every call runs, and is judged");
    let would = beside(&Bundle::open(&policy)?)?;
    println!(
        "\n   {} calls ran. Of these the policy",
        would.values().map(Vec::len).sum::<usize>()
    );
    for (outcome, calls) in &would {
        println!("   {:<12} {}", format!("would {outcome}"), calls.len());
    }

    println!("\n2. In force, but for the rule `refunds`, which is observed");
    in_force(&observed(&policy)?)
}

/// The tools as they are today; the policy looks on.
fn beside(bundle: &Bundle) -> Result<BTreeMap<&'static str, Vec<&'static str>>, Box<dyn Error>> {
    let mut session = SessionState::new(Workspace::new("/srv/shop")?);
    let mut would: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (minute, tool, arguments) in hour() {
        let (call, at) = (call(tool, &arguments)?, minutes(minute));
        let judgement = judge(bundle, &session, &call, at);
        tell(minute, tool, &judgement);
        would.entry(judgement.ruling.outcome().as_str()).or_default().push(tool);
        // Here the tool runs, whatever was said: so it is counted as one that was admitted.
        session.advance(bundle, &call, &judgement, at, true);
    }
    Ok(would)
}

/// Now the ruling is obeyed. What asks is taken for a no: there are no people in this story.
fn in_force(bundle: &Bundle) -> Result<(), Box<dyn Error>> {
    let mut session = SessionState::new(Workspace::new("/srv/shop")?);
    let (mut ran, mut noted) = (0, 0);
    for (minute, tool, arguments) in hour() {
        let (call, at) = (call(tool, &arguments)?, minutes(minute));
        let judgement = judge(bundle, &session, &call, at);
        let admitted = judgement.ruling.outcome() == Outcome::Allow;
        ran += u32::from(admitted);
        for finding in judgement.ruling.findings() {
            if finding.would().is_some() {
                noted += u32::from(admitted);
                println!("   {minute:>2}m  {tool:<15} {}: {}", finding.rule(), finding.why());
            }
        }
        session.advance(bundle, &call, &judgement, at, admitted);
    }
    println!("   {ran} calls ran, {noted} of them only because the rule is observed; its ceiling holds all the same.");
    println!("   With a gate each record says so, and `glassbreak learn budgets` proposes a limit from them.");
    Ok(())
}

/// The folder, with the rule `refunds` observed.
fn observed(policy: &Path) -> Result<Bundle, Box<dyn Error>> {
    let mut files = Files::new();
    for entry in fs::read_dir(policy)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_| "a file whose name is not UTF-8")?;
            files.insert(name, fs::read(entry.path())?);
        }
    }
    let budgets = fs::read_to_string(policy.join("budgets.toml"))?;
    let budgets = budgets.replace("id = \"refunds\"", "id = \"refunds\"\nmode = \"observe\"");
    files.insert("budgets.toml".to_owned(), budgets.into_bytes());
    Ok(Bundle::from_files(&files)?)
}

fn call(tool: &str, arguments: &Value) -> Result<Call, Box<dyn Error>> {
    let tool = Tool {
        name: Word::new(tool)?,
        arguments: wire::arguments(arguments)?,
    };
    Ok(Call {
        actor: Actor::new(Word::new("support")?, Word::new("monday")?),
        operation: Operation::Tool(tool),
        reason: None,
        conversation: None,
    })
}

fn minutes(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * 60_000)
}

fn tell(minute: i64, tool: &str, judgement: &Judgement) {
    let outcome = judgement.ruling.outcome();
    let why = match judgement.denial() {
        Some(denial) => {
            let rules: Vec<&str> = denial.rules().iter().map(|rule| rule.as_str()).collect();
            format!("{}: {}", rules.join(", "), denial.why())
        }
        None => String::new(),
    };
    let line = format!("   {:<5} {minute:>2}m  {tool:<15} {why}", outcome.as_str());
    println!("{}", line.trim_end());
}
