//! `glassbreak learn`: from what was observed to limits and profiles that people may put in force.

mod propose;
mod safe_bins;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use self::propose::{Margin, Proposal, propose};
use self::sessions::Sessions;
use crate::Failure;

/// Learn what is normal from what was done.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Propose limits for the budgets that are observed.
    Budgets(Budgets),
    /// Propose profiles for the programs that were called.
    SafeBins(safe_bins::SafeBins),
}

/// Reads what budgets with `mode = "observe"` counted, and proposes for each the most that any session came to. Changes
/// nothing: a person decides, and writes it into budgets.toml. Exit status 0; 1 when the log was tampered with; 2 for
/// wrong usage, a folder that does not load, or nothing to learn from.
#[derive(Debug, clap::Args)]
struct Budgets {
    /// The policy folder that the log was written under.
    #[arg(long, value_name = "FOLDER")]
    policy: PathBuf,
    /// The folder of the log.
    #[arg(value_name = "DIR")]
    log: PathBuf,
    /// Propose so many times the most that was seen: 1 to 10, with at most two places, such as 1.5.
    #[arg(long, value_name = "TIMES", default_value = "1")]
    margin: Margin,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.command {
        Command::Budgets(options) => budgets(options),
        Command::SafeBins(options) => safe_bins::run(options),
    }
}

fn budgets(options: &Budgets) -> Result<ExitCode, Failure> {
    let bundle = crate::open(&options.policy)?;
    if !bundle.budgets().bounds().any(|bounds| bounds.observed) {
        let what = "no budget of the folder is observed: write mode = \"observe\" at one, and let agents work";
        return Err(Failure::usage(format!("glassbreak: {what}")));
    }
    let sessions = Sessions::read(&options.log, &bundle.digest().to_string())?;
    let proposal = propose(&sessions, bundle.budgets().bounds(), options.margin).ok_or_else(|| {
        Failure::usage(format!(
            "glassbreak: no session to learn from; {}",
            sessions.left_out_told()
        ))
    })?;
    if options.json {
        say!("{:#}", as_json(&proposal, &sessions));
    } else {
        print(&proposal, &sessions);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(proposal: &Proposal<'_>, sessions: &Sessions) {
    let n = proposal.sessions;
    say!("# PROPOSAL, not in force: a person decides, and writes it into budgets.toml.");
    say!("# From {n} sessions; {}.", sessions.left_out_told());
    say!("# If the next session is like these, it comes to more than the most of them with a chance of at most");
    say!(
        "# 1 in {} ({}), for each rule; for all {} together at most {}.",
        n + 1,
        percent(proposal.chance()),
        proposal.rules.len(),
        percent(proposal.chance_of_all())
    );
    if n < 99 {
        say!("# For 1 % for each rule, 99 sessions are needed.");
    }
    for rule in &proposal.rules {
        say!("");
        let roles: Vec<String> = (rule.roles.iter())
            .map(|(role, most)| format!("{role} {most}"))
            .collect();
        say!("# {}: the most in one session, by role: {}.", rule.id, roles.join(", "));
        say!(
            "# In the folder: limit = {}, ceiling = {}.{}",
            rule.limit_now,
            rule.ceiling,
            if rule.loosens() { " THIS LOOSENS IT." } else { "" }
        );
        say!("[[budget]]\nid = \"{}\"\nlimit = {}", rule.id, rule.limit);
    }
    for id in &proposal.unmet {
        say!("\n# {id}: no session met it, so there is nothing to propose.");
    }
}

fn as_json(proposal: &Proposal<'_>, sessions: &Sessions) -> serde_json::Value {
    let rules = proposal.rules.iter().map(|rule| {
        json!({
            "id": rule.id,
            "limit": rule.limit,
            "most": rule.most,
            "by_role": rule.roles,
            "in_folder": {"limit": rule.limit_now, "ceiling": rule.ceiling},
            "loosens": rule.loosens(),
            "chance_at_most": proposal.chance(),
        })
    });
    json!({
        "proposal": true,
        "in_force": false,
        "sessions": proposal.sessions,
        "left_out": {
            "stopped": sessions.stopped,
            "other_folder": sessions.other_folder,
        },
        "rules": rules.collect::<Vec<_>>(),
        "unmet": proposal.unmet,
        "all_rules_chance_at_most": proposal.chance_of_all(),
    })
}

/// Rounded up: it is the most that it may be.
fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 10_000.0).ceil() / 100.0)
}
