//! Which administrator calls: the one whose token it is, or who is on the machine itself.

use crate::endpoint::Endpoint;
use crate::host_api::{bearer, known};
use crate::listener::{LocalAdministrator, Who};
use crate::refusal::{Refusal, refuse};
use crate::secret::Hash;
use crate::store::Act;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use curfew_protocol::host_api::ProblemKind;
use jiff::Timestamp;
use std::sync::Arc;

/// An administrator, by the name of the token. It is checked before the body is read.
pub(super) struct Admin(pub String);

impl Admin {
    /// What they do now.
    pub(super) fn act(&self) -> Act<'_> {
        Act { admin: &self.0, now: Timestamp::now() }
    }
}

impl FromRequestParts<Arc<Endpoint>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, endpoint: &Arc<Endpoint>) -> Result<Self, Refusal> {
        if let (Some(local), None) = (parts.extensions.get::<LocalAdministrator>(), parts.headers.get(AUTHORIZATION)) {
            return Ok(Self(local.0.to_string()));
        }
        let hash = Hash::of(bearer(&parts.headers)?);
        let name = match hash {
            Some(hash) => endpoint.store.admin(&hash).await?,
            None => None,
        };
        match name {
            Some(name) => known(parts, Who::Administrator).map(|()| Self(name)),
            None => refuse(
                ProblemKind::Unauthorized,
                "the administrator's token is unknown or revoked; on the server: curfew-server admin-token create NAME",
            ),
        }
    }
}
