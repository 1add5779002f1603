//! Holds glassbreak's sequence rules against what Dogwood says: the other half of `benches/dogwood.sh`.
//!
//! Each line of the input is a case: rules, what each of them sees of a trace, and Dogwood's verdicts; or rules that count
//! within a window, calls, Dogwood's verdicts and how long it took.

mod agree;
mod ratio;
mod rules;

use std::io::BufRead;
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;

use crate::agree::{Agreed, Case};
use crate::ratio::Times;

/// Hold glassbreak's sequence rules against what Dogwood says of the same: JSON Lines from `benches/dogwood` on the input.
/// Exit status 0 when all verdicts agree, 1 when some do not, 2 for input that cannot be read.
#[derive(Debug, Parser)]
#[command(name = "against-dogwood", max_term_width = 100)]
struct Options {}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Case(Case),
    Times(Times),
}

fn main() -> ExitCode {
    let Options {} = Options::parse();
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("against-dogwood: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    let (mut agreed, mut read) = (Agreed::default(), 0);
    let mut timed = false;
    for (at, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        let line = serde_json::from_str(&line).map_err(|error| format!("line {}: {error}", at + 1))?;
        read += 1;
        match line {
            Line::Case(case) => agreed.take(&case)?,
            Line::Times(times) => {
                if !timed {
                    println!("{}", ratio::HEAD);
                }
                timed = true;
                println!("{}", times.ratio()?);
            }
        }
    }
    if read == 0 {
        return Err("there is no input".to_owned());
    }
    if agreed.traces > 0 {
        println!("{agreed}");
    }
    Ok(agreed.differ.is_empty())
}
