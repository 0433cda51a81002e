//! Answers to PAM: a login or an elevation is judged, audited, and watched over from the moment it opens.

use super::decision::{Elevation as Scoped, ReasonCode, Request, Verdict as Decision, WantedCommand, decide};
use super::peer::Peer;
use super::server::{ErrorReply, RawCall, parameters};
use super::{watch, wording};
use crate::agent::Agent;
use crate::clock;
use crate::config::Mode;
use crate::enforce::processes;
use crate::enforce::scope::Scope;
use crate::enforce::sudo_command::SudoCommand;
use crate::grant::HeldGrant;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::rc::Rc;

/// The longest command that is audited, in bytes.
const LONGEST_COMMAND: usize = 1024;

/// Answers one call of the PAM module.
///
/// # Errors
///
/// The error reply; the module takes it for no permit.
pub fn answer(agent: &Rc<Agent>, peer: &Peer, call: &RawCall) -> Result<Value, ErrorReply> {
    let hook = [Hook::Account, Hook::OpenSession].into_iter().find(|hook| hook.method() == call.method);
    let Some(hook) = hook else { return Err(ErrorReply::unknown_method(&call.method)) };
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root's programs ask on this socket"));
    }
    let question: PamQuestion = parameters(call)?;
    Ok(json!(judge(agent, peer, hook, &question)))
}

/// What kind of service asks.
enum Kind {
    Login,
    Elevation,
    /// In neither list: not ours to judge.
    Other,
}

fn kind(agent: &Agent, service: &str) -> Kind {
    let config = agent.config.borrow();
    let lists = |list: &[String]| list.iter().any(|name| name == service);
    if lists(&config.elevation_services) {
        Kind::Elevation
    } else if lists(&config.login_services) {
        Kind::Login
    } else {
        Kind::Other
    }
}

fn judge(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let permit = PamAnswer { verdict: Verdict::Permit, message: None };
    match kind(agent, &question.service) {
        _ if question.exempt => {
            note_exempt(agent, peer, question);
            permit
        }
        Kind::Other => permit,
        Kind::Login => judge_login(agent, peer, hook, question),
        Kind::Elevation => match &question.ruser {
            Some(ruser) => judge_elevation(agent, peer, hook, question, ruser),
            None => refuse_nobody(agent, peer, question),
        },
    }
}

fn note_exempt(agent: &Agent, peer: &Peer, question: &PamQuestion) {
    let who = match kind(agent, &question.service) {
        Kind::Elevation => question.ruser.as_deref().unwrap_or(&question.user),
        Kind::Login | Kind::Other => &question.user,
    };
    let entry = asked(agent, peer, Event::ExemptUsed, question, who).with(Field::ReasonCode, "exempt");
    agent.audit.write(entry.with(Field::Outcome, "permit").with(Field::Command, typed(agent, peer, question)));
}

/// An elevation of nobody: a program that does not say who invokes it.
fn refuse_nobody(agent: &Agent, peer: &Peer, question: &PamQuestion) -> PamAnswer {
    let entry = asked(agent, peer, Event::SudoDenied, question, "").with(Field::RunAs, question.user.as_str());
    let message = format!("Curfew: {} does not say who invokes it.", question.service);
    refusal(agent, entry, ReasonCode::NoGrant, message)
}

fn judge_login(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let now = clock::now();
    let user = &question.user;
    let request = Request::Login { user, service: &question.service, from: question.rhost.as_deref() };
    let (answer, grant) = {
        let grants = agent.grants.borrow();
        match decide(&request, grants.held(), now) {
            Decision::Permit { grant, until } => {
                let permitted = |event| {
                    named(asked(agent, peer, event, question, user), grant, until).with(Field::Outcome, "permit")
                };
                let message = match hook {
                    Hook::Account => {
                        agent.audit.write(permitted(Event::LoginPermitted));
                        None
                    }
                    Hook::OpenSession => {
                        agent.audit.write(permitted(Event::SessionOpened).with(Field::Session, session_id(peer)));
                        Some(wording::entry_line(agent, grant, until, now))
                    }
                };
                (PamAnswer { verdict: Verdict::Permit, message }, Some(grant.grant.id.to_string()))
            }
            Decision::Deny { reason, nearest, opens } => {
                let why = wording::denial_reason(reason, nearest, opens, &request);
                let message = wording::denial(agent, &format!("{user} has no access to {} now", agent.host), &why);
                let entry = asked(agent, peer, Event::LoginDenied, question, user);
                let entry = entry.with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
                (refusal(agent, entry, reason, message), None)
            }
        }
    };
    if hook == Hook::OpenSession {
        // A session that opens is watched, whatever the answer: a refused one does not always end by itself.
        watch::session(agent, peer, question, grant, now);
    }
    answer
}

