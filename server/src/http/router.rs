//! Every call in one table, and the OpenAPI document that is made of it.

use crate::http::error::Refusal;
use crate::http::state::AppState;
use crate::http::{admin_api, drain, health, host_api};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use curfew_protocol::host_api::{PROBLEM_TYPE, Problem, ProblemKind};
use std::sync::Arc;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What is said of the calls as a whole.
const DESCRIPTION: &str = "The central endpoint of Curfew: hosts fetch their signed grant sets and ship their audit, administrators say who may do what, \
                           where and until when. Errors are problem details (RFC 9457).";

fn table() -> OpenApiRouter<Arc<AppState>> {
    let health = OpenApiRouter::new().routes(routes!(health::ready));
    OpenApiRouter::with_openapi(described()).merge(host_api::router()).merge(admin_api::router()).merge(health)
}

fn described() -> OpenApi {
    let bearer = |format: &str, description: &str| {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format).description(Some(description));
        SecurityScheme::Http(scheme.build())
    };
    let components = ComponentsBuilder::new()
        .security_scheme(
            "host",
            bearer("JWT", "A JWT of the type `curfew-host+jwt` that the host's key signed for this one call"),
        )
        .security_scheme("admin", bearer("opaque", "An administrator's token: curfew-server admin-token create NAME"));
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Curfew")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    OpenApiBuilder::new().info(info.build()).components(Some(components.build())).build()
}

/// The OpenAPI document, as JSON for people.
pub(crate) fn openapi() -> Result<String, serde_json::Error> {
    Ok(table().into_openapi().to_pretty_json()? + "\n")
}

/// The calls of an endpoint.
pub(crate) fn router(app: Arc<AppState>) -> Router {
    let (router, openapi) = table().split_for_parts();
    let openapi = Arc::new(openapi);
    router
        .route("/openapi.json", get(move || std::future::ready(Json(openapi.as_ref().clone()).into_response())))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::map_request(drain::read_on))
        .with_state(app)
}

async fn nothing(uri: Uri) -> Refusal {
    Refusal::new(
        ProblemKind::NotFound,
        format!("there is nothing at {:?}; /openapi.json has what there is", uri.path()),
    )
}

async fn not_so(method: Method, uri: Uri) -> Response {
    let detail = format!("{method} {:?} is no call; /openapi.json has what there is", uri.path());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let title = "The method is not one of this path's".into();
    let problem = Problem { kind: ProblemKind::Other, title, status: status.as_u16(), detail };
    (status, [(CONTENT_TYPE, PROBLEM_TYPE)], Json(problem)).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_document_in_the_repository_is_the_one_that_is_served() {
        let kept = include_str!("../../openapi.json");
        assert!(
            openapi().unwrap() == kept,
            "server/openapi.json is not current: curfew-server openapi > server/openapi.json"
        );
    }
}
