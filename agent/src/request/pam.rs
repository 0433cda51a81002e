//! Answers to PAM: a login or an elevation is judged, audited, and watched over from the moment it opens.

use super::again::said_already;
use super::decision::{Elevation as Scoped, ReasonCode, Request, Verdict as Decision, WantedCommand, admit};
use super::peer::Peer;
use super::server::{ErrorReply, RawCall, parameters};
use super::system_account::is_system_account;
use super::within::Origin;
use super::{rehearsed, uncovered, unit, watch, wording};
use crate::agent::Agent;
use crate::clock;
use crate::config::Mode;
use crate::enforce::accounts;
use crate::enforce::outer;
use crate::enforce::processes::{self, Process};
use crate::enforce::scope::Scope;
use crate::enforce::sessions::Standing;
use crate::enforce::sudo_command::{Place, SudoCommand, Typed};
use crate::enforce::{noninteractive, sudo_view, sudoers};
use crate::grant::HeldGrant;
use crate::human;
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
    let hooks = [Hook::Authenticate, Hook::Account, Hook::OpenSession];
    let hook = hooks.into_iter().find(|hook| hook.method() == call.method);
    let Some(hook) = hook else { return Err(ErrorReply::unknown_method(&call.method)) };
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root's programs ask on this socket"));
    }
    let mut question: PamQuestion = parameters(call)?;
    accounts::look(agent);
    question.exempt |= is_exempt_by_another_name(agent, &question);
    Ok(json!(judge(agent, peer, hook, &question)))
}

/// Whether a session opens: whoever asks starts nothing before there is an answer.
pub fn opens_session(call: &RawCall) -> bool {
    call.method == Hook::OpenSession.method()
}

/// The name that the user database has to be asked for before this call can be answered; none where all is known.
pub fn name_to_ask_for(agent: &Agent, peer: &Peer, call: &RawCall) -> Option<String> {
    let question: PamQuestion = parameters(call).ok()?;
    let name = match kind(agent, &question.service) {
        Kind::Elevation => question.ruser?,
        Kind::Login | Kind::Background => question.user,
        Kind::Other => return None,
    };
    (peer.is_root() && !question.exempt && accounts::has_to_be_asked(agent, &name)).then_some(name)
}

/// The exempt list has the account under another name than the one that was typed: the one that the user database writes. Of an elevation that says
/// nothing: whoever shares the user id would be meant.
fn is_exempt_by_another_name(agent: &Agent, question: &PamQuestion) -> bool {
    matches!(kind(agent, &question.service), Kind::Login | Kind::Background)
        && accounts::is_exempt_by_another_name(agent, &question.user)
}

/// What kind of service asks.
enum Kind {
    Login,
    /// Runs what was left for later.
    Background,
    Elevation,
    /// In no list: not ours to judge.
    Other,
}

fn kind(agent: &Agent, service: &str) -> Kind {
    let config = agent.config.borrow();
    let lists = |list: &[String]| list.iter().any(|name| name == service);
    if lists(&config.elevation_services) {
        Kind::Elevation
    } else if lists(&config.login_services) {
        Kind::Login
    } else if lists(&config.background_services) {
        Kind::Background
    } else {
        Kind::Other
    }
}

fn judge(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let permit = PamAnswer { verdict: Verdict::Permit, message: None };
    match kind(agent, &question.service) {
        // Whoever only observes says it once: of the account.
        _ if hook == Hook::Authenticate && agent.mode() == Mode::Observe => permit,
        kind if question.exempt => {
            match (hook, kind) {
                (Hook::Account, _) => note_exempt(agent, peer, question),
                (Hook::OpenSession, Kind::Login) => {
                    let opened = watch::Opened { admitted: true, ..watch::Opened::default() };
                    drop(watch::session(agent, peer, question, opened, clock::now()));
                }
                (Hook::Authenticate | Hook::OpenSession, _) => {}
            }
            permit
        }
        Kind::Other => permit,
        // Before the password, elevations alone are judged.
        Kind::Background | Kind::Login if hook == Hook::Authenticate => permit,
        Kind::Background if is_system_account(&question.user) => permit,
        Kind::Background => {
            let user = &agent.grants.borrow().judged_name(&question.user).to_owned();
            judge_login(agent, peer, hook, question, &Request::Background { user })
        }
        Kind::Login if unit::asks(peer, hook, &question.service) => {
            if hook == Hook::OpenSession {
                open_for_unit(agent, peer, question);
            }
            permit
        }
        Kind::Login => {
            let user = &agent.grants.borrow().judged_name(&question.user).to_owned();
            let from = question.rhost.as_deref();
            judge_login(agent, peer, hook, question, &Request::Login { user, service: &question.service, from })
        }
        Kind::Elevation => match &question.ruser {
            Some(ruser) => judge_elevation(agent, peer, hook, question, ruser),
            None => refuse_nobody(agent, peer, hook, question),
        },
    }
}

