//! Grants: create for a host or for labels, list, show, revoke.

use super::authenticate::Admin;
use super::{Problems, paging};
use crate::access;
use crate::access::grants::Proposal;
use crate::http::body::{self, Named, Params};
use crate::http::error::Refusal;
use crate::http::schemas::{GrantDocument, LoginDocument, SudoDocument};
use crate::http::state::AppState;
use crate::labels::Labels;
use crate::store::{GrantFilter, GrantRow, GrantState};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A grant to make, for one host or for those with some labels. The window is `not_before` (now, if left out) to `not_after`, or `seconds` from its beginning.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGrant {
    /// The one host, by id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The hosts that have all these labels: those that have them now, and those that get them while the grant holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub labels: Option<Labels>,
    /// Its id: 1 to 64 of `A-Z a-z 0-9 _ -`. Left out, it gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub id: Option<String>,
    /// The login name on the hosts.
    #[schema(pattern = "^[A-Za-z0-9_.][A-Za-z0-9_.@+-]{0,255}$")]
    pub user: String,
    /// The first instant at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// The first instant at which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_after: Option<Timestamp>,
    /// How long it holds, in place of `not_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub seconds: Option<u64>,
    /// The logins that it permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginDocument>,
    /// The elevation that it permits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoDocument>,
    /// Why.
    #[schema(min_length = 1, max_length = 1024)]
    pub reason: String,
    /// The ticket behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub ticket: Option<String>,
    /// Who asked for it; the administrator who makes it, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1024)]
    pub requested_by: Option<String>,
    /// Who approved it: the administrator who makes it, and nobody else. Who else agreed is for `reason` or `ticket`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1)]
    pub approved_by: Vec<String>,
}

/// A grant, its hosts, and what became of it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct GrantEntry {
    /// The grant, as it stands in the sets of its hosts.
    #[schema(value_type = GrantDocument)]
    pub grant: Box<RawValue>,
    /// The id of the one host that it is for.
    pub host: Option<String>,
    /// That host's name.
    pub host_name: Option<String>,
    /// The labels of the hosts that it is for.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub labels: Option<Labels>,
    /// `coming`, `live`, `ended` or `revoked`.
    pub state: GrantState,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Which administrator made it.
    pub created_by: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// Which administrator revoked it.
    pub revoked_by: Option<String>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// How many hosts have it in their sets; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<usize>,
}

/// A page of grants.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct GrantList {
    /// The grants, the newest first.
    pub grants: Vec<GrantEntry>,
    /// `after` of the next page.
    pub next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GrantQuery {
    /// Those in the set of this host, by id or name.
    #[param(value_type = Option<String>)]
    host: Option<Text>,
    /// Those of this user.
    #[param(value_type = Option<String>)]
    user: Option<Text>,
    /// Those in this state.
    state: Option<GrantState>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    after: Option<Text>,
    /// How many at most: 1 to 1000, 100 unless given.
    limit: Option<i64>,
}

/// Why something is revoked or denied.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub reason: Option<Text>,
}

impl GrantEntry {
    pub(super) fn new(row: GrantRow, now: Timestamp) -> Self {
        let state = row.state(now);
        let (host, host_name) = row.host.unzip();
        Self {
            grant: row.document,
            host,
            host_name,
            labels: row.selector,
            state,
            created_at: row.created_at,
            created_by: row.created_by,
            revoked_at: row.revoked_at,
            revoked_by: row.revoked_by,
            revoke_reason: row.revoke_reason,
            hosts: None,
        }
    }

    fn on(self, hosts: usize) -> Self {
        Self { hosts: Some(hosts), ..self }
    }
}

impl From<NewGrant> for Proposal {
    fn from(new: NewGrant) -> Self {
        Self {
            host: new.host,
            labels: new.labels,
            id: new.id,
            user: new.user,
            not_before: new.not_before,
            not_after: new.not_after,
            seconds: new.seconds,
            login: new.login.map(|login| json!(login)),
            sudo: new.sudo.map(|sudo| json!(sudo)),
            reason: new.reason,
            ticket: new.ticket,
            requested_by: new.requested_by,
            approved_by: new.approved_by,
        }
    }
}

/// List grants
#[utoipa::path(
    get, path = "/v1/admin/grants", operation_id = "grant_list", tag = "admin", security(("admin" = [])), params(GrantQuery),
    responses((status = 200, description = "A page of grants", body = GrantList), Problems)
)]
pub(super) async fn list(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Params(query): Params<GrantQuery>,
) -> Result<Json<GrantList>, Refusal> {
    let (limit, now) = (paging::limit(query.limit)?, Timestamp::now());
    let host = paging::host(&app.store, query.host.as_ref()).await?;
    let (user, after) = (query.user.map(Into::into), query.after.map(Into::into));
    let filter = GrantFilter { host, user, state: query.state, after, limit };
    let rows = app.store.grants(&filter, now).await?;
    let next = paging::next(&rows, limit, |row| row.id.clone());
    Ok(Json(GrantList { grants: rows.into_iter().map(|row| GrantEntry::new(row, now)).collect(), next }))
}

/// Create a grant
#[utoipa::path(
    post, path = "/v1/admin/grants", operation_id = "create_grant", tag = "admin", security(("admin" = [])), request_body = NewGrant,
    responses((status = 201, description = "The grant", body = GrantEntry), Problems)
)]
pub(super) async fn create(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    body: Body,
) -> Result<(StatusCode, Json<GrantEntry>), Refusal> {
    let new: NewGrant = body::json(body).await?;
    let act = admin.act();
    let (row, hosts) = access::grants::create(&app.store, &new.into(), act).await?;
    Ok((StatusCode::CREATED, Json(GrantEntry::new(row, act.now).on(hosts))))
}

/// Show a grant
#[utoipa::path(
    get, path = "/v1/admin/grants/{id}", operation_id = "grant", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The grant's id")),
    responses((status = 200, description = "The grant", body = GrantEntry), Problems)
)]
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Named(id): Named,
) -> Result<Json<GrantEntry>, Refusal> {
    let row = app.store.grant(&id).await?;
    let hosts = app.store.hosts_with(&id).await?;
    Ok(Json(GrantEntry::new(row, Timestamp::now()).on(hosts)))
}

/// Revoke a grant
///
/// It ceases to hold on all its hosts. To revoke it again is no mistake.
#[utoipa::path(
    post, path = "/v1/admin/grants/{id}/revoke", operation_id = "revoke_grant", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The grant's id")), request_body = Revocation,
    responses((status = 200, description = "The grant that was", body = GrantEntry), Problems)
)]
pub(super) async fn revoke(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(id): Named,
    body: Body,
) -> Result<Json<GrantEntry>, Refusal> {
    let revocation: Revocation = body::json(body).await?;
    let act = admin.act();
    let row = access::grants::revoke(&app.store, &id, revocation.reason.as_ref(), act).await?;
    Ok(Json(GrantEntry::new(row, act.now)))
}
