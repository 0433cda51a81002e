//! Answers to people: grants, revocations, what is and why, the audit. Who may ask what is decided here, by the peer's
//! credentials alone.

use super::decision::{Elevation, Request, Verdict, WantedCommand, admit};
use super::endpoint;
use super::messages::{
    AcceptClock, AuditPage, GrantOrder, Revoke, Revoked, ShownClock, ShownGrant, ShownSession, Status, WhyAnswer,
    WhyQuestion,
};
use super::peer::Peer;
use super::server::{ErrorReply, RawCall, parameters};
use super::wording;
use crate::agent::Agent;
use crate::audit::{self, query};
use crate::config::Mode;
use crate::enforce::accounts;
use crate::grant::local::{SetAside, StoreError};
use crate::grant::{Bars, HeldGrant, Listing, Revocation, Source, State};
use crate::wiring::doors;
use crate::wiring::unconfirmed::Unconfirmed;
use curfew_protocol::audit::{Event, Field};
use curfew_protocol::exempt;
use curfew_protocol::grant::{Grant, Text, Window};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;

/// The description that varlinkctl(1) shows.
const INTERFACE: &str = include_str!("io.curfew.Agent.varlink");

/// How many records of the audit one answer carries.
const RECORDS_A_PAGE: usize = 500;

