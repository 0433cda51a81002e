//! `POST /v1/hosts/{host}/requests`: somebody on a host asks for access.

use super::authenticate::Caller;
use crate::access;
use crate::access::requests::NotFiled;
use crate::http::body::{self, LONGEST};
use crate::http::error::{Refusal, refuse};
use crate::http::schemas::{AccessRequestDocument, ProblemDocument, RequestMadeDocument};
use crate::http::state::AppState;
use crate::http::upload_slots::Upload;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use curfew_protocol::host_api::{AccessRequest, ProblemKind, RequestMade};
use jiff::Timestamp;
use std::sync::Arc;

/// Ask for access
///
/// The request waits until an administrator approves or denies it. An approved one comes back as a grant in the host's set, with its id in `request`.
#[utoipa::path(
    post, path = "/v1/hosts/{host}/requests", operation_id = "request", tag = "host", security(("host" = [])),
    params(("host" = String, Path, description = "The host's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = AccessRequestDocument,
    responses(
        (status = 201, description = "The request waits for a decision", body = RequestMadeDocument),
        (status = 400, description = "It is no request", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The token is not good, or the host was removed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token is of another host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The path names no host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests of the host wait", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database is away, or its disk is nearly full", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn request(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<RequestMade>), Refusal> {
    if app.disk.is_low() {
        return Err(Refusal::low_disk("the request"));
    }
    let Some(_slot) = app.uploads.take(&caller.host, Upload::Request) else {
        return refuse(ProblemKind::TooMany, "this host sends several requests already");
    };
    let (body, _memory) = body::read_within(body, LONGEST, &app.bodies).await?;
    caller.sent(&body)?;
    let request: AccessRequest = body::parse(&body)?;
    let request = access::requests::file(&app.store, &caller.host, &request, Timestamp::now()).await?;
    Ok((StatusCode::CREATED, Json(RequestMade { request })))
}

impl From<NotFiled> for Refusal {
    fn from(error: NotFiled) -> Self {
        match error {
            NotFiled::Nothing | NotFiled::Invalid(_) => Self::new(ProblemKind::BadRequest, error.to_string()),
            NotFiled::TooMany => Self::new(ProblemKind::TooMany, error.to_string()),
            NotFiled::Store(error) => error.into(),
        }
    }
}
