//! Elapsed time that all processes of a machine share, and the store's time.

use std::sync::{Arc, OnceLock};

use glassbreak_core::clock::{Span, Timestamp};
use glassbreak_core::store::Clock;

use crate::meta::Meta;

/// How far ahead a given time may be.
const LEAP: i64 = 5_000;

/// The time since the machine started, asleep or awake: the same in every process until it starts again.
#[derive(Debug)]
struct BootClock;

impl Clock for BootClock {
    fn elapsed(&self) -> Span {
        #[cfg(target_os = "linux")]
        const WHICH: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const WHICH: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(WHICH);
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
        Span::from_millis(seconds.unwrap_or(0) * 1_000 + nanos.unwrap_or(0) / 1_000_000)
    }
}

/// A clock, and a name by which other processes know whether theirs is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Elapsed {
    clock: Arc<dyn Clock>,
    name: Arc<str>,
}

impl Elapsed {
    /// The machine's.
    pub(crate) fn of_machine() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let space = std::fs::read_link("/proc/self/ns/time").ok();
        let name = match (boot, space) {
            // Namespaces of time shift the clock.
            (Ok(boot), Some(space)) => format!("boot {} {}", boot.trim(), space.display()).into(),
            (Ok(boot), None) => format!("boot {}", boot.trim()).into(),
            // Not known to be another's: then nobody else's readings count here.
            (Err(_), _) => of_process("machine"),
        };
        Self {
            clock: Arc::new(BootClock),
            name,
        }
    }

    /// A clock of this process, for tests.
    pub(crate) fn of(clock: Arc<dyn Clock>) -> Self {
        let name = of_process(&format!("{:p}", Arc::as_ptr(&clock)));
        Self { clock, name }
    }

    fn millis(&self) -> i64 {
        i64::try_from(self.clock.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

fn of_process(what: &str) -> Arc<str> {
    static PROCESS: OnceLock<uuid::Uuid> = OnceLock::new();
    format!("process {} {what}", PROCESS.get_or_init(uuid::Uuid::new_v4)).into()
}

/// What a given time comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The store's time.
    Now(Timestamp),
    /// It is not believed; this would be the nearest that is.
    Not { latest: Timestamp },
}

/// How one handle takes the times that it is given.
#[derive(Debug)]
pub(crate) struct Line {
    elapsed: Elapsed,
    /// How often the time had been adopted when the handle was opened on a store that had one, until the handle's first
    /// time is believed. A store whose time is ahead of the clock then denies, if the machine was started since: a glitch
    /// must not stretch windows.
    unmet: Option<i64>,
}

impl Line {
    pub(crate) fn new(elapsed: Elapsed, meta: &Meta) -> Self {
        Self {
            elapsed,
            unmet: meta.hw.map(|_| meta.adopted),
        }
    }

    /// Takes a given time. What other processes were given counts as given; how long ago that was is known as long as
    /// they tell elapsed time by the same clock. Where they do not, because the machine was started since, any later time is believed.
    pub(crate) fn read(&mut self, meta: &mut Meta, given: Timestamp) -> Reading {
        let given = given.as_millis();
        let elapsed = self.elapsed.millis();
        let same = *meta.clock == *self.elapsed.name;
        if let Some(hw) = meta.hw {
            let behind = given < hw.saturating_sub(LEAP);
            if behind && !same && self.unmet.is_some_and(|adopted| adopted == meta.adopted) {
                return Reading::Not {
                    latest: Timestamp::from_millis(hw),
                };
            }
            self.unmet = None;
            if given <= hw {
                if !same && !behind {
                    self.set(meta, hw, elapsed);
                }
                return Reading::Now(Timestamp::from_millis(hw));
            }
            let since = elapsed.saturating_sub(meta.shown).max(0);
            let latest = hw.saturating_add(since).saturating_add(LEAP);
            if same && given > latest {
                return Reading::Not {
                    latest: Timestamp::from_millis(latest),
                };
            }
        }
        self.set(meta, given, elapsed);
        Reading::Now(Timestamp::from_millis(given))
    }

    /// Takes a given time on an operator's word, if it is not behind.
    pub(crate) fn adopt(&mut self, meta: &mut Meta, given: Timestamp) {
        let hw = meta.hw.map_or(given.as_millis(), |hw| hw.max(given.as_millis()));
        let elapsed = self.elapsed.millis();
        self.set(meta, hw, elapsed);
        meta.adopted += 1;
        self.unmet = None;
    }

    fn set(&self, meta: &mut Meta, hw: i64, elapsed: i64) {
        meta.hw = Some(hw);
        meta.shown = elapsed;
        meta.clock = Arc::clone(&self.elapsed.name);
    }
}
