//! Times and durations as people write and read them: durations like `1d` and `1h30m`, times in the local zone with its offset.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
use std::time::Duration;

/// How much of a text a time can take.
const LONGEST_TIME: usize = 40;

/// Reads a duration: `90s`, `15m`, `1h30m`, `1d`, `1w`, where a day has 24 hours and a week seven days.
///
/// # Errors
///
/// A sentence with the value and an example.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.parse().ok();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is no duration; write it like 90s, 15m, 1h30m, 1d or 1w"))
}

/// A duration as it can be typed: `1d2h`, `90s`.
pub fn typed_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".into() } else { text }
}

/// Reads a time that is over: a date or a time in the local zone, an RFC 3339 time, or how long ago it was.
///
/// # Errors
///
/// A sentence with the value and examples.
pub fn parse_past(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    parse_time(text, |age| now.checked_sub(age).ok())
}

/// As [`parse_past`] for a time to come: a duration says in how long.
///
/// # Errors
///
/// A sentence with the value and examples.
pub fn parse_coming(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    parse_time(text, |wait| now.checked_add(wait).ok())
}

fn parse_time(text: &str, from_now: impl Fn(Duration) -> Option<Timestamp>) -> Result<Timestamp, String> {
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).map(|zoned| zoned.timestamp()).ok();
    let date = || local(text.parse::<Date>().ok()?.to_datetime(Time::midnight()));
    let time = || local(text.parse().ok()?);
    let found = text.parse().ok().or_else(|| if text.contains(['T', ' ']) { time() } else { date() });
    let found = found.or_else(|| from_now(parse_duration(text).ok()?));
    found.ok_or_else(|| format!("{text:?} is no time; write it like 2026-11-21, 2026-11-21T20:30:00Z or 2h"))
}

/// A time in the local zone, with its offset.
pub fn local(at: Timestamp) -> String {
    in_zone(at, TimeZone::system())
}

/// The text with each time of it in the local zone: what another program said in UTC or in its own zone stands beside times that are said here.
pub fn localized(text: &str) -> String {
    with_zone(text, &TimeZone::system())
}

fn in_zone(at: Timestamp, zone: TimeZone) -> String {
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

fn with_zone(text: &str, zone: &TimeZone) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside_word = false;
    while let Some(c) = rest.chars().next() {
        match leading_time(rest).filter(|_| !inside_word) {
            Some((at, length)) => {
                told.push_str(&in_zone(at, zone.clone()));
                rest = rest.get(length..).unwrap_or_default();
                inside_word = true;
            }
            None => {
                told.push(c);
                inside_word = c.is_alphanumeric();
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    told
}

/// The time that a text begins with, as [`local`] or RFC 3339 write it, and how long it is.
fn leading_time(text: &str) -> Option<(Timestamp, usize)> {
    let digits =
        |from: usize, to: usize| text.as_bytes().get(from..to).is_some_and(|it| it.iter().all(u8::is_ascii_digit));
    if !digits(0, 4) || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let part = |c: char| c.is_ascii_digit() || "-:.+ TZ".contains(c);
    let longest = text
        .char_indices()
        .take_while(|&(at, c)| at < LONGEST_TIME && part(c))
        .last()
        .map_or(0, |(at, c)| at + c.len_utf8());
    (20..=longest).rev().find_map(|length| {
        let time = text.get(..length)?;
        let at = time.parse().ok().or_else(|| Timestamp::strptime("%Y-%m-%d %H:%M:%S %:z", time).ok())?;
        Some((at, length))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::tz::offset;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        const DAY: u64 = 86_400;
        for (text, seconds) in [
            ("90s", 90),
            ("90m", 5400),
            ("1h30m", 5400),
            ("1d", DAY),
            ("1w", 7 * DAY),
            ("1w2d", 9 * DAY),
            ("400d", 400 * DAY),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "soon", "-5s", "1y", "1mo", "5", "99999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_read_as_people_write_it_and_a_duration_counts_from_now() {
        let now: Timestamp = "2026-11-21T20:30:00Z".parse().unwrap();
        for (text, past, coming) in [
            ("2h", "2026-11-21T18:30:00Z", "2026-11-21T22:30:00Z"),
            ("1w", "2026-11-14T20:30:00Z", "2026-11-28T20:30:00Z"),
            ("2026-11-20T01:00:00+01:00", "2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z"),
        ] {
            assert_eq!(parse_past(text, now).unwrap().to_string(), past);
            assert_eq!(parse_coming(text, now).unwrap().to_string(), coming);
        }
        let midnight = parse_past("2026-11-21", now).unwrap();
        assert_eq!(midnight, parse_past("2026-11-21T00:00:00", now).unwrap());
        assert_eq!(midnight, parse_past("2026-11-21 00:00", now).unwrap());
        for text in ["", "yesterday", "-1h", "2026-13-01", "20:30", "99999999999h"] {
            assert!(parse_past(text, now).unwrap_err().contains("no time"), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_so_that_it_can_be_read() {
        for (seconds, text) in [(0, "0s"), (90, "1m30s"), (3600, "1h"), (93_600, "1d2h")] {
            assert_eq!(typed_duration(Duration::from_secs(seconds)), text);
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn a_line_has_one_zone() {
        let zone = TimeZone::fixed(offset(2));
        for (text, told) in [
            ("ends 2026-11-21T20:30:00Z.", "ends 2026-11-21 22:30:00 +02:00."),
            (
                "from 2026-11-21T20:30:00.25Z to 2026-11-21 21:30:00 +01:00, ü",
                "from 2026-11-21 22:30:00 +02:00 to 2026-11-21 22:30:00 +02:00, ü",
            ),
            ("id-x2026-11-21T20:30:00Z 2026-11-21 and 12", "id-x2026-11-21T20:30:00Z 2026-11-21 and 12"),
            ("2026-11-21T20:30:00Z", "2026-11-21 22:30:00 +02:00"),
        ] {
            assert_eq!(with_zone(text, &zone), told);
        }
    }

    proptest! {
        #[test]
        fn a_text_without_times_stays_as_it_is(text in "[^0-9]*") {
            prop_assert_eq!(localized(&text), text);
        }
    }
}
