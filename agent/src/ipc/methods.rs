//! Answers to people: grants, revocations, what is and why, the audit. Root gets them all here; what others may ask comes by `anybody`.

pub mod audit;
mod endpoint;

use super::answer::{Answer, Question};
use super::messages::{
    AcceptClock, GrantOrder, Granted, LONGEST_GRANT, Revoke, Revoked, ShownClock, ShownGrant, ShownSession, Status,
    WhyAnswer, WhyQuestion,
};
use super::peer::Peer;
use super::program_check::{self, Findings};
use super::varlink::service;
use super::varlink::{ErrorReply, Nothing, RawCall, parameters};
use super::{confirmed, no_effect, person, rehearsed, wording};
use crate::agent::Agent;
use crate::config::Mode;
use crate::config::exempt_list;
use crate::config::service::runs_anything;
use crate::enforce::accounts;
use crate::enforce::reconcile::settle;
use crate::enforce::{sudo_view, sudoers};
use crate::grant::decision::{Elevation, Request, Verdict, WantedCommand, admit};
use crate::grant::local::{SetAside, StoreError};
use crate::grant::sudo_command::written;
use crate::grant::{Bars, HeldGrant, Listing, Revocation, Source, State, cut_off};
use crate::host::users;
use crate::sessions::standing::Standing;
use crate::sessions::table::Session;
use crate::wiring;
use crate::wiring::unconfirmed::Unconfirmed;
use crate::wiring::unwired;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::exempt;
use curfew_protocol::grant::{Grant, LoginAccess, LoginName, SudoAccess, Text, Window};
use jiff::Timestamp;
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;

/// What root alone may ask, as the others are told.
const ROOTS_ALONE: [(&str, &str); 12] = [
    ("Grant", "grant"),
    ("Revoke", "revoke"),
    ("Reload", "read the configuration again"),
    ("AcceptClock", "take the clock as right"),
    ("Reconcile", "have the agent look"),
    ("Rehearsed", "say what a rehearsal came to"),
    ("Confirmed", "say that the wiring is confirmed"),
    ("Enroll", endpoint::WHAT),
    ("EnrollStatic", endpoint::WHAT),
    ("Leave", endpoint::WHAT),
    ("RotateKey", endpoint::WHAT),
    ("Sync", endpoint::WHAT),
];

/// What root alone may do by this method, if it is one of those.
pub fn only_root_may(method: &str) -> Option<&'static str> {
    let name = method.strip_prefix("io.curfew.Agent.")?;
    ROOTS_ALONE.iter().find(|(method, _)| *method == name).map(|(_, what)| *what)
}

/// Whether a method is one of this interface.
pub fn answers(method: &str) -> bool {
    method.starts_with("io.curfew.Agent.")
}

/// Answers one call of root.
///
/// # Errors
///
/// The error reply.
pub async fn answer(agent: &Rc<Agent>, peer: &Peer, call: &RawCall) -> Result<Answer, ErrorReply> {
    if !peer.is_root() {
        return Err(ErrorReply::not_permitted("only root is answered here"));
    }
    if !peer.is_still_root() {
        return Err(ErrorReply::not_permitted(
            "the process of root's that connected has ended, or is not root's any more",
        ));
    }
    if let Some(answer) = service::answer(call) {
        return answer.map(Answer::Json);
    }
    match call.method.as_str() {
        "io.curfew.Agent.Status" => {
            let Nothing {} = parameters(call)?;
            Ok(Answer::Status(Box::new(status(agent, &Visible::All))))
        }
        "io.curfew.Agent.Why" => {
            let question: WhyQuestion = parameters(call)?;
            // Without an answer, it is judged by what is known.
            let is_missing = accounts::has_to_be_asked(agent, &question.user)
                && accounts::look_up(agent, &question.user).await == Ok(None);
            why(agent, &question, is_missing).map(Answer::Why)
        }
        "io.curfew.Agent.Grant" => grant(agent, peer, parameters(call)?).await.map(|granted| json!(granted).into()),
        "io.curfew.Agent.Revoke" => revoke(agent, peer, parameters(call)?).await.map(|revoked| json!(revoked).into()),
        "io.curfew.Agent.Audit" => {
            let query = parameters(call)?;
            let page = tokio::task::spawn_blocking(move || audit::audit_page(&query)).await;
            page.unwrap_or_else(|error| Err(ErrorReply::failed(&format!("the audit can't be read: {error}"))))
        }
        "io.curfew.Agent.Reload" => {
            let Nothing {} = parameters(call)?;
            agent.reload().map(|()| json!({}).into()).map_err(|error| ErrorReply::failed(&error.to_string()))
        }
        "io.curfew.Agent.Clock" => {
            let Nothing {} = parameters(call)?;
            Ok(json!(clock(agent)).into())
        }
        "io.curfew.Agent.AcceptClock" => {
            accept_clock(agent, peer, parameters(call)?).await.map(|clock| json!(clock).into())
        }
        "io.curfew.Agent.Rehearsed" => {
            rehearsed::note(agent, peer, &parameters(call)?);
            Ok(json!({}).into())
        }
        "io.curfew.Agent.Confirmed" => {
            let Nothing {} = parameters(call)?;
            confirmed::note(agent, peer).await;
            Ok(json!({}).into())
        }
        method if endpoint::answers(method) => endpoint::answer(agent, call).await.map(Answer::Json),
        "io.curfew.Agent.Reconcile" => {
            let Nothing {} = parameters(call)?;
            agent.look_now().await;
            Ok(json!({}).into())
        }
        other => Err(ErrorReply::unknown_method(other)),
    }
}

