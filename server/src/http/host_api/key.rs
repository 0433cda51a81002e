//! `POST /v1/hosts/{host}/key`: a host changes its key, by the word of both.

use super::authenticate::not_by_its_key;
use crate::http::bearer::from;
use crate::http::body::{self, Named};
use crate::http::error::{Refusal, refuse};
use crate::http::schemas::ProblemDocument;
use crate::http::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::{KeyChange, ProblemKind, TOKEN_LIFETIME_S};
use jiff::Timestamp;
use std::sync::Arc;

/// The longest change, in bytes.
const LONGEST: usize = 8 * 1024;

/// Change a host's key
///
/// The body is a compact JWS of the type `curfew-key-change+jwt`, signed by the new key with the key in its header, around one of the type
/// `curfew-key+jwt`, signed by the old key. The same change again is no mistake.
#[utoipa::path(
    post, path = "/v1/hosts/{host}/key", operation_id = "key", tag = "host",
    params(("host" = String, Path, description = "The host's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body(content = String, content_type = "application/jose"),
    responses(
        (status = 204, description = "The new key is the host's"),
        (status = 400, description = "It is no change of a key, or for another endpoint", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "One of the keys did not sign it, or the host was removed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "It is of another host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The path names no host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Another host has the key, or the old one changed meanwhile", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "The host has changed its key as often as it may today", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database is away, or its disk is nearly full", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change(
    State(app): State<Arc<AppState>>,
    Named(host): Named,
    extensions: Extensions,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Ok(host) = host.parse::<HostId>() else {
        return refuse(ProblemKind::NotFound, format!("{host:?} is no host id"));
    };
    let body = body::read(body, LONGEST).await?;
    let bad = |problem: String| Refusal::new(ProblemKind::BadRequest, problem);
    let text = std::str::from_utf8(&body).map_err(|_| bad("the body is no compact JWS".into()))?;
    let new = KeyChange::new_key(text).map_err(|error| bad(error.to_string()))?;
    let Some(old) = app.store.standing(&host).await?.and_then(|standing| standing.host.key.clone()) else {
        return refuse(ProblemKind::NoSuchHost, format!("host {host} was removed, or never was there; enrol it again"));
    };
    if new == old {
        return Ok(StatusCode::NO_CONTENT);
    }
    let now = Timestamp::now();
    let (change, new) = KeyChange::verify(text, &old).map_err(|error| {
        not_by_its_key(&app, &host, from(&extensions), now);
        Refusal::new(ProblemKind::Unauthorized, error.to_string())
    })?;
    if change.iss != host {
        return refuse(ProblemKind::Forbidden, format!("it is of host {}, and the path is of {host}", change.iss));
    }
    if !app.config.origins.contains(&change.aud) {
        return refuse(ProblemKind::BadRequest, format!("it is for {:?}, which is not this endpoint", change.aud));
    }
    if (now.as_second().saturating_sub(change.iat)).abs() > TOKEN_LIFETIME_S {
        let problem = format!("it was signed at {}, and the endpoint's clock says {}", change.iat, now.as_second());
        return refuse(ProblemKind::Clock, problem);
    }
    if app.disk.is_low() {
        return Err(Refusal::low_disk("the change of its key"));
    }
    if app.store.change_key(&host, &old, &new, now).await? {
        tracing::info!(%host, kid = new.kid(), "a host changed its key");
        Ok(StatusCode::NO_CONTENT)
    } else {
        refuse(ProblemKind::Conflict, "the host's key changed meanwhile")
    }
}
