//! sudo for what no live grant covers, by somebody who has a live sudo grant for something else. Whether another rule of the host permits it is for
//! sudo to say, after a password. So they are told at once; and if sudo ends without asking PAM about the account, it permitted nothing, which
//! is audited.

use super::decision::ReasonCode;
use super::peer::Peer;
use super::{watch, wording};
use crate::agent::Agent;
use crate::enforce::processes::{Process, ProcessId};
use curfew_protocol::audit::{Entry, Field};
use curfew_protocol::ipc::{PamAnswer, Verdict};
use std::collections::HashMap;
use std::rc::Rc;

/// How many of them are watched at a time; each holds a descriptor.
const MOST: usize = 256;

/// The runs of sudo that have not come to the account, with what is audited if they never do.
pub type Undecided = HashMap<ProcessId, Entry>;

/// Answers before the password, and watches what comes of it. No `denied`: what was typed may be covered after all.
pub fn before_password(agent: &Rc<Agent>, peer: &Peer, denied: Option<Entry>) -> PamAnswer {
    let Some(denied) = denied else { return PamAnswer { verdict: Verdict::Permit, message: None } };
    if agent.undecided.borrow().len() < MOST
        && let Ok(Some(process)) = Process::read(peer.pid)
        && agent.undecided.borrow_mut().insert(process.id, denied).is_none()
    {
        let noting = Rc::clone(agent);
        if !watch::when_ended(agent, process.id, async move { note_denied(&noting, process.id) }) {
            forget_unwatched(agent, process.id);
        }
    }
    PamAnswer { verdict: Verdict::Permit, message: Some(wording::UNCOVERED.into()) }
}

/// The run has come to the account: what becomes of it is told there.
pub fn is_judged(agent: &Agent, peer: &Peer) {
    if agent.undecided.borrow().is_empty() {
        return;
    }
    if let Ok(Some(process)) = Process::read(peer.pid) {
        agent.undecided.borrow_mut().remove(&process.id);
    }
}

/// Nobody tells when it ends: what is gone by now has permitted nothing, and what is not would never be taken off the list.
fn forget_unwatched(agent: &Agent, process: ProcessId) {
    if process.lives() {
        agent.undecided.borrow_mut().remove(&process);
    } else {
        note_denied(agent, process);
    }
}

/// sudo has ended.
fn note_denied(agent: &Agent, process: ProcessId) {
    let Some(denied) = agent.undecided.borrow_mut().remove(&process) else { return };
    let denied = denied.with(Field::Outcome, "deny").with(Field::ReasonCode, ReasonCode::WrongService.name());
    agent.audit.write(denied.with(Field::Reason, "no live grant covers this command, and no other rule permitted it"));
}
