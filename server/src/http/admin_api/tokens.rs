//! Enrolment tokens: create, list, revoke.

use super::Problems;
use super::authenticate::Admin;
use crate::host_name::HostName;
use crate::http::body::{self, Named};
use crate::http::error::{Refusal, refuse};
use crate::http::state::AppState;
use crate::labels::Labels;
use crate::secret::Secret;
use crate::store::{NewToken, TokenRow};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use curfew_protocol::host_api::{ProblemKind, TOKEN_LIFETIME_S};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// An enrolment token to make.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEnrolmentToken {
    /// The name that the host will have; left out, the host says. One that looks like a host's id is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
    pub name: Option<HostName>,
    /// The labels that the host will have.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// For how long it is good, in seconds: at most 900, which is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 900)]
    pub seconds: Option<i64>,
}

/// An enrolment token.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct EnrolmentToken {
    /// Its id, by which it is revoked.
    pub id: String,
    /// The token itself: in the answer to its making alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name that the host will have.
    pub name: Option<String>,
    /// The labels that the host will have.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Which administrator made it.
    pub created_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<Timestamp>,
    /// The host that it enrolled.
    pub host: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// Enrolment tokens.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct EnrolmentTokenList {
    /// The tokens, the newest first: at most 1000.
    pub tokens: Vec<EnrolmentToken>,
}

impl From<TokenRow> for EnrolmentToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            token: None,
            name: row.host_name,
            labels: row.labels,
            created_at: row.created_at,
            created_by: row.created_by,
            expires_at: row.expires_at,
            used_at: row.used_at,
            host: row.host,
            revoked_at: row.revoked_at,
        }
    }
}

/// List enrolment tokens
#[utoipa::path(
    get, path = "/v1/admin/tokens", operation_id = "tokens", tag = "admin", security(("admin" = [])),
    responses((status = 200, description = "The tokens", body = EnrolmentTokenList), Problems)
)]
pub(super) async fn list(State(app): State<Arc<AppState>>, _: Admin) -> Result<Json<EnrolmentTokenList>, Refusal> {
    let tokens = app.store.tokens().await?;
    Ok(Json(EnrolmentTokenList { tokens: tokens.into_iter().map(Into::into).collect() }))
}

/// Create an enrolment token
///
/// It enrols one host, within 15 minutes. The answer has the token, which is shown this once.
#[utoipa::path(
    post, path = "/v1/admin/tokens", operation_id = "create_token", tag = "admin", security(("admin" = [])), request_body = NewEnrolmentToken,
    responses((status = 201, description = "The token", body = EnrolmentToken), Problems)
)]
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    body: Body,
) -> Result<(StatusCode, Json<EnrolmentToken>), Refusal> {
    let new: NewEnrolmentToken = body::json(body).await?;
    let seconds = new.seconds.unwrap_or(TOKEN_LIFETIME_S);
    if !(1..=TOKEN_LIFETIME_S).contains(&seconds) {
        return refuse(ProblemKind::BadRequest, format!("seconds is {seconds}; 1 to {TOKEN_LIFETIME_S} is possible"));
    }
    let secret =
        Secret::generate("curfew_enroll").map_err(|error| Refusal::new(ProblemKind::Unavailable, error.to_string()))?;
    let act = admin.act();
    let expires_at = act.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(act.now);
    let token = NewToken { hash: secret.hash(), host_name: new.name, labels: new.labels, expires_at };
    let mut document = EnrolmentToken::from(app.store.add_token(&token, act).await?);
    document.token = Some(secret.reveal().into());
    Ok((StatusCode::CREATED, Json(document)))
}

/// Revoke an enrolment token
///
/// A host that it enrolled stays.
#[utoipa::path(
    delete, path = "/v1/admin/tokens/{id}", operation_id = "revoke_token", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 200, description = "The token that was", body = EnrolmentToken), Problems)
)]
pub(super) async fn revoke(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(id): Named,
) -> Result<Json<EnrolmentToken>, Refusal> {
    Ok(Json(app.store.revoke_token(&id, admin.act()).await?.into()))
}
