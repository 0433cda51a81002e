//! What comes with a call: read up to a limit and within a time, and parsed so that errors name the field.

use crate::refusal::{Refusal, refuse};
use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use curfew_protocol::host_api::ProblemKind;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest body of an administrator's call, in bytes.
pub(crate) const LONGEST: usize = 128 * 1024;

/// Reads a body of at most so many bytes; one that says it is longer is not read at all.
pub(crate) async fn read(body: Body, most: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::new(ProblemKind::TooLarge, format!("the body is longer than {most} bytes"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Too long, or the connection is gone: then nobody reads the answer.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => refuse(ProblemKind::BadRequest, format!("the body did not come within {} s", PATIENCE.as_secs())),
    }
}

/// Parses one JSON object.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bad = |problem: String| Refusal::new(ProblemKind::BadRequest, problem);
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(bad("the body is no JSON object".into()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        bad(format!("field `{place}`: {}", error.into_inner()))
    })?;
    json.end().map_err(|error| bad(format!("the body goes on behind its end: {error}")))?;
    Ok(value)
}

/// Reads and parses an administrator's call.
pub(crate) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    parse(&read(body, LONGEST).await?)
}

/// The name in a path, without control characters.
pub(crate) struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refused = |error: PathRejection| Refusal::new(ProblemKind::NotFound, error.body_text());
        let Path(name): Path<String> = Path::from_request_parts(parts, state).await.map_err(refused)?;
        if name.len() > 256 || name.chars().any(char::is_control) {
            return refuse(ProblemKind::NotFound, format!("there is nothing of the name {name:?}"));
        }
        Ok(Self(name))
    }
}

/// The parameters behind the path.
pub(crate) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refused = |error: QueryRejection| Refusal::new(ProblemKind::BadRequest, error.body_text());
        Query::from_request_parts(parts, state).await.map(|Query(it)| Self(it)).map_err(refused)
    }
}
