//! How far a revocation has come: which hosts have acknowledged it, and which have not.

use super::Problems;
use super::authenticate::Admin;
use crate::http::body::Named;
use crate::http::error::Refusal;
use crate::http::state::AppState;
use crate::store::Waiting;
use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most hosts that are named.
const NAMED: usize = 1000;

/// How far a revocation has come.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Revoked)]
pub(crate) struct RevocationState {
    /// The grant's id.
    pub grant: String,
    /// How many hosts had the grant when it was revoked.
    pub hosts: usize,
    /// How many of them have acknowledged: the grant does not hold there any more.
    pub acknowledged: usize,
    /// Those that have not: the first 1000.
    pub waiting: Vec<WaitingHost>,
}

/// A host that has not acknowledged a revocation.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct WaitingHost {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it last called.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen_at: Option<Timestamp>,
    /// It is served from static files, and never acknowledges anything.
    pub from_files: bool,
    /// It was removed since: if it is gone for good, it never acknowledges.
    #[serde(default)]
    pub removed: bool,
}

impl From<Waiting> for WaitingHost {
    fn from(host: Waiting) -> Self {
        Self {
            id: host.id.to_string(),
            name: host.name,
            seen_at: host.seen_at,
            from_files: host.by_files,
            removed: host.removed,
        }
    }
}

/// Show how far a revocation has come
///
/// A host acknowledges by asking for what comes after the set that revoked the grant, which it has applied by then.
#[utoipa::path(
    get, path = "/v1/admin/grants/{id}/revocation", operation_id = "revocation", tag = "admin", security(("admin" = [])),
    params(("id" = String, Path, description = "The grant's id")),
    responses((status = 200, description = "How far it has come", body = RevocationState), Problems)
)]
pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    _: Admin,
    Named(id): Named,
) -> Result<Json<RevocationState>, Refusal> {
    let revocation = app.store.revocation(&id).await?;
    let mut waiting = revocation.waiting;
    // What was heard a moment ago is not written down yet.
    waiting.retain(|host| !app.last_seen.applied(&host.id).is_some_and(|applied| host.is_done_by(applied)));
    let acknowledged = revocation.hosts.saturating_sub(waiting.len());
    waiting.truncate(NAMED);
    for host in &mut waiting {
        host.seen_at = host.seen_at.max(app.last_seen.seen_at(&host.id));
    }
    let waiting = waiting.into_iter().map(Into::into).collect();
    Ok(Json(RevocationState { grant: id, hosts: revocation.hosts, acknowledged, waiting }))
}
