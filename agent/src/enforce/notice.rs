//! Notice of the end: warnings on people's terminals, and HUP and TERM for their programs shortly before it.

use super::ending::Target;
use super::processes::{self, Process};
use super::sessions::{Elevation, Session};
use super::terminals;
use crate::agent::Agent;
use crate::human;
use crate::request::decision::{Elevation as Scoped, Request, Verdict, decide};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::time::Duration;

/// The earliest of several times.
pub struct Next(pub Option<Timestamp>);

impl Next {
    /// There is something to do at `at`, too.
    pub fn at(&mut self, at: Timestamp) {
        self.0 = Some(self.0.map_or(at, |before| before.min(at)));
    }
}

/// Warns people of the end of their access, and hangs their programs up shortly before it.
pub fn give(agent: &Agent, now: Timestamp, next: &mut Next) {
    let sessions: Vec<Session> = agent.sessions.borrow().sessions().to_vec();
    for session in sessions.iter().filter(|it| !it.closed && agent.governs(&it.service, it.opened_us)) {
        let login_end = covered_until(agent, &session.request(), now);
        if let Some((grant, until)) = &login_end {
            warn(agent, session, Access::Login, grant, *until, now, next);
            hang_up_session(agent, session, *until, now, next);
        }
        let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
        if let Some((grant, until)) = covered_until(agent, &elevation, now) {
            // Where both end together, one warning says it all.
            if login_end.as_ref().is_none_or(|(_, login_end)| *login_end > until) {
                warn(agent, session, Access::Sudo, &grant, until, now, next);
            }
        }
    }
    let elevations: Vec<Elevation> = agent.sessions.borrow().elevations().to_vec();
    for elevation in elevations.iter().filter(|it| agent.governs(&it.service, it.opened_us)) {
        if let Some((_, until)) = covered_until(agent, &elevation.request(), now) {
            hang_up_elevation(agent, elevation, until, now, next);
        }
    }
}

fn covered_until(agent: &Agent, request: &Request<'_>, now: Timestamp) -> Option<(String, Timestamp)> {
    match decide(request, agent.grants.borrow().held(), now) {
        Verdict::Permit { grant, until } => Some((grant.grant.id.to_string(), until)),
        Verdict::Deny { .. } => None,
    }
}

/// What a warning is about.
#[derive(Clone, Copy)]
enum Access {
    Login,
    Sudo,
}

fn warn(
    agent: &Agent,
    session: &Session,
    access: Access,
    grant: &str,
    until: Timestamp,
    now: Timestamp,
    next: &mut Next,
) {
    let told = match access {
        Access::Login => session.told.login,
        Access::Sudo => session.told.sudo,
    };
    // Nothing was said of another end.
    let told = told.filter(|(end, _)| *end == until).map(|(_, before)| before);
    let config = agent.config.borrow();
    let due = config.warn_before.iter().filter(|&&before| told.is_none_or(|told| before < told));
    let (passed, coming): (Vec<Duration>, Vec<Duration>) = due.partition(|&&before| until - before <= now);
    if let Some(&soonest) = coming.iter().max() {
        next.at(until - soonest);
    }
    let Some(&shortest) = passed.iter().min() else { return };
    let what = match access {
        Access::Login => "access to",
        Access::Sudo => "sudo on",
    };
    let (host, left, end) = (&agent.host, human::left(now, until + Duration::from_millis(500)), human::time(until));
    let message = format!("Curfew: your {what} {host} ends in {left}, at {end} (grant {grant}). Save your work.");
    terminals::warn(&Target::Session(session.clone()).find(), &message);
    agent.sessions.borrow_mut().update_session(session.leader, |session| match access {
        Access::Login => session.told.login = Some((until, shortest)),
        Access::Sudo => session.told.sudo = Some((until, shortest)),
    });
}

/// HUP and TERM for the programs of a session, not for the connection: people see the end come.
fn hang_up_session(agent: &Agent, session: &Session, until: Timestamp, now: Timestamp, next: &mut Next) {
    if !hang_up_is_due(agent, session.hung_up_for, until, now, next) {
        return;
    }
    let found = Target::Session(session.clone()).find();
    let leader = found.iter().find(|process| process.id == session.leader).map(|leader| leader.name.clone());
    let connection = |process: &&Process| Some(&process.name) != leader.as_ref();
    hang_up(found.iter().filter(connection));
    agent.sessions.borrow_mut().update_session(session.leader, |session| session.hung_up_for = Some(until));
}

fn hang_up_elevation(agent: &Agent, elevation: &Elevation, until: Timestamp, now: Timestamp, next: &mut Next) {
    if !hang_up_is_due(agent, elevation.hung_up_for, until, now, next) {
        return;
    }
    let table = processes::all();
    let tree = processes::tree(&table, elevation.root);
    hang_up(table.iter().filter(|process| tree.contains(&process.id)));
    agent.sessions.borrow_mut().update_elevation(elevation.root, |elevation| elevation.hung_up_for = Some(until));
}

fn hang_up_is_due(
    agent: &Agent,
    done_for: Option<Timestamp>,
    until: Timestamp,
    now: Timestamp,
    next: &mut Next,
) -> bool {
    let at = until - agent.config.borrow().grace;
    if done_for == Some(until) {
        return false;
    }
    if at > now {
        next.at(at);
    }
    at <= now
}

fn hang_up<'a>(processes: impl Iterator<Item = &'a Process>) {
    for process in processes {
        process.signal(Signal::SIGHUP);
        process.signal(Signal::SIGTERM);
    }
}
