//! Logins: judged, audited, and watched over from the moment they open.

use super::Pam;
use super::record::{asked, named, record, refusal, refuse_unwatched, session_id};
use crate::clock;
use crate::config::Mode;
use crate::grant::decision::{Request, Verdict as Decision, admit};
use crate::ipc::peer::Peer;
use crate::ipc::wording;
use crate::sessions::watch;
use curfew_protocol::audit::{Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use std::rc::Rc;

/// PID 1 opens a session for a unit that root set up: it is told of, no end is its, and it keeps nothing else of the user's alive.
pub(super) fn open_for_unit(pam: &Rc<Pam>, peer: &Peer, question: &PamQuestion) {
    let opened = watch::Opened { admitted: true, of_unit: true, ..watch::Opened::default() };
    if let Err(error) = watch::session(&pam.watch, peer.pid, question, opened, clock::now()) {
        tracing::warn!("the session of a unit is not known, since its process can't be seen: {error}");
    }
    let entry = asked(pam, peer, Event::SessionOpened, question, &question.user).with(Field::Session, session_id(peer));
    pam.audit.write(entry.with(Field::Reason, "PID 1 opened it for a unit that root set up: nobody logged in"));
}

/// Judges a login, or what runs what was left for later.
pub(super) fn judge(
    pam: &Rc<Pam>,
    peer: &Peer,
    hook: Hook,
    question: &PamQuestion,
    request: &Request<'_>,
) -> PamAnswer {
    let now = pam.ledger.now();
    let user = &question.user;
    let (answer, grant) = {
        let grants = pam.ledger.grants();
        match admit(request, grants.of(request.user()), now, pam.ledger.bars(now)) {
            Decision::Permit { grant, until } => {
                let permitted =
                    |event| named(asked(pam, peer, event, question, user), grant, until).with(Field::Outcome, "permit");
                let message = match hook {
                    Hook::OpenSession => {
                        pam.audit.write(permitted(Event::SessionOpened).with(Field::Session, session_id(peer)));
                        Some(wording::entry_line(&pam.settings.host, grant, until, now))
                    }
                    Hook::Authenticate | Hook::Account => {
                        pam.audit.write(permitted(Event::LoginPermitted));
                        None
                    }
                };
                (PamAnswer { verdict: Verdict::Permit, message }, Some(grant.grant.id.to_string()))
            }
            Decision::Deny { reason, nearest, opens } => {
                let why = wording::denial_reason(reason, nearest, opens, request);
                let message =
                    wording::denial(&pam.settings, &format!("{user} has no access to {} now", pam.settings.host), &why);
                if hook == Hook::OpenSession && pam.settings.mode() == Mode::Observe {
                    // It opens all the same, and its close is told.
                    let opened = asked(pam, peer, Event::SessionOpened, question, user);
                    let opened = opened.with(Field::Session, session_id(peer)).with(Field::Outcome, "would_deny");
                    record(pam, peer, question, opened.with(Field::ReasonCode, reason.name()));
                }
                let entry = asked(pam, peer, Event::LoginDenied, question, user);
                let entry = entry.with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
                (refusal(pam, peer, hook, question, entry, reason, message), None)
            }
        }
    };
    if hook == Hook::OpenSession {
        // A session that opens is watched, whatever the answer: a refused one does not always end by itself.
        let (admitted, background) = (answer.verdict == Verdict::Permit, matches!(request, Request::Background { .. }));
        let opened = watch::Opened { grant, admitted, background, of_unit: false };
        if let Err(error) = watch::session(&pam.watch, peer.pid, question, opened, now) {
            return refuse_unwatched(pam, asked(pam, peer, Event::LoginDenied, question, user), &error);
        }
    }
    answer
}
