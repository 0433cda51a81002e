//! Requests from hosts: list, show, approve, deny.

use super::authenticate::Admin;
use super::grants::GrantEntry;
use super::{Problems, paging};
use crate::access;
use crate::http::body::{self, Named, Params};
use crate::http::error::Refusal;
use crate::http::schemas::AccessRequestDocument;
use crate::http::state::AppState;
use crate::store::{RequestFilter, RequestRow, RequestState};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A request, and what became of it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct RequestEntry {
    /// Its id.
    pub id: String,
    /// The host's id.
    pub host: String,
    /// The host's name.
    pub host_name: String,
    /// What was asked for.
    #[schema(value_type = AccessRequestDocument)]
    pub request: Box<RawValue>,
    /// `pending`, `approved` or `denied`.
    pub state: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<Timestamp>,
    /// Which administrator decided.
    pub decided_by: Option<String>,
    /// Why it was denied.
    pub decision_reason: Option<String>,
    /// The grant that came of it.
    pub grant: Option<String>,
}

/// A page of requests.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct RequestList {
    /// The requests: those that wait for a decision, then the others, each the newest first.
    pub requests: Vec<RequestEntry>,
    /// `after` of the next page.
    #[serde(default)]
    pub next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestQuery {
    /// Those in this state.
    state: Option<RequestState>,
    /// Those of this host, by id or name.
    #[param(value_type = Option<String>)]
    host: Option<Text>,
    /// Those of this user.
    #[param(value_type = Option<String>)]
    user: Option<Text>,
    /// `next` of the page before.
    after: Option<String>,
    /// How many at most: 1 to 1000, 100 unless given.
    limit: Option<i64>,
}

/// How a request is approved.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    /// For how long, in seconds; as long as was asked, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub seconds: Option<u64>,
}

/// How a request is denied.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Denial {
    /// Why, for the one who asked.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub reason: Text,
}

impl From<RequestRow> for RequestEntry {
    fn from(row: RequestRow) -> Self {
        Self {
            id: row.id,
            host: row.host,
            host_name: row.host_name,
            request: row.document,
            state: row.state.name().into(),
            created_at: row.created_at,
            decided_at: row.decided_at,
            decided_by: row.decided_by,
            decision_reason: row.decision_reason,
            grant: row.grant,
        }
    }
}

/// List requests
#[utoipa::path(
    get, path = "/v1/admin/requests", operation_id = "requests", tag = "admin", security(("admin" = [])), params(RequestQuery),
    responses((status = 200, description = "The requests", body = RequestList), Problems)
)]
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Params(query): Params<RequestQuery>,
) -> Result<Json<RequestList>, Refusal> {
    let limit = paging::limit(query.limit)?;
    let after = paging::after(query.after.as_deref())?;
    let host = paging::host(&app.store, query.host.as_ref()).await?;
    let filter = RequestFilter { state: query.state, host, user: query.user.map(Into::into), after, limit };
    let rows = app.store.requests(&filter).await?;
    let next = paging::next(&rows, limit, |row| row.cursor().to_string());
    Ok(Json(RequestList { requests: rows.into_iter().map(Into::into).collect(), next }))
}

/// Show a request
#[utoipa::path(
    get, path = "/v1/admin/requests/{id}", operation_id = "request_entry", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 200, description = "The request", body = RequestEntry), Problems)
)]
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Named(id): Named,
) -> Result<Json<RequestEntry>, Refusal> {
    Ok(Json(app.store.request(&id).await?.into()))
}

/// Approve a request
///
/// It becomes a grant on its host, from now on.
#[utoipa::path(
    post, path = "/v1/admin/requests/{id}/approve", operation_id = "approve", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The request's id")), request_body = Approval,
    responses((status = 200, description = "The grant that came of it", body = GrantEntry), Problems)
)]
pub(super) async fn approve(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(id): Named,
    body: Body,
) -> Result<Json<GrantEntry>, Refusal> {
    let approval: Approval = body::json(body).await?;
    let act = admin.act();
    let row = access::requests::approve(&app.store, &id, approval.seconds, act).await?;
    Ok(Json(GrantEntry::new(row, act.now)))
}

/// Deny a request
#[utoipa::path(
    post, path = "/v1/admin/requests/{id}/deny", operation_id = "deny", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The request's id")), request_body = Denial,
    responses((status = 200, description = "The request", body = RequestEntry), Problems)
)]
pub(super) async fn deny(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(id): Named,
    body: Body,
) -> Result<Json<RequestEntry>, Refusal> {
    let denial: Denial = body::json(body).await?;
    Ok(Json(access::requests::deny(&app.store, &id, &denial.reason, admin.act()).await?.into()))
}