fn note_exempt(agent: &Agent, peer: &Peer, question: &PamQuestion) {
    if is_our_own(peer, question) {
        return;
    }
    let who = match kind(agent, &question.service) {
        Kind::Elevation => question.ruser.as_deref().unwrap_or(&question.user),
        Kind::Login | Kind::Background | Kind::Other => &question.user,
    };
    let entry = asked(agent, peer, Event::ExemptUsed, question, who).with(Field::ReasonCode, "exempt");
    let entry = entry.with(Field::Outcome, "permit").with(Field::Command, typed(agent, peer, question));
    if !(is_asked_twice(&question.service) && said_already(agent, peer, &entry)) {
        record(agent, peer, question, entry);
    }
}

/// The agent or the doctor has sudo list what it gives somebody: root's sudo, which runs nothing.
fn is_our_own(peer: &Peer, question: &PamQuestion) -> bool {
    let by_root = question.user == "root" && question.ruser.as_deref() == Some("root");
    by_root && processes::command_line(peer.pid).is_some_and(|line| sudo_view::is_question(&line))
}

/// An elevation of nobody: a program that does not say who invokes it, and whose process does not tell the module, either.
fn refuse_nobody(agent: &Agent, peer: &Peer, hook: Hook, question: &PamQuestion) -> PamAnswer {
    let entry = asked(agent, peer, Event::SudoDenied, question, "").with(Field::RunAs, question.user.as_str());
    let message = format!("Curfew: {} does not say who invokes it, and that can't be told.", question.service);
    refusal(agent, peer, hook, question, entry, ReasonCode::NoGrant, message)
}

/// PID 1 opens a session for a unit that root set up: it is told of, no end is its, and it keeps nothing else of the user's alive.
fn open_for_unit(agent: &Rc<Agent>, peer: &Peer, question: &PamQuestion) {
    let opened = watch::Opened { admitted: true, of_unit: true, ..watch::Opened::default() };
    if let Err(error) = watch::session(agent, peer, question, opened, clock::now()) {
        tracing::warn!("the session of a unit is not known, since its process can't be seen: {error}");
    }
    let entry =
        asked(agent, peer, Event::SessionOpened, question, &question.user).with(Field::Session, session_id(peer));
    agent.audit.write(entry.with(Field::Reason, "PID 1 opened it for a unit that root set up: nobody logged in"));
}

fn judge_login(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion, request: &Request<'_>) -> PamAnswer {
    let now = agent.now();
    let user = &question.user;
    let (answer, grant) = {
        let grants = agent.grants.borrow();
        match admit(request, grants.of(request.user()), now, agent.bars(now)) {
            Decision::Permit { grant, until } => {
                let permitted = |event| {
                    named(asked(agent, peer, event, question, user), grant, until).with(Field::Outcome, "permit")
                };
                let message = match hook {
                    Hook::OpenSession => {
                        agent.audit.write(permitted(Event::SessionOpened).with(Field::Session, session_id(peer)));
                        Some(wording::entry_line(agent, grant, until, now))
                    }
                    Hook::Authenticate | Hook::Account => {
                        agent.audit.write(permitted(Event::LoginPermitted));
                        None
                    }
                };
                (PamAnswer { verdict: Verdict::Permit, message }, Some(grant.grant.id.to_string()))
            }
            Decision::Deny { reason, nearest, opens } => {
                let why = wording::denial_reason(reason, nearest, opens, request);
                let message = wording::denial(agent, &format!("{user} has no access to {} now", agent.host), &why);
                let entry = asked(agent, peer, Event::LoginDenied, question, user);
                let entry = entry.with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
                (refusal(agent, peer, hook, question, entry, reason, message), None)
            }
        }
    };
    if hook == Hook::OpenSession {
        // A session that opens is watched, whatever the answer: a refused one does not always end by itself.
        let (admitted, background) = (answer.verdict == Verdict::Permit, matches!(request, Request::Background { .. }));
        let opened = watch::Opened { grant, admitted, background, of_unit: false };
        if let Err(error) = watch::session(agent, peer, question, opened, now) {
            return refuse_unwatched(agent, asked(agent, peer, Event::LoginDenied, question, user), &error);
        }
    }
    answer
}

