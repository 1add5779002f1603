//! `glassbreak new`: a policy folder to start from.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::Failure;

/// Writes a small policy folder that passes `glassbreak test`. An existing folder must be empty.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder to make.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The starter folder; a test loads it and runs its tests.
const STARTER: [(&str, &str); 9] = [
    ("README.md", include_str!("../starter/README.md")),
    ("glassbreak.toml", include_str!("../starter/glassbreak.toml")),
    ("people.toml", include_str!("../starter/people.toml")),
    ("safe-bins.toml", include_str!("../starter/safe-bins.toml")),
    ("tools.toml", include_str!("../starter/tools.toml")),
    ("budgets.toml", include_str!("../starter/budgets.toml")),
    ("entities.json", include_str!("../starter/entities.json")),
    ("agent.cedar", include_str!("../starter/agent.cedar")),
    ("tests/first.toml", include_str!("../starter/tests/first.toml")),
];

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let dir = &options.dir;
    let taken = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file();
    if taken {
        return Err(Failure::usage(format!(
            "{} is not empty; name a new folder",
            dir.display()
        )));
    }
    fs::create_dir_all(dir.join("tests"))?;
    for (name, text) in STARTER {
        fs::write(dir.join(name), text)?;
    }
    if options.json {
        say!(
            "{}",
            json!({"dir": dir.display().to_string(), "files": STARTER.map(|(name, _)| name)})
        );
    } else {
        say!("{} is ready. Next:", dir.display());
        say!("  glassbreak test --policy {}", dir.display());
        say!(
            "  glassbreak explain --policy {} --role agent -- git log -3",
            dir.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
