//! Whether something that is open may go on by what its person holds.

use crate::grant::HeldGrant;
use crate::grant::decision::{ReasonCode, Request, Verdict, decide, lapsed, last_lapsed};
use jiff::Timestamp;

/// Whether something may go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is covered.
    Covered {
        /// By this grant.
        grant: String,
        /// Until just before this time.
        until: Timestamp,
    },
    /// It is not covered any more.
    Over {
        /// Why.
        reason: ReasonCode,
        /// Since when.
        ended: Timestamp,
    },
}

impl Standing {
    /// Whether `request` may go on at `now`.
    pub fn of(request: &Request<'_>, grants: &[HeldGrant], now: Timestamp) -> Self {
        match decide(request, grants, now) {
            Verdict::Permit { grant, until } => Self::Covered { grant: grant.grant.id.to_string(), until },
            Verdict::Deny { reason, .. } => {
                // What covered it last says why it is over, whatever else the person has.
                let (ended, why) = lapsed(request, grants, now);
                Self::Over { reason: why.unwrap_or(reason), ended }
            }
        }
    }

    /// The grant to which `request` is owed that opened under `first`: that one while it covers it, then the one that took over, and when all is over the
    /// one that ended last.
    pub fn owed_to(
        &self,
        first: Option<&str>,
        request: &Request<'_>,
        grants: &[HeldGrant],
        now: Timestamp,
    ) -> Option<String> {
        let by_itself = |held: &&HeldGrant| {
            Some(held.grant.id.as_str()) == first
                && matches!(Self::of(request, std::slice::from_ref(*held), now), Self::Covered { .. })
        };
        match self {
            Self::Covered { .. } if grants.iter().any(|held| by_itself(&held)) => first.map(str::to_owned),
            Self::Covered { grant, .. } => Some(grant.clone()),
            // What opened under none that is known may have been let in by none.
            Self::Over { .. } => first.map(|first| {
                last_lapsed(request, grants, now).map_or_else(|| first.to_owned(), |held| held.grant.id.to_string())
            }),
        }
    }
}