/// Answers a question of anybody's, on the spot.
///
/// # Errors
///
/// The error reply.
pub fn answer_anybody(agent: &Agent, question: &Question) -> Result<Answer, ErrorReply> {
    match question {
        Question::Status { user } => Ok(Answer::Status(Box::new(status(agent, &Visible::Of(user))))),
        Question::Why(question) => why(agent, question, false).map(Answer::Why),
        Question::Clock => Ok(json!(clock(agent)).into()),
    }
}

/// Whose grants and sessions are shown.
enum Visible<'a> {
    All,
    Of(&'a str),
}

fn status(agent: &Agent, visible: &Visible<'_>) -> Status {
    let now = agent.now();
    let grants = agent.grants.borrow();
    let held = match visible {
        Visible::All => grants.held(),
        Visible::Of(user) => grants.of(user),
    };
    // One's own are those of every name of one's account.
    let own = |held: &HeldGrant| match visible {
        Visible::All => true,
        Visible::Of(user) => held.is_of(user),
    };
    let is_visible = |user: &str| match visible {
        Visible::All => true,
        Visible::Of(name) => *name == user,
    };
    let current = held.iter().filter(|held| held.listing != Listing::Superseded);
    let shown: Vec<&HeldGrant> = current.filter(|held| own(held)).collect();
    let sessions = agent.sessions.borrow();
    let open = sessions.sessions().iter().filter(|session| !session.closed && is_visible(&session.user));
    Status {
        host: agent.host.clone(),
        mode: agent.mode().name().into(),
        in_force: agent.in_force.borrow().holds(),
        wired: agent.is_wired(),
        next_end: cut_off::next(&shown, now),
        grants: shown.into_iter().map(|held| show(held, now)).collect(),
        set: agent.endpoint.show(grants.endpoint().facts(), now),
        confirm_by: Unconfirmed::load().ok().flatten().map(|unconfirmed| unconfirmed.until),
        problems: match visible {
            Visible::All => problems(agent, now),
            Visible::Of(_) => Vec::new(),
        },
        sessions: open
            .map(|session| {
                let governed = !session.is_left_alone() && agent.governs(&session.service, session.opened_us);
                let standing = governed.then(|| session.standing(grants.of(&session.user), now));
                show_session(session, standing)
            })
            .collect(),
    }
}

/// `standing`: where it stands with its grants, if it ends with one.
fn show_session(session: &Session, standing: Option<Standing>) -> ShownSession {
    let governed = standing.is_some();
    let (grant, not_after) = match standing {
        Some(Standing::Covered { grant, until }) => (Some(grant), Some(until)),
        Some(Standing::Over { .. }) | None => (None, None),
    };
    ShownSession {
        user: session.user.clone(),
        service: session.service.clone(),
        rhost: session.rhost.clone(),
        session: session.logind_id.clone(),
        governed,
        exempt: session.exempt,
        grant,
        not_after,
    }
}

fn show(held: &HeldGrant, now: Timestamp) -> ShownGrant {
    ShownGrant {
        grant: held.grant.clone(),
        state: held.state(now),
        source: held.source.name().into(),
        revoked_at: held.revoked.as_ref().map(|revoked| revoked.at),
        problem: account_problem(held, now),
    }
}

