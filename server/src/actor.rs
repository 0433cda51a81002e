//! Who does something, as the log names them.

use jiff::Timestamp;

/// Who does something, and when. An empty name is the endpoint itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    pub admin: &'a str,
    pub now: Timestamp,
}

/// A day, in seconds.
const DAY_S: i64 = 24 * 60 * 60;

impl Act<'_> {
    /// The day of it in UTC, counted from 1970 on.
    pub(crate) fn day(self) -> i64 {
        self.now.as_second().div_euclid(DAY_S)
    }

    /// When that day began, in microseconds from 1970 on.
    pub(crate) fn start_of_day(self) -> i64 {
        self.day() * DAY_S * 1_000_000
    }
}

/// What follows the name of somebody who works on the server itself.
const ON_THE_SERVER: &str = " on the server";

/// A user of the server's machine, as the log has them. No token has such a name.
pub(crate) fn name_on_the_server(user: &str) -> String {
    format!("{user}{ON_THE_SERVER}")
}

/// Whether this is the name of somebody who works on the server itself.
pub(crate) fn is_on_the_server(name: &str) -> bool {
    name.ends_with(ON_THE_SERVER)
}
