//! What people on hosts ask for: filed, and then approved or denied, once.

use super::grants;
use crate::actor::Act;
use crate::secret::new_id;
use crate::store::{
    About, ChangeError, Decision, Event, GrantRow, RequestRow, RequestState, Store, StoreError, Target,
};
use curfew_protocol::grant::{Grant, GrantError, LONGEST_GRANT, Text};
use curfew_protocol::grant_set::HostId;
use curfew_protocol::host_api::AccessRequest;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// The most requests of one host that wait for a decision.
const MOST_PENDING: i64 = 100;

/// Why a request is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFiled {
    /// It asks for nothing.
    #[error("a request is for some seconds, and for `login`, `sudo` or both")]
    Nothing,
    /// No grant could come of it.
    #[error("{0}")]
    Invalid(String),
    /// The host has enough of them.
    #[error("too many requests of this host wait for a decision")]
    TooMany,
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps a request until somebody decides. Returns its id.
pub(crate) async fn file(
    store: &Store,
    host: &HostId,
    request: &AccessRequest,
    now: Timestamp,
) -> Result<String, NotFiled> {
    if request.seconds == 0 || (request.login.is_none() && request.sudo.is_none()) {
        return Err(NotFiled::Nothing);
    }
    let id = new_id();
    // Whoever approves it: nobody decides about what can't be approved.
    let grant = granted(&id, request, request.seconds, Act { admin: "an administrator", now });
    let grant = grant.map_err(|error| NotFiled::Invalid(error.to_string()))?;
    let length = serde_json::to_vec(&grant).map_or(usize::MAX, |text| text.len());
    if length > LONGEST_GRANT {
        let problem = format!("the grant that is asked for has {length} bytes, and {LONGEST_GRANT} is the most");
        return Err(NotFiled::Invalid(problem));
    }
    let mut tx = store.begin().await?;
    if tx.pending_requests(host).await? >= MOST_PENDING {
        return Err(NotFiled::TooMany);
    }
    tx.insert_request(&id, host, request, now).await?;
    let user = request.user.as_str();
    let about = About { host: Some(host.as_str()), user: Some(user), grant: None };
    tx.log(Act { admin: "", now }, Event::RequestCreated, about, details_of(&id, request)).await?;
    // Every server hears of it, as of every other change.
    tx.tells();
    tx.commit().await?;
    tracing::info!(%host, user, request = id, "somebody asks for access");
    Ok(id)
}

/// Approves a request that waits: it becomes a grant on its host, from now on, for as long as was asked or for so many seconds.
pub(crate) async fn approve(
    store: &Store,
    id: &str,
    seconds: Option<u64>,
    act: Act<'_>,
) -> Result<GrantRow, ChangeError> {
    let mut tx = store.begin_change().await?;
    let row = tx.request(id).await?;
    let Ok(asked) = serde_json::from_str::<AccessRequest>(row.document.get()) else {
        let problem = "the request can't be read; deny it, and have it made again";
        return Err(ChangeError::Conflict(problem.into()));
    };
    let seconds = seconds.unwrap_or(asked.seconds);
    let grant = granted(id, &asked, seconds, act).map_err(|error| match error {
        ChangeError::Invalid(problem) => ChangeError::Invalid(format!("request {id}: {problem}")),
        error => error,
    })?;
    let decision = Decision { state: RequestState::Approved, reason: None, grant: Some(grant.id.as_str()) };
    tx.decide(id, decision, act).await?;
    let about = About { host: Some(&row.host), user: Some(asked.user.as_str()), grant: Some(grant.id.as_str()) };
    let details = json!({"request": id, "asked_seconds": asked.seconds, "approved_seconds": seconds});
    tx.log(act, Event::RequestApproved, about, details).await?;
    grants::insert(store, &mut tx, &grant, &Target::Host(row.host), act).await?;
    let row = tx.grant(grant.id.as_str()).await?;
    tx.commit().await?;
    Ok(row)
}

/// Denies a request that waits.
pub(crate) async fn deny(store: &Store, id: &str, reason: &Text, act: Act<'_>) -> Result<RequestRow, ChangeError> {
    let mut tx = store.begin_change().await?;
    tx.decide(id, Decision { state: RequestState::Denied, reason: Some(reason.as_str()), grant: None }, act).await?;
    let row = tx.request(id).await?;
    let about = About { host: Some(&row.host), user: Some(&row.user), grant: None };
    tx.log(act, Event::RequestDenied, about, json!({"request": id, "reason": reason})).await?;
    tx.commit().await?;
    Ok(row)
}

/// What is asked for, as the log has it.
fn details_of(id: &str, request: &AccessRequest) -> Json {
    let mut details = json!({
        "request": id, "user": request.user, "seconds": request.seconds, "login": request.login, "sudo": request.sudo,
        "reason": request.reason, "ticket": request.ticket
    });
    if let Some(fields) = details.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    details
}

/// The grant that comes of a request.
fn granted(id: &str, asked: &AccessRequest, seconds: u64, act: Act<'_>) -> Result<Grant, ChangeError> {
    let (begin, end) = grants::window(grants::whole(act.now), None, Some(seconds), act.now)?;
    let document = json!({
        "id": new_id(), "user": asked.user, "not_before": begin, "not_after": end, "login": asked.login, "sudo": asked.sudo,
        "reason": asked.reason, "ticket": asked.ticket, "requested_by": asked.user, "approved_by": [act.admin], "request": id
    });
    // The grant's id is nobody's yet: errors name the field alone.
    grants::parsed(document).map_err(|error| {
        ChangeError::Invalid(match error {
            GrantError::Whole { problem, .. } => problem.to_string(),
            error => error.to_string(),
        })
    })
}