/// Why a grant that has not ended opens nothing, whatever its window says.
fn account_problem(held: &HeldGrant, now: Timestamp) -> Option<String> {
    let problem = held.holder.lasting_problem(held.grant.user.as_str());
    problem.filter(|_| held.state(now) != State::Ended)
}

/// What an operator must know, in sentences.
fn problems(agent: &Agent, now: Timestamp) -> Vec<String> {
    let grants = agent.grants.borrow();
    let config = agent.config_problem.borrow().clone();
    let config = config.map(|problem| format!("{problem}; the last usable configuration is in force"));
    let aside = grants.local().set_aside().map(|SetAside { path, problem }| {
        format!("the store of local grants could not be read ({problem}); it was set aside as {}", path.display())
    });
    let refused =
        grants.local().refused().iter().map(|refused| format!("a local grant is refused: {}", refused.problem));
    let unwritable = agent.unwritable.borrow();
    let unwritable = unwritable.iter().map(|(id, failed)| format!("grant {id} gives no sudo: {}", failed.problem));
    let unstored = grants.unstored();
    let unstored = unstored.map(|problem| format!("a revocation holds and could not be stored: {problem}"));
    let deadline = agent.deadline.problem();
    let deadline = deadline.map(|problem| format!("PID 1 does not keep the next end, should the agent die: {problem}"));
    let endpoint = endpoint::problems(agent, &grants);
    let accounts = grants.held().iter().filter(|held| held.listing != Listing::Superseded);
    let accounts = accounts.filter_map(|held| {
        let problem = account_problem(held, now)?;
        Some(format!("grant {} opens nothing: {problem}; revoke it, and grant anew where that is meant", held.grant.id))
    });
    let local = aside.into_iter().chain(unstored).chain(refused).chain(unwritable);
    let local = local.chain(accounts).chain(sudo_view::problems(agent));
    let clock = agent.clock.problem(agent.tell_the_time());
    let open = unwired::open(&agent.config.borrow());
    let open = open.into_iter().map(|service| unwired::tell(&service));
    config
        .into_iter()
        .chain(exempt_list::problem())
        .chain(open)
        .chain(agent.opened.problems())
        .chain(clock)
        .chain(deadline)
        .chain(endpoint)
        .chain(local)
        .collect()
}

/// `is_missing`: the user database has no such user.
fn why(agent: &Agent, question: &WhyQuestion, is_missing: bool) -> Result<WhyAnswer, ErrorReply> {
    let judged = agent.grants.borrow().judged_name(&question.user).to_owned();
    let config = agent.config.borrow();
    let elevates = config.elevation_services.contains(&question.service);
    if !config.services().any(|service| *service == question.service) {
        let known = config.services().map(String::as_str).collect::<Vec<_>>().join(" ");
        let problem = format!("{:?} is not judged on this host; these are: {known}", question.service);
        return Err(ErrorReply::bad_parameter("service", &problem));
    }
    if let Some((option, problem)) = question.contradiction(elevates, &config.login_services) {
        return Err(ErrorReply::bad_parameter(option, &problem));
    }
    let (path, arguments) = match &question.command {
        Some(command) => command.split_once(' ').unwrap_or((command, "")),
        None => ("", ""),
    };
    // A bare name, and a path that may lead anywhere, stand for themselves.
    let paths = Some(path).filter(|path| path.starts_with('/')).map(written).filter(|paths| !paths.is_empty());
    let paths = paths.unwrap_or_else(|| vec![path.to_owned()]);
    let command = match (&question.command, question.service.as_str()) {
        (_, service) if runs_anything(service) => WantedCommand::Any,
        (Some(_), _) => WantedCommand::Program { paths: &paths, arguments },
        (None, _) => WantedCommand::Unknown,
    };
    let request = if elevates {
        Request::Elevation { user: &judged, scope: Elevation { run_as: None, command } }
    } else if config.background_services.contains(&question.service) {
        Request::Background { user: &judged }
    } else {
        Request::Login { user: &judged, service: &question.service, from: question.from.as_deref() }
    };
    // The PAM module asks nobody then.
    let by_another_name = !elevates && accounts::is_exempt_by_another_name(agent, &question.user);
    if exempt::passes(&question.user, &question.service, elevates) || by_another_name {
        return Ok(exempt_answer(&question.user));
    }
    let now = agent.now();
    let at = question.at.unwrap_or(now);
    let grants = agent.grants.borrow();
    let mut answer = match question.at {
        None => explain(&request, grants.of(&judged), at, agent.bars(at)),
        // At another time, windows are what they say, however far they have come by now.
        Some(_) => {
            let then = |held: &HeldGrant| HeldGrant { reached: None, barred: false, ..held.clone() };
            explain(&request, &grants.of(&judged).iter().map(then).collect::<Vec<_>>(), at, agent.bars(at))
        }
    };
    if is_missing {
        answer = no_effect::of_nobody(answer, &question.user);
    }
    answer.enforced = agent.mode() == Mode::Enforce && agent.is_asked_about(&question.service);
    Ok(match answer.enforced {
        true => answer,
        false => no_effect::unenforced(answer, agent.is_asked_about(&question.service)),
    })
}

