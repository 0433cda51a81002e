//! Who calls: the host's token, checked against the key that the host has now.

use crate::http::bearer::{bearer, from, known};
use crate::http::body::Named;
use crate::http::error::{Refusal, refuse};
use crate::http::listener::Who;
use crate::http::state::AppState;
use crate::identity::replay::Refused;
use crate::store::{Attempt, Presented, Seen, Standing};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::{HostToken, ProblemKind, TokenError};
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;

/// A call whose token is the host's and was spent for it, before the server holds anything of its body.
#[derive(Debug)]
pub(super) struct Caller {
    pub host: HostId,
    pub standing: Standing,
    token: HostToken,
}

/// As [`Caller`], also of a host that was removed and is still to be told so.
#[derive(Debug)]
pub(super) struct CallerOrRemoved(pub Caller);

impl Caller {
    /// Checks that the token is for this body.
    pub(super) fn sent(&self, body: &[u8]) -> Result<(), Refusal> {
        if self.token.is_for(body) { Ok(()) } else { Err(refusal(&TokenError::OtherBody)) }
    }
}

impl FromRequestParts<Arc<AppState>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Refusal> {
        let CallerOrRemoved(caller) = CallerOrRemoved::from_request_parts(parts, app).await?;
        if caller.standing.host.removed { Err(removed(&caller.host)) } else { Ok(caller) }
    }
}

impl FromRequestParts<Arc<AppState>> for CallerOrRemoved {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Refusal> {
        let Named(path) = Named::from_request_parts(parts, app).await?;
        let text = bearer(&parts.headers)?;
        let host = HostToken::claimed_host(text).map_err(|error| refusal(&error))?;
        if host.as_str() != path {
            return refuse(ProblemKind::Forbidden, format!("the token is of host {host}, and the path is of {path:?}"));
        }
        // Those that wait for an answer get it before others ask anew.
        app.parked.calm().await;
        let standing = app.store.standing(&host).await?;
        let Some(standing) = standing else { return Err(removed(&host)) };
        let key = standing.host.key.as_ref().or(standing.host.removed_key.as_ref());
        let Some(key) = key else { return Err(removed(&host)) };
        let now = Timestamp::now();
        let token = HostToken::verify_head(text, key, &app.config.origins, now);
        let token = token.map_err(|error| {
            if let TokenError::Jws(_) = error {
                not_by_its_key(app, &host, from(&parts.extensions), now);
            }
            refusal(&error)
        })?;
        spend(app, &token, now)?;
        known(parts, Who::Host)?;
        Ok(Self(Caller { host, standing, token }))
    }
}

/// Spends a token: it is good once.
fn spend(app: &AppState, token: &HostToken, now: Timestamp) -> Result<(), Refusal> {
    let first = app.replay.first_use(&token.iss, &token.jti, token.remembered_until(), now.as_second());
    first.map_err(|refused| match refused {
        Refused::Before => Refusal::new(ProblemKind::Replayed, "a token is good for one request; sign a new one"),
        Refused::TooMany => Refusal::new(ProblemKind::TooMany, "the host has sent too many requests in two minutes"),
        Refused::TooLong => Refusal::new(ProblemKind::Unauthorized, "the token's jti is too long"),
    })?;
    app.last_seen.note(&token.iss, Seen { at: now, applied: None });
    Ok(())
}

/// Counts a call in a host's name that its key did not sign.
pub(super) fn not_by_its_key(app: &AppState, host: &HostId, from: Option<IpAddr>, now: Timestamp) {
    app.sign_ins.failed(Attempt { from, presented: Presented::OfHost(host.to_string()) }, now);
}

/// What a host hears that is not there any more.
pub(super) fn removed(host: &HostId) -> Refusal {
    Refusal::new(ProblemKind::NoSuchHost, format!("host {host} was removed, or never was there; enrol it again"))
}

fn refusal(error: &TokenError) -> Refusal {
    let kind = match error {
        TokenError::Clock { .. } => ProblemKind::Clock,
        _ => ProblemKind::Unauthorized,
    };
    Refusal::new(kind, error.to_string())
}
