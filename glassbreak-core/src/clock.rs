//! Time, as judging sees it: a value that comes in through the door.

use std::fmt;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::BadWord;

/// A moment: whole milliseconds since 1970-01-01 00:00 UTC.
///
/// Judging never reads a clock; the caller says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `span` later; the end of time where that is past it.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// How long this is after `earlier`; nothing where it is before.
    pub fn since(self, earlier: Self) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment on this machine's clock.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            // Cut downwards, as everywhere.
            Err(before) => {
                let millis = before.duration().as_nanos().div_ceil(1_000_000);
                Self(i64::try_from(millis).map_or(i64::MIN, |millis| -millis))
            }
        }
    }

    /// Reads a date and time of RFC 3339, such as `2026-03-01T14:05:00Z`; below a millisecond it is cut.
    ///
    /// # Errors
    /// When `text` is not such a date.
    pub fn from_rfc3339(text: &str) -> Result<Self, BadWord> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(Self::from_date)
            .map_err(|_| BadWord::new("time", text, "write it as in 2026-03-01T14:05:00Z (RFC 3339)"))
    }

    fn from_date(date: OffsetDateTime) -> Self {
        // Years are four digits in RFC 3339 and on any clock, so the milliseconds fit.
        Self(i64::try_from(date.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        let Ok(date) = OffsetDateTime::from_unix_timestamp(seconds) else {
            return write!(f, "{} ms", self.0);
        };
        let Ok(year @ 0..10_000) = u16::try_from(date.year()) else {
            return write!(f, "{} ms", self.0);
        };
        // By hand, and in one piece: each record has one, and formatting by a description costs more than the rest of it.
        let (clock, millis) = (date.time(), u16::try_from(millis).unwrap_or(0));
        let digit = |number: u16, unit: u16| b'0' + (number / unit % 10) as u8;
        let two = |number: u8| [digit(number.into(), 10), digit(number.into(), 1)];
        let ([m, mm], [d, dd]) = (two(date.month().into()), two(date.day()));
        let ([h, hh], [i, ii], [s, ss]) = (two(clock.hour()), two(clock.minute()), two(clock.second()));
        let [y, yy, yyy, yyyy] = [1_000, 100, 10, 1].map(|unit| digit(year, unit));
        let [a, b, c] = [100, 10, 1].map(|unit| digit(millis, unit));
        let text = [
            y, yy, yyy, yyyy, b'-', m, mm, b'-', d, dd, b'T', h, hh, b':', i, ii, b':', s, ss, b'.', a, b, c,
        ];
        // A fraction without zeros at its end, and none at all for a whole second.
        let length = match millis {
            0 => 19,
            _ if millis % 100 == 0 => 21,
            _ if millis % 10 == 0 => 22,
            _ => 23,
        };
        f.write_str(std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default())?;
        f.write_str("Z")
    }
}

/// A span in whole milliseconds, written `500ms`, `90s`, `5m`, `2h` or `1d` in policy files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// The longest span a policy file may name: 366 days.
    pub const MAX: Self = Self(366 * 86_400_000);

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// How many milliseconds it is.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Reads `500ms`, `90s`, `5m`, `2h` or `1d`.
    ///
    /// # Errors
    /// When it is not a whole positive number with one of these units, or is more than [`Span::MAX`].
    pub fn from_word(word: &str) -> Result<Self, BadWord> {
        let bad = || {
            BadWord::new(
                "span of time",
                word,
                "write a whole number and a unit: 500ms, 90s, 5m, 2h or 1d",
            )
        };
        let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = word.split_at_checked(digits).ok_or_else(bad)?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        let millis = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(unit))
            .ok_or_else(bad)?;
        if millis == 0 || millis > Self::MAX.0 {
            return Err(BadWord::new(
                "span of time",
                word,
                "write more than zero and at most 366d",
            ));
        }
        Ok(Self(millis))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print_alike() {
        for word in ["500ms", "90s", "5m", "2h", "1d"] {
            assert_eq!(Span::from_word(word).unwrap().to_string(), word);
        }
        for word in [
            "",
            "5",
            "m",
            "0s",
            "-5m",
            "5 m",
            "1.5h",
            "367d",
            "99999999999999999999s",
            "5M",
        ] {
            assert!(Span::from_word(word).is_err(), "{word}");
        }
    }

    #[test]
    fn times_read_with_any_offset_and_print_in_utc() {
        let time = Timestamp::from_rfc3339("2026-03-01T15:05:00.250+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-03-01T14:05:00.25Z");
        assert!(Timestamp::from_rfc3339("2026-03-01 14:05").is_err());
    }

    #[test]
    fn times_print_as_rfc_3339_has_them() {
        let whole_days = (-25_567..376_200)
            .step_by(13)
            .map(|day| day * 86_400_000 + day * 61_007);
        let edges = [
            0,
            1,
            -1,
            10,
            100,
            999,
            1_000,
            1_010,
            951_782_400_000,
            253_402_300_799_999,
        ];
        let years = [-62_167_219_200_000, -62_167_219_200_001, 253_402_300_800_000];
        for millis in whole_days.chain(edges).chain(years).chain([i64::MIN, i64::MAX]) {
            let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
            let told = date.ok().and_then(|date| date.format(&Rfc3339).ok());
            let told = told.unwrap_or_else(|| format!("{millis} ms"));
            assert_eq!(Timestamp::from_millis(millis).to_string(), told, "{millis}");
        }
    }

    #[test]
    fn the_clock_says_what_the_system_says() {
        let millis = |date: OffsetDateTime| i64::try_from(date.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap();
        let before = millis(OffsetDateTime::now_utc());
        let now = Timestamp::now().as_millis();
        assert!(
            (before..=millis(OffsetDateTime::now_utc())).contains(&now),
            "{before} {now}"
        );
    }
}