fn exempt_answer(user: &str) -> WhyAnswer {
    WhyAnswer {
        verdict: "permit".into(),
        reason_code: Some("exempt".into()),
        grant: None,
        not_after: None,
        changes_at: None,
        explanation: format!("{user} is exempt, and passes at any time"),
        enforced: true,
        next: format!("That changes only in the exempt list, {}.", exempt::EXEMPT_LIST),
        beside: None,
    }
}

fn explain(request: &Request<'_>, grants: &[HeldGrant], at: Timestamp, bars: Bars) -> WhyAnswer {
    match admit(request, grants, at, bars) {
        Verdict::Permit { grant, until } => WhyAnswer {
            verdict: "permit".into(),
            reason_code: None,
            grant: Some(grant.grant.id.to_string()),
            not_after: Some(until),
            changes_at: Some(until),
            explanation: format!("grant {} covers it", grant.grant.id),
            enforced: true,
            next: wording::AFTER_A_PERMIT.into(),
            beside: None,
        },
        Verdict::Deny { reason, nearest, opens } => WhyAnswer {
            verdict: "deny".into(),
            reason_code: Some(reason.name().into()),
            grant: nearest.map(|held| held.grant.id.to_string()),
            not_after: None,
            changes_at: opens,
            explanation: wording::denial_reason(reason, nearest, opens, request),
            enforced: true,
            next: wording::what_changes(reason, nearest, opens),
            beside: others_may_permit(request, grants, at, bars).map(wording::other_rules),
        },
    }
}

/// Whose command other sudo rules may permit that no grant covers: with a live grant of sudo for anything, that is for sudo to say. Without one,
/// PAM denies it whatever the rules are.
fn others_may_permit<'r>(request: &Request<'r>, grants: &[HeldGrant], at: Timestamp, bars: Bars) -> Option<&'r str> {
    let Request::Elevation { user, scope: Elevation { command: WantedCommand::Program { .. }, .. } } = request else {
        return None;
    };
    let of_anything = Elevation { run_as: None, command: WantedCommand::Unknown };
    let request = Request::Elevation { user, scope: of_anything };
    matches!(admit(&request, grants, at, bars), Verdict::Permit { .. }).then_some(user)
}

async fn grant(agent: &Agent, peer: &Peer, order: GrantOrder) -> Result<Granted, ErrorReply> {
    // The person behind root's shell is who asks and who approves.
    let person = person::behind(agent, peer).await;
    match accounts::look_up(agent, order.user.as_str()).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(ErrorReply::bad_parameter("user", &format!("there is no user {} on this host", order.user)));
        }
        Err(problem) => return Err(ErrorReply::failed(&format!("user {} can't be looked up: {problem}", order.user))),
    }
    for name in order.sudo.iter().flat_map(|sudo| &sudo.run_as) {
        check_run_as(name).await?;
    }
    let commands = order.sudo.as_ref().map(|sudo| sudo.commands.clone()).unwrap_or_default();
    let Findings { problems, mut warnings } = program_check::examine(commands).await;
    if !problems.is_empty() && !order.unchecked {
        return Err(ErrorReply::bad_parameter("command", &refused_commands(&problems)));
    }
    let reading = agent.tell_the_time();
    if let Some(problem) = agent.clock.problem(reading) {
        return Err(ErrorReply::failed(&problem));
    }
    let grant = compose(order, &person, reading.wall)?;
    // A clock that stands wrong makes nobody forget a grant.
    let known = agent.clock.floor(reading.boot).unwrap_or(reading.wall);
    agent.grants.borrow_mut().add(grant.clone(), known).map_err(|error| ErrorReply::failed(&error.to_string()))?;
    let held = HeldGrant::new(grant.clone(), Source::Local);
    let granted = held.entry(Event::LocalGranted).with(Field::Actor, person).with(Field::Pid, peer.pid);
    agent.audit.write(granted.with(Field::Unchecked, problems.clone()));
    // Whoever reads the answer uses what was granted.
    let mut no_sudo_yet = settle(agent, &[grant.id.to_string()]).await.pop().map(|(_, why)| why);
    if no_sudo_yet.is_none() && grant.sudo.is_some() {
        agent.sudo_view.settled(grant.user.as_str()).await;
        no_sudo_yet = agent.sudo_view.problem(grant.id.as_str());
    }
    warnings.extend(no_effect::for_exempt(agent, &grant));
    warnings.extend(problems.into_iter().map(|problem| format!("taken unchecked: {problem}")));
    Ok(Granted { grant, no_sudo_yet, warnings, not_in_force: no_effect::of_every_grant(agent) })
}

