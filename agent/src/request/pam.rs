//! Answers to PAM: a login or an elevation is judged, audited, and watched over from the moment it opens.

use super::decision::{Elevation as Scoped, ReasonCode, Request, Verdict as Decision, WantedCommand, decide};
use super::peer::{self, Peer};
use super::server::{ErrorReply, RawCall, parameters};
use crate::agent::Agent;
use crate::clock;
use crate::config::Mode;
use crate::descriptors;
use crate::enforce::processes::{self, ProcessId};
use crate::enforce::scope::Scope;
use crate::enforce::sessions::{Elevation, Session, Told};
use crate::enforce::since::monotonic_us;
use crate::enforce::sudo_command::SudoCommand;
use crate::grant::approvers;
use crate::human;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

/// The longest command that is audited, in bytes.
const LONGEST_COMMAND: usize = 1024;

/// Answers one call of the PAM module.
///
/// # Errors
///
/// The error reply; the module takes it for no permit.
pub async fn answer(agent: &Rc<Agent>, peer: &Peer, call: &RawCall) -> Result<Value, ErrorReply> {
    let hook = [Hook::Account, Hook::OpenSession].into_iter().find(|hook| hook.method() == call.method);
    let Some(hook) = hook else { return Err(ErrorReply::unknown_method(&call.method)) };
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root's programs ask on this socket"));
    }
    let question: PamQuestion = parameters(call)?;
    let answer = judge(agent, peer, hook, &question).await;
    Ok(json!(answer))
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