fn judge_elevation(agent: &Rc<Agent>, peer: &Peer, hook: Hook, question: &PamQuestion, ruser: &str) -> PamAnswer {
    let now = agent.now();
    let user = &agent.grants.borrow().judged_name(ruser).to_owned();
    let turns_user = runs_anything(&question.service);
    let (grants, folder) = (agent.grants.borrow(), processes::folder(peer.pid));
    let granted = grants.of(user).iter().filter(|held| held.covers(now));
    let granted = granted.filter_map(|held| held.grant.sudo.as_ref()).flat_map(|sudo| &sudo.commands).collect();
    let place = Place { folder: folder.as_deref(), granted };
    if hook != Hook::Authenticate {
        uncovered::is_judged(agent, peer);
    }
    let of_sudo = (!turns_user).then(|| run_of_sudo(peer, &place));
    let Typed { command, run_as: asked_for, is_noninteractive } =
        of_sudo.unwrap_or_else(|| Typed::of(SudoCommand::Anything));
    // sudo's PAM_USER is the invoker until the session opens; su's is the user that it turns into from the start. polkit's and doas' is the invoker,
    // and what they may do then is not known: root's work.
    let run_as = match question.service.as_str() {
        "polkit-1" | "doas" => "root",
        _ if turns_user || hook == Hook::OpenSession => &question.user,
        _ => &asked_for,
    };
    // What sudo may run, and as whom, is for sudoers to say: the question is whether sudo is granted at all.
    let scope = Scoped { run_as: turns_user.then_some(run_as), command: wanted_of(turns_user) };
    let request = Request::Elevation { user, scope };
    let program = command.program().map(str::to_owned);
    let origin = Origin::of(agent, peer, user);
    let actor = origin.as_ref().ok().and_then(Origin::actor);
    let about = |event| {
        let entry = asked(agent, peer, event, question, ruser).with(Field::RunAs, run_as);
        let entry = entry.with(Field::Program, program.clone()).with(Field::Actor, actor.clone());
        entry.with(Field::Command, typed(agent, peer, question)).with(Field::Session, session_id(peer))
    };
    let bars = agent.bars(now);
    match admit(&request, grants.of(user), now, bars) {
        Decision::Permit { grant, .. } if is_of_another_uid(peer, grant) => {
            let entry = about(Event::SudoDenied).with(Field::Reason, "who invokes it has not the user id of that name");
            let message = format!("Curfew: {} runs under a user id that is not {ruser}'s any more.", question.service);
            refusal(agent, peer, hook, question, entry, ReasonCode::AccountChanged, message)
        }
        Decision::Permit { grant, until } => {
            // The grant that covers the very command, where one does.
            let exact = Request::Elevation { user, scope: Scoped { run_as: Some(run_as), command: command.wanted() } };
            let exactly = admit(&exact, grants.of(user), now, bars);
            if hook == Hook::Authenticate {
                let may_be_covered = matches!(exactly, Decision::Permit { .. }) || place.may_mean(&command);
                let denied = (!may_be_covered && command != SudoCommand::Nothing).then(|| about(Event::SudoDenied));
                return if is_noninteractive && noninteractive::has_sudo_ask(grant.uid()) {
                    uncovered::without_a_password(agent, denied)
                } else {
                    uncovered::before_password(agent, peer, denied)
                };
            }
            let (grant, until, pinned) = match exactly {
                Decision::Permit { grant, until } => (grant, until, Vec::new()),
                Decision::Deny { .. } if !turns_user && may_be_misled(agent, peer, grants.of(user), grant, now) => {
                    let entry = about(Event::SudoDenied);
                    let entry = entry.with(Field::Reason, "sudo rules for this user id changed while sudo was at work");
                    let message = wording::misled(&question.service);
                    return refusal(agent, peer, hook, question, entry, ReasonCode::WrongService, message);
                }
                Decision::Deny { .. } => (grant, until, live_sudo_grants(grants.of(user), now)),
            };
            let within = match origin.and_then(|origin| origin.within(now)) {
                Ok(within) => within,
                Err(error) => return refuse_unwatched(agent, about(Event::SudoDenied), &error),
            };
            let until = match outer::first_to_end(agent, &within, now) {
                Some((outer, Standing::Over { reason, .. })) => {
                    let entry = about(Event::SudoDenied).with(Field::Reason, wording::WITHIN_WHAT_ENDED);
                    let message = wording::within_what_ended(&question.service, &outer.user, &agent.host);
                    return refusal(agent, peer, hook, question, entry, reason, message);
                }
                Some((_, Standing::Covered { until: end, .. })) => until.min(end),
                None => until,
            };
            let credited =
                if pinned.is_empty() { Credit::To(grant) } else { credit(&place, &command, grants.of(user), now) };
            let typed = typed(agent, peer, question);
            let (grant_id, actor) = (grant.grant.id.as_str(), actor.clone());
            let run = watch::Run { user, run_as, command, typed, grant: grant_id, until, pinned, within, actor };
            if let Err(error) = watch::elevation(agent, peer, question, run) {
                return refuse_unwatched(agent, about(Event::SudoDenied), &error);
            }
            if hook == Hook::Account {
                let entry = match credited {
                    Credit::To(grant) => named(about(Event::SudoPermitted), grant, until),
                    Credit::Nobody(why) => about(Event::SudoPermitted).with(Field::Reason, why),
                };
                let entry = entry.with(Field::Outcome, "permit");
                if !(is_asked_twice(&question.service) && said_already(agent, peer, &entry)) {
                    agent.audit.write(entry);
                }
            }
            PamAnswer { verdict: Verdict::Permit, message: None }
        }
        Decision::Deny { reason, nearest, opens } => {
            let why = wording::denial_reason(reason, nearest, opens, &request);
            let message =
                wording::denial(agent, &format!("{user} has no {} on {} now", question.service, agent.host), &why);
            let entry = about(Event::SudoDenied).with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
            refusal(agent, peer, hook, question, entry, reason, message)
        }
    }
}

