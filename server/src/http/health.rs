//! `GET /readyz`: whether the server can do its work.
//!
//! It answers with what the last try to write came to, and tries nothing itself: anybody may ask, and nobody without a credential makes the server write.

use crate::http::error::{Refusal, refuse};
use crate::http::state::AppState;
use axum::extract::State;
use curfew_protocol::host_api::ProblemKind;
use std::sync::Arc;

/// Whether the server can do its work
///
/// For load balancers and monitoring. The server writes to its database every few seconds; this tells whether that works.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "health",
    responses(
        (status = 200, description = "The database takes writes", body = String, content_type = "text/plain"),
        (status = 503, description = "The database takes no writes", body = crate::http::schemas::ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ready(State(app): State<Arc<AppState>>) -> Result<&'static str, Refusal> {
    if app.health.is_ready() {
        Ok("ready\n")
    } else {
        refuse(ProblemKind::Unavailable, "the database takes no writes; the server's log says why")
    }
}
