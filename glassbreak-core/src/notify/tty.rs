//! The controlling terminal of the process, as a place to ask a person.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcgetwinsize,
    tcsetattr,
};

use crate::people::Account;

/// The longest line that is taken.
const MAX_LINE: usize = 4_096;
/// How long a wait for a key lasts before it is looked whether the question still stands.
const LOOK: Duration = Duration::from_millis(100);
/// How long a terminal that was stopped (Ctrl-S) may hold up what is written.
const STUCK: Duration = Duration::from_secs(10);
/// How wide a terminal is that does not say so.
const WIDE: usize = 80;

/// Why nobody can be asked at this terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TtyError {
    /// There is no controlling terminal.
    #[error("this process has no terminal to ask at (/dev/tty: {0})")]
    None(io::Error),
    /// The process runs in the background, where it may not read.
    #[error("this process is not in the foreground of its terminal")]
    Background,
    /// The terminal cannot be read or written.
    #[error("the terminal cannot be used: {0}")]
    Broken(#[from] io::Error),
    /// The terminal was closed.
    #[error("the terminal was closed")]
    Closed,
}

/// What came of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// This line, without the blanks around it.
    Line(String),
    /// Nothing: the person pressed Ctrl-D.
    Nothing,
    /// The question was over before anything came.
    Stopped,
}

/// The controlling terminal of the process.
///
/// Opened anew, so that nothing of its settings is shared with standard input or output; a thread that waits for it never
/// hangs in a read or write.
#[derive(Debug)]
pub struct Tty {
    file: File,
    /// How it was set, where that had to be changed.
    before: Option<Termios>,
}

impl Tty {
    /// Opens it.
    ///
    /// # Errors
    /// When there is none, or the process is not in its foreground.
    pub fn open() -> Result<Self, TtyError> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(flags).open("/dev/tty");
        let mut tty = Self {
            file: file.map_err(TtyError::None)?,
            before: None,
        };
        if !tty.is_foreground()? {
            return Err(TtyError::Background);
        }
        tty.take_lines()?;
        Ok(tty)
    }

    /// The account of whoever runs this process: the real uid.
    ///
    /// # Errors
    /// Never, in practice.
    pub fn account() -> Result<Account, crate::error::BadWord> {
        Account::uid(rustix::process::getuid().as_raw())
    }

    /// How many columns it has.
    pub fn width(&self) -> usize {
        let size = tcgetwinsize(&self.file).map_or(0, |size| usize::from(size.ws_col));
        if size == 0 { WIDE } else { size }
    }

    /// Writes text, which the caller has escaped.
    ///
    /// # Errors
    /// When the terminal does not take it, or the process is in the background, where writing could stop it.
    pub fn say(&mut self, text: &str) -> Result<(), TtyError> {
        if !self.is_foreground()? {
            return Err(TtyError::Background);
        }
        let end = Instant::now() + STUCK;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                    self.wait(PollFlags::OUT)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Throws away what was typed, asks, and reads one line, until `stop` says that the question is over.
    ///
    /// While the process is in the background it waits; back in the foreground it asks anew. What is typed when the
    /// question ends is thrown away.
    ///
    /// # Errors
    /// When the terminal is closed or broken.
    pub fn line(&mut self, prompt: &str, stop: impl Fn() -> bool) -> Result<Typed, TtyError> {
        self.forget()?;
        self.say(prompt)?;
        let mut line = Vec::new();
        let mut away = false;
        loop {
            if stop() {
                if self.is_foreground()? {
                    self.forget()?;
                }
                return Ok(Typed::Stopped);
            }
            let here = self.is_foreground()?;
            if !here {
                // Reading would stop the whole process.
                away = true;
                std::thread::sleep(LOOK);
                continue;
            }
            if std::mem::take(&mut away) {
                line.clear();
                self.take_lines()?;
                self.forget()?;
                self.say(&format!("\n{prompt}"))?;
            }
            if self.wait(PollFlags::IN)?.is_empty() {
                continue;
            }
            // A terminal hands out whole lines, and the rest of one that Ctrl-D cut.
            let mut bytes = [0; MAX_LINE];
            match self.file.read(&mut bytes) {
                Ok(0) if self.wait(PollFlags::IN)?.contains(PollFlags::HUP) => return Err(TtyError::Closed),
                Ok(0) => return Ok(Typed::Nothing),
                Ok(count) => line.extend(bytes.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if self.is_closed() => return Err(TtyError::Closed),
                Err(error) => return Err(error.into()),
            }
            if line.len() > MAX_LINE {
                line.clear();
            }
            if line.ends_with(b"\n") {
                return Ok(Typed::Line(String::from_utf8_lossy(&line).trim().to_owned()));
            }
        }
    }

    /// Throws away what was typed and not read, also a line that is not finished.
    ///
    /// # Errors
    /// When the terminal is closed or broken.
    pub fn forget(&self) -> Result<(), TtyError> {
        tcflush(&self.file, QueueSelector::IFlush).map_err(|error| self.broke(error))
    }

    /// What is ready of `wanted`, after a short while at most; nothing where nothing is.
    fn wait(&self, wanted: PollFlags) -> Result<PollFlags, TtyError> {
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(LOOK.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.file, wanted)];
        match poll(&mut fds, Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
            Ok(_) => Ok(fds
                .iter()
                .map(PollFd::revents)
                .fold(PollFlags::empty(), |all, one| all | one)),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn is_foreground(&self) -> Result<bool, TtyError> {
        let group = tcgetpgrp(&self.file).map_err(|error| self.broke(error))?;
        Ok(group == rustix::process::getpgrp())
    }

    fn is_closed(&self) -> bool {
        self.wait(PollFlags::IN)
            .is_ok_and(|ready| ready.contains(PollFlags::HUP))
    }

    /// After a hangup every request to the terminal fails, each with an error of its own.
    fn broke(&self, error: rustix::io::Errno) -> TtyError {
        if self.is_closed() {
            TtyError::Closed
        } else {
            io::Error::from(error).into()
        }
    }

    /// Has it hand out lines, and show what is typed: a program before may have left it otherwise.
    fn take_lines(&mut self) -> Result<(), TtyError> {
        let now = tcgetattr(&self.file).map_err(|error| self.broke(error))?;
        let mut wanted = now.clone();
        wanted.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        wanted.input_modes |= InputModes::ICRNL;
        if (wanted.local_modes, wanted.input_modes) != (now.local_modes, now.input_modes) {
            tcsetattr(&self.file, OptionalActions::Now, &wanted).map_err(|error| self.broke(error))?;
            self.before.get_or_insert(now);
        }
        Ok(())
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && self.is_foreground().unwrap_or(false)
        {
            let _ = tcsetattr(&self.file, OptionalActions::Now, before);
        }
    }
}
