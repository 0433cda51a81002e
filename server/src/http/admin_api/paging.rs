//! Lists come in pages.

use crate::http::error::{Refusal, refuse};
use curfew_protocol::host_api::ProblemKind;

/// How much a page holds unless the call says so.
const USUAL: i64 = 100;

/// The most that a page holds.
const MOST: i64 = 1000;

/// How much the page is to hold.
pub(super) fn limit(asked: Option<i64>) -> Result<i64, Refusal> {
    match asked {
        None => Ok(USUAL),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(limit) => refuse(ProblemKind::BadRequest, format!("limit is {limit}; 1 to {MOST} is possible")),
    }
}

/// Where the next page begins: behind the last of a full one.
pub(super) fn next<T>(items: &[T], limit: i64, place: impl Fn(&T) -> String) -> Option<String> {
    let full = i64::try_from(items.len()).is_ok_and(|length| length >= limit);
    items.last().filter(|_| full).map(place)
}
