//! Sign-ins of administrators, enrolments and calls of hosts that failed, as the log has them.

use super::events::{About, Event};
use super::{Store, StoreError};
use crate::actor::Act;
use jiff::Timestamp;
use serde_json::json;
use std::net::IpAddr;

/// What was presented, and from where.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Attempt {
    /// The address; of IPv6, its /64. None: on the machine itself, or of several.
    pub from: Option<IpAddr>,
    pub presented: Presented,
}

/// What was presented.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Presented {
    /// No token.
    Nothing,
    /// One that never was an administrator's.
    Unknown,
    /// The revoked one of this name.
    Revoked(String),
    /// An enrolment token that is not good: it is this.
    Enrolment(&'static str),
    /// A token of the host of this id that its key did not sign.
    OfHost(String),
    /// Whatever came beside too many others.
    Others,
}

/// Sign-ins of one kind that failed.
#[derive(Clone, Debug)]
pub(crate) struct FailedSignIns {
    pub attempt: Attempt,
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Presented {
    /// It as the log has it, and the name of a token that was revoked.
    pub(crate) fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Nothing => ("none", None),
            Self::Unknown => ("unknown", None),
            Self::Revoked(name) => ("revoked", Some(name)),
            Self::Enrolment(problem) => (problem, None),
            Self::OfHost(_) => ("not signed by the host's key", None),
            Self::Others => ("several", None),
        }
    }
}

impl Store {
    /// Writes sign-ins that failed to the log.
    pub(crate) async fn note_failed_sign_ins(
        &self,
        failed: &[FailedSignIns],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        for FailedSignIns { attempt, count, first, last } in failed {
            let (token, name) = attempt.presented.words();
            let details = json!({"from": attempt.from, "token": token, "name": name, "count": count, "first": first, "last": last});
            let (event, about) = match &attempt.presented {
                Presented::Enrolment(_) => (Event::EnrolmentDenied, About::default()),
                Presented::OfHost(host) => (Event::HostDenied, About::host(host)),
                _ => (Event::AdminDenied, About::default()),
            };
            tx.log(Act { admin: "", now }, event, about, details).await?;
        }
        tx.commit().await
    }
}
