//! The rehearsal of `curfew enable`, as the agent sees it: its questions are answered like all others, and none of them is a login or a denial that
//! anybody made. What came of it is one record.

use super::messages::Rehearsed;
use super::peer::Peer;
use crate::audit::Audit;
use crate::wiring::rehearsal::TERMINAL;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::PamQuestion;
use std::fs;
use std::path::Path;

/// Our own program. Only root can put another there.
const PROGRAM: &str = "/usr/bin/curfew";

/// Whether our own program asks, as it does in a rehearsal. Who asks by another one is audited, whatever terminal it says that it has.
pub fn is_rehearsal(peer: &Peer, question: &PamQuestion) -> bool {
    question.tty.as_deref() == Some(TERMINAL) && peer.is_root() && runs_our_program(peer.pid)
}

fn runs_our_program(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == Path::new(PROGRAM))
}

/// Audits what `curfew enable` says of its rehearsal.
pub fn note(audit: &Audit, peer: &Peer, told: &Rehearsed) {
    let list = |names: &[String]| names.join(" ");
    let entry = Entry::new(Event::WiringRehearsed)
        .with(Field::Mode, told.mode.as_str())
        .with(Field::Service, list(&told.services))
        .with(Field::User, list(&told.users))
        .with(Field::Pid, peer.pid)
        .with(Field::Outcome, if told.problems.is_empty() { "passed" } else { "failed" })
        .with(Field::Reason, told.problems.join("; "));
    audit.write(entry);
}