/// What sudo was told. Of what is too long to be looked at, the options come first.
fn run_of_sudo(peer: &Peer, place: &Place<'_>) -> Typed {
    match processes::command_line(peer.pid) {
        Some(arguments) => SudoCommand::parse(&arguments, place),
        None => {
            let Typed { is_noninteractive, .. } = SudoCommand::parse(&processes::first_arguments(peer.pid), place);
            Typed { is_noninteractive, ..Typed::of(SudoCommand::Anything) }
        }
    }
}

/// Which grant a permitted command is owed to.
enum Credit<'g> {
    To(&'g HeldGrant),
    /// To none that is known, and why.
    Nobody(String),
}

/// A grant is named only where it covers the command. Where several may be meant by what was typed, none is.
fn credit<'g>(place: &Place<'_>, command: &SudoCommand, grants: &'g [HeldGrant], now: Timestamp) -> Credit<'g> {
    let names = |held: &&HeldGrant| {
        held.covers(now)
            && held.grant.sudo.as_ref().is_some_and(|sudo| {
                Place { folder: place.folder, granted: sudo.commands.iter().collect() }.may_mean(command)
            })
    };
    let candidates: Vec<&HeldGrant> = grants.iter().filter(names).collect();
    match candidates.as_slice() {
        [] => Credit::Nobody("no live grant covers this command: another sudo rule of this host permits it".into()),
        [only] => Credit::To(only),
        several => {
            let ids = several.iter().map(|held| held.grant.id.as_str()).collect::<Vec<_>>().join(", ");
            Credit::Nobody(format!("which of these grants covers it can't be told from what was typed: {ids}"))
        }
    }
}

