//! What is said of the clock, in the audit and to operators.

use super::Reading;
use super::belief::{Belief, Change};
use crate::human;
use std::time::Duration;

/// What changed, in words; `before` changes were not told.
pub fn change(change: Change, reading: Reading, belief: &Belief, before: u64) -> String {
    let what = match change.step {
        Some(step) => {
            let direction = if step.is_negative() { "back" } else { "forward" };
            let from = reading.wall.checked_sub(step).unwrap_or(reading.wall);
            // Two clocks are never read at the same instant.
            let by = human::duration(step.unsigned_abs().saturating_add(Duration::from_millis(500)));
            format!("it was set from {} to {}, {by} {direction}", human::time(from), human::time(reading.wall))
        }
        None => format!("it stands at {}", human::time(reading.wall)),
    };
    let stands = match (problem(reading, belief), change.turned) {
        (Some(_), _) => {
            let floor = belief.floor(reading.boot).map(human::time).unwrap_or_default();
            format!("and is unproven: {floor} is known to have passed, so nothing new opens")
        }
        (None, true) => "and is proven again".into(),
        (None, false) => "and is proven".into(),
    };
    let more = if before == 0 { String::new() } else { format!("; there were {before} changes before it") };
    format!("{what}, {stands}{more}")
}

/// Why nothing new opens, and the mend.
pub fn problem(reading: Reading, belief: &Belief) -> Option<String> {
    let floor = belief.floor(reading.boot).filter(|_| belief.is_unproven())?;
    Some(format!(
        "the clock is unproven: it stands at {}, and {} is known to have passed, so nothing new opens; set it right (timedatectl), or, \
         if it is right, run `curfew clock --accept`",
        human::time(reading.wall),
        human::time(floor)
    ))
}
