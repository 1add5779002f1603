//! `glassbreak schema`: what goes in and comes out, for other languages and for editors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use glassbreak_core::bundle::Bundle;
use glassbreak_core::schema;
use serde_json::Value;

use crate::style::Style;
use crate::{Failure, snippet};

/// Prints a JSON Schema (draft 2020-12), the Cedar schema that a folder's policies are validated against, or its tools as a
/// model is told of them. Exit status 1 where guarded functions and the folder have come apart.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Of what.
    #[arg(value_name = "WHAT")]
    what: What,
    /// For `cedar` and `tools`: the policy folder; for `cedar` the built-in bundle unless given.
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// For `tools`: the guarded functions of a program, as its `guarded::tools_list()` wrote them; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    functions: Option<PathBuf>,
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
    /// The tools of a folder, as the answer to MCP's `tools/list`.
    Tools,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.functions.is_some() && !matches!(options.what, What::Tools) {
        return Err(Failure::usage("--functions is for `glassbreak schema tools`"));
    }
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
        What::Tools => return tools(options),
    }
    Ok(ExitCode::SUCCESS)
}

fn tools(options: &Options) -> Result<ExitCode, Failure> {
    let policy = options.policy.as_ref();
    let policy = policy.ok_or_else(|| Failure::usage("the tools of which folder? write --policy DIR"))?;
    let bundle = crate::open(policy)?;
    let apart = match &options.functions {
        Some(file) => bundle
            .tools()
            .compare(&functions(file)?)
            .map_err(|problem| Failure::usage(format!("{}: {}; {}", file.display(), problem.what(), problem.help())))?,
        None => Vec::new(),
    };
    say!("{:#}", bundle.tools().list());
    for problem in &apart {
        eprintln!("warning: {}", snippet::of(problem, policy, Style::of_stderr()));
    }
    Ok(if apart.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn functions(file: &Path) -> Result<Value, Failure> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())?
    } else {
        fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}
