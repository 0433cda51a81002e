//! The host API: what a host and the endpoint say to each other over HTTPS.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /v1/enroll` | [`Enrolment`], signed by the new key | [`Enrolled`] |
//! | `GET /v1/hosts/{host}/grants` | | the grant set |
//! | `POST /v1/hosts/{host}/audit` | [`AuditBatch`] | [`AuditStored`] |
//! | `POST /v1/hosts/{host}/requests` | [`AccessRequest`] | [`RequestMade`] |
//! | `POST /v1/hosts/{host}/key` | [`KeyChange`], signed by both keys | 204 |
//!
//! The calls of an enrolled host carry `Authorization: Bearer` with a [`HostToken`]; the two that bring a key are signed by it themselves.
//! Errors are [`Problem`]s (RFC 9457).

mod enrolment;
mod key_change;
mod problem;
mod token;

pub use enrolment::{Enrolled, Enrolment};
pub use key_change::KeyChange;
pub use problem::{MEDIA_TYPE as PROBLEM_TYPE, Problem, ProblemKind};
pub use token::{HostToken, TokenError};

use crate::grant::{GrantId, LoginAccess, LoginName, SudoAccess, Text};
use crate::grant_set::HostId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a host enrols.
pub const ENROLL: &str = "/v1/enroll";

/// Where a host's grant set is.
pub fn grants_path(host: &HostId) -> String {
    format!("/v1/hosts/{host}/grants")
}

/// Where a host's audit goes.
pub fn audit_path(host: &HostId) -> String {
    format!("/v1/hosts/{host}/audit")
}

/// Where a host's people ask for access.
pub fn requests_path(host: &HostId) -> String {
    format!("/v1/hosts/{host}/requests")
}

/// Where a host changes its key.
pub fn key_path(host: &HostId) -> String {
    format!("/v1/hosts/{host}/key")
}

/// The most records in one batch of the audit.
pub const MOST_RECORDS: usize = 500;

/// The longest batch of the audit, in bytes of JSON.
pub const LONGEST_BATCH: usize = 1024 * 1024;

/// The longest wait for a change that a host may ask for, in seconds.
pub const LONGEST_WAIT_S: u64 = 300;

/// How old a one-use token may be when a host enrols with it, in seconds.
pub const TOKEN_LIFETIME_S: i64 = 15 * 60;

/// Records of one host's audit, in order and without a gap.
///
/// The endpoint stores a batch that goes on where it is, passes over what it has already, and answers how far it is now. A batch that begins behind a
/// gap is not stored: the host goes back to what the answer says. Where the host no longer has what is missing (`oldest`), the gap is taken
/// and kept as one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuditBatch {
    /// The spool's name, made when its numbers began at 1: a host whose spool was lost begins a new one, and the auditor sees that.
    pub series: GrantId,
    /// The number of the oldest record that the host still has.
    pub oldest: u64,
    /// The records as the spool has them, each an [`audit::Record`](crate::audit::Record).
    pub records: Vec<Value>,
}

/// How far the endpoint holds a host's audit now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditStored {
    /// The last record of the series that is stored durably; every one before it that the host had is, too. 0 for none.
    pub stored_to: u64,
}

/// A request for access, made on a host.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    /// Who asks, as the host's agent saw it: the peer of its socket.
    pub user: LoginName,
    /// For how long, in seconds.
    pub seconds: u64,
    /// The logins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginAccess>,
    /// The elevation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo: Option<SudoAccess>,
    /// Why.
    pub reason: Text,
    /// The ticket behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Text>,
}

/// The answer to an [`AccessRequest`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RequestMade {
    /// The request's id.
    pub request: String,
}
