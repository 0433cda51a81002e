//! The audit record: its events, its fields, and the one sentence that it says.
//!
//! A record is a line of JSON in the spool and a set of native fields in journald(8). Both come from the two tables here:
//! [`Event`] and [`Field`].

mod event;
mod field;
mod sentence;

pub use event::Event;
pub use field::Field;
pub use sentence::IN_GRACE;

use crate::display;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `SYSLOG_IDENTIFIER` of every record.
pub const SYSLOG_IDENTIFIER: &str = "curfewd";

/// One line of the audit.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// Its number: gapless on a host, from 1.
    pub seq: u64,
    /// When it happened, by the wall clock.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// The same in one plain sentence.
    pub message: String,
}

/// What happened, before it has a number and a time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// To whom, why, by whose leave.
    #[serde(flatten)]
    pub fields: BTreeMap<Field, Value>,
}

impl Entry {
    /// An entry without fields.
    pub fn new(event: Event) -> Self {
        Self { event, fields: BTreeMap::new() }
    }

    /// The entry with one more field. An empty value adds none.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::Array(list) if list.is_empty() => {}
            value => {
                self.fields.insert(field, value);
            }
        }
        self
    }

    /// A field as text; a list with commas between.
    pub fn text(&self, field: Field) -> Option<String> {
        self.fields.get(&field).map(as_text)
    }

    /// The record with the number `seq`, at `time`. Its sentence is printable, whatever its fields hold.
    pub fn into_record(self, seq: u64, time: Timestamp) -> Record {
        Record { seq, time, message: display::printable(&sentence::message(&self)), entry: self }
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(as_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn denial() -> Record {
        Entry::new(Event::LoginDenied)
            .with(Field::User, "alice")
            .with(Field::Service, "sshd")
            .with(Field::Rhost, "10.1.2.3")
            .with(Field::ReasonCode, "no_grant")
            .with(Field::Tty, "")
            .with(Field::Pid, 4711)
            .into_record(7, "2026-11-21T20:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_record_is_one_line_of_json_and_comes_back() {
        let line = serde_json::to_string(&denial()).unwrap();
        assert_eq!(
            line,
            r#"{"seq":7,"time":"2026-11-21T20:00:00Z","event":"login.denied","user":"alice","service":"sshd","rhost":"10.1.2.3","pid":4711,"reason_code":"no_grant","message":"alice was refused to log in over sshd from 10.1.2.3 (no_grant)."}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), denial());
    }
}
