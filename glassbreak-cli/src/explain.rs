//! `glassbreak explain`: how one call is read, and what each rule says of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgGroup;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::call::{Actor, Argv, Call, Exec, Operation, Word};
use glassbreak_core::clock::Timestamp;
use glassbreak_core::error::shown_whole;
use glassbreak_core::facts::{Facts, Target};
use glassbreak_core::finding::{Finding, Outcome};
use glassbreak_core::judge::{Judgement, SessionState, judge, policy_traces};
use glassbreak_core::policy::PolicyTrace;

use crate::check::Packs;
use crate::style::Style;
use crate::{Failure, verdict};

/// Judges one call, alone and with empty counters, and shows everything about it. Nothing runs. Exit status 0 when
/// the call was judged, whatever the verdict; 2 for a policy folder that does not load.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("by").required(true).args(["policy", "packs"]))]
pub(crate) struct Options {
    /// The policy folder to judge by.
    #[arg(long, value_name = "DIR", requires = "role")]
    policy: Option<PathBuf>,
    /// Judge by a built-in bundle instead: the shipped packs, for the role `anonymous`.
    #[arg(long, value_name = "NAME", conflicts_with = "role")]
    packs: Option<Packs>,
    /// The role that asks.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The folder that the call must stay beneath; the current folder unless given.
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Print JSON, as `check --explain` does.
    #[arg(long)]
    json: bool,
    /// The program and its words.
    #[arg(last = true, required = true, value_name = "WORD")]
    argv: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let bundle = match &options.policy {
        Some(policy) => crate::open_for(policy, options.json)?,
        None => Bundle::read_only().map_err(|problems| Failure::usage(problems.to_string()))?,
    };
    let workspace = crate::workspace(options.workspace.as_ref())?;
    let word = |text: &str| Word::new(text).map_err(|bad| Failure::usage(format!("--role: {bad}")));
    let role = options.role.as_deref().unwrap_or("anonymous");
    let actor = Actor::new(word(role)?, word("explain")?);
    let state = SessionState::new(workspace.clone());
    let (call, judgement, traces) = match Argv::new(options.argv.iter().map(String::as_str)) {
        Ok(argv) => {
            let call = Call {
                actor,
                operation: Operation::Exec(Exec::new(argv)),
                reason: None,
                conversation: None,
            };
            let at = Timestamp::now();
            let judgement = judge(&bundle, &state, &call, at);
            let traces = policy_traces(&bundle, &state, &call, at);
            (Some(call), judgement, traces)
        }
        Err(malformed) => {
            let judgement = glassbreak_core::judge::refused(&bundle, malformed.finding());
            (None, judgement, Vec::new())
        }
    };
    if options.json {
        let answer = verdict::explained(
            verdict::of(None, 1, &judgement, &bundle),
            &bundle,
            call.as_ref(),
            &judgement,
            &traces,
        );
        say!("{}", serde_json::Value::Object(answer));
    } else {
        print_page(&bundle, call.as_ref(), &judgement, &traces, Style::of_stdout());
        if let Some(Operation::Exec(exec)) = call.as_ref().map(|call| &call.operation)
            && let Some(near) = bundle.programs().nearest_allowed(exec, "", &workspace)
        {
            let words: Vec<String> = near.iter().map(|word| format!("{:?}", shown_whole(word))).collect();
            say!("  near  [{}]", words.join(", "));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_page(bundle: &Bundle, call: Option<&Call>, judgement: &Judgement, traces: &[PolicyTrace], style: Style) {
    let ruling = &judgement.ruling;
    let tokens = verdict::tokens(bundle, call, judgement);
    if !tokens.is_empty() {
        say!("{}", style.bold("How it is read"));
        let width = tokens
            .iter()
            .map(|token| token.word.chars().count())
            .max()
            .unwrap_or(0)
            .min(40);
        for token in &tokens {
            say!("  {:<width$}  {}", token.word, token.taken_for);
        }
        say!("\n{}", style.bold("Facts"));
        print_facts(bundle, &judgement.facts);
    }
    say!("\n{}", style.bold("What the rules say"));
    for finding in ruling.findings() {
        let why = if finding.why().is_empty() {
            "has nothing against it"
        } else {
            finding.why()
        };
        say!("  {:<5}  {}: {why}", finding.level().as_str(), finding.rule());
        if let Some(trace) = traces.iter().find(|trace| is_of(finding, trace)) {
            print_clause(trace);
        }
    }
    // Those that have spoken are told above; the others show what else was looked at.
    let told = |trace: &PolicyTrace| ruling.findings().iter().any(|finding| is_of(finding, trace));
    for trace in traces.iter().filter(|trace| !told(trace)) {
        let reason = trace
            .reason
            .as_deref()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        let class = trace.class.as_str();
        say!(
            "  -      policy.{}: {}{reason} ({class}, {}:{})",
            trace.id,
            trace.held,
            trace.file,
            trace.line
        );
        print_clause(trace);
    }
    say!("\n{}: {}", style.bold("Verdict"), style.outcome(ruling.outcome()));
    if !ruling.why().is_empty() {
        say!("  why   {}", ruling.why());
    }
    let hint = if ruling.outcome() == Outcome::Ask {
        verdict::how_to_ask(judgement)
    } else {
        ruling.hint()
    };
    if !hint.is_empty() {
        say!("  help  {hint}");
    }
    if let Some(plan) = judgement.plan.as_ref().filter(|_| ruling.outcome() != Outcome::Deny) {
        let words: Vec<String> = plan.argv().map(|word| format!("{:?}", shown_whole(word))).collect();
        say!("  runs  [{}]", words.join(", "));
        for (name, value) in plan.env() {
            say!("        {name}={}", shown_whole(value));
        }
    }
    if let Some(digest) = judgement.digest {
        say!("  call  {digest}");
    }
}

/// Whether the finding is what this policy says.
fn is_of(finding: &Finding, trace: &PolicyTrace) -> bool {
    let rule = finding.rule().as_str().strip_prefix("policy.");
    rule.and_then(|rule| rule.strip_prefix(trace.id.as_str()))
        .is_some_and(|end| matches!(end, "" | ".error" | ".partial"))
}

/// The clause that decided, where it stands, and what it saw.
fn print_clause(trace: &PolicyTrace) {
    let Some(clause) = &trace.clause else { return };
    say!(
        "           {}:{}:{}: {}",
        clause.file,
        clause.line,
        clause.column,
        clause.text
    );
    let saw: Vec<String> = (clause.saw.iter())
        .map(|(name, value)| format!("{name} is {value}"))
        .collect();
    if !saw.is_empty() {
        say!("           here {}", saw.join(", "));
    }
}

fn print_facts(bundle: &Bundle, facts: &Facts) {
    let line = |name: &str, text: String| {
        if !text.is_empty() {
            say!("  {name:<10} {text}");
        }
    };
    if let Some(argv) = &facts.argv {
        line("command", argv.command.to_string());
        line(
            "options",
            argv.options
                .iter()
                .map(|option| &**option)
                .collect::<Vec<_>>()
                .join(" "),
        );
        for (name, set) in &argv.sets {
            line(
                name,
                set.iter().map(|text| shown_whole(text)).collect::<Vec<_>>().join(", "),
            );
        }
    }
    let target = Target::NAMES.iter().filter_map(|name| {
        let text = facts
            .target
            .get(name)?
            .text()
            .map_or_else(|| "several".to_owned(), shown_whole);
        (!text.is_empty()).then(|| format!("{name} {text}"))
    });
    line("target", target.collect::<Vec<_>>().join(", "));
    line(
        "labels",
        bundle
            .vocabulary()
            .words_of(facts.labels)
            .collect::<Vec<_>>()
            .join(", "),
    );
    line("risk", facts.risk.to_string());
    if facts.partial {
        line(
            "partial",
            "some word was not understood, so rules that read it count as in error".to_owned(),
        );
    }
}
