//! What a host wrote down: its journal, and Curfew's audit trail.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::host::Host;
use crate::wait::{SOON, until, wait_for};

/// How long the journal may take to have what was written while it was away.
const CAUGHT_UP: Duration = Duration::from_secs(60);

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

    /// Checks that the audit's numbers go from 1 on without a gap or a double, and that the journal has come to have
    /// each of them, in that order and with the same event.
    ///
    /// # Panics
    /// When they do not, or it has not.
    pub fn audit_is_whole(&self) {
        let spool = self.audit("");
        let numbers: Vec<_> = spool.iter().filter_map(|record| record["seq"].as_u64()).collect();
        assert_eq!(numbers, (1..=spool.len() as u64).collect::<Vec<_>>(), "the spool has a gap or a double");
        let wanted: Vec<_> = spool.iter().map(|it| (it["seq"].to_string(), it["event"].clone())).collect();
        let copied = || {
            let mut seen = HashSet::new();
            let entries = self.journal("_SYSTEMD_UNIT=curfewd.service SYSLOG_IDENTIFIER=curfewd");
            let numbered = entries
                .into_iter()
                .filter_map(|it| Some((it["CURFEW_SEQ"].as_str()?.to_owned(), it["CURFEW_EVENT"].clone())));
            // A crash copies some a second time: the first one counts.
            numbered.filter(|(number, _)| seen.insert(number.clone())).collect::<Vec<_>>()
        };
        let mut last = Vec::new();
        let caught_up = until(CAUGHT_UP, || {
            last = copied();
            last.starts_with(&wanted).then_some(())
        });
        let same = last.iter().zip(&wanted).take_while(|(copied, wanted)| copied == wanted).count();
        let (next, due) = (last.get(same), wanted.get(same));
        assert!(caught_up.is_some(), "of {} records, the journal has {same}, then {next:?} for {due:?}", wanted.len());
    }

    /// The first audit record of an event for which `wanted` holds, waited for.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn audited(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("an audit record {event} like this"), SOON, || {
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
