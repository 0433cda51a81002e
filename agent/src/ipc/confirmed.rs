//! `curfew confirm`, as the audit hears of it: nothing changes by it, and what would have been undone stays.

use super::peer::Peer;
use super::person;
use crate::agent::Agent;
use crate::wiring::cause::{Cause, Deed};

/// Audits that whoever asks has confirmed the wiring.
pub async fn note(agent: &Agent, peer: &Peer) {
    let cause = Cause::of(Deed::Confirmed, person::behind_at_once(agent, peer).await);
    agent.tell_wiring(&cause);
}
