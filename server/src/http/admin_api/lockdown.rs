//! Everything that a person, a host or some labels have, revoked at once.

use super::Problems;
use super::authenticate::Admin;
use crate::access;
use crate::access::lockdown::Lockdown;
use crate::http::body;
use crate::http::error::Refusal;
use crate::http::state::AppState;
use crate::labels::Labels;
use crate::store::LockdownFilter;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use curfew_protocol::grant::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// Whose grants are to be revoked. Grants have to meet all that is named, and at least one is.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLockdown {
    /// This user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub user: Option<Text>,
    /// Those in the set of this host, by id or name. Grants by labels end on their other hosts, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host: Option<Text>,
    /// Those in the set of any host that has all these labels, and those for hosts that will have them.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024)]
    pub reason: Option<Text>,
    /// Only say what would be revoked.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was revoked, or would be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = Lockdown)]
pub(crate) struct LockdownDone {
    /// Whether it was done.
    pub revoked: bool,
    /// The ids of the grants, the oldest first.
    pub grants: Vec<String>,
    /// How many hosts had any of them.
    pub hosts: usize,
    /// Whom they let in.
    pub users: BTreeSet<String>,
}

impl NewLockdown {
    fn filter(&self) -> LockdownFilter {
        let some = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        LockdownFilter { user: some(&self.user), host: some(&self.host), labels: self.labels.clone() }
    }
}

/// Revoke all grants of a user, a host or labels
///
/// All that hold or will, in one transaction: either each of them is revoked, or none.
#[utoipa::path(
    post, path = "/v1/admin/revocations", operation_id = "revoke_all", tag = "admin", security(("admin" = [])), request_body = NewLockdown,
    responses((status = 200, description = "What was revoked, or would be", body = LockdownDone), Problems)
)]
pub(super) async fn revoke_all(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    body: Body,
) -> Result<Json<LockdownDone>, Refusal> {
    let new: NewLockdown = body::json(body).await?;
    let (filter, act) = (new.filter(), admin.act());
    let Lockdown { grants, hosts, users } = match new.dry_run {
        true => access::lockdown::would_revoke(&app.store, &filter, act).await?,
        false => access::lockdown::revoke_all(&app.store, &filter, new.reason.as_ref(), act).await?,
    };
    Ok(Json(LockdownDone { revoked: !new.dry_run, grants, hosts, users }))
}
