//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::ending::{self, Ending, Target};
use super::notice::{self, Next};
use super::processes::{ProcessId, Table};
use super::sessions::{Elevation, Session, Sessions, Standing};
use super::sudoers;
use crate::agent::{Agent, Unwritable};
use crate::clock;
use crate::request::decision::ReasonCode;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How long after a failure a drop-in is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(agent: &Rc<Agent>) -> Option<Timestamp> {
    let now = clock::now();
    let begins = agent.update_in_force();
    // The end comes first: everything else can wait a moment for it.
    end_uncovered(agent, now);
    agent.grants.borrow_mut().store_again();
    agent.announce(now);
    remove_drop_ins(agent, now);
    note_closed(agent);
    let mut next = Next(next_window(agent, now));
    notice::give(agent, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        agent.session_opened.notify_one();
    }
    write_drop_ins(agent, now, &mut next);
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

/// Writes the drop-ins that are missing, one after the other, in a task of its own. What failed is tried again after a while.
fn write_drop_ins(agent: &Rc<Agent>, now: Timestamp, next: &mut Next) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let grants = agent.grants.borrow();
    let missing = sudoers::wanted(grants.held(), now)
        .map(|held| held.grant.id.to_string())
        .filter(|id| !Path::new(sudoers::FOLDER).join(id).exists() && !agent.writing.borrow().contains(id));
    let (later, ids): (Vec<String>, Vec<String>) = missing.partition(|id| match agent.unwritable.borrow().get(id) {
        Some(failed) if failed.again_at > now => {
            next.at(failed.again_at);
            true
        }
        _ => false,
    });
    let writing = agent.writing.borrow();
    agent.unwritable.borrow_mut().retain(|id, _| later.contains(id) || ids.contains(id) || writing.contains(id));
    drop(writing);
    if ids.is_empty() {
        return;
    }
    agent.writing.borrow_mut().extend(ids.iter().cloned());
    let agent = Rc::clone(agent);
    tokio::task::spawn_local(async move {
        for id in ids {
            write_drop_in(&agent, &id).await;
            agent.writing.borrow_mut().remove(&id);
        }
        agent.changed.notify_one();
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
        Ok(()) => {
            agent.unwritable.borrow_mut().remove(id);
            agent.audit.write(held.entry(Event::SudoersWritten));
        }
        Err(error) => {
            let problem = error.to_string();
            let again_at = clock::now() + TRIED_AGAIN_AFTER;
            let before =
                agent.unwritable.borrow_mut().insert(id.to_owned(), Unwritable { problem: problem.clone(), again_at });
            // Said once, however often it is tried.
            if before.is_none_or(|before| before.problem != problem) {
                tracing::error!("grant {id} gives no sudo, since its drop-in could not be written: {error}");
                agent.audit.write(
                    Entry::new(Event::GrantRefused)
                        .with(Field::Grant, id)
                        .with(Field::User, held.grant.user.as_str())
                        .with(Field::Reason, format!("no sudo by this grant: {problem}")),
                );
            }
        }
    }
}

/// Audits the sessions whose first process is gone. What they left behind is watched until it is gone, too.
fn note_closed(agent: &Agent) {
    let ending = agent.ending.borrow();
    let closed = agent.sessions.borrow_mut().take_closed();
    for session in closed.iter().filter(|session| !session.exempt && !ending.contains(&session.leader)) {
        agent.write_under(session.grant.as_deref(), session.entry(Event::SessionClosed));
    }
    let (sessions, elevations) = finished(&agent.sessions.borrow(), &ending);
    sessions.into_iter().for_each(|leader| agent.sessions.borrow_mut().remove_session(leader));
    elevations.into_iter().for_each(|root| agent.sessions.borrow_mut().remove_elevation(root));
}

/// The logins and the runs of sudo and su of which nothing is left. What can't be seen is not gone.
fn finished(sessions: &Sessions, ending: &HashSet<ProcessId>) -> (Vec<ProcessId>, Vec<ProcessId>) {
    let empty = |session: &&Session| session.scope().is_none_or(|scope| scope.is_empty().unwrap_or(false));
    let closed = sessions.sessions().iter().filter(|session| session.closed && !ending.contains(&session.leader));
    let closed: Vec<&Session> = closed.filter(empty).collect();
    let over = sessions.elevations().iter().filter(|run| !ending.contains(&run.root) && !run.root.lives());
    let over: Vec<&Elevation> = over.collect();
    if closed.is_empty() && over.is_empty() {
        return Default::default();
    }
    let Ok(table) = Table::read() else { return Default::default() };
    let gone = |target: Target| target.find(&table).is_ok_and(|found| found.is_empty());
    (
        closed.iter().filter(|it| gone(Target::Session((**it).clone()))).map(|it| it.leader).collect(),
        over.iter().filter(|run| gone(elevation_target(sessions, run, |_| true))).map(|run| run.root).collect(),
    )
}

fn elevation_target(sessions: &Sessions, ended: &Elevation, covered: impl Fn(&Elevation) -> bool) -> Target {
    let others = sessions.elevations().iter().filter(|other| other.root != ended.root && covered(other));
    Target::Elevation { ended: ended.clone(), covered: others.map(|other| other.root).collect() }
}

/// Kills what no grant covers, and follows it up in a task of its own.
fn end_uncovered(agent: &Rc<Agent>, now: Timestamp) {
    let mut endings = Vec::new();
    let mut why = Vec::new();
    {
        let grants = agent.grants.borrow();
        let sessions = agent.sessions.borrow();
        let mut ending = agent.ending.borrow_mut();
        for session in sessions.sessions().iter().filter(|session| !session.exempt) {
            let Standing::Over { reason, ended } = session.standing(grants.of(&session.user), now) else { continue };
            if agent.governs(&session.service, session.opened_us) && ending.insert(session.leader) {
                endings.push(Ending::new(Target::Session(session.clone())));
                why.push((reason, ended));
            }
        }
        let covered = |run: &Elevation| matches!(run.standing(grants.of(&run.user), now), Standing::Covered { .. });
        for run in sessions.elevations() {
            let Standing::Over { reason, ended } = run.standing(grants.of(&run.user), now) else { continue };
            if agent.governs(&run.service, run.opened_us) && ending.insert(run.root) {
                endings.push(Ending::new(elevation_target(&sessions, run, covered)));
                why.push((reason, ended));
            }
        }
    }
    if !endings.is_empty() {
        ending::strike_all(&mut endings);
        tokio::task::spawn_local(finish(Rc::clone(agent), endings, why));
    }
}

/// Follows the kills up until nothing is left, and audits what came of them.
async fn finish(agent: Rc<Agent>, mut endings: Vec<Ending>, why: Vec<(ReasonCode, Timestamp)>) {
    ending::follow_up(&mut endings).await;
    for (ending, (reason, ended)) in endings.iter().zip(why) {
        let entry = match ending.target() {
            Target::Session(session) => Some((session.entry(Event::SessionTerminated), &session.grant)),
            // A run of sudo that had finished by itself needs no record of its end.
            Target::Elevation { ended, .. } if ending.killed_any() => {
                Some((ended.entry(Event::SudoTerminated), &ended.grant))
            }
            Target::Elevation { .. } => None,
        };
        if let Some((entry, grant)) = entry {
            let entry = ending.report(entry.with(Field::ReasonCode, reason.name()), ended);
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
