//! Which administrator calls: the one whose token it is, or who is on the machine itself.

use super::access_log::WhoCalls;
use crate::actor::Act;
use crate::http::bearer::{bearer, from, known};
use crate::http::error::{Refusal, refuse};
use crate::http::listener::{LocalAdministrator, Who};
use crate::http::state::AppState;
use crate::secret::Hash;
use crate::store::{Attempt, Presented};
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

impl FromRequestParts<Arc<AppState>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Refusal> {
        let admin = signed_in(parts, app).await?;
        if let Some(who) = parts.extensions.get::<WhoCalls>() {
            who.is(&admin.0, app.disk.folder());
        }
        Ok(admin)
    }
}

async fn signed_in(parts: &Parts, app: &AppState) -> Result<Admin, Refusal> {
    if let (Some(local), None) = (parts.extensions.get::<LocalAdministrator>(), parts.headers.get(AUTHORIZATION)) {
        return Ok(Admin(local.0.to_string()));
    }
    let from = from(&parts.extensions);
    let failed = |presented| app.sign_ins.failed(Attempt { from, presented }, Timestamp::now());
    let token = bearer(&parts.headers).inspect_err(|_| failed(Presented::Nothing))?;
    let known_token = match Hash::of(token) {
        Some(hash) => app.store.admin(&hash).await?,
        None => None,
    };
    match known_token {
        Some((name, true)) => known(parts, Who::Administrator).map(|()| Admin(name)),
        other => {
            failed(other.map_or(Presented::Unknown, |(name, _)| Presented::Revoked(name)));
            refuse(
                ProblemKind::Unauthorized,
                "the administrator's token is unknown or revoked; on the server: curfew-server admin-token create NAME",
            )
        }
    }
}
