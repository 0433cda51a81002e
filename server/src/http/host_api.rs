//! What hosts call: enrol, fetch their set, ship their audit, ask, change their key.

mod audit;
mod authenticate;
mod enroll;
mod grants;
mod key;
mod requests;

use crate::http::state::AppState;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The hosts' calls.
pub(crate) fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(enroll::enroll))
        .routes(routes!(grants::grants))
        .routes(routes!(audit::audit))
        .routes(routes!(requests::request))
        .routes(routes!(key::change))
}