/// Whether the process has another user id than the grant is for: it began when the name of its user stood for another account.
fn is_of_another_uid(peer: &Peer, grant: &HeldGrant) -> bool {
    // What has become root altogether does not show who invoked it.
    let invoker = peer.real_uid().filter(|uid| *uid != 0);
    invoker.zip(grant.uid()).is_some_and(|(invoker, uid)| invoker != uid)
}

/// Whether the sudo that asks may have read rules that give this person nothing: another's who has or had their user id, or those of a grant that
/// has ended since.
fn may_be_misled(agent: &Agent, peer: &Peer, grants: &[HeldGrant], covering: &HeldGrant, now: Timestamp) -> bool {
    let gives = |id: &str| sudoers::wanted(grants, now).any(|held| held.grant.id.as_str() == id);
    // What can't be seen may have started at any time.
    let started = Process::read(peer.pid).ok().flatten().map_or(0, |process| process.id.start);
    covering.uid().is_some_and(|uid| agent.rules.borrow().may_mislead(uid, started, gives))
}

fn live_sudo_grants(grants: &[HeldGrant], now: Timestamp) -> Vec<String> {
    let live = grants.iter().filter(|held| held.grant.sudo.is_some() && held.covers(now));
    live.map(|held| held.grant.id.to_string()).collect()
}

/// What can't be watched can't be ended, and is not let in.
fn refuse_unwatched(agent: &Agent, entry: Entry, error: &std::io::Error) -> PamAnswer {
    tracing::error!("a session is refused, since the agent can't watch over it: {error}");
    if agent.mode() == Mode::Observe {
        return PamAnswer { verdict: Verdict::Permit, message: None };
    }
    let entry = entry.with(Field::Outcome, "deny").with(Field::ReasonCode, "agent_unavailable");
    agent.audit.write(entry.with(Field::Reason, format!("it can't be watched over: {error}")));
    let message = format!("Curfew: {} can't watch over this session, so it is refused. Tell an operator.", agent.host);
    PamAnswer { verdict: Verdict::Deny, message: Some(message) }
}

fn wanted_of(turns_user: bool) -> WantedCommand<'static> {
    if turns_user { WantedCommand::Any } else { WantedCommand::Unknown }
}

/// Whether a service asks for anything that the user may do into whom it turns: no rules of Curfew's say which commands it runs.
pub(super) fn runs_anything(service: &str) -> bool {
    matches!(service, "su" | "su-l" | "polkit-1" | "doas")
}

/// Whether the rules of a service include those of another one of ours, on some distribution: PAM asks twice then.
fn is_asked_twice(service: &str) -> bool {
    matches!(service, "su-l" | "sudo-i")
}

/// The command line of the asking process, for the audit.
fn typed(agent: &Agent, peer: &Peer, question: &PamQuestion) -> Option<String> {
    if !matches!(kind(agent, &question.service), Kind::Elevation) {
        return None;
    }
    let line = processes::command_line(peer.pid)?.join(" ");
    let mut shortened = String::new();
    for c in human::printable(&line).chars() {
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

/// Writes what PAM was told, unless `curfew enable` tries the wiring: that is one record of its own.
fn record(agent: &Agent, peer: &Peer, question: &PamQuestion, entry: Entry) {
    if !rehearsed::is_rehearsal(peer, question) {
        agent.audit.write(entry);
    }
}

/// Refuses, or only notes that it would.
fn refusal(
    agent: &Agent,
    peer: &Peer,
    hook: Hook,
    question: &PamQuestion,
    entry: Entry,
    reason: ReasonCode,
    message: String,
) -> PamAnswer {
    let observes = agent.mode() == Mode::Observe;
    let outcome = if observes { "would_deny" } else { "deny" };
    // Whoever was let in all the same, of the account, is told of once.
    if !(observes && hook == Hook::OpenSession) {
        record(agent, peer, question, entry.with(Field::Outcome, outcome).with(Field::ReasonCode, reason.name()));
    }
    if observes {
        PamAnswer { verdict: Verdict::Permit, message: None }
    } else {
        PamAnswer { verdict: Verdict::Deny, message: Some(message) }
    }
}
