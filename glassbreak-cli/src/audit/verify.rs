//! `glassbreak audit verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use glassbreak_core::audit::{ChainEnd, ChainReport, Fault, PublicKey, Report, State, VerifyOptions, verify};
use serde_json::{Value, json};

use super::{CUT, TAMPERED, unreadable};
use crate::Failure;
use crate::style::Style;

/// Reads every record of every chain. Exit status 0 when all is as it was written; 1 when something was tampered with;
/// 3 when a chain ends without being closed and nobody writes it (its process was killed, or its end was removed where no
/// checkpoint shows it); 2 for wrong usage or a folder that cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of the log.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A file with the public key of the checkpoints, 64 hexadecimal digits; may be given again, for older keys.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A file of checkpoints from their second place; may be given again.
    #[arg(long, value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let keys: Result<_, _> = options.key.iter().map(|path| PublicKey::open(path)).collect();
    let against = VerifyOptions {
        keys: keys.map_err(|error| unreadable(&error))?,
        checkpoints: options.checkpoints.clone(),
    };
    let report = verify(&options.dir, &against).map_err(|error| unreadable(&error))?;
    if options.json {
        println!("{}", as_json(&report));
    } else {
        print(&report);
    }
    Ok(match report.state() {
        State::Intact => ExitCode::SUCCESS,
        State::Cut => ExitCode::from(CUT),
        State::Tampered => ExitCode::from(TAMPERED),
    })
}

fn print(report: &Report) {
    let style = Style::of_stdout();
    for chain in &report.chains {
        let (word, what) = describe(chain);
        let word = match word {
            "tampered" => style.red(word),
            "intact" => style.green(word),
            word => style.bold(word),
        };
        println!("{word}  {}.jsonl  {what}", chain.log);
    }
    for fault in &report.faults {
        println!("{}  {fault}", style.red("tampered"));
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    let records: u64 = report.chains.iter().map(|chain| chain.records).sum();
    let (chains, state) = (report.chains.len(), report.state().as_str());
    println!("{}: {chains} chains, {records} records good", style.bold(state));
}

fn describe(chain: &ChainReport) -> (&'static str, String) {
    let last = match chain.last_at {
        Some(at) => format!("record {}, at {at}", chain.records),
        None => "nothing".to_owned(),
    };
    let (word, mut what) = match &chain.end {
        Ok(ChainEnd::Closed) => ("intact", format!("closed after {last}")),
        Ok(ChainEnd::Writing) => ("intact", format!("being written, so far to {last}")),
        Ok(ChainEnd::Open) => (
            "cut",
            format!("ends after {last}, without being closed: its process was killed, or its end was removed"),
        ),
        Ok(ChainEnd::Cut { bytes }) => (
            "cut",
            format!("cut after {last}: {bytes} bytes of a record follow, which nobody was told was written"),
        ),
        Err(fault) => ("tampered", format!("line {}: {}", fault.seq.unwrap_or(0), fault.what)),
    };
    if chain.signed > 0 {
        what.push_str(&format!("; signed up to record {}", chain.signed));
    }
    (word, what)
}

fn as_json(report: &Report) -> Value {
    let fault = |fault: &Fault| json!({"file": fault.file, "line": fault.seq, "seq": fault.seq, "what": fault.what});
    let chain = |chain: &ChainReport| {
        let (state, what) = describe(chain);
        let end = match &chain.end {
            Ok(ChainEnd::Closed) => json!("closed"),
            Ok(ChainEnd::Writing) => json!("writing"),
            Ok(ChainEnd::Open) => json!("open"),
            Ok(ChainEnd::Cut { bytes }) => json!({"cut": bytes}),
            Err(_) => json!("tampered"),
        };
        json!({
            "log": chain.log.to_string(),
            "state": state,
            "records": chain.records,
            "head": chain.head.to_string(),
            "last_at": chain.last_at.map(|at| at.to_string()),
            "signed": chain.signed,
            "end": end,
            "what": what,
            "fault": chain.end.as_ref().err().map(fault),
        })
    };
    json!({
        "state": report.state().as_str(),
        "chains": report.chains.iter().map(chain).collect::<Vec<_>>(),
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}
