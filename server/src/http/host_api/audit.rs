//! `POST /v1/hosts/{host}/audit`: a host's records, in order and once.

use super::authenticate::Caller;
use crate::http::body;
use crate::http::error::{Refusal, refuse};
use crate::http::schemas::{AuditBatchDocument, AuditStoredDocument, ProblemDocument};
use crate::http::state::AppState;
use crate::http::upload_slots::Upload;
use crate::store::{AuditEntry, Batch, NotStored};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use curfew_protocol::host_api::{AuditBatch, AuditStored, LONGEST_BATCH, MOST_RECORDS, ProblemKind};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// The longest name of an event, a user or a grant that is searched for.
const LONGEST: usize = 256;

/// Ship a host's audit
///
/// Records follow each other without a gap, within a batch and from batch to batch of a series. What was stored before is left as it was. A batch that begins
/// behind the end of the series is not stored, and the answer says how far the series is, unless the host has nothing older: then the gap is kept as one, and
/// what is missing is stored if it comes after all. The answer is sent when everything is on the disk.
#[utoipa::path(
    post, path = "/v1/hosts/{host}/audit", operation_id = "audit", tag = "host", security(("host" = [])),
    params(("host" = String, Path, description = "The host's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = AuditBatchDocument,
    responses(
        (status = 200, description = "How far the series is stored", body = AuditStoredDocument),
        (status = 400, description = "It is no batch", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The token is not good, or the host was removed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The token is of another host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The path names no host", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The batch is too long", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many calls, or too much audit or too many new series for one day", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The database is away, or its disk is nearly full", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn audit(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    body: Body,
) -> Result<Json<AuditStored>, Refusal> {
    if app.disk.is_low() {
        return Err(Refusal::low_disk("the audit"));
    }
    let Some(_slot) = app.uploads.take(&caller.host, Upload::Audit) else {
        return refuse(ProblemKind::TooMany, "this host ships its audit already");
    };
    let (body, _memory) = body::read_within(body, LONGEST_BATCH, &app.bodies).await?;
    caller.sent(&body)?;
    let batch: AuditBatch = body::parse(&body)?;
    let entries = entries(&batch)?;
    let oldest = i64::try_from(batch.oldest).unwrap_or(i64::MAX);
    let most_a_day = i64::from(app.config.audit_daily_mib) << 20;
    let batch = Batch { host: &caller.host, series: batch.series.as_str(), oldest, entries: &entries, most_a_day };
    let stored = app.store.add_audit(&batch, Timestamp::now()).await?;
    Ok(Json(AuditStored { stored_to: stored.unsigned_abs() }))
}

impl From<NotStored> for Refusal {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::TooMuch { .. } | NotStored::Series => Self::new(ProblemKind::TooMany, error.to_string()),
            NotStored::Gap { .. } => Self::new(ProblemKind::BadRequest, error.to_string()),
            NotStored::Store(error) => error.into(),
        }
    }
}

/// The records as they are stored. One that can't be one refuses the batch.
fn entries(batch: &AuditBatch) -> Result<Vec<AuditEntry>, Refusal> {
    if batch.records.len() > MOST_RECORDS {
        let length = batch.records.len();
        return refuse(ProblemKind::TooLarge, format!("{length} records, and {MOST_RECORDS} is the most"));
    }
    let mut entries: Vec<AuditEntry> = Vec::with_capacity(batch.records.len());
    for (index, record) in batch.records.iter().enumerate() {
        let bad = |problem: String| Refusal::new(ProblemKind::BadRequest, format!("records[{index}]: {problem}"));
        let entry = entry(record).map_err(bad)?;
        let before = entries.last().map(|last| last.seq);
        if before.is_some_and(|before| entry.seq != before + 1) {
            return Err(bad(format!("seq is {}, and it has to follow the one before it", entry.seq)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// A record, with what is searched for. Events and fields that this server does not know are stored as they are: hosts may be newer than it.
fn entry(record: &Value) -> Result<AuditEntry, String> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let seq = record.get("seq").and_then(Value::as_i64).filter(|seq| (1..i64::MAX).contains(seq));
    let seq = seq.ok_or("seq is no number from 1 on")?;
    let time: Option<Timestamp> = text("time").and_then(|time| time.parse().ok());
    // As it will be read back.
    let time = time.and_then(|time| Timestamp::from_microsecond(time.as_microsecond()).ok());
    let time = time.ok_or("time is no RFC 3339 time from the year -9999 to 9999")?;
    let event = text("event").filter(|event| (1..=LONGEST).contains(&event.len())).ok_or("event is no name")?;
    let (user, grant) = (text("user").map(searchable), text("grant").map(searchable));
    Ok(AuditEntry { seq, time, event: searchable(event), user, grant, record: record.to_string() })
}

/// A text that both databases take: without control characters, and not too long for an index.
fn searchable(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use serde_json::json;

    fn batch(records: &[Value]) -> Result<Vec<AuditEntry>, Refusal> {
        entries(&AuditBatch { series: "s".parse().unwrap(), oldest: 1, records: records.into() })
    }

    fn record(seq: i64) -> Value {
        json!({"seq": seq, "time": "2026-11-21T20:00:00Z", "event": "login.denied", "user": "alice\u{0}", "message": "m"})
    }

    #[test]
    fn records_that_follow_each_other_are_taken_with_what_is_searched_for() {
        let entries = batch(&[record(7), record(8)]).unwrap();
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(entries[0].user.as_deref(), Some("alice?"));
        assert!(entries[0].record.contains("alice\\u0000"));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let mut odd = record(1);
        odd["time"] = json!("yesterday");
        for records in
            [vec![record(1), record(3)], vec![record(2), record(2)], vec![record(0)], vec![odd], vec![json!(7)]]
        {
            assert!(batch(&records).is_err(), "{records:?}");
        }
        assert!(batch(&vec![record(1); 501]).is_err());
    }
}
