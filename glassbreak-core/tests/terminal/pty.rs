//! A terminal with a person at it: a pty, and a program of which it is the controlling terminal.
//! The tests of the command use it too, not all of it.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "used in part, by another crate's tests too"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a program wrote so far.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    text: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
}

impl Heard {
    pub(crate) fn follow(mut from: impl Read + AsFd + Send + 'static) -> Self {
        let heard = Self::default();
        let to = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let look = Timespec {
                tv_sec: 0,
                tv_nsec: 20_000_000,
            };
            while !to.stop.load(Ordering::Acquire) {
                if poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&look)) == Ok(0) {
                    continue;
                }
                let Ok(count @ 1..) = from.read(&mut bytes) else { break };
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                to.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
            to.stop.store(true, Ordering::Release);
        });
        heard
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        std::thread::sleep(Duration::from_millis(60));
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `words` came after the first `from` bytes, and returns where they end, and how long it took.
    pub(crate) fn wait_from(&self, from: usize, words: &str) -> (usize, Duration) {
        let began = Instant::now();
        loop {
            let over = self.stop.load(Ordering::Acquire) || began.elapsed() > PATIENCE;
            let text = self.text();
            if let Some(at) = text.get(from..).and_then(|text| text.find(words)) {
                return (from + at + words.len(), began.elapsed());
            }
            assert!(!over, "`{words}` did not come:\n{text}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn wait(&self, words: &str) -> usize {
        self.wait_from(0, words).0
    }
}

/// A program at a terminal.
pub(crate) struct Seated {
    pub(crate) child: Child,
    keys: Option<File>,
    /// What the terminal shows.
    pub(crate) screen: Heard,
    /// What goes to its standard output, which is a pipe.
    pub(crate) out: Heard,
    /// What goes to its standard error, where that was made a pipe.
    pub(crate) err: Heard,
}

impl Seated {
    /// Starts a program whose controlling terminal is a new pty. `setsid` and its `--ctty` come with util-linux; where they
    /// are not there, nothing can be tested, and that is said.
    pub(crate) fn start(program: &str, words: &[&str], more: impl FnOnce(&mut Command)) -> Option<Self> {
        let known = Command::new("setsid").arg("--version").output();
        if !known.is_ok_and(|known| known.status.success()) {
            println!("NOT RUN: there is no `setsid` of util-linux on this machine");
            return None;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", program]).args(words).stdin(slave);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        // What is on the screen is compared as plain text; the tests of colours say otherwise.
        command.env("NO_COLOR", "1");
        more(&mut command);
        let mut child = command.spawn().unwrap();
        drop(command);
        let master = File::from(master);
        Some(Self {
            out: Heard::follow(child.stdout.take().unwrap()),
            err: child.stderr.take().map(Heard::follow).unwrap_or_default(),
            screen: Heard::follow(master.try_clone().unwrap()),
            keys: Some(master),
            child,
        })
    }

    /// Types.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keys.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Closes the terminal, as when its window is closed.
    pub(crate) fn hang_up(&mut self) {
        self.keys = None;
        self.screen.stop();
    }

    /// Waits for a prompt after the first `from` bytes of the screen, and returns where it ends.
    pub(crate) fn prompt(&self, from: usize) -> usize {
        self.screen.wait_from(from, " > ").0
    }

    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    let _ = self.child.kill();
                    panic!("it does not end:\n{}\n{}", self.screen.text(), self.out.text());
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        // What is on its way still comes.
        std::thread::sleep(Duration::from_millis(50));
        (status.code(), self.out.text(), self.screen.text())
    }
}
