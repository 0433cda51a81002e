//! What the audit says of a question of PAM's, and the answer that refuses.

use super::Pam;
use super::typed::shown;
use crate::config::Mode;
use crate::config::service::Kind;
use crate::grant::HeldGrant;
use crate::grant::decision::ReasonCode;
use crate::grant::sudo_command::is_edit;
use crate::host::cgroup::Scope;
use crate::host::processes;
use crate::ipc::peer::Peer;
use crate::ipc::rehearsed;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use jiff::Timestamp;

/// What can't be watched can't be ended, and is not let in.
pub(super) fn refuse_unwatched(pam: &Pam, entry: Entry, error: &std::io::Error) -> PamAnswer {
    tracing::error!("a session is refused, since the agent can't watch over it: {error}");
    if pam.settings.mode() == Mode::Observe {
        return PamAnswer { verdict: Verdict::Permit, message: None };
    }
    let entry = entry.with(Field::Outcome, "deny").with(Field::ReasonCode, "agent_unavailable");
    pam.audit.write(entry.with(Field::Reason, format!("it can't be watched over: {error}")));
    let message =
        format!("Curfew: {} can't watch over this session, so it is refused. Tell an operator.", pam.settings.host);
    PamAnswer { verdict: Verdict::Deny, message: Some(message) }
}

/// The command line of the asking process, for the audit.
pub(super) fn typed(pam: &Pam, peer: &Peer, question: &PamQuestion) -> Option<String> {
    if pam.settings.config().kind(&question.service) != Kind::Elevation {
        return None;
    }
    let arguments = processes::arguments(peer.pid)?;
    let program = processes::program(peer.pid).unwrap_or_else(|| question.service.clone());
    let own_name = arguments.first().and_then(|name| name.rsplit(|&b| b == b'/').next()).unwrap_or_default();
    // sudo and sudoedit are one file, also where it is called sudo.ws or sudo-rs.
    let program = match program.starts_with("sudo") {
        true if is_edit(&String::from_utf8_lossy(own_name)) => "sudoedit",
        true => "sudo",
        false => &program,
    };
    Some(shown(program, &arguments))
}

pub(super) fn session_id(peer: &Peer) -> Option<String> {
    Scope::of_process(peer.pid).map(|(id, _)| id)
}

/// An entry with what PAM said.
pub(super) fn asked(pam: &Pam, peer: &Peer, event: Event, question: &PamQuestion, user: &str) -> Entry {
    Entry::new(event)
        .with(Field::User, user)
        .with(Field::Service, question.service.as_str())
        .with(Field::Rhost, question.rhost.clone())
        .with(Field::Tty, question.tty.clone())
        .with(Field::Pid, peer.pid)
        .with(Field::Mode, pam.settings.mode().name())
}

/// The entry with the grant behind a permit.
pub(super) fn named(entry: Entry, held: &HeldGrant, until: Timestamp) -> Entry {
    let about = held.entry(entry.event);
    let mut named = entry;
    for (field, value) in about.fields {
        named.fields.entry(field).or_insert(value);
    }
    named.with(Field::NotAfter, until.to_string())
}

/// Writes what PAM was told, unless `curfew enable` tries the wiring: that is one record of its own.
pub(super) fn record(pam: &Pam, peer: &Peer, question: &PamQuestion, entry: Entry) {
    if !rehearsed::is_rehearsal(peer, question) {
        pam.audit.write(entry);
    }
}

/// Refuses, or only notes that it would.
pub(super) fn refusal(
    pam: &Pam,
    peer: &Peer,
    hook: Hook,
    question: &PamQuestion,
    entry: Entry,
    reason: ReasonCode,
    message: String,
) -> PamAnswer {
    let observes = pam.settings.mode() == Mode::Observe;
    let outcome = if observes { "would_deny" } else { "deny" };
    // Whoever was let in all the same, of the account, is told of once.
    if !(observes && hook == Hook::OpenSession) {
        record(pam, peer, question, entry.with(Field::Outcome, outcome).with(Field::ReasonCode, reason.name()));
    }
    if observes {
        PamAnswer { verdict: Verdict::Permit, message: None }
    } else {
        PamAnswer { verdict: Verdict::Deny, message: Some(message) }
    }
}
