//! The grants that this host holds, and where they come from.
//!
//! `ledger` is their one owner. `held` is all of them in one list, `stores` that list and the stores behind it, `local`
//! the file of the ones that root made here, `signed_set` the set that the central endpoint signed, `account` whose
//! they are, `lifecycle` what the audit has heard of them, `access` what it hears that they give, `boot_ends` when they
//! end on the clock that nobody can set, `sudo_command` what a run of sudo asks for, and `decision` the pure heart: a
//! request, the grants and a time in, a verdict out. A decision sees only [`HeldGrant`]s.

mod access;
pub mod account;
pub mod boot_ends;
pub mod cut_off;
pub mod decision;
pub mod held;
pub mod ledger;
pub mod lifecycle;
pub mod local;
pub mod resolver;
mod rules_in_place;
pub mod settle;
pub mod signed_set;
pub mod stores;
pub mod sudo_command;
pub mod sudo_rules;

use self::account::Holder;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::grant::{Grant, Text};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// How long an ended grant is still shown, and still explains a refusal.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_hours(7 * 24);

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
    /// Where it came from; a store knows that of all that it holds.
    #[serde(skip)]
    pub source: Source,
    /// That its window may not open now, whatever the clock says.
    #[serde(skip)]
    pub barred: bool,
    /// When it ends on CLOCK_BOOTTIME, wherever the wall clock goes.
    #[serde(skip)]
    pub ends_by_boot: Option<Duration>,
    /// What it says, for a grant of the endpoint: its id may come again with another content.
    #[serde(skip)]
    pub content: Option<Content>,
    /// What became of it in the endpoint's set.
    #[serde(skip)]
    pub listing: Listing,
    /// Whose it is on this host.
    #[serde(skip)]
    pub holder: Holder,
}

/// What a grant says, in 64 bits: tells one content of an id from another, and proves nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Content(u64);

impl Content {
    /// The content of `grant`.
    pub fn of(grant: &Grant) -> Self {
        // A grant came from JSON, so that it can be written as JSON.
        let digest = Sha256::digest(serde_json::to_vec(grant).unwrap_or_default());
        Self(digest.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

impl std::str::FromStr for Content {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What became of an endpoint's grant. A local grant is always listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Listing {
    /// The newest set has it.
    #[default]
    Listed,
    /// The newest set has it no more.
    Withdrawn,
    /// The newest set has its id with another content.
    Superseded,
}

/// Where a grant came from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Root made it on this host.
    #[default]
    Local,
    /// The endpoint's set has it.
    Endpoint,
}

impl Source {
    /// Its name in answers and in the audit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Endpoint => "endpoint",
        }
    }
}

/// What keeps anything new from opening, whatever the grants say. What is open is not touched by it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bars {
    /// The clock stands before a time that is known to have passed.
    pub clock_unproven: bool,
    /// The endpoint was not heard of for too long: its grants open nothing.
    pub set_stale: bool,
}

impl Bars {
    /// Whether a grant from there may open something.
    pub fn bar(self, source: Source) -> bool {
        self.clock_unproven || (self.set_stale && source == Source::Endpoint)
    }
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
    /// Who, where somebody did it on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Text>,
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
    /// A grant as it came.
    pub fn new(grant: Grant, source: Source) -> Self {
        let (listing, holder) = (Listing::Listed, Holder::Unknown);
        Self {
            grant,
            revoked: None,
            reached: None,
            source,
            barred: false,
            ends_by_boot: None,
            content: None,
            listing,
            holder,
        }
    }

    /// A grant as the endpoint's set has it.
    pub fn of_endpoint(grant: Grant, content: Content) -> Self {
        Self { content: Some(content), ..Self::new(grant, Source::Endpoint) }
    }

    /// Tells what is kept about it from what is kept about another content of the same id.
    pub fn revision_key(&self) -> String {
        self.content.map_or_else(|| self.grant.id.to_string(), |content| format!("{}@{content}", self.grant.id))
    }

    /// The first instant at which it no longer holds. A revoked grant never comes back.
    pub fn end(&self) -> Timestamp {
        let not_after = self.grant.window.not_after();
        self.revoked.as_ref().map_or(not_after, |revoked| revoked.at.min(not_after))
    }

    /// Where it stands at `now`. A revocation holds even where the clock stands before it.
    pub fn state(&self, now: Timestamp) -> State {
        let by_the_clock = if self.revoked.is_some() || now >= self.grant.window.not_after() {
            State::Ended
        } else if now < self.grant.window.not_before() || self.barred {
            State::Coming
        } else {
            State::Live
        };
        self.reached.map_or(by_the_clock, |reached| reached.max(by_the_clock))
    }

