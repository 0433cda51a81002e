//! Hosts: list, show, add without a key, label, remove.

use super::authenticate::Admin;
use super::{Problems, paging};
use crate::access;
use crate::host_name::HostName;
use crate::http::body::{self, Named, Params};
use crate::http::error::Refusal;
use crate::http::state::AppState;
use crate::labels::Labels;
use crate::store::{Host, HostFilter};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use curfew_protocol::grant::Text;
use curfew_protocol::host_api::ProblemKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A host.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Host)]
pub(crate) struct HostDocument {
    /// Its id: in paths, file names and the `aud` of its sets.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// The name of its key; none for one that is served from static files, or was removed.
    pub kid: Option<String>,
    /// The version of its set.
    pub version: i64,
    /// The version that it said it applied.
    pub applied: i64,
    /// When it last called.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
    /// When it was enrolled or added.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was removed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub removed_at: Option<Timestamp>,
}

impl From<Host> for HostDocument {
    fn from(host: Host) -> Self {
        Self {
            id: host.id.to_string(),
            name: host.name,
            labels: host.labels,
            kid: host.key.map(|key| key.kid()),
            version: host.ver,
            applied: host.applied_ver,
            seen_at: host.seen_at,
            created_at: host.created_at,
            removed_at: host.removed_at,
        }
    }
}

/// A page of hosts.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct HostList {
    /// The hosts, by id.
    pub hosts: Vec<HostDocument>,
    /// `after` of the next page.
    pub next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HostQuery {
    /// Those that have all these labels: `env=prod,role=web`.
    labels: Option<String>,
    /// Those that were removed, instead of those that are there.
    #[serde(default)]
    removed: bool,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
    /// How many at most: 1 to 1000, 100 unless given.
    limit: Option<i64>,
}

/// A host to add.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHost {
    /// Its name: 1 to 253 of `A-Z a-z 0-9 . _ -`.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
    pub name: HostName,
    /// Its labels.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
}

/// Labels to set and to unset.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelChange {
    /// Set these.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub set: Labels,
    /// Unset these, by name: each has to be there.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub unset: Vec<String>,
}

/// List hosts
#[utoipa::path(
    get, path = "/v1/admin/hosts", operation_id = "hosts", tag = "admin", security(("admin" = [])), params(HostQuery),
    responses((status = 200, description = "A page of hosts", body = HostList), Problems)
)]
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Params(query): Params<HostQuery>,
) -> Result<Json<HostList>, Refusal> {
    let labels = query.labels.as_deref().unwrap_or("").parse();
    let labels =
        labels.map_err(|problem: String| Refusal::new(ProblemKind::BadRequest, format!("labels: {problem}")))?;
    let limit = paging::limit(query.limit)?;
    let after = query.after.map(Into::into);
    let hosts = app.store.hosts(&HostFilter { labels, removed: query.removed, after, limit }).await?;
    let next = paging::next(&hosts, limit, |host| host.id.to_string());
    Ok(Json(HostList { hosts: hosts.into_iter().map(Into::into).collect(), next }))
}

/// Show a host
#[utoipa::path(
    get, path = "/v1/admin/hosts/{host}", operation_id = "host", tag = "admin", security(("admin" = [])),
    params(("host" = String, Path, description = "The host's id or name")),
    responses((status = 200, description = "The host", body = HostDocument), Problems)
)]
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Named(host): Named,
) -> Result<Json<HostDocument>, Refusal> {
    Ok(Json(app.store.find_host(&host).await?.into()))
}

/// Add a host without a key
///
/// For hosts whose sets are exported as files. Hosts that call this endpoint enrol.
#[utoipa::path(
    post, path = "/v1/admin/hosts", operation_id = "add_host", tag = "admin", security(("admin" = [])), request_body = NewHost,
    responses((status = 201, description = "The host", body = HostDocument), Problems)
)]
pub(super) async fn add(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    body: Body,
) -> Result<(StatusCode, Json<HostDocument>), Refusal> {
    let new: NewHost = body::json(body).await?;
    let host = app.store.add_host(&new.name, &new.labels, admin.act()).await?;
    Ok((StatusCode::CREATED, Json(host.into())))
}

/// Set and unset a host's labels
///
/// Grants by labels begin and cease to hold on it with this.
#[utoipa::path(
    patch, path = "/v1/admin/hosts/{host}/labels", operation_id = "label_host", tag = "admin", security(("admin" = [])),
    params(("host" = String, Path, description = "The host's id or name")), request_body = LabelChange,
    responses((status = 200, description = "The host", body = HostDocument), Problems)
)]
pub(super) async fn label(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(host): Named,
    body: Body,
) -> Result<Json<HostDocument>, Refusal> {
    let change: LabelChange = body::json(body).await?;
    let host = app.store.label_host(&host, &change.set, &change.unset, admin.act()).await?;
    Ok(Json(host.into()))
}

/// Remove a host
///
/// Its key is removed with it, and the grants that were for it alone are revoked: it can come back only by enrolling again.
#[utoipa::path(
    delete, path = "/v1/admin/hosts/{host}", operation_id = "remove_host", tag = "admin", security(("admin" = [])),
    params(("host" = String, Path, description = "The host's id or name")),
    responses((status = 200, description = "The host that was", body = HostDocument), Problems)
)]
pub(super) async fn remove(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(host): Named,
) -> Result<Json<HostDocument>, Refusal> {
    Ok(Json(access::hosts::remove(&app.store, &host, admin.act()).await?.into()))
}
