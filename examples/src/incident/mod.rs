//! The incident: an agent loops on a crashing pod and deletes it again and again. It has the permission and a reason,
//! and what is new is the circuit breaker.
//!
//! Everything in it is real but the cluster and the model: programs run, the store and the audit log are on disk, people
//! answer through the same [`Desk`](glassbreak_core::desk::Desk) as anywhere. `kubectl` is the
//! [stand-in](crate::kubectl), and the agent a script that reacts to what the guard answers (`agent`).
//!
//! `story` tells it act by act and checks each: it is a test too.

mod after;
mod agent;
mod child;
mod options;
mod page;
mod people;
mod stage;
mod stops;
mod story;

use std::error::Error;
use std::process::ExitCode;

use self::options::{HELP, Options};

/// What may go wrong on the way.
type Failed = Box<dyn Error>;

/// Tells the story by the words of the command line.
pub fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("incident: {why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match story::tell(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nincident: it did not go as it is told: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The story must go on like this, or it is not the story.
fn expect(so: bool, what: impl FnOnce() -> String) -> Result<(), Failed> {
    if so { Ok(()) } else { Err(what().into()) }
}