    /// Whether what its person has open goes on by it: it is live, and its name stands for the account that it is for.
    pub fn covers(&self, now: Timestamp) -> bool {
        self.state(now) == State::Live && !self.holder.is_gone()
    }

    /// Whether it is for the account that `user` stands for, by any name of that account.
    pub fn is_of(&self, user: &str) -> bool {
        self.grant.user.as_str() == user || self.holder.account().is_some_and(|account| account.name == user)
    }

    /// Whether it is for the user id of `user`: who invokes sudo is known by no more.
    pub fn is_of_uid_of(&self, user: &str) -> bool {
        self.is_of(user) || self.holder.account().is_some_and(|account| account.owner == user)
    }

    /// The user id that it is for, where that is known.
    pub fn uid(&self) -> Option<u32> {
        self.holder.account().map(|account| account.uid)
    }

    /// Whether it is over for good: not where the wall clock alone says so, which may be wrong.
    pub fn is_over_for_good(&self) -> bool {
        self.revoked.is_some() || self.reached == Some(State::Ended)
    }

    /// Why it ended: `superseded`, `revoked` or `expired`.
    pub fn end_word(&self) -> &'static str {
        match (self.listing, &self.revoked) {
            (Listing::Superseded, Some(_)) => "superseded",
            (_, Some(_)) => "revoked",
            (_, None) => "expired",
        }
    }

    /// How it ended before its time, with who revoked it and why as far as that is known: `revoked by carol: no longer needed`.
    pub fn revocation(&self) -> Option<String> {
        let Revocation { by, reason, .. } = self.revoked.as_ref()?;
        let part =
            |before: &str, text: &Option<Text>| text.as_ref().map_or(String::new(), |it| format!("{before}{it}"));
        Some(format!("{}{}{}", self.end_word(), part(" by ", by), part(": ", reason)))
    }

    /// An audit entry about it, with all that an auditor asks of a grant.
    pub fn entry(&self, event: Event) -> Entry {
        let grant = &self.grant;
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        let entry = match event {
            Event::LocalGranted | Event::GrantReceived | Event::GrantStarted => access::with(Entry::new(event), grant),
            _ => Entry::new(event),
        };
        entry
            .with(Field::Grant, grant.id.as_str())
            .with(Field::User, grant.user.as_str())
            .with(Field::NotAfter, grant.window.not_after().to_string())
            .with(Field::Reason, grant.reason.as_str())
            .with(Field::Ticket, text(&grant.ticket))
            .with(Field::Request, text(&grant.request))
            .with(Field::RequestedBy, grant.requested_by.as_str())
            .with(Field::ApprovedBy, grant.approved_by.iter().map(Text::as_str).collect::<Vec<_>>())
            .with(Field::Source, self.source.name())
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
        let mut held = HeldGrant::new(grant.unwrap(), Source::Local);
        let before = "2026-11-21T19:59:00Z".parse().unwrap();
        assert_eq!(held.state(before), State::Coming);
        held.reached = Some(State::Live);
        assert_eq!(held.state(before), State::Live);
        held.reached = Some(State::Ended);
        assert_eq!(held.state(before), State::Ended);
    }

    #[test]
    fn a_grant_covers_nothing_once_its_name_stands_for_somebody_else() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        let mut held = HeldGrant::new(grant.unwrap(), Source::Local);
        let (within, after) = ("2026-11-21T20:10:00Z".parse().unwrap(), "2026-11-21T20:30:00Z".parse().unwrap());
        assert!(held.covers(within) && !held.covers(after));
        let account = crate::grant::account::Account { name: "alice".into(), owner: "alice".into(), uid: 1001 };
        held.holder = Holder::Gone { account, now: Some(1051) };
        assert!(!held.covers(within));
    }

    #[test]
    fn a_bar_opens_no_window_and_closes_none() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        let mut held = HeldGrant { barred: true, ..HeldGrant::new(grant.unwrap(), Source::Endpoint) };
        let within = "2026-11-21T20:10:00Z".parse().unwrap();
        assert_eq!(held.state(within), State::Coming);
        held.reached = Some(State::Live);
        assert_eq!(held.state(within), State::Live);
        assert_eq!(held.state("2026-11-21T20:30:00Z".parse().unwrap()), State::Ended);
    }

    #[test]
    fn an_old_set_bars_the_endpoints_grants_and_a_clock_in_doubt_bars_all() {
        let stale = Bars { set_stale: true, ..Bars::default() };
        assert!(stale.bar(Source::Endpoint) && !stale.bar(Source::Local));
        let unproven = Bars { clock_unproven: true, ..Bars::default() };
        assert!(unproven.bar(Source::Endpoint) && unproven.bar(Source::Local));
    }
}
