//! `glassbreak stats`: how people answer, from an audit log.

mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use glassbreak_core::audit::Timeline;
use serde_json::json;

use self::tally::{Answers, QUICK_MS, Tally, Votes};
use crate::Failure;
use crate::style::Style;

/// Tell how people answer: how long they take, how often they agree, what nobody answered; by person and by rule. A
/// person who nearly always agrees, mostly at once, is marked. Exit status 0; 1 when the log was tampered with; 2 for
/// wrong usage.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of the log.
    #[arg(value_name = "DIR")]
    log: PathBuf,
    /// Print JSON; times are in milliseconds.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let mut tally = Tally::default();
    let timeline = Timeline::open(&options.log).map_err(|error| Failure::usage(format!("glassbreak: {error}")))?;
    for step in timeline {
        let record = step.map_err(|fault| Failure {
            message: format!("glassbreak: TAMPERED  {fault}; nothing is counted of this log"),
            code: 1,
        })?;
        if let Some(kind) = record.kind() {
            tally.take(kind, record.at(), &record.json());
        }
    }
    if options.json {
        say!("{:#}", as_json(&tally));
    } else {
        print(&tally, Style::of_stdout());
    }
    Ok(ExitCode::SUCCESS)
}

fn print(tally: &Tally, style: Style) {
    let all = tally.all();
    if all.requests == 0 {
        say!("nobody was asked anything");
        return;
    }
    say!("{}  {}", style.bold("asked"), told(&all));
    say!("{}", style.bold("by person"));
    for (person, votes) in &tally.people {
        say!("  {person}  {}", told_of(votes));
        if votes.is_stamp() {
            let quick = time(QUICK_MS);
            say!(
                "    {}: nearly always yes, and mostly within {quick}",
                style.red("LOOK AT THIS")
            );
        }
    }
    say!("{}", style.bold("by rule"));
    for (rule, answers) in &tally.by_rule() {
        say!("  {rule}  {}", told(answers));
    }
}

fn told(answers: &Answers) -> String {
    let Answers {
        requests,
        approved,
        denied,
        expired,
        withdrawn,
        open,
        took,
    } = answers;
    let mut text = format!(
        "{requests} times: {approved} approved, {denied} denied, {expired} with no answer in time, {withdrawn} withdrawn"
    );
    if *open > 0 {
        text.push_str(&format!(", {open} open"));
    }
    if let (Some(half), Some(most)) = (took.median(), took.within(95)) {
        text.push_str(&format!(
            "; decided within {} (half), {} (95 %)",
            time(half),
            time(most)
        ));
    }
    text
}

fn told_of(votes: &Votes) -> String {
    let mut text = format!("{} votes, {} yes", votes.took.count(), votes.yes);
    if let Some(half) = votes.took.median() {
        text.push_str(&format!(
            "; within {} (half), {} of them within {}",
            time(half),
            votes.took.quick(),
            time(QUICK_MS)
        ));
    }
    if votes.not_counted > 0 {
        text.push_str(&format!("; {} answers did not count", votes.not_counted));
    }
    text
}

fn as_json(tally: &Tally) -> serde_json::Value {
    let answers = |answers: &Answers| {
        json!({
            "requests": answers.requests,
            "approved": answers.approved,
            "denied": answers.denied,
            "expired": answers.expired,
            "withdrawn": answers.withdrawn,
            "open": answers.open,
            "decided_ms": { "median": answers.took.median(), "p95": answers.took.within(95) },
        })
    };
    let people = tally.people.iter().map(|(person, votes)| {
        let votes = json!({
            "votes": votes.took.count(),
            "yes": votes.yes,
            "not_counted": votes.not_counted,
            "within_2_s": votes.took.quick(),
            "took_ms": { "median": votes.took.median(), "p95": votes.took.within(95) },
            "nearly_always_yes_at_once": votes.is_stamp(),
        });
        (person.clone(), votes)
    });
    let rules = tally.by_rule();
    let rules = rules.iter().map(|(rule, of)| (rule.clone(), answers(of)));
    json!({
        "requests": answers(&tally.all()),
        "people": people.collect::<serde_json::Map<_, _>>(),
        "rules": rules.collect::<serde_json::Map<_, _>>(),
    })
}

/// Rounded down, in two units at most.
fn time(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}
