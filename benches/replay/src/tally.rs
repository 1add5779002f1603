//! What was counted.

use std::collections::BTreeMap;

/// Everything, by source.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sources: BTreeMap<String, Counts>,
}

/// What one source came to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    /// Honest sequences.
    pub(crate) sessions: u64,
    /// Those with at least one ask.
    pub(crate) asking: u64,
    /// Their calls.
    pub(crate) calls: u64,
    /// Calls that people were asked about.
    pub(crate) asks: u64,
    /// Calls that were refused.
    pub(crate) denies: u64,
    /// Calls that asked and that the person's own request had agreed to.
    pub(crate) consented: u64,
    /// Attack sequences that do something.
    pub(crate) attacks: u64,
    /// Those stopped at the first call that does.
    pub(crate) stopped: u64,
    /// Attack sequences that do nothing by any call: nothing could be stopped.
    pub(crate) idle: u64,
    /// Each ask and denial of an honest sequence, and each attack that was not stopped.
    pub(crate) each: Vec<Each>,
}

/// One thing to look at.
#[derive(Debug, Clone)]
pub(crate) struct Each {
    pub(crate) what: What,
    /// The sequence; for an attack, the honest one and the injection.
    pub(crate) task: String,
    pub(crate) tool: String,
    /// The rules that asked or refused.
    pub(crate) rules: Vec<String>,
    pub(crate) why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Ask,
    Deny,
    Passed,
}

impl What {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Passed => "not stopped",
        }
    }
}

impl Tally {
    /// All sources together.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for one in self.sources.values() {
            total.sessions += one.sessions;
            total.asking += one.asking;
            total.calls += one.calls;
            total.asks += one.asks;
            total.denies += one.denies;
            total.consented += one.consented;
            total.attacks += one.attacks;
            total.stopped += one.stopped;
            total.idle += one.idle;
        }
        total
    }
}

/// A share of a number, and what interval it lies in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    pub(crate) count: u64,
    pub(crate) of: u64,
    /// In percent; 0 of none.
    pub(crate) percent: f64,
    /// Wilson's interval at 95 %, in percent; of none, everything.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The normal deviate of 95 %, both sides.
const Z: f64 = 1.959_963_984_540_054;

impl Share {
    pub(crate) fn new(count: u64, of: u64) -> Self {
        if of == 0 {
            let (percent, low, high) = (0.0, 0.0, 100.0);
            return Self {
                count,
                of,
                percent,
                low,
                high,
            };
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of recorded calls are far below 2^52")]
        let (n, p) = (of as f64, count as f64 / of as f64);
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + Z * Z / n;
        Self {
            count,
            of,
            percent: 100.0 * p,
            low: (100.0 * (middle - half) / whole).max(0.0),
            high: (100.0 * (middle + half) / whole).min(100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // 15 of 148, as in the tables of Newcombe 1998: 0.0624 to 0.1605.
        let share = Share::new(15, 148);
        assert!(
            (share.low - 6.24).abs() < 0.01 && (share.high - 16.05).abs() < 0.01,
            "{share:?}"
        );
        // And 0 of 20: 0 to 0.1611.
        let share = Share::new(0, 20);
        assert!(share.low.abs() < 1e-9 && (share.high - 16.11).abs() < 0.01, "{share:?}");
        assert_eq!((Share::new(0, 0).low, Share::new(0, 0).high), (0.0, 100.0));
    }
}
