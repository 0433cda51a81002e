//! Lists come in pages.

use crate::http::error::{Refusal, refuse};
use crate::store::Store;
use curfew_protocol::grant::Text;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::ProblemKind;
use std::str::FromStr;

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

/// Where the page begins that is asked for.
pub(super) fn after<T: FromStr<Err = String>>(asked: Option<&str>) -> Result<Option<T>, Refusal> {
    let place = asked.map(str::parse).transpose();
    place.map_err(|problem| Refusal::new(ProblemKind::BadRequest, problem))
}

/// The host, by its id or its name, of which alone a list is asked for.
pub(super) async fn host(store: &Store, asked: Option<&Text>) -> Result<Option<HostId>, Refusal> {
    match asked {
        Some(host) => Ok(Some(store.find_host(host.as_str()).await?.id)),
        None => Ok(None),
    }
}
