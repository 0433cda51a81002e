//! Waiting for a condition, with an end.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long what must come true may take where the time it takes is not what is tested: on a busy machine, everything
/// takes longer. A bound that is promised is asserted by itself.
pub const SOON: Duration = Duration::from_secs(60);
/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` answers, at most for `limit`. None when it never did.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        sleep(PAUSE);
    }
}

/// As [`until`], for a condition that must come true.
///
/// # Panics
/// When `limit` is over and it has not: `what` says what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    until(limit, look).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}
