//! Durations as people write and read them.

pub(crate) use curfew_protocol::human_time::parse_duration as parse;
use std::time::Duration;

/// Its whole seconds, as SQL and JWTs count them.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
