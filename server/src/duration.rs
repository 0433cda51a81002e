//! Durations as people write and read them.

use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// Reads a duration: `90s`, `15m`, `1h30m`, `400d`, where a day has 24 hours.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.parse().ok();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is no duration; write it like 90s, 15m, 1h30m or 400d"))
}

/// Its whole seconds, as SQL and JWTs count them.
pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("400d", 400 * 86_400), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "soon", "-5s", "1y", "5"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
