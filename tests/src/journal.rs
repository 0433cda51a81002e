//! What a host wrote down: its journal, and Curfew's audit trail.

use std::time::Duration;

use serde_json::Value;

use crate::host::Host;
use crate::wait::wait_for;

/// How long a record may take to be there.
const WRITTEN: Duration = Duration::from_secs(5);

impl Host {
    /// The journal's entries that match, with all their fields.
    ///
    /// # Panics
    /// When the journal can't be read.
    #[must_use]
    pub fn journal(&self, matches: &str) -> Vec<Value> {
        lines_of_json(&self.ok(&format!("journalctl --no-pager --output=json {matches}")))
    }

    /// Curfew's audit records, oldest first; `filter` as for `curfew audit`.
    ///
    /// # Panics
    /// When they can't be read.
    #[must_use]
    pub fn audit(&self, filter: &str) -> Vec<Value> {
        lines_of_json(&self.ok(&format!("curfew audit --json {filter}")))
    }

    /// The first audit record of an event for which `wanted` holds, waited for.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn audited(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("an audit record {event} like this"), WRITTEN, || {
            self.audit("").into_iter().find(|record| record["event"] == event && wanted(record))
        })
    }
}

/// JSON Lines, one value a line.
///
/// # Panics
/// When a line is not JSON.
#[must_use]
pub fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
