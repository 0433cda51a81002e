//! `POST /v1/enroll`: a one-use token and a new key become a host.

use crate::http::bearer::from;
use crate::http::body;
use crate::http::error::{Refusal, refuse};
use crate::http::schemas::{EnrolledDocument, ProblemDocument};
use crate::http::state::AppState;
use crate::secret::Hash;
use crate::store::{Attempt, ChangeError, NotEnrolled, Presented};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Extensions;
use curfew_protocol::host_api::{Enrolled, Enrolment, ProblemKind};
use jiff::Timestamp;
use std::sync::Arc;

/// The longest enrolment, in bytes.
const LONGEST: usize = 8 * 1024;

/// Enrol a host
///
/// The body is a compact JWS of the type `curfew-enroll+jwt` that the new key signed, with the key in its header. The same token and the same key
/// get the same answer again, even when the token is too old by then.
#[utoipa::path(
    post, path = "/v1/enroll", operation_id = "enroll", tag = "host",
    request_body(content = String, content_type = "application/jose"),
    responses(
        (status = 200, description = "The host is enrolled", body = EnrolledDocument),
        (status = 400, description = "It is no enrolment, or for another endpoint", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token is not good", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Another host has the name, or it is none that a host may have", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database is away, or its disk is nearly full", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn enroll(
    State(app): State<Arc<AppState>>,
    extensions: Extensions,
    body: Body,
) -> Result<Json<Enrolled>, Refusal> {
    let body = body::read(body, LONGEST).await?;
    let bad = |problem: String| Refusal::new(ProblemKind::BadRequest, problem);
    let text = std::str::from_utf8(&body).map_err(|_| bad("the body is no compact JWS".into()))?;
    let (enrolment, key) = Enrolment::verify(text).map_err(|error| bad(error.to_string()))?;
    let config = &app.config;
    if !config.origins.contains(&enrolment.aud) {
        let origins = config.origins.join(", ");
        return refuse(ProblemKind::BadRequest, format!("it is for {:?}; this endpoint is {origins}", enrolment.aud));
    }
    let failed = |problem| {
        let attempt = Attempt { from: from(&extensions), presented: Presented::Enrolment(problem) };
        app.sign_ins.failed(attempt, Timestamp::now());
    };
    let Some(hash) = Hash::of(&enrolment.token) else {
        failed("unknown");
        return refuse(ProblemKind::EnrolmentToken, "the enrolment token is unknown");
    };
    if app.disk.is_low() {
        return Err(Refusal::low_disk("a new host"));
    }
    let host = app.store.enrol(&hash, &enrolment.name, &key, Timestamp::now()).await.inspect_err(|error| {
        if let NotEnrolled::Token(problem) = error {
            failed(problem);
        }
    })?;
    tracing::info!(%host, kid = key.kid(), "a host is enrolled");
    let ring = app.keys.after(app.store.keys_changed().await?, &app.store).await?;
    Ok(Json(Enrolled { host, issuer: config.issuer().into(), keys: ring.pinned.clone() }))
}

impl From<NotEnrolled> for Refusal {
    fn from(error: NotEnrolled) -> Self {
        match error {
            NotEnrolled::Token(_) => Self::new(ProblemKind::EnrolmentToken, error.to_string()),
            NotEnrolled::Change(error @ ChangeError::Conflict(_)) => {
                Self::new(ProblemKind::Conflict, format!("{error}; the token is good still"))
            }
            NotEnrolled::Change(error) => error.into(),
        }
    }
}
