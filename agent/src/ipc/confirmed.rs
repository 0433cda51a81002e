//! `curfew confirm`, as the audit hears of it: nothing changes by it, and what would have been undone stays.

use super::peer::Peer;
use super::person;
use crate::enforce::status::EnforcementStatus;
use crate::sessions::table::Sessions;
use crate::wiring::cause::{Cause, Deed};
use std::cell::RefCell;

/// Audits that whoever asks has confirmed the wiring.
pub async fn note(status: &EnforcementStatus, sessions: &RefCell<Sessions>, peer: &Peer) {
    let cause = Cause::of(Deed::Confirmed, person::behind_at_once(sessions, peer).await);
    status.tell_wiring(&cause);
}