/// The longest local grant.
const LONGEST_GRANT: SignedDuration = SignedDuration::from_hours(366 * 24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
struct Described {
    interface: String,
}

/// Answers one call.
///
/// # Errors
///
/// The error reply.
pub async fn answer(agent: &Rc<Agent>, peer: &Peer, call: &RawCall) -> Result<Value, ErrorReply> {
    match call.method.as_str() {
        "io.curfew.Agent.Status" => {
            let Nothing {} = parameters(call)?;
            Ok(json!(status(agent, peer).await))
        }
        "io.curfew.Agent.Why" => why(agent, peer, parameters(call)?).await.map(|answer| json!(answer)),
        "io.curfew.Agent.Grant" => grant(agent, peer, parameters(call)?).await.map(|grant| json!({"grant": grant})),
        "io.curfew.Agent.Revoke" => revoke(agent, peer, parameters(call)?).map(|revoked| json!(revoked)),
        "io.curfew.Agent.Audit" => read_audit(peer, parameters(call)?).await.map(|page| json!(page)),
        "io.curfew.Agent.Reload" => {
            let Nothing {} = parameters(call)?;
            only_root(peer, "read the configuration again")?;
            agent.reload().map(|()| json!({})).map_err(|error| ErrorReply::failed(&error.to_string()))
        }
        "io.curfew.Agent.Clock" => {
            let Nothing {} = parameters(call)?;
            Ok(json!(clock(agent)))
        }
        "io.curfew.Agent.AcceptClock" => accept_clock(agent, peer, parameters(call)?).await.map(|clock| json!(clock)),
        method if endpoint::answers(method) => endpoint::answer(agent, peer, call).await,
        "io.curfew.Agent.Reconcile" => {
            let Nothing {} = parameters(call)?;
            only_root(peer, "have the agent look")?;
            agent.look_now().await;
            Ok(json!({}))
        }
        "org.varlink.service.GetInfo" => Ok(json!({
            "vendor": "Curfew", "product": "curfewd", "version": env!("CARGO_PKG_VERSION"), "url": env!("CARGO_PKG_REPOSITORY"),
            "interfaces": ["org.varlink.service", "io.curfew.Agent"],
        })),
        "org.varlink.service.GetInterfaceDescription" => {
            let described: Described = parameters(call)?;
            match described.interface.as_str() {
                "io.curfew.Agent" => Ok(json!({"description": INTERFACE})),
                other => Err(ErrorReply::bad_parameter("interface", &format!("there is no interface {other:?} here"))),
            }
        }
        other => Err(ErrorReply::unknown_method(other)),
    }
}

pub(super) fn only_root(peer: &Peer, what: &str) -> Result<(), ErrorReply> {
    if peer.is_root() { Ok(()) } else { Err(ErrorReply::not_permitted(&format!("only root may {what}"))) }
}

async fn status(agent: &Agent, peer: &Peer) -> Status {
    let name = if peer.is_root() { None } else { Some(peer.user().await.unwrap_or_default()) };
    let visible = |user: &str| name.as_deref().is_none_or(|name| name == user);
    let now = agent.now();
    let grants = agent.grants.borrow();
    let current = grants.held().iter().filter(|held| held.listing != Listing::Superseded);
    // One's own are those of every name of one's account.
    let own = |held: &HeldGrant| name.as_deref().is_none_or(|name| held.is_of(name));
    let shown: Vec<&HeldGrant> = current.filter(|held| own(held)).collect();
    let live = shown.iter().filter(|held| held.state(now) == State::Live);
    let sessions = agent.sessions.borrow();
    let open = sessions.sessions().iter().filter(|session| !session.closed && visible(&session.user));
    Status {
        host: agent.host.clone(),
        mode: agent.mode().name().into(),
        in_force: agent.in_force.borrow().holds(),
        next_end: live.map(|held| held.end()).min(),
        grants: shown.into_iter().map(|held| show(held, now)).collect(),
        set: agent.endpoint.show(grants.endpoint().facts(), now),
        confirm_by: Unconfirmed::load().ok().flatten().map(|unconfirmed| unconfirmed.until),
        problems: if peer.is_root() { problems(agent) } else { Vec::new() },
        sessions: open
            .map(|session| ShownSession {
                user: session.user.clone(),
                service: session.service.clone(),
                rhost: session.rhost.clone(),
                session: session.logind_id.clone(),
                governed: agent.governs(&session.service, session.opened_us),
            })
            .collect(),
    }
}

fn show(held: &HeldGrant, now: Timestamp) -> ShownGrant {
    ShownGrant {
        grant: held.grant.clone(),
        state: held.state(now),
        source: held.source.name().into(),
        revoked_at: held.revoked.as_ref().map(|revoked| revoked.at),
    }
}

/// What an operator must know, in sentences.
fn problems(agent: &Agent) -> Vec<String> {
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
    let local = aside.into_iter().chain(unstored).chain(refused).chain(unwritable);
    let clock = agent.clock.problem(agent.tell_the_time());
    let open = doors::open(&agent.config.borrow());
    let open = open.into_iter().map(|service| doors::tell(&service));
    config.into_iter().chain(open).chain(clock).chain(deadline).chain(endpoint).chain(local).collect()
}

async fn why(agent: &Agent, peer: &Peer, question: WhyQuestion) -> Result<WhyAnswer, ErrorReply> {
    if !peer.is_root() && peer.user().await.as_deref() != Some(&question.user) {
        return Err(ErrorReply::not_permitted("you may ask about yourself; only root may ask about others"));
    }
    if accounts::has_to_be_asked(agent, &question.user) {
        // Without an answer, it is judged by what is known.
        drop(accounts::look_up(agent, &question.user).await);
    }
    let judged = agent.grants.borrow().judged_name(&question.user).to_owned();
    let config = agent.config.borrow();
    let elevates = config.elevation_services.contains(&question.service);
    if !config.services().any(|service| *service == question.service) {
        let known = config.services().map(String::as_str).collect::<Vec<_>>().join(" ");
        let problem = format!("{:?} is not judged on this host; these are: {known}", question.service);
        return Err(ErrorReply::bad_parameter("service", &problem));
    }
    let (path, arguments) = match &question.command {
        Some(command) => command.split_once(' ').unwrap_or((command, "")),
        None => ("", ""),
    };
    let command = match (&question.command, question.service.as_str()) {
        (_, "su" | "su-l") => WantedCommand::Any,
        (Some(_), _) => WantedCommand::Program { path, arguments },
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
    let mut answer = explain(&request, agent.grants.borrow().of(&judged), at, agent.bars(at));
    if answer.verdict == "deny" && agent.mode() == Mode::Observe {
        answer.explanation += "; this host only observes, so it is not refused";
    }
    Ok(answer)
}

fn exempt_answer(user: &str) -> WhyAnswer {
    WhyAnswer {
        verdict: "permit".into(),
        reason_code: Some("exempt".into()),
        grant: None,
        not_after: None,
        changes_at: None,
        explanation: format!("{user} is exempt, and passes at any time"),
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
        },
        Verdict::Deny { reason, nearest, opens } => WhyAnswer {
            verdict: "deny".into(),
            reason_code: Some(reason.name().into()),
            grant: nearest.map(|held| held.grant.id.to_string()),
            not_after: None,
            changes_at: opens,
            explanation: wording::denial_reason(reason, nearest, opens, request),
        },
    }
}

async fn grant(agent: &Agent, peer: &Peer, order: GrantOrder) -> Result<Grant, ErrorReply> {
    only_root(peer, "grant")?;
    match accounts::look_up(agent, order.user.as_str()).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(ErrorReply::bad_parameter("user", &format!("there is no user {} on this host", order.user)));
        }
        Err(problem) => return Err(ErrorReply::failed(&format!("user {} can't be looked up: {problem}", order.user))),
    }
    // The person behind root's shell is who asks and who approves.
    let person = peer.person().await.unwrap_or_else(|| "root".into());
    let reading = agent.tell_the_time();
    if let Some(problem) = agent.clock.problem(reading) {
        return Err(ErrorReply::failed(&problem));
    }
    let grant = compose(order, &person, reading.wall)?;
    // A clock that stands wrong makes nobody forget a grant.
    let known = agent.clock.floor(reading.boot).unwrap_or(reading.wall);
    agent.grants.borrow_mut().add(grant.clone(), known).map_err(|error| ErrorReply::failed(&error.to_string()))?;
    let held = HeldGrant::new(grant.clone(), Source::Local);
    agent.audit.write(held.entry(Event::LocalGranted).with(Field::Pid, peer.pid));
    agent.audit.write(held.entry(Event::GrantReceived));
    agent.changed.notify_one();
    Ok(grant)
}

