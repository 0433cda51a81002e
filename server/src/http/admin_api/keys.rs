//! The keys that sign sets: list, announce, use, retire. The three steps with time between them change the key under which hosts trust their sets, and
//! leave none behind.

use super::Problems;
use super::authenticate::Admin;
use crate::http::body::{self, Named};
use crate::http::error::{Refusal, refuse};
use crate::http::state::AppState;
use crate::store::{KeyRow, KeyState};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use curfew_protocol::host_api::ProblemKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// How many of the hosts that lag are named.
const NAMED: i64 = 20;

/// A key that signs sets.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct KeyEntry {
    /// Its name.
    pub kid: String,
    /// Its 32 bytes in base64url.
    pub x: String,
    /// `announced`: hosts pin it. `active`: it signs. `retired`: hosts don't pin it.
    pub state: String,
    /// Whether this server has the private half.
    pub here: bool,
    #[schema(value_type = String, format = DateTime)]
    pub announced_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retired_at: Option<Timestamp>,
}

/// The keys.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// The keys, the oldest first.
    pub keys: Vec<KeyEntry>,
    /// Hosts that have not applied a set with the newest key: the first 20.
    pub without_newest: Vec<String>,
}

/// A key to announce.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// One whose private half was put into the server's key folder; left out, the server makes a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

/// How a key is put to use.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyUse {
    /// Even though hosts have not heard of it, which will refuse their sets until they enrol again.
    #[serde(default)]
    pub force: bool,
}

fn entry(app: &AppState, row: KeyRow) -> KeyEntry {
    KeyEntry {
        kid: row.key.kid(),
        x: row.key.x(),
        state: row.state.name().into(),
        here: app.keys.has(&row.key),
        announced_at: row.announced_at,
        used_at: row.used_at,
        retired_at: row.retired_at,
    }
}

async fn all(app: &AppState) -> Result<KeyList, Refusal> {
    let rows = app.store.signing_keys().await?;
    let newest = rows.iter().max_by_key(|row| row.announced_at);
    // Of a key that is retired nobody has to hear, where there is no other one to change to.
    let moot = newest.is_some_and(|row| row.state == KeyState::Retired)
        && rows.iter().all(|row| row.state != KeyState::Announced);
    let lagging = if moot { Vec::new() } else { app.store.hosts_without_newest_key(NAMED).await? };
    let keys = rows.into_iter().map(|row| entry(app, row)).collect();
    Ok(KeyList { keys, without_newest: lagging.into_iter().map(|(_, name)| name).collect() })
}

/// List the keys that sign sets
#[utoipa::path(
    get, path = "/v1/admin/keys", operation_id = "keys", tag = "admin", security(("admin" = [])),
    responses((status = 200, description = "The keys", body = KeyList), Problems)
)]
pub(super) async fn list(State(app): State<Arc<AppState>>, _: Admin) -> Result<Json<KeyList>, Refusal> {
    Ok(Json(all(&app).await?))
}

/// Announce a key
///
/// Every set names it from now on, so that hosts pin it. It signs nothing yet.
#[utoipa::path(
    post, path = "/v1/admin/keys", operation_id = "add_key", tag = "admin", security(("admin" = [])), request_body = NewKey,
    responses((status = 201, description = "The keys", body = KeyList), Problems)
)]
pub(super) async fn add(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    body: Body,
) -> Result<(StatusCode, Json<KeyList>), Refusal> {
    let new: NewKey = body::json(body).await?;
    let key = match new.kid {
        None => app.keys.make()?,
        Some(kid) => match app.keys.find(&kid)? {
            Some(key) => key,
            None => {
                return refuse(
                    ProblemKind::NotFound,
                    format!("the key folder has no {kid:?}.pem with the key of this name"),
                );
            }
        },
    };
    app.store.announce_key(&key, admin.act()).await?;
    Ok((StatusCode::CREATED, Json(all(&app).await?)))
}

/// Sign with a key from now on
///
/// Refused while there are hosts that have not applied a set which names it.
#[utoipa::path(
    post, path = "/v1/admin/keys/{kid}/use", operation_id = "use_key", tag = "admin", security(("admin" = [])),
    params(("kid" = String, Path, description = "The key's name")), request_body = KeyUse,
    responses((status = 200, description = "The keys", body = KeyList), Problems)
)]
pub(super) async fn use_key(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(kid): Named,
    body: Body,
) -> Result<Json<KeyList>, Refusal> {
    let KeyUse { force } = body::json(body).await?;
    // Before anything is said of hosts or files: a name that is no key's has neither.
    app.store.usable_key(&kid).await?;
    // What was heard a moment ago counts.
    app.last_seen.write(&app.store).await;
    let lagging = app.store.hosts_without_newest_key(NAMED).await?;
    if !force && !lagging.is_empty() {
        let names: Vec<_> = lagging.into_iter().map(|(_, name)| name).collect();
        let problem = format!(
            "hosts have not applied a set that names the newest key, and would refuse what it signs: {}; wait for them, remove them, or use --force; hosts that fetch files never say so: export, wait until they have fetched, and use --force",
            names.join(", ")
        );
        return refuse(ProblemKind::Conflict, problem);
    }
    if app.keys.find(&kid)?.is_none() {
        return refuse(ProblemKind::NotFound, format!("the key folder has no {kid:?}.pem with the key of this name"));
    }
    app.store.use_key(&kid, admin.act()).await?;
    Ok(Json(all(&app).await?))
}

/// Retire a key
///
/// Sets don't name it any more, and hosts forget it. The active one can't be retired.
#[utoipa::path(
    post, path = "/v1/admin/keys/{kid}/retire", operation_id = "retire_key", tag = "admin", security(("admin" = [])),
    params(("kid" = String, Path, description = "The key's name")),
    responses((status = 200, description = "The keys", body = KeyList), Problems)
)]
pub(super) async fn retire(
    State(app): State<Arc<AppState>>,
    admin: Admin,
    Named(kid): Named,
) -> Result<Json<KeyList>, Refusal> {
    app.store.retire_key(&kid, admin.act()).await?;
    Ok(Json(all(&app).await?))
}