/// Whoever makes a user of that name later would not be whom the grant means.
async fn check_run_as(name: &LoginName) -> Result<(), ErrorReply> {
    // For a local account, root above all, no directory has to answer.
    if users::local(0, name.as_str()).is_some() {
        return Ok(());
    }
    match users::home(name.as_str()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ErrorReply::bad_parameter(
            "run_as",
            &format!("there is no user {name} on this host to run commands as"),
        )),
        Err(problem) => Err(ErrorReply::failed(&format!("user {name} can't be looked up: {problem}"))),
    }
}

fn refused_commands(problems: &[String]) -> String {
    format!(
        "{}. Whoever can put a program there would be root: grant one that only root can write, or add --unchecked",
        problems.join("; ")
    )
}

/// Makes a grant of an order; the same checks as for any other grant.
fn compose(order: GrantOrder, person: &str, now: Timestamp) -> Result<Grant, ErrorReply> {
    let length = Duration::from_secs(order.seconds);
    if length.is_zero() || length > LONGEST_GRANT {
        let problem = format!("{} s; a grant holds for a second at least and a year at most", order.seconds);
        return Err(ErrorReply::bad_parameter("seconds", &problem));
    }
    let login = order.login.map(|it| LoginAccess { services: once_each(it.services), from: once_each(it.from) });
    let sudo = order.sudo.map(|it| SudoAccess { run_as: once_each(it.run_as), commands: once_each(it.commands) });
    // Whole seconds, as people and sudoers write them; never less than was asked for.
    let whole = |mode| now.round(jiff::TimestampRound::new().smallest(jiff::Unit::Second).mode(mode)).unwrap_or(now);
    let (begin, end) = (whole(jiff::RoundMode::Floor), whole(jiff::RoundMode::Ceil));
    let window = end.checked_add(length).ok().and_then(|end| Window::new(begin, end).ok());
    let Some(window) = window else {
        return Err(ErrorReply::bad_parameter(
            "seconds",
            &format!("{} s from now is past the calendar", order.seconds),
        ));
    };
    let grant = json!({
        "id": ulid::Ulid::generate().to_string(),
        "user": order.user,
        "not_before": window.not_before(),
        "not_after": window.not_after(),
        "login": login,
        "sudo": sudo,
        "reason": order.reason,
        "ticket": order.ticket,
        "requested_by": person,
        "approved_by": [person],
    });
    Grant::from_value(&grant).map_err(|error| ErrorReply::bad_parameter("grant", &error.to_string()))
}

/// A list without what it has already.
fn once_each<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

async fn revoke(agent: &Agent, peer: &Peer, order: Revoke) -> Result<Revoked, ErrorReply> {
    let person = person::behind_at_once(agent, peer).await;
    let revocation = Revocation { at: agent.now(), reason: order.reason.clone() };
    let revoked = agent.grants.borrow_mut().revoke(&order.id, revocation).map_err(|error| match error {
        StoreError::Unknown(_) => ErrorReply::bad_parameter("id", &error.to_string()),
        other => ErrorReply::failed(&other.to_string()),
    })?;
    agent.audit.write(revocation_entry(&revoked, &person).with(Field::Pid, peer.pid));
    // Its sudo rule goes with the look, and what it had opened is struck.
    let id = revoked.grant.id.as_str();
    settle(agent, &[]).await;
    let rule_stays = sudoers::is_in_place(id).then(|| format!("its sudo rule is still in {}", wiring::DROP_IN_FOLDER));
    let unstored = agent.grants.borrow().unstored().map(str::to_owned);
    Ok(Revoked { grant: revoked.grant, unstored, rule_stays })
}