/// Makes a grant of an order; the same checks as for any other grant.
fn compose(order: GrantOrder, person: &str, now: Timestamp) -> Result<Grant, ErrorReply> {
    let length = i64::try_from(order.seconds).ok().map(SignedDuration::from_secs);
    let Some(length) = length.filter(|&it| it > SignedDuration::ZERO && it <= LONGEST_GRANT) else {
        let problem = format!("{} s; a grant holds for a second at least and a year at most", order.seconds);
        return Err(ErrorReply::bad_parameter("seconds", &problem));
    };
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
        "login": order.login,
        "sudo": order.sudo,
        "reason": order.reason,
        "ticket": order.ticket,
        "requested_by": person,
        "approved_by": [person],
    });
    Grant::from_value(&grant).map_err(|error| ErrorReply::bad_parameter("grant", &error.to_string()))
}

fn revoke(agent: &Agent, peer: &Peer, order: Revoke) -> Result<Revoked, ErrorReply> {
    only_root(peer, "revoke")?;
    let revocation = Revocation { at: agent.now(), reason: order.reason.clone() };
    let revoked = agent.grants.borrow_mut().revoke(&order.id, revocation).map_err(|error| match error {
        StoreError::Unknown(_) => ErrorReply::bad_parameter("id", &error.to_string()),
        other => ErrorReply::failed(&other.to_string()),
    })?;
    let mut entry = revoked.entry(Event::LocalRevoked);
    entry.fields.remove(&Field::Reason);
    let reason = order.reason.map(|reason| reason.as_str().to_owned());
    agent.audit.write(entry.with(Field::Reason, reason).with(Field::Pid, peer.pid));
    agent.changed.notify_one();
    Ok(Revoked { grant: revoked.grant, unstored: agent.grants.borrow().unstored().map(str::to_owned) })
}

fn clock(agent: &Agent) -> ShownClock {
    let reading = agent.tell_the_time();
    let problem = agent.clock.problem(reading);
    let (known, steps) = (agent.clock.floor(reading.boot), agent.clock.steps());
    ShownClock { wall: reading.wall, known, proven: problem.is_none(), problem, steps }
}

async fn accept_clock(agent: &Agent, peer: &Peer, order: AcceptClock) -> Result<ShownClock, ErrorReply> {
    only_root(peer, "take the clock as right")?;
    let person = peer.person().await.unwrap_or_else(|| "root".into());
    agent.accept_the_clock(&person, order.reason.as_ref().map(Text::as_str));
    Ok(clock(agent))
}

async fn read_audit(peer: &Peer, query: query::Query) -> Result<AuditPage, ErrorReply> {
    if !peer.is_auditor().await {
        return Err(ErrorReply::not_permitted("only root and members of systemd-journal or adm may read the audit"));
    }
    let read = move || query::run(Path::new(audit::FOLDER), &query, RECORDS_A_PAGE + 1);
    let failed = |what: String| ErrorReply::failed(&format!("the audit can't be read: {what}"));
    let mut records = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|(path, error)| failed(format!("{}: {error}", path.display())))?;
    let more = records.len() > RECORDS_A_PAGE;
    records.truncate(RECORDS_A_PAGE);
    Ok(AuditPage { records, more })
}