fn judge_elevation(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion, user: &str) -> PamAnswer {
    let now = clock::now();
    let turns_user = is_su(&question.service);
    let (command, asked_for) = SudoCommand::parse(&processes::command_line(peer.pid));
    let command = if turns_user { SudoCommand::Anything } else { command };
    // sudo's PAM_USER is the invoker until the session opens; su's is the user that it turns into from the start.
    let run_as = if turns_user || hook == Hook::OpenSession { &question.user } else { &asked_for };
    // What sudo may run, and as whom, is for sudoers to say: the question is whether sudo is granted at all.
    let scope = Scoped { run_as: turns_user.then_some(run_as), command: wanted_of(turns_user) };
    let request = Request::Elevation { user, scope };
    let about = |event| {
        let entry = asked(agent, peer, event, question, user).with(Field::RunAs, run_as.as_str());
        entry.with(Field::Command, typed(agent, peer, question)).with(Field::Session, session_id(peer))
    };
    let grants = agent.grants.borrow();
    match decide(&request, grants.held(), now) {
        Decision::Permit { grant, until } => {
            // The grant that covers the very command, where one does: what the host's own sudo rules let run needs a live sudo grant
            // all the same, but no certain one.
            let exact = Request::Elevation { user, scope: Scoped { run_as: Some(run_as), command: command.wanted() } };
            let (grant, until, command, run_as) = match decide(&exact, grants.held(), now) {
                Decision::Permit { grant, until } => (grant, until, command, Some(run_as.as_str())),
                Decision::Deny { .. } => (grant, until, SudoCommand::Nothing, None),
            };
            match hook {
                Hook::Account => {
                    let entry = named(about(Event::SudoPermitted), grant, until);
                    agent.audit.write(entry.with(Field::Outcome, "permit"));
                }
                Hook::OpenSession => watch::elevation(agent, peer, question, user, command, run_as, grant, until),
            }
            PamAnswer { verdict: Verdict::Permit, message: None }
        }
        Decision::Deny { reason, nearest, opens } => {
            let why = wording::denial_reason(reason, nearest, opens, &request);
            let message =
                wording::denial(agent, &format!("{user} has no {} on {} now", question.service, agent.host), &why);
            let entry = about(Event::SudoDenied).with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
            refusal(agent, entry, reason, message)
        }
    }
}

fn wanted_of(turns_user: bool) -> WantedCommand<'static> {
    if turns_user { WantedCommand::Any } else { WantedCommand::Unknown }
}

fn is_su(service: &str) -> bool {
    matches!(service, "su" | "su-l")
}

/// The command line of the asking process, for the audit.
fn typed(agent: &Agent, peer: &Peer, question: &PamQuestion) -> Option<String> {
    if !matches!(kind(agent, &question.service), Kind::Elevation) {
        return None;
    }
    let line = processes::command_line(peer.pid).join(" ");
    let printable = line.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut shortened = String::new();
    for c in printable {
        if shortened.len() + c.len_utf8() > LONGEST_COMMAND {
            shortened.push('…');
            break;
        }
        shortened.push(c);
    }
    Some(shortened)
}

fn session_id(peer: &Peer) -> Option<String> {
    Scope::of_process(peer.pid).map(|(id, _)| id)
}

/// An entry with what PAM said.
fn asked(agent: &Agent, peer: &Peer, event: Event, question: &PamQuestion, user: &str) -> Entry {
    Entry::new(event)
        .with(Field::User, user)
        .with(Field::Service, question.service.as_str())
        .with(Field::Rhost, question.rhost.clone())
        .with(Field::Tty, question.tty.clone())
        .with(Field::Pid, peer.pid)
        .with(Field::Mode, agent.mode().name())
}

/// The entry with the grant behind a permit.
fn named(entry: Entry, held: &HeldGrant, until: Timestamp) -> Entry {
    let about = held.entry(entry.event);
    let mut named = entry;
    for (field, value) in about.fields {
        named.fields.entry(field).or_insert(value);
    }
    named.with(Field::NotAfter, until.to_string())
}

/// Refuses, or only notes that it would.
fn refusal(agent: &Agent, entry: Entry, reason: ReasonCode, message: String) -> PamAnswer {
    let observes = agent.mode() == Mode::Observe;
    let outcome = if observes { "would_deny" } else { "deny" };
    agent.audit.write(entry.with(Field::Outcome, outcome).with(Field::ReasonCode, reason.name()));
    if observes {
        PamAnswer { verdict: Verdict::Permit, message: None }
    } else {
        PamAnswer { verdict: Verdict::Deny, message: Some(message) }
    }
}
