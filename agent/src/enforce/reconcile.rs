//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::ending::{self, Ending, Target};
use super::processes::{self, Process, ProcessId};
use super::sessions::{Elevation, Session};
use super::{sudoers, terminals};
use crate::agent::Agent;
use crate::clock;
use crate::human;
use crate::request::decision::{Elevation as Scoped, ReasonCode, Request, Verdict, decide, lapsed};
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(agent: &Rc<Agent>) -> Option<Timestamp> {
    let now = clock::now();
    agent.announce(now);
    let begins = agent.update_in_force();
    remove_drop_ins(agent, now);
    note_closed(agent);
    end_uncovered(agent, now);
    let mut next = Next(next_window(agent, now));
    tell_and_hang_up(agent, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        agent.session_opened.notify_one();
    }
    write_drop_ins(agent, now);
    next.0
}

/// The earliest of several times.
struct Next(Option<Timestamp>);

impl Next {
    fn at(&mut self, at: Timestamp) {
        self.0 = Some(self.0.map_or(at, |before| before.min(at)));
    }
}

/// When the next window opens or closes.
fn next_window(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let grants = agent.grants.borrow();
    let times = grants.held().iter().filter(|held| held.revoked.is_none());
    times.flat_map(|held| [held.grant.window.not_before(), held.end()]).filter(|&time| time > now).min()
}

fn remove_drop_ins(agent: &Agent, now: Timestamp) {
    let grants = agent.grants.borrow();
    let in_force = agent.in_force.borrow().holds();
    let wanted: HashSet<&str> =
        sudoers::wanted(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    for id in sudoers::remove_unwanted(Path::new(sudoers::FOLDER), &wanted) {
        agent.write_under(Some(&id), Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str()));
    }
}

/// Writes the drop-ins that are missing, one after the other, in a task of its own.
fn write_drop_ins(agent: &Rc<Agent>, now: Timestamp) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let grants = agent.grants.borrow();
    let missing =
        |id: &str| !Path::new(sudoers::FOLDER).join(id).exists() && !agent.unwritable.borrow().contains_key(id);
    let ids: Vec<String> =
        sudoers::wanted(grants.held(), now).map(|held| held.grant.id.to_string()).filter(|id| missing(id)).collect();
    if ids.is_empty() {
        return;
    }
    let agent = Rc::clone(agent);
    tokio::task::spawn_local(async move {
        for id in ids {
            write_drop_in(&agent, &id).await;
        }
    });
}

async fn write_drop_in(agent: &Agent, id: &str) {
    let Some(held) = agent.grants.borrow().find(id).cloned() else { return };
    let password = agent.config.borrow().sudo_password;
    let checked = sudoers::check(Path::new(sudoers::FOLDER), &held, password).await;
    // It may have been revoked, or switched off, while visudo looked: from here on nothing waits.
    let still_wanted = agent.in_force.borrow().holds()
        && sudoers::wanted(agent.grants.borrow().held(), clock::now()).any(|held| held.grant.id.as_str() == id);
    let path = Path::new(sudoers::FOLDER).join(id);
    if !still_wanted || path.exists() {
        return;
    }
    match checked.and_then(sudoers::Checked::put) {
        Ok(()) => agent.audit.write(held.entry(Event::SudoersWritten)),
        Err(error) => {
            let problem = error.to_string();
            tracing::error!(
                grant = id,
                "a sudo drop-in could not be written; sudo gives nothing by this grant: {error}"
            );
            agent.audit.write(
                Entry::new(Event::GrantRefused)
                    .with(Field::Grant, id)
                    .with(Field::User, held.grant.user.as_str())
                    .with(Field::Reason, format!("no sudo by this grant: {problem}")),
            );
            agent.unwritable.borrow_mut().insert(id.to_owned(), problem);
        }
    }
}

/// Audits the sessions whose first process is gone. What they left behind is watched until it is gone, too.
fn note_closed(agent: &Agent) {
    let ending = agent.ending.borrow();
    let closed = agent.sessions.borrow_mut().take_closed();
    for session in closed.iter().filter(|session| !ending.contains(&session.leader)) {
        agent.write_under(session.grant.as_deref(), session.entry(Event::SessionClosed));
    }
    let gone = |session: &&Session| {
        session.closed && !ending.contains(&session.leader) && Target::Session((*session).clone()).find().is_empty()
    };
    let gone: Vec<ProcessId> =
        agent.sessions.borrow().sessions().iter().filter(gone).map(|session| session.leader).collect();
    gone.into_iter().for_each(|leader| agent.sessions.borrow_mut().remove_session(leader));
    forget_finished_elevations(agent, &ending);
}

