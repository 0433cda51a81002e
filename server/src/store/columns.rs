//! How values stand in the tables' columns.

use super::StoreError;
use super::db::Row;
use crate::labels::Labels;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde_json::value::RawValue;

/// A time as the tables have it: microseconds.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn from_micros(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Corrupt(format!("time {micros}")))
}

pub(super) fn maybe_from_micros(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(from_micros).transpose()
}

pub(super) fn encode_labels(labels: &Labels) -> Result<String, StoreError> {
    serde_json::to_string(labels).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn decode_labels(text: &str) -> Result<Labels, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(format!("labels {text:?}")))
}

pub(super) fn key(row: &Row, column: &str) -> Result<Option<PublicKey>, StoreError> {
    let key = row.maybe_text(column)?.map(|x| PublicKey::from_x(&x));
    key.transpose().map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn host_id(text: &str) -> Result<HostId, StoreError> {
    text.parse().map_err(StoreError::Corrupt)
}

pub(super) fn raw(json: String) -> Result<Box<RawValue>, StoreError> {
    RawValue::from_string(json).map_err(|error| StoreError::Corrupt(error.to_string()))
}
