//! Commands that do not come back by themselves.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use super::space::Space;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// What a command waits for, and for how long at most.
#[derive(Debug)]
pub struct Wait {
    pub(super) until: Until,
    pub(super) most: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum Until {
    /// For ever, as whoever follows a log does.
    Never,
    /// Until this folder is gone.
    Gone(PathBuf, String),
    /// Until every pod of a deployment is ready.
    Ready(Space, String),
}

impl Until {
    /// What is said when it is so.
    fn over(&self) -> Option<String> {
        match self {
            Self::Never => None,
            Self::Gone(path, said) => (!path.exists()).then(|| said.clone()),
            Self::Ready(space, name) => match space.ready(name) {
                Ok((ready, all)) if ready == all => Some(format!("deployment \"{name}\" successfully rolled out\n")),
                _ => None,
            },
        }
    }
}

impl Wait {
    /// Waits. It ends early when whoever started it is gone, so that nothing is left behind.
    pub(super) fn outlast(&self) -> ExitCode {
        let parent = parent();
        let begun = Instant::now();
        loop {
            if let Some(said) = self.until.over() {
                return match io::stdout().write_all(said.as_bytes()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(_) => ExitCode::FAILURE,
                };
            }
            if self.most.is_some_and(|most| begun.elapsed() >= most) {
                eprintln!("error: timed out waiting for the condition");
                return ExitCode::FAILURE;
            }
            if self::parent() != parent {
                return ExitCode::FAILURE;
            }
            thread::sleep(LOOK);
        }
    }
}

#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(not(unix))]
const fn parent() -> u32 {
    0
}
