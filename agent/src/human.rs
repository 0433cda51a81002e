//! What people read: times in their zone, durations in words. What is printable, and tables, are [`display`]'s.

pub use curfew_protocol::display::{self, printable, table};
pub use curfew_protocol::human_time::{local as time, localized};
use jiff::Timestamp;
use std::time::Duration;

/// A duration, rounded down to what people say: `45 s`, `29 min`, `1 h 5 min`, `2 days`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, 0, _) => "1 day".into(),
        (days, 0, _) => format!("{days} days"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// The time from `now` to `then`, in words; nothing is left of what is over.
pub fn left(now: Timestamp, then: Timestamp) -> String {
    duration(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (seconds, said) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (1799, "29 min"),
            (3600, "1 h"),
            (3900, "1 h 5 min"),
            (86_400, "1 day"),
            (190_000, "2 d 4 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), said);
        }
    }
}
