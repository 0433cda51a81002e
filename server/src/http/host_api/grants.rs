//! `GET /v1/hosts/{host}/grants`: a host's set, at once or when it changes.

use super::authenticate::{CallerOrRemoved, removed};
use crate::http::error::{Refusal, refuse};
use crate::http::schemas::ProblemDocument;
use crate::http::state::AppState;
use crate::sets::parked::Woken;
use crate::sets::signed::{self, SignedSet};
use crate::sets::version::{self, Version};
use crate::store::{Seen, Standing};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use curfew_protocol::grant_set::{HostId, MEDIA_TYPE};
use curfew_protocol::host_api::{LONGEST_WAIT_S, ProblemKind};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

static PREFER: HeaderName = HeaderName::from_static("prefer");
static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Fetch a host's set
///
/// With `If-None-Match` and `Prefer: wait=N`, the call is parked until the set changes or N seconds are over, and is answered with a freshly signed set
/// then, whether it changed or not. With `If-None-Match` alone, a set that did not change is a 304.
#[utoipa::path(
    get, path = "/v1/hosts/{host}/grants", operation_id = "grants", tag = "host", security(("host" = [])),
    params(
        ("host" = String, Path, description = "The host's id", pattern = "^[A-Za-z0-9_-]{1,64}$"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the set that the host applied"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: N seconds, at most 300"),
    ),
    responses(
        (status = 200, description = "The set, a compact JWS of the type `curfew-grants+jwt`", body = String, content_type = "application/jose",
            headers(("ETag" = String, description = "The set's version"))),
        (status = 304, description = "The set did not change, and the call did not ask to wait"),
        (status = 401, description = "The token is not good, or the host was removed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token is of another host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The path names no host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many calls", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database is away", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn grants(
    State(app): State<Arc<AppState>>,
    CallerOrRemoved(caller): CallerOrRemoved,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    caller.sent(b"")?;
    let known = header(&headers, &IF_NONE_MATCH).and_then(version::known);
    // A version that is not there yet is no acknowledgement of the next change.
    if let Some(known) = known.filter(|known| is_had(&caller.standing, *known)) {
        let seen = Seen { at: Timestamp::now(), applied: Some((known.epoch, known.ver)) };
        app.last_seen.note(&caller.host, seen);
    }
    if caller.standing.host.removed && known == Some(current(&caller.standing)) {
        // It has the last set, which is empty.
        return Err(removed(&caller.host));
    }
    let wait = header(&headers, &PREFER).and_then(version::wait);
    match (known, wait) {
        (Some(known), Some(seconds)) if known == current(&caller.standing) => {
            let most = app.config.longest_wait.min(Duration::from_secs(LONGEST_WAIT_S));
            let until = Instant::now() + Duration::from_secs(seconds).min(most);
            let host = caller.host.clone();
            drop((caller, headers));
            let mut response = later(&app, &host, known, until).await?;
            response.headers_mut().insert(PREFERENCE_APPLIED.clone(), HeaderValue::from_static("wait"));
            Ok(response)
        }
        (Some(known), None) if known == current(&caller.standing) => not_modified(known),
        _ => fresh(&app, &caller.host).await,
    }
}

/// The answer to a poll that is parked: when the host's version is not `known` any more, at `until`, or when the poll has to go.
async fn later(app: &AppState, host: &HostId, known: Version, until: Instant) -> Result<Response, Refusal> {
    // The place first, the look then: a change between them wakes.
    let parked = app.parked.park(host);
    loop {
        let standing = app.store.standing_at_last_look(host);
        if standing.as_ref().is_none_or(|standing| current(standing) != known) {
            // What woke it was read a moment ago.
            return match standing {
                Some(standing) => answer(signed::signed_so(&app.store, &app.keys, &app.config, standing).await?),
                None => Err(removed(host)),
            };
        }
        if !matches!(timeout_at(until, parked.woken()).await, Ok(Woken::Look)) {
            break;
        }
    }
    drop(parked);
    // That nothing changed is signed only by who can see it.
    fresh(app, host).await
}

/// Whether the host can have had this version: none is newer than the one of now.
fn is_had(standing: &Standing, known: Version) -> bool {
    (known.epoch, known.ver) <= (standing.epoch, standing.host.ver)
}

fn current(standing: &Standing) -> Version {
    Version { epoch: standing.epoch, ver: standing.host.ver }
}

async fn fresh(app: &AppState, host: &HostId) -> Result<Response, Refusal> {
    answer(signed::signed_now(&app.store, &app.keys, &app.config, host).await?)
}

fn answer(SignedSet { version, text }: SignedSet) -> Result<Response, Refusal> {
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    tag(&mut response, version)?;
    Ok(response)
}

fn not_modified(version: Version) -> Result<Response, Refusal> {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tag(&mut response, version)?;
    Ok(response)
}

fn tag(response: &mut Response, version: Version) -> Result<(), Refusal> {
    let Ok(tag) = HeaderValue::from_str(&version.to_string()) else {
        return refuse(ProblemKind::Unavailable, "the set's version can't be written");
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(())
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
