//! sudo for what no live grant covers, by somebody who has a live sudo grant for something else. Whether another rule of the host permits it is for
//! sudo to say, after a password. So they are told at once; and if sudo ends without asking PAM about the account, it permitted nothing, which
//! is audited. Under `-n` nobody can be asked for a password: that is the end of it.

use super::Pam;
use crate::grant::decision::ReasonCode;
use crate::host::processes::{Process, ProcessId};
use crate::ipc::peer::Peer;
use crate::ipc::wording;
use crate::sessions::watch;
use curfew_protocol::audit::{Entry, Field};
use curfew_protocol::ipc::{PamAnswer, Verdict};
use std::collections::HashMap;
use std::rc::Rc;

/// How many of them are watched at a time; each holds a descriptor.
const MOST: usize = 256;

/// The runs of sudo that have not come to the account, with what is audited if they never do.
pub type Undecided = HashMap<ProcessId, Entry>;

/// Answers before the password, and watches what comes of it. No `denied`: what was typed may be covered after all.
pub fn before_password(pam: &Rc<Pam>, peer: &Peer, denied: Option<Entry>) -> PamAnswer {
    let Some(denied) = denied else { return PamAnswer { verdict: Verdict::Permit, message: None } };
    if pam.undecided.borrow().len() < MOST
        && let Ok(Some(process)) = Process::read(peer.pid)
        && pam.undecided.borrow_mut().insert(process.id, denied).is_none()
    {
        let noting = Rc::clone(pam);
        if !watch::when_ended(&pam.sessions, process.id, async move { note_denied(&noting, process.id) }) {
            forget_unwatched(pam, process.id);
        }
    }
    PamAnswer { verdict: Verdict::Permit, message: Some(wording::UNCOVERED.into()) }
}

/// Answers for a password that can't be given, since sudo may ask for none (`-n`): no other module is asked, which may count that against the person.
/// No `denied`: what was typed is no command, or may be covered after all.
pub fn without_a_password(pam: &Pam, denied: Option<Entry>) -> PamAnswer {
    let message = if denied.is_some() { wording::UNCOVERED_UNASKED } else { wording::UNASKED };
    if let Some(denied) = denied {
        write(pam, denied, "no live grant covers this command, and no other rule permitted it without a password");
    }
    PamAnswer { verdict: Verdict::Deny, message: Some(message.into()) }
}

/// The run has come to the account: what becomes of it is told there.
pub fn is_judged(pam: &Pam, peer: &Peer) {
    if pam.undecided.borrow().is_empty() {
        return;
    }
    if let Ok(Some(process)) = Process::read(peer.pid) {
        pam.undecided.borrow_mut().remove(&process.id);
    }
}

/// Nobody tells when it ends: what is gone by now has permitted nothing, and what is not would never be taken off the list.
fn forget_unwatched(pam: &Pam, process: ProcessId) {
    if process.lives() {
        pam.undecided.borrow_mut().remove(&process);
    } else {
        note_denied(pam, process);
    }
}

/// sudo has ended.
fn note_denied(pam: &Pam, process: ProcessId) {
    let Some(denied) = pam.undecided.borrow_mut().remove(&process) else { return };
    write(pam, denied, "no live grant covers this command, and no other rule permitted it");
}

fn write(pam: &Pam, denied: Entry, reason: &str) {
    let denied = denied.with(Field::Outcome, "deny").with(Field::ReasonCode, ReasonCode::WrongService.name());
    pam.audit.write(denied.with(Field::Reason, reason));
}
