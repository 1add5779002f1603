//! From what sessions came to, to limits: plain arithmetic.
//!
//! For sessions that are alike (exchangeable), the chance that the next one comes to more than the most of `n` is at most
//! 1 in `n + 1`, whatever they are distributed like: each of the `n + 1` is as likely as any other to be the one with the
//! most. Over several rules the chances add up at most.

use std::collections::BTreeMap;
use std::str::FromStr;

use glassbreak_core::budget::Bounds;

use super::sessions::Sessions;

/// Limits, and how sure they are.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    /// How many sessions were learned from; at least one.
    pub(super) sessions: u64,
    pub(super) rules: Vec<Proposed<'a>>,
    /// Rules that are observed and that no session met.
    pub(super) unmet: Vec<&'a str>,
}

/// A limit for one rule.
#[derive(Debug)]
pub(super) struct Proposed<'a> {
    pub(super) id: &'a str,
    /// At least the most that was seen, and at most the ceiling that people have written.
    pub(super) limit: u64,
    /// The most that was seen.
    pub(super) most: u64,
    /// The same by role.
    pub(super) roles: BTreeMap<String, u64>,
    pub(super) limit_now: u64,
    pub(super) ceiling: u64,
}

impl Proposed<'_> {
    /// Whether more would pass than what the folder says.
    pub(super) const fn loosens(&self) -> bool {
        self.limit > self.limit_now
    }
}

impl Proposal<'_> {
    /// The most that the chance may be for one rule.
    pub(super) fn chance(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "there are far fewer than 2^52 sessions in a log"
        )]
        let sessions = self.sessions as f64;
        1.0 / (sessions + 1.0)
    }

    /// The most that it may be for any of them.
    pub(super) fn chance_of_all(&self) -> f64 {
        let rules = u32::try_from(self.rules.len()).unwrap_or(u32::MAX);
        (self.chance() * f64::from(rules)).min(1.0)
    }
}

/// What is proposed for the observed ones of `bounds`; `None` where there is no session.
pub(super) fn propose<'a>(
    sessions: &Sessions,
    bounds: impl Iterator<Item = Bounds<'a>>,
    margin: Margin,
) -> Option<Proposal<'a>> {
    if sessions.clean.is_empty() {
        return None;
    }
    let mut proposal = Proposal {
        sessions: u64::try_from(sessions.clean.len()).unwrap_or(u64::MAX),
        rules: Vec::new(),
        unmet: Vec::new(),
    };
    for bounds in bounds.filter(|bounds| bounds.observed) {
        let mut roles: BTreeMap<String, u64> = BTreeMap::new();
        for session in &sessions.clean {
            if let Some(count) = session.most.get(bounds.id) {
                let most = roles.entry(session.role.clone()).or_default();
                *most = (*most).max(*count);
            }
        }
        match roles.values().max() {
            None => proposal.unmet.push(bounds.id),
            Some(&most) => proposal.rules.push(Proposed {
                id: bounds.id,
                limit: margin.times(most).min(bounds.ceiling),
                most,
                roles,
                limit_now: bounds.limit,
                ceiling: bounds.ceiling,
            }),
        }
    }
    Some(proposal)
}

/// How many times the most that was seen, in hundredths: at least 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Margin(u64);

impl Margin {
    /// Rounded up.
    fn times(self, count: u64) -> u64 {
        let times = u128::from(count) * u128::from(self.0);
        u64::try_from(times.div_ceil(100)).unwrap_or(u64::MAX)
    }
}

impl FromStr for Margin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no margin: write 1 to 10, with at most two places, such as 1.5");
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(places) || !(1..=2).contains(&places.len()) {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let hundredths: u64 = format!("{places:0<2}").parse().map_err(|_| bad())?;
        let margin = whole.saturating_mul(100).saturating_add(hundredths);
        if (100..=1_000).contains(&margin) {
            Ok(Self(margin))
        } else {
            Err(bad())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sessions::Session;
    use super::*;

    fn sessions(counts: &[u64]) -> Sessions {
        let clean = counts.iter().map(|count| Session {
            role: "ops".to_owned(),
            most: BTreeMap::from([("drops".to_owned(), *count)]),
        });
        Sessions {
            clean: clean.collect(),
            ..Sessions::default()
        }
    }

    fn bounds(id: &str, observed: bool) -> Bounds<'_> {
        Bounds {
            id,
            limit: 3,
            ceiling: 10,
            observed,
        }
    }

    fn margin(text: &str) -> Margin {
        text.parse().unwrap()
    }

    #[test]
    fn the_most_that_was_seen_is_proposed_with_the_chance_that_it_is_passed() {
        let counts: Vec<u64> = (0..99).map(|n| n % 3).collect();
        let seen = sessions(&counts);
        let proposal = propose(&seen, [bounds("drops", true)].into_iter(), margin("1")).unwrap();
        assert_eq!((proposal.rules[0].limit, proposal.rules[0].loosens()), (2, false));
        assert!((proposal.chance() - 0.01).abs() < 1e-12);
        assert!((proposal.chance_of_all() - 0.01).abs() < 1e-12);
    }

    #[test]
    fn what_is_proposed_is_never_past_the_ceiling_that_people_have_written() {
        for (most, times, limit) in [
            (4, "1.5", 6),
            (5, "1.25", 7),
            (8, "1.5", 10),
            (10, "10", 10),
            (3, "1", 3),
        ] {
            let seen = sessions(&[1, most, 2]);
            let proposal = propose(&seen, [bounds("drops", true)].into_iter(), margin(times)).unwrap();
            let rule = &proposal.rules[0];
            assert_eq!((rule.limit, rule.loosens()), (limit, limit > 3), "{most} {times}");
            assert!(rule.limit >= rule.most);
        }
    }

    #[test]
    fn a_rule_that_is_enforced_or_that_nobody_met_has_no_proposal() {
        let seen = sessions(&[1]);
        let all = [bounds("drops", false), bounds("others", true)];
        let proposal = propose(&seen, all.into_iter(), margin("1")).unwrap();
        assert_eq!((proposal.rules.len(), &proposal.unmet[..]), (0, &["others"][..]));
        assert!(propose(&sessions(&[]), [bounds("drops", true)].into_iter(), margin("1")).is_none());
    }

    #[test]
    fn a_margin_never_makes_less() {
        assert_eq!(margin("1.5"), Margin(150));
        assert_eq!(margin("1.05"), Margin(105));
        for bad in [
            "",
            "0.9",
            "-1",
            "11",
            "1.",
            ".5",
            "1.555",
            "1e3",
            "nan",
            "+2",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<Margin>().is_err(), "{bad}");
        }
        assert_eq!(margin("10").times(u64::MAX), u64::MAX);
    }
}
