//! What people are told when their access ends: which, by which grant, and why.

use super::session::Session;
use crate::grant::HeldGrant;
use crate::grant::decision::{ReasonCode, last_lapsed};
use crate::human;
use jiff::Timestamp;
use std::time::Duration;

/// How long before an end that is foreseen it is told at the latest: what carries the words to the person ends with their access.
pub const AHEAD: Duration = Duration::from_millis(300);

/// What ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// The login, with all that runs by it.
    Login,
    /// sudo alone: the login stays.
    Sudo,
}

impl Access {
    fn named(self, host: &str) -> String {
        match self {
            Self::Login => format!("access to {host}"),
            Self::Sudo => format!("sudo on {host}"),
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Login => "This session is terminated",
            Self::Sudo => "What runs by it is terminated",
        }
    }
}

/// Before an end that is foreseen.
pub fn ahead(access: Access, host: &str, grant: &str, until: Timestamp, now: Timestamp) -> String {
    let (what, end, left) = (access.named(host), human::time(until), human::left(now, until));
    format!("Curfew: your {what} ends in {left}, at {end}: grant {grant} expires. {} then.", access.consequence())
}

/// At an end that nobody foresaw, or was told of.
pub fn at_the_end(access: Access, host: &str, grant: Option<&str>, reason: ReasonCode) -> String {
    let grant = grant.map_or_else(|| "the grant".to_owned(), |id| format!("grant {id}"));
    let why = match reason {
        ReasonCode::Revoked => format!("{grant} was revoked"),
        ReasonCode::Ended => format!("{grant} expired"),
        ReasonCode::AccountChanged => format!("{grant} is not for the account that has this name now"),
        ReasonCode::WrongService | ReasonCode::WrongSource => "no grant covers it any more".to_owned(),
        ReasonCode::NoGrant | ReasonCode::NotYet | ReasonCode::Stale | ReasonCode::ClockUnproven => {
            "there is no grant for it any more".to_owned()
        }
    };
    format!("Curfew: your {} has ended: {why}. {} now.", access.named(host), access.consequence())
}

/// The grant that a session owes its end to.
pub fn grant_of_session(session: &Session, grants: &[HeldGrant], now: Timestamp) -> Option<String> {
    let last = last_lapsed(&session.request(), grants, now).map(|held| held.grant.id.to_string());
    last.or_else(|| session.grant.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_say_what_ends_by_which_grant_and_why() {
        let said = at_the_end(Access::Login, "web-1", Some("G1"), ReasonCode::Revoked);
        assert_eq!(
            said,
            "Curfew: your access to web-1 has ended: grant G1 was revoked. This session is terminated now."
        );
        let said = at_the_end(Access::Sudo, "web-1", None, ReasonCode::Ended);
        assert_eq!(said, "Curfew: your sudo on web-1 has ended: the grant expired. What runs by it is terminated now.");
    }
}