/// Who revoked it, and why where they said so: the reason for the grant is none for its end.
fn revocation_entry(revoked: &HeldGrant, person: &str) -> Entry {
    let mut entry = revoked.entry(Event::LocalRevoked).with(Field::Actor, person);
    entry.fields.remove(&Field::Reason);
    let reason = revoked.revoked.as_ref().and_then(|revocation| revocation.reason.as_ref());
    entry.with(Field::Reason, reason.map(|reason| reason.as_str().to_owned()))
}

fn clock(agent: &Agent) -> ShownClock {
    let reading = agent.tell_the_time();
    let problem = agent.clock.problem(reading);
    let (known, steps) = (agent.clock.floor(reading.boot), agent.clock.steps());
    ShownClock { wall: reading.wall, known, proven: problem.is_none(), problem, steps }
}

async fn accept_clock(agent: &Agent, peer: &Peer, order: AcceptClock) -> Result<ShownClock, ErrorReply> {
    let person = person::behind(agent, peer).await;
    agent.accept_the_clock(&person, order.reason.as_ref().map(Text::as_str));
    Ok(clock(agent))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_granted_once() {
        let order: GrantOrder = serde_json::from_value(json!({
            "user": "alice", "seconds": 60, "reason": "x", "login": {"from": ["10.0.0.0/8", "10.0.0.0/8"]},
            "sudo": {"run_as": ["root", "bob", "root"], "commands": ["ALL", "ALL"]},
        }))
        .unwrap();
        let grant = compose(order, "root", Timestamp::UNIX_EPOCH).unwrap();
        let (login, sudo) = (grant.login.unwrap(), grant.sudo.unwrap());
        assert_eq!((login.from.len(), sudo.commands.len()), (1, 1));
        assert_eq!(sudo.run_as.iter().map(LoginName::as_str).collect::<Vec<_>>(), ["root", "bob"]);
    }

    #[test]
    fn a_time_out_of_bounds_is_refused_whoever_asks() {
        for (seconds, is_taken) in
            [(0, false), (1, true), (366 * 86_400, true), (366 * 86_400 + 1, false), (u64::MAX, false)]
        {
            let order = json!({"user": "alice", "seconds": seconds, "reason": "x", "login": {}});
            let order: GrantOrder = serde_json::from_value(order).unwrap();
            assert_eq!(compose(order, "root", Timestamp::UNIX_EPOCH).is_ok(), is_taken, "{seconds}");
        }
    }

    #[test]
    fn a_revocation_is_told_of_who_revoked_and_without_the_reason_for_the_grant() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        }));
        let mut held = HeldGrant::new(grant.unwrap(), Source::Local);
        for reason in [None, Some("done")] {
            let at = Timestamp::UNIX_EPOCH;
            held.revoked = Some(Revocation { at, reason: reason.map(|reason| reason.parse().unwrap()) });
            let entry = revocation_entry(&held, "carol");
            assert_eq!(entry.text(Field::Actor).as_deref(), Some("carol"));
            assert_eq!(entry.text(Field::Reason).as_deref(), reason);
        }
    }
    #[test]
    fn other_sudo_rules_are_named_where_pam_lets_them_permit_the_command() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "sudo": {"commands": ["/usr/bin/id"]}, "reason": "INC-1", "requested_by": "a", "approved_by": ["bob"]
        }));
        let grants = [HeldGrant::new(grant.unwrap(), Source::Local)];
        let beside = |command: WantedCommand<'_>, at: &str| {
            let request = Request::Elevation { user: "alice", scope: Elevation { run_as: None, command } };
            explain(&request, &grants, at.parse().unwrap(), Bars::default()).beside
        };
        let (live, over) = ("2026-11-21T20:10:00Z", "2026-11-21T20:40:00Z");
        let [covered, other] = ["/usr/bin/id", "/usr/bin/cat"].map(|path| vec![path.to_owned()]);
        let of = |paths| WantedCommand::Program { paths, arguments: "" };
        assert!(beside(of(&other), live).unwrap().ends_with("sudo -l -U alice"));
        assert_eq!(beside(of(&covered), live), None);
        // Whoever has no sudo at all is denied whatever the rules are, and su does not ask them.
        assert_eq!(beside(of(&other), over), None);
        assert_eq!(beside(WantedCommand::Any, live), None);
    }
}
