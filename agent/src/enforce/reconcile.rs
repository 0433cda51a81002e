//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::ending::{self, Ending, Target};
use super::notice::{self, Next};
use super::processes::ProcessId;
use super::sessions::{Elevation, Session, Sessions};
use super::sudoers;
use crate::agent::Agent;
use crate::clock;
use crate::request::decision::{ReasonCode, Request, Verdict, decide, lapsed};
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(agent: &Rc<Agent>) -> Option<Timestamp> {
    let now = clock::now();
    let begins = agent.update_in_force();
    // The end comes first: everything else can wait a moment for it.
    end_uncovered(agent, now);
    agent.announce(now);
    remove_drop_ins(agent, now);
    note_closed(agent);
    let mut next = Next(next_window(agent, now));
    notice::give(agent, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        agent.session_opened.notify_one();
    }
    write_drop_ins(agent, now);
    next.0
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
    let finished = |sessions: &Sessions| -> Vec<ProcessId> {
        let over = |run: &&Elevation| !run.root.lives() && !ending.contains(&run.root);
        let over = sessions.elevations().iter().filter(over);
        over.filter(|run| elevation_target(sessions, run, |_| true).find().is_empty()).map(|run| run.root).collect()
    };
    let finished = finished(&agent.sessions.borrow());
    finished.into_iter().for_each(|root| agent.sessions.borrow_mut().remove_elevation(root));
}

fn elevation_target(
    sessions: &Sessions,
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
