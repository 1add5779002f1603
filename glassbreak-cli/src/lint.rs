//! `glassbreak lint`: holes in the profiles and tools of a policy folder.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::Failure;
use crate::style::Style;

/// Looks for what loads and is better not so: an option that loads code, config, credentials or an endpoint of any
/// name, a profile without examples, one that hides the shipped pack of its program, tools whose listing cannot be
/// followed. Exit status 0 when there is nothing, 1 when there is something, 2 when the folder does not load.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The policy folder.
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let bundle = crate::open_for(&options.policy, options.json)?;
    let lints = bundle.lints();
    if options.json {
        let lints: Vec<_> = (lints.iter())
            .map(|lint| {
                json!({
                    "file": lint.file(), "line": lint.line(), "column": lint.column(), "what": lint.what(),
                    "help": lint.help(),
                })
            })
            .collect();
        say!("{}", json!({"bundle": bundle.digest().to_string(), "lints": lints}));
    } else {
        let style = Style::of_stdout();
        for lint in lints {
            say!("warning: {}", crate::snippet::of(lint, &options.policy, style));
        }
        say!("{} found\nbundle {}", lints.len(), bundle.digest());
    }
    Ok(if lints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
