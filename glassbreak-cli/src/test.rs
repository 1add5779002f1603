//! `glassbreak test`: checks a policy folder and runs its tests.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::Failure;
use crate::style::Style;

/// Loads the folder, which checks every name, policy and example in it, then runs `tests/*.toml`. Exit status 0 when
/// all passed, 1 when a test failed, 2 when the folder does not load.
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
    let style = Style::of_stdout();
    let mut failed = 0;
    let mut results = Vec::new();
    for result in bundle.run_cases() {
        let passed = result.failures.is_empty();
        failed += usize::from(!passed);
        if !options.json {
            let mark = if passed { style.green("ok  ") } else { style.red("FAIL") };
            say!("{mark} {} ({}:{})", result.name, result.file, result.line);
            for failure in &result.failures {
                say!("       {failure}");
            }
        }
        results.push(json!({
            "file": result.file, "line": result.line, "name": result.name, "passed": passed, "failures": result.failures,
        }));
    }
    if options.json {
        let lints: Vec<String> = bundle.lints().iter().map(ToString::to_string).collect();
        let report = json!({
            "bundle": bundle.digest().to_string(), "cases": results, "failed": failed, "lints": lints,
            "state_bytes": bundle.budgets().most_bytes(),
        });
        say!("{report}");
    } else {
        for lint in bundle.lints() {
            say!("warning: {}", crate::snippet::of(lint, &options.policy, style));
        }
        let passed = results.len() - failed;
        let none = if results.is_empty() {
            " (there are no tests: write tests/*.toml)"
        } else {
            ""
        };
        let state = bundle.budgets().most_bytes();
        say!("{passed} passed, {failed} failed{none}\na session takes at most {state} bytes of state");
        say!("bundle {}", bundle.digest());
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
