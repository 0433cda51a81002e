//! What is answered instead: problem details (RFC 9457), and when to come again.

use crate::sets::keys::KeysError;
use crate::sets::signed::SetError;
use crate::store::{ChangeError, StoreError};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use curfew_protocol::host_api::{PROBLEM_TYPE, Problem, ProblemKind};
use jiff::Timestamp;
use std::path::Path;

/// A call that is not answered as it was meant.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: ProblemKind,
    detail: String,
    full_disk: bool,
}

/// Marks an answer that says that the database's disk is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FullDisk;

/// Refuses a call.
pub(crate) fn refuse<T>(kind: ProblemKind, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(kind, detail))
}

impl Refusal {
    /// A refusal of this kind.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), full_disk: false }
    }

    /// That what is left of the disk is not for hosts: `what` has to wait.
    pub(crate) fn low_disk(what: &str) -> Self {
        let detail = format!("the server's disk is nearly full, and keeps what is left for grants; {what} has to wait");
        Self::new(ProblemKind::Unavailable, detail)
    }

    /// That the disk is full: for an administrator, who may know where that is and who can do something.
    pub(crate) fn full_disk(folder: Option<&Path>) -> Self {
        let place = folder.map_or_else(|| "the one of its database".into(), |folder| folder.display().to_string());
        let detail = format!(
            "nothing was changed: the server's disk is full ({place}). Make room there, and try again; \
             to revoke a grant meanwhile, on the host itself: curfew revoke ID"
        );
        Self { full_disk: true, ..Self::new(ProblemKind::Unavailable, detail) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.kind, self.detail);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        if self.full_disk {
            response.extensions_mut().insert(FullDisk);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.kind, ProblemKind::TooMany | ProblemKind::Unavailable) {
            headers.insert(RETRY_AFTER, HeaderValue::from(soon()));
        }
        response
    }
}

/// One to ten seconds, not the same for everybody, so that not everybody comes again at once.
fn soon() -> u32 {
    Timestamp::now().subsec_microsecond().unsigned_abs() % 10 + 1
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database did not answer");
        let full_disk = error.is_full_disk();
        // Whoever it is: where the disk is full is not for everybody to know.
        let detail = match full_disk {
            true => "nothing was changed: the server's disk is full; whoever runs the server has to make room",
            false => "the database does not answer; try again",
        };
        Self { full_disk, ..Self::new(ProblemKind::Unavailable, detail) }
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound { .. } | ChangeError::NoHost { .. } => {
                Self::new(ProblemKind::NotFound, error.to_string())
            }
            ChangeError::Conflict(problem) => Self::new(ProblemKind::Conflict, problem),
            ChangeError::TooMany(problem) => Self::new(ProblemKind::TooMany, problem),
            ChangeError::Invalid(problem) => Self::new(ProblemKind::BadRequest, problem),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<KeysError> for Refusal {
    fn from(error: KeysError) -> Self {
        tracing::error!(%error, "a signing key can't be used");
        Self::new(ProblemKind::Unavailable, "a signing key can't be used; the server's log says why")
    }
}

impl From<SetError> for Refusal {
    fn from(error: SetError) -> Self {
        match error {
            SetError::NoSuchHost(_) => Self::new(ProblemKind::NoSuchHost, error.to_string()),
            SetError::Store(error) => error.into(),
            SetError::Keys(error) => error.into(),
            error => {
                tracing::error!(%error, "a set can't be made");
                Self::new(ProblemKind::Unavailable, error.to_string())
            }
        }
    }
}
