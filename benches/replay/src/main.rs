//! Recorded call sequences, run through a policy folder with a real gate and no model.
//!
//! Honest sequences show how often people would be asked; attack sequences, whether the first call that does something
//! for the attacker is stopped. Nothing is performed: a permit is used by a body that does nothing.

mod cases;
mod consent;
mod plan;
mod replay;
mod report;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use glassbreak_core::bundle::Bundle;

use crate::cases::Cases;
use crate::plan::Plan;
use crate::replay::Replay;
use crate::tally::Tally;

/// Run recorded call sequences (JSON Lines) through a policy folder, with a real gate and no model, and report per source:
/// sessions with at least one ask, asks per 100 calls, denials, and attack sequences stopped at the first call that does
/// something. Intervals are Wilson's, at 95 %.
///
/// Each line is one sequence: {"suite": "mail", "task": "t1", "kind": "user", "goal": "what the person asked for",
/// "calls": [{"tool": "send", "args": {}, "untrusted_vectors": []}]}. `kind` is "user" for an honest sequence and
/// "injection" for what an attacker wants. A call with `untrusted_vectors` returned text that an attacker controls. An
/// attack is each honest sequence up to and including its first such call, then each injection of the same suite.
#[derive(Debug, Parser)]
#[command(name = "replay", max_term_width = 100)]
struct Options {
    /// The policy folder.
    #[arg(long, value_name = "FOLDER")]
    policy: PathBuf,
    /// How the sequences are replayed: role, person, what counts as an effect, and what the person's own words have
    /// agreed to. Unless given, the file beside the policy folder with its name and `.toml`.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// List each ask, each denial and each attack that was not stopped.
    #[arg(long)]
    each: bool,
    /// Recorded sequences.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("replay: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let bundle = Bundle::open(&options.policy).map_err(|problems| problems.to_string())?;
    let plan = match &options.plan {
        Some(plan) => plan.clone(),
        None => beside(&options.policy),
    };
    let plan = Plan::open(&plan, &bundle)?;
    let mut cases = Cases::default();
    for file in &options.cases {
        cases.read(file)?;
    }
    let digest = bundle.digest();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let tally: Tally = runtime.block_on(async {
        let replay = Replay::new(bundle, plan).await?;
        replay.all(&cases).await
    })?;
    if options.json {
        println!("{:#}", report::json(&tally, &digest.to_string(), options.each));
    } else {
        print!("{}", report::text(&tally, options.each));
    }
    Ok(())
}

/// `benches/replay/agentdojo.toml` for the folder `benches/replay/agentdojo`.
fn beside(policy: &Path) -> PathBuf {
    // Without what a shell completes: `agentdojo/` is the same folder.
    let policy: PathBuf = policy.components().collect();
    policy.with_extension("toml")
}
