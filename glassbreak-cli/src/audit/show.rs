//! `glassbreak audit show` and `glassbreak audit tail`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use glassbreak_core::audit::{Fault, Follow, Record, Teller, Timeline};
use glassbreak_core::clock::{Span, Timestamp};
use serde_json::{Value, json};

use super::{Stop, TAMPERED};
use crate::Failure;
use crate::style::Style;

/// Reads all chains as one row of records by time, checking each as it goes. Exit status 0; 1 when a chain is broken,
/// which is told where it shows, and nothing of that chain after it; 2 for wrong usage or a folder that cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The folder of the log.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only what came since then: a time (2026-03-01T14:05:00Z), or so long ago (2h).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what concerns this call, with what people were asked and said of it; the beginning of its id is enough.
    #[arg(long, value_name = "ID")]
    call: Option<String>,
    /// Print the records as JSON Lines.
    #[arg(long)]
    json: bool,
}

/// Reads the last records of all chains. Exit status as for `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// The folder of the log.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// How many records to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on telling what comes, until stopped.
    #[arg(long)]
    follow: bool,
    /// Print the records as JSON Lines.
    #[arg(long)]
    json: bool,
}

pub(super) fn show(options: &Show) -> Result<ExitCode, Stop> {
    let since = options.since.as_deref().map(read_since).transpose();
    let since = since.map_err(Stop::Failure)?;
    let mut printer = Printer::new(options.json);
    let mut concern = options.call.as_deref().map(Concern::with);
    for step in Timeline::open(&options.dir)? {
        if let Ok(record) = &step {
            let other = concern.as_mut().is_some_and(|concern| !concern.covers(record));
            if other || since.is_some_and(|since| record.at() < since) {
                continue;
            }
        }
        printer.print(&step)?;
    }
    printer.done()
}

pub(super) fn tail(options: &Tail) -> Result<ExitCode, Stop> {
    let mut printer = Printer::new(options.json);
    let mut follow = Follow::new(&options.dir);
    let mut most = options.lines;
    loop {
        for step in follow.poll(most)? {
            printer.print(&step)?;
        }
        printer.out.flush()?;
        if !options.follow {
            return printer.done();
        }
        most = usize::MAX;
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn read_since(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(span) = Span::from_word(text) {
        let ago = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub(ago)));
    }
    Timestamp::from_rfc3339(text).map_err(|bad| Failure::usage(format!("--since: {bad}; or how long ago: 90s, 5m, 2h")))
}

/// Which records concern a call: its own, and all of the request that people were asked about it with.
struct Concern {
    call: String,
    requests: HashSet<String>,
}

impl Concern {
    fn with(call: &str) -> Self {
        Self {
            call: call.to_owned(),
            requests: HashSet::new(),
        }
    }

    fn covers(&mut self, record: &Record) -> bool {
        let json = record.json();
        let of = |key: &str| json.get(key).and_then(Value::as_str);
        let request = of("request");
        if of("call").is_some_and(|id| id.starts_with(&self.call)) {
            self.requests.extend(request.map(str::to_owned));
            return true;
        }
        request.is_some_and(|id| self.requests.contains(id))
    }
}

struct Printer {
    out: io::BufWriter<io::StdoutLock<'static>>,
    json: bool,
    teller: Teller,
    style: Style,
    broken: bool,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self {
            out: io::BufWriter::new(io::stdout().lock()),
            json,
            teller: Style::of_stdout().teller(),
            style: Style::of_stdout(),
            broken: false,
        }
    }

    fn print(&mut self, step: &Result<Record, Fault>) -> io::Result<()> {
        self.broken |= step.is_err();
        match step {
            Ok(record) if self.json => {
                let mut json = record.json();
                if let Value::Object(fields) = &mut json {
                    fields.insert("hash".to_owned(), json!(record.hash().to_string()));
                }
                writeln!(self.out, "{json}")
            }
            Ok(record) => self.out.write_all(self.teller.tell(record).as_bytes()),
            Err(fault) if self.json => {
                let fault = json!({"file": fault.file, "line": fault.seq, "what": fault.what});
                writeln!(self.out, "{}", json!({ "fault": fault }))
            }
            Err(fault) => writeln!(self.out, "{}  {fault}", self.style.red("TAMPERED")),
        }
    }

    fn done(mut self) -> Result<ExitCode, Stop> {
        self.out.flush()?;
        Ok(if self.broken {
            ExitCode::from(TAMPERED)
        } else {
            ExitCode::SUCCESS
        })
    }
}
