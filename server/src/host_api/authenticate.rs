//! Who calls: the host's token, checked against the key that the host has now.

use crate::endpoint::Endpoint;
use crate::refusal::{Refusal, refuse};
use crate::replay::Refused;
use crate::store::{Seen, Standing};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::{HostToken, ProblemKind, TokenError};
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;

/// The longest token, in bytes.
const LONGEST: usize = 4096;

/// A call whose token is the host's, and whose body is still to come.
#[derive(Debug)]
pub(super) struct Caller {
    pub host: HostId,
    pub standing: Standing,
    token: String,
    key: PublicKey,
}

/// The bearer token of a call.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
    });
    match token {
        Some(token) if token.len() <= LONGEST => Ok(token),
        _ => refuse(ProblemKind::Unauthorized, "Authorization: Bearer with a token is expected"),
    }
}

impl Endpoint {
    /// Checks everything that can be checked before the body is read, so that nobody but a host makes the server hold one.
    pub(super) async fn caller(&self, headers: &HeaderMap, path: &str) -> Result<Caller, Refusal> {
        let caller = self.caller_or_removed(headers, path).await?;
        if caller.standing.removed { Err(removed(&caller.host)) } else { Ok(caller) }
    }

    /// As [`caller`](Self::caller), also for a host that was removed and is still to be told so.
    pub(super) async fn caller_or_removed(&self, headers: &HeaderMap, path: &str) -> Result<Caller, Refusal> {
        let token = bearer(headers)?;
        let host = HostToken::claimed_host(token).map_err(|error| refusal(&error))?;
        if host.as_str() != path {
            return refuse(ProblemKind::Forbidden, format!("the token is of host {host}, and the path is of {path:?}"));
        }
        let standing = self.store.standing(&host).await?;
        let with_key = |it: Standing| it.key.clone().or_else(|| it.removed_key.clone()).map(|key| (it, key));
        let Some((standing, key)) = standing.and_then(with_key) else { return Err(removed(&host)) };
        match HostToken::verify(token, &key, &self.config.origins, Timestamp::now(), b"") {
            Ok(_) | Err(TokenError::OtherBody) => Ok(Caller { host, standing, token: token.into(), key }),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Checks the rest: that the token is for this body, and new.
    pub(super) fn admit(&self, caller: &Caller, body: &[u8]) -> Result<(), Refusal> {
        let now = Timestamp::now();
        let token = HostToken::verify(&caller.token, &caller.key, &self.config.origins, now, body);
        let token = token.map_err(|error| refusal(&error))?;
        let first = self.replay.first_use(&caller.host, &token.jti, token.remembered_until(), now.as_second());
        first.map_err(|refused| match refused {
            Refused::Before => Refusal::new(ProblemKind::Replayed, "a token is good for one request; sign a new one"),
            Refused::TooMany => {
                Refusal::new(ProblemKind::TooMany, "the host has sent too many requests in two minutes")
            }
            Refused::TooLong => Refusal::new(ProblemKind::Unauthorized, "the token's jti is too long"),
        })?;
        self.heard.note(&caller.host, Seen { at: now, applied: None });
        Ok(())
    }
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