async fn judge(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let permit = PamAnswer { verdict: Verdict::Permit, message: None };
    match kind(agent, &question.service) {
        _ if question.exempt => {
            note_exempt(agent, peer, question);
            permit
        }
        Kind::Other => permit,
        Kind::Login => judge_login(agent, peer, hook, question).await,
        Kind::Elevation => match &question.ruser {
            Some(ruser) => judge_elevation(agent, peer, hook, question, ruser).await,
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

async fn judge_login(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let now = clock::now();
    let user = &question.user;
    let request = Request::Login { user, service: &question.service, from: question.rhost.as_deref() };
    let (answer, grant) = {
        let grants = agent.grants.borrow();
        match decide(&request, grants.held(), now) {
            Decision::Permit { grant, until } => {
                let event = if hook == Hook::Account { Event::LoginPermitted } else { Event::SessionOpened };
                let entry = named(asked(agent, peer, event, question, user), grant, until);
                agent.audit.write(entry.with(Field::Outcome, "permit").with(Field::Session, session_id(peer)));
                let message = entry_line(agent, grant, until, now);
                (PamAnswer { verdict: Verdict::Permit, message: Some(message) }, Some(grant.grant.id.to_string()))
            }
            Decision::Deny { reason, nearest, opens } => {
                let why = explain(reason, nearest, opens, &request);
                let message = denial(agent, &format!("{user} has no access to {} now", agent.host), &why);
                let entry = asked(agent, peer, Event::LoginDenied, question, user);
                let entry = entry.with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
                (refusal(agent, entry, reason, message), None)
            }
        }
    };
    if hook == Hook::OpenSession {
        // A session that opens is watched, whatever the answer: a refused one does not always end by itself.
        watch_session(agent, peer, question, grant, now);
    }
    answer
}

async fn judge_elevation(
    agent: &Rc<Agent>,
    peer: &Peer,
    hook: Hook,
    question: &PamQuestion,
    user: &str,
) -> PamAnswer {
    let now = clock::now();
    let turns_user = is_su(&question.service);
    let command = if turns_user { SudoCommand::Anything } else { SudoCommand::parse(&processes::command_line(peer.pid)) };
    // sudo's PAM_USER is the invoker until the session opens; su's is the user that it turns into from the start.
    let run_as = (turns_user || hook == Hook::OpenSession).then_some(question.user.as_str());
    // Which command may run is for sudoers to say: the question is whether sudo is granted at all.
    let wanted = if turns_user { WantedCommand::Any } else { WantedCommand::Unknown };
    let request = Request::Elevation { user, scope: Scoped { run_as, command: wanted } };
    let typed = typed(agent, peer, question);
    let grants = agent.grants.borrow();
    let decision = decide(&request, grants.held(), now);
    // The audit names the grant that covers the very command, where one does.
    let exact = Request::Elevation { user, scope: Scoped { run_as, command: command.wanted() } };
    let decision = match decide(&exact, grants.held(), now) {
        permit @ Decision::Permit { .. } if matches!(decision, Decision::Permit { .. }) => permit,
        _ => decision,
    };
    match decision {
        Decision::Permit { grant, until } => {
            let id = grant.grant.id.to_string();
            if hook == Hook::Account {
                let entry = named(asked(agent, peer, Event::SudoPermitted, question, user), grant, until);
                let entry = entry.with(Field::RunAs, run_as).with(Field::Command, typed);
                agent.audit.write(entry.with(Field::Outcome, "permit").with(Field::Session, session_id(peer)));
            } else {
                drop(grants);
                watch_elevation(agent, peer, question, user, command, id).await;
            }
            PamAnswer { verdict: Verdict::Permit, message: None }
        }
        Decision::Deny { reason, nearest, opens } => {
            let why = explain(reason, nearest, opens, &request);
            let message = denial(agent, &format!("{user} has no {} on {} now", question.service, agent.host), &why);
            let entry = asked(agent, peer, Event::SudoDenied, question, user).with(Field::RunAs, run_as);
            let entry = entry.with(Field::Command, typed).with(Field::Session, session_id(peer));
            refusal(agent, entry.with(Field::Grant, nearest.map(|held| held.grant.id.to_string())), reason, message)
        }
    }
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
fn named(entry: Entry, held: &crate::grant::HeldGrant, until: Timestamp) -> Entry {
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

/// What the person hears on entry.
fn entry_line(agent: &Agent, held: &crate::grant::HeldGrant, until: Timestamp, now: Timestamp) -> String {
    let approvers = approvers(&held.grant);
    let approved = if approvers.is_empty() { String::new() } else { format!(", approved by {approvers}") };
    let (host, left, end) = (&agent.host, human::left(now, until), human::time(until));
    format!("Curfew: access to {host} until {end} ({left} left), grant {}{approved}.", held.grant.id)
}

fn denial(agent: &Agent, what: &str, why: &str) -> String {
    format!("Curfew: {what}: {why}.\n{}", agent.config.borrow().request_hint)
}

/// Why a request is refused, in words.
pub fn explain(
    reason: ReasonCode,
    nearest: Option<&crate::grant::HeldGrant>,
    opens: Option<Timestamp>,
    request: &Request<'_>,
) -> String {
    let id = nearest.map_or_else(String::new, |held| held.grant.id.to_string());
    let end = nearest.map_or_else(String::new, |held| human::time(held.end()));
    let later = opens.map(|opens| format!("; another opens at {}", human::time(opens))).unwrap_or_default();
    match (reason, request) {
        (ReasonCode::NoGrant, _) => "there is no grant".into(),
        (ReasonCode::NotYet, _) => {
            format!("grant {id} opens at {}", opens.map(human::time).unwrap_or_default())
        }
        (ReasonCode::Ended, _) => format!("grant {id} ended at {end}{later}"),
        (ReasonCode::Revoked, _) => format!("grant {id} was revoked at {end}{later}"),
        (ReasonCode::WrongSource, Request::Login { from, .. }) => {
            format!("grant {id} is not for logins from {}{later}", from.unwrap_or("an unknown address"))
        }
        (ReasonCode::WrongService, Request::Login { service, .. }) => format!("grant {id} is not for {service}{later}"),
        (ReasonCode::WrongSource | ReasonCode::WrongService, _) => format!("grant {id} does not cover that{later}"),
    }
}

/// Watches over a login from here on.
fn watch_session(agent: &Rc<Agent>, peer: &Peer, question: &PamQuestion, grant: Option<String>, now: Timestamp) {
    let Some(leader) = ProcessId::of(peer.pid) else { return };
    let scope = Scope::of_process(peer.pid);
    let about = processes::Process::read(peer.pid);
    let mut session = Session {
        user: question.user.clone(),
        service: question.service.clone(),
        rhost: question.rhost.clone(),
        leader,
        uid: processes::login_uid(peer.pid),
        logind_id: scope.map(|(id, _)| id),
        audit_session: about.and_then(|process| process.audit_session),
        grant,
        opened_us: monotonic_us(),
        told: Told::default(),
        hung_up_for: None,
        closed: false,
    };
    keep_the_last_moments(agent, &mut session, now);
    agent.sessions.borrow_mut().add_session(session);
    watch(agent, leader);
    agent.changed.notify_one();
}

/// Who comes in shortly before the end was told how long they have: no old warning, no hang-up at the door.
fn keep_the_last_moments(agent: &Agent, session: &mut Session, now: Timestamp) {
    let grants = agent.grants.borrow();
    let config = agent.config.borrow();
    let passed = |until: Timestamp| {
        let passed = config.warn_before.iter().filter(|&&before| until - before <= now).min();
        passed.map(|&shortest| (until, shortest))
    };
    if let Decision::Permit { until, .. } = decide(&session.request(), grants.held(), now) {
        session.told.login = passed(until);
        session.hung_up_for = (until - config.grace <= now).then_some(until);
    }
    let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
    if let Decision::Permit { until, .. } = decide(&elevation, grants.held(), now) {
        session.told.sudo = passed(until);
    }
}

/// Watches over a run of sudo or su from here on.
async fn watch_elevation(
    agent: &Rc<Agent>,
    peer: &Peer,
    question: &PamQuestion,
    user: &str,
    command: SudoCommand,
    grant: String,
) {
    let Some(about) = processes::Process::read(peer.pid) else { return };
    let elevation = Elevation {
        user: user.to_owned(),
        service: question.service.clone(),
        run_as: Some(question.user.clone()),
        command,
        root: about.id,
        uid: None,
        logind_id: session_id(peer),
        audit_session: about.audit_session,
        grant: Some(grant),
        opened_us: monotonic_us(),
        hung_up_for: None,
    };
    // Watched before anything is waited for: the grant may end now.
    agent.sessions.borrow_mut().add_elevation(elevation);
    agent.changed.notify_one();
    let uid = peer::user_id(user).await.ok().flatten().or_else(|| processes::login_uid(peer.pid));
    agent.sessions.borrow_mut().update_elevation(about.id, |elevation| elevation.uid = uid);
}

/// Looks again when the process ends.
pub fn watch(agent: &Rc<Agent>, process: ProcessId) {
    let Some(pidfd) = process.open() else { return };
    let agent = Rc::clone(agent);
    tokio::task::spawn_local(async move {
        match descriptors::wait_on(pidfd) {
            Ok(pidfd) => drop(pidfd.readable().await),
            // No pidfd to wait on: the regular look finds it.
            Err(error) => tracing::warn!(%error, "a session's end will be seen later"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        agent.changed.notify_one();
    });
}
