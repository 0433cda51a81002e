//! What comes with a call: read up to a limit and within a time, and parsed so that errors name the field.

use crate::http::error::{Refusal, refuse};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use curfew_protocol::host_api::ProblemKind;
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long its first bytes may take.
const AT_FIRST: Duration = Duration::from_secs(5);

/// How fast it has to come then, in bytes a second.
const SLOWEST: usize = 8 * 1024;

/// The memory for the bodies of hosts, in bytes; and how much of it is taken at a time.
const MEMORY: usize = 32 * 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// How long a body waits for some of it.
const FOR_MEMORY: Duration = Duration::from_secs(5);

/// The longest body of an administrator's call, in bytes.
pub(crate) const LONGEST: usize = 128 * 1024;

/// The memory for the bodies of hosts, in pieces. Each body takes what has come of it, so that many that drip take little.
#[derive(Debug)]
pub(crate) struct BodyMemory(Semaphore);

impl Default for BodyMemory {
    fn default() -> Self {
        Self(Semaphore::new(MEMORY / PIECE))
    }
}

/// Reads a body of at most so many bytes; one that says it is longer is not read at all.
pub(crate) async fn read(body: Body, most: usize) -> Result<Bytes, Refusal> {
    Ok(within(body, most, None).await?.0)
}

/// As [`read`], in the memory that is there for the bodies of hosts.
pub(crate) async fn read_within(
    body: Body,
    most: usize,
    memory: &BodyMemory,
) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refusal> {
    within(body, most, Some(memory)).await
}

async fn within<'m>(
    mut body: Body,
    most: usize,
    memory: Option<&'m BodyMemory>,
) -> Result<(Bytes, Option<SemaphorePermit<'m>>), Refusal> {
    let too_large = || Refusal::new(ProblemKind::TooLarge, format!("the body is longer than {most} bytes"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let begun = Instant::now();
    let (mut bytes, mut taken): (Vec<u8>, Option<SemaphorePermit<'m>>) = (Vec::new(), None);
    loop {
        let due = begun + due_after(bytes.len());
        let frame = match timeout_at(due, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await {
            Ok(None) => return Ok((bytes.into(), taken)),
            Ok(Some(Ok(frame))) => frame,
            // The connection is gone: nobody reads the answer.
            Ok(Some(Err(_))) => return refuse(ProblemKind::BadRequest, "the body did not come to its end"),
            Err(_) => return refuse(ProblemKind::BadRequest, "the body came too slowly"),
        };
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len().saturating_add(data.len());
        if length > most {
            return Err(too_large());
        }
        if let Some(BodyMemory(pieces)) = memory {
            let more = length.div_ceil(PIECE) - bytes.len().div_ceil(PIECE);
            let more = pieces.acquire_many(u32::try_from(more).unwrap_or(u32::MAX));
            let Ok(Ok(more)) = timeout(FOR_MEMORY, more).await else {
                return refuse(ProblemKind::TooMany, "too many hosts send something now");
            };
            match &mut taken {
                Some(taken) => taken.merge(more),
                None => taken = Some(more),
            }
        }
        bytes.extend_from_slice(&data);
    }
}

/// When the next piece has to be there, of a body of which so much has come.
fn due_after(length: usize) -> Duration {
    let earned = Duration::from_millis(u64::try_from(length.saturating_mul(1000) / SLOWEST).unwrap_or(u64::MAX));
    TIMEOUT.min(AT_FIRST.saturating_add(earned))
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
