//! Durations and times as people write and read them.

pub(crate) use curfew_protocol::human_time::parse_duration as parse;
pub(crate) use curfew_protocol::human_time::typed_duration as typed;
use jiff::Timestamp;
use std::time::Duration;

/// The longest that a grant may hold, in seconds: ten years.
pub(crate) const LONGEST_GRANT_S: u64 = 10 * 366 * 24 * 60 * 60;

/// Its whole seconds, as SQL and JWTs count them.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The length that an option gives, in seconds: at most so many.
pub(crate) fn within(option: &str, length: Duration, most: u64) -> Result<u64, String> {
    match length.as_secs() {
        0 => Err(format!("{option} is {}; at least 1s", typed(length))),
        seconds if seconds > most => {
            Err(format!("{option} is {}; at most {}", typed(length), typed(Duration::from_secs(most))))
        }
        seconds => Ok(seconds),
    }
}

/// A time that is over, as people write it: a date, a time, or how long ago it was.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    curfew_protocol::human_time::parse_past(text, Timestamp::now())
}

/// A time to come, as people write it: a date, a time, or in how long.
pub(crate) fn coming(text: &str) -> Result<Timestamp, String> {
    curfew_protocol::human_time::parse_coming(text, Timestamp::now())
}
