//! What administrators call, under `/v1/admin`: hosts, enrolment tokens, grants, requests, keys, audit.

mod access_log;
pub(crate) mod audit;
mod authenticate;
pub(crate) mod grants;
pub(crate) mod hosts;
pub(crate) mod keys;
pub(crate) mod lockdown;
mod paging;
pub(crate) mod requests;
pub(crate) mod revocation;
pub(crate) mod tokens;

use crate::http::schemas::ProblemDocument;
use crate::http::state::AppState;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What any of these calls may be answered with instead.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)]
enum Problems {
    #[response(status = 400, description = "The call can't be understood", content_type = "application/problem+json")]
    BadRequest(ProblemDocument),
    #[response(
        status = 401,
        description = "The administrator's token is not good",
        content_type = "application/problem+json"
    )]
    Unauthorized(ProblemDocument),
    #[response(status = 404, description = "There is nothing of this name", content_type = "application/problem+json")]
    NotFound(ProblemDocument),
    #[response(status = 409, description = "It contradicts what is there", content_type = "application/problem+json")]
    Conflict(ProblemDocument),
    #[response(status = 413, description = "The body is too long", content_type = "application/problem+json")]
    TooLarge(ProblemDocument),
    #[response(status = 429, description = "Too many connections", content_type = "application/problem+json")]
    TooMany(ProblemDocument),
    #[response(status = 503, description = "The database is away", content_type = "application/problem+json")]
    Unavailable(ProblemDocument),
}

/// The administrators' calls.
pub(crate) fn router() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(hosts::list, hosts::add))
        .routes(routes!(hosts::show, hosts::remove))
        .routes(routes!(hosts::label))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(grants::list, grants::create))
        .routes(routes!(grants::show))
        .routes(routes!(grants::revoke))
        .routes(routes!(lockdown::revoke_all))
        .routes(routes!(revocation::show))
        .routes(routes!(requests::list))
        .routes(routes!(requests::show))
        .routes(routes!(requests::approve))
        .routes(routes!(requests::deny))
        .routes(routes!(keys::list, keys::add))
        .routes(routes!(keys::use_key))
        .routes(routes!(keys::retire))
        .routes(routes!(audit::list))
        .layer(axum::middleware::from_fn(access_log::log))
}