/// Forgets the runs of sudo and su of which nothing is left.
fn forget_finished_elevations(agent: &Agent, ending: &HashSet<ProcessId>) {
    let finished = |sessions: &crate::enforce::sessions::Sessions| -> Vec<ProcessId> {
        let over = |run: &&Elevation| !run.root.lives() && !ending.contains(&run.root);
        let over = sessions.elevations().iter().filter(over);
        over.filter(|run| elevation_target(sessions, run, |_| true).find().is_empty()).map(|run| run.root).collect()
    };
    let finished = finished(&agent.sessions.borrow());
    finished.into_iter().for_each(|root| agent.sessions.borrow_mut().remove_elevation(root));
}

fn elevation_target(
    sessions: &crate::enforce::sessions::Sessions,
    ended: &Elevation,
    covered: impl Fn(&Elevation) -> bool,
) -> Target {
    let others = sessions.elevations().iter().filter(|other| other.root != ended.root && covered(other));
    Target::Elevation {
        ended: ended.clone(),
        covered: others.map(|other| other.root).collect(),
        leaders: sessions.sessions().iter().map(|session| session.leader).collect(),
    }
}

/// Kills what no grant covers, and follows it up in a task of its own.
fn end_uncovered(agent: &Rc<Agent>, now: Timestamp) {
    let mut endings = Vec::new();
    {
        let grants = agent.grants.borrow();
        let sessions = agent.sessions.borrow();
        let mut ending = agent.ending.borrow_mut();
        let denied = |request: &Request<'_>| match decide(request, grants.held(), now) {
            Verdict::Permit { .. } => None,
            Verdict::Deny { reason, .. } => Some(reason),
        };
        for session in sessions.sessions() {
            let Some(reason) = denied(&session.request()) else { continue };
            if agent.governs(&session.service, session.opened_us) && ending.insert(session.leader) {
                let ended = lapsed(&session.request(), grants.held(), now);
                endings.push((Ending::begin(Target::Session(session.clone())), reason, ended));
            }
        }
        for elevation in sessions.elevations() {
            let Some(reason) = denied(&elevation.request()) else { continue };
            if agent.governs(&elevation.service, elevation.opened_us) && ending.insert(elevation.root) {
                let ended = lapsed(&elevation.request(), grants.held(), now);
                let covered = |other: &Elevation| denied(&other.request()).is_none();
                endings.push((Ending::begin(elevation_target(&sessions, elevation, covered)), reason, ended));
            }
        }
    }
    if !endings.is_empty() {
        tokio::task::spawn_local(finish(Rc::clone(agent), endings));
    }
}

/// Follows the kills up until nothing is left, and audits what came of them.
async fn finish(agent: Rc<Agent>, endings: Vec<(Ending, ReasonCode, Timestamp)>) {
    let (mut endings, reasons): (Vec<Ending>, Vec<(ReasonCode, Timestamp)>) =
        endings.into_iter().map(|(ending, reason, ended)| (ending, (reason, ended))).unzip();
    ending::follow_up(&mut endings).await;
    let now = clock::now();
    for (ending, (reason, ended)) in endings.iter().zip(reasons) {
        let entry = match ending.target() {
            Target::Session(session) => Some((session.entry(Event::SessionTerminated), &session.grant)),
            // A run of sudo that had finished by itself needs no record of its end.
            Target::Elevation { ended, .. } if ending.killed_any() => {
                Some((ended.entry(Event::SudoTerminated), &ended.grant))
            }
            Target::Elevation { .. } => None,
        };
        if let Some((entry, grant)) = entry {
            let entry = ending.report(entry.with(Field::ReasonCode, reason.name()), ended, now);
            agent.write_under(grant.as_deref(), entry);
        }
        forget(&agent, ending).await;
    }
    agent.changed.notify_one();
}

/// Forgets what was ended. What survived stays known, and is struck again at the next look.
async fn forget(agent: &Agent, ending: &Ending) {
    match ending.target() {
        Target::Session(session) => {
            if ending.is_done() {
                agent.sessions.borrow_mut().remove_session(session.leader);
            }
            agent.ending.borrow_mut().remove(&session.leader);
            if let Some(id) = &session.logind_id {
                // logind may know no session any more, or not be there: nothing of it runs in any case.
                if let Err(error) = agent.logind.terminate(id).await {
                    tracing::debug!(session = %id, "logind did not end the session: {error}");
                }
            }
        }
        Target::Elevation { ended, .. } => {
            if ending.is_done() {
                agent.sessions.borrow_mut().remove_elevation(ended.root);
            }
            agent.ending.borrow_mut().remove(&ended.root);
        }
    }
}

/// Warns people of the end of their access, and hangs their programs up shortly before it.
fn tell_and_hang_up(agent: &Agent, now: Timestamp, next: &mut Next) {
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
