//! The grants that this host holds, and where they come from.
//!
//! `local` keeps the ones that root made here, `announced` what the audit has heard of them. A decision sees only [`HeldGrant`]s and never asks where they are from.

pub mod announced;
pub mod local;

use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::grant::{Grant, Text};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A grant that this host holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeldGrant {
    /// The grant as it was approved.
    pub grant: Grant,
    /// That it was revoked, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
    /// How far it is known to have come: a clock that is set back neither ends what has begun nor begins what has ended.
    #[serde(skip)]
    pub reached: Option<State>,
}

/// The end of a grant before its time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// Where a grant stands at some time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its window has not opened yet.
    Coming,
    /// It holds.
    Live,
    /// Its window is over, or it was revoked.
    Ended,
}

impl HeldGrant {
    /// The first instant at which it no longer holds. A revoked grant never comes back.
    pub fn end(&self) -> Timestamp {
        let not_after = self.grant.window.not_after();
        self.revoked.as_ref().map_or(not_after, |revoked| revoked.at.min(not_after))
    }

    /// Where it stands at `now`. A revocation holds even where the clock stands before it.
    pub fn state(&self, now: Timestamp) -> State {
        let by_the_clock = if self.revoked.is_some() || now >= self.grant.window.not_after() {
            State::Ended
        } else if now < self.grant.window.not_before() {
            State::Coming
        } else {
            State::Live
        };
        self.reached.map_or(by_the_clock, |reached| reached.max(by_the_clock))
    }

    /// Why it ended: `revoked` or `expired`.
    pub fn end_word(&self) -> &'static str {
        if self.revoked.is_some() { "revoked" } else { "expired" }
    }

    /// An audit entry about it, with all that an auditor asks of a grant.
    pub fn entry(&self, event: Event) -> Entry {
        let grant = &self.grant;
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        Entry::new(event)
            .with(Field::Grant, grant.id.as_str())
            .with(Field::User, grant.user.as_str())
            .with(Field::NotAfter, grant.window.not_after().to_string())
            .with(Field::Reason, grant.reason.as_str())
            .with(Field::Ticket, text(&grant.ticket))
            .with(Field::Request, text(&grant.request))
            .with(Field::RequestedBy, grant.requested_by.as_str())
            .with(Field::ApprovedBy, grant.approved_by.iter().map(Text::as_str).collect::<Vec<_>>())
            .with(Field::Source, "local")
    }
}

/// Everybody who approved it, parted by commas.
pub fn approvers(grant: &Grant) -> String {
    grant.approved_by.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_clock_that_is_set_back_ends_nothing_that_has_begun_and_begins_nothing_that_has_ended() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        let mut held = HeldGrant { grant: grant.unwrap(), revoked: None, reached: None };
        let before = "2026-11-21T19:59:00Z".parse().unwrap();
        assert_eq!(held.state(before), State::Coming);
        held.reached = Some(State::Live);
        assert_eq!(held.state(before), State::Live);
        held.reached = Some(State::Ended);
        assert_eq!(held.state(before), State::Ended);
    }
}
