//! What the agent is asked over its public interface by others than root, and what it answers anybody.

use super::messages::{AuditPage, Status, WhyAnswer, WhyQuestion};
use serde::Serialize;
use serde_json::Value;

/// A question that its asker may ask.
#[derive(Debug)]
pub enum Question {
    /// What is open for this user, and granted to them.
    Status {
        /// Their name.
        user: String,
    },
    /// What would be decided about the asker.
    Why(WhyQuestion),
    /// What is believed of the clock.
    Clock,
}

/// An answer, to be written down where that holds up nobody.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To `Status`.
    Status(Box<Status>),
    /// To `Why`.
    Why(WhyAnswer),
    /// To `Audit`.
    Audit(AuditPage),
    /// To everything else, which is short.
    Json(Value),
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}
