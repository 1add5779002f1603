//! `glassbreak schema`: what goes in and comes out, for other languages and for editors.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::schema;

use crate::Failure;

/// Prints a JSON Schema (draft 2020-12), or the Cedar schema that a folder's policies are validated against.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Of what.
    #[arg(value_name = "WHAT")]
    what: What,
    /// For `cedar`: the policy folder; the built-in bundle unless given.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// A call: one line of the input of `check`.
    Call,
    /// A verdict: one line of the output of `check`.
    Verdict,
    /// safe-bins.toml.
    Profile,
    /// budgets.toml.
    Budgets,
    /// The Cedar schema of calls.
    Cedar,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match options.what {
        What::Call => say!("{}", schema::CALL.trim_end()),
        What::Verdict => say!("{}", schema::VERDICT.trim_end()),
        What::Budgets => say!("{}", schema::BUDGETS.trim_end()),
        What::Profile => say!("{:#}", schema::profile()),
        What::Cedar => {
            let bundle = match &options.policy {
                Some(policy) => crate::open(policy)?,
                None => Bundle::read_only().map_err(|problems| Failure::usage(problems.to_string()))?,
            };
            say!("{}", bundle.policies().schema());
        }
    }
    Ok(ExitCode::SUCCESS)
}
