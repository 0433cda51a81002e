//! What is over: found, ended, followed up and forgotten, session by session.

use super::ending::{self, Ending, Target};
use super::processes::{ProcessId, Table};
use super::sessions::{Elevation, Session, Sessions, Standing};
use crate::agent::Agent;
use crate::request::decision::ReasonCode;
use curfew_protocol::audit::{Event, Field};
use jiff::Timestamp;
use std::collections::HashSet;
use std::rc::Rc;

/// Audits the sessions whose first process is gone. What they left behind is watched until it is gone, too.
pub fn note_closed(agent: &Agent) {
    let ending = agent.ending.borrow();
    let closed = agent.sessions.borrow_mut().take_closed();
    for session in closed.iter().filter(|session| !session.exempt && !ending.contains(&session.leader)) {
        agent.write_under(session.grant.as_deref(), session.entry(Event::SessionClosed));
    }
    let (sessions, elevations) = finished(&agent.sessions.borrow(), &ending);
    sessions.iter().for_each(|session| forget_session(agent, session));
    elevations.into_iter().for_each(|root| agent.sessions.borrow_mut().remove_elevation(root));
}

/// The logins and the runs of sudo and su of which nothing is left. What can't be seen is not gone.
fn finished(sessions: &Sessions, ending: &HashSet<ProcessId>) -> (Vec<Session>, Vec<ProcessId>) {
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
        closed.iter().filter(|it| gone(Target::Session((**it).clone()))).map(|it| (*it).clone()).collect(),
        over.iter().filter(|run| gone(elevation_target(sessions, run, |_| true))).map(|run| run.root).collect(),
    )
}

fn elevation_target(sessions: &Sessions, ended: &Elevation, covered: impl Fn(&Elevation) -> bool) -> Target {
    let others = sessions.elevations().iter().filter(|other| other.root != ended.root && covered(other));
    let same = |session: &&Session| session.audit_session.is_some() && session.audit_session == ended.audit_session;
    let leaders = sessions.sessions().iter().filter(same).map(|session| session.leader).collect();
    Target::Elevation { ended: ended.clone(), covered: others.map(|other| other.root).collect(), leaders }
}

/// Kills what no grant covers, and follows it up in a task of its own.
pub fn end_uncovered(agent: &Rc<Agent>, now: Timestamp) {
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
        agent.work_on(finish(Rc::clone(agent), endings, why));
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
            Target::Elevation { .. } | Target::Person { .. } => None,
        };
        if let Some((entry, grant)) = entry {
            let entry = ending.report(entry.with(Field::ReasonCode, reason.name()), ended);
            agent.write_under(grant.as_deref(), entry);
        }
        forget(&agent, ending);
    }
    agent.changed.notify_one();
    let ids = endings.iter().filter_map(|ending| match ending.target() {
        Target::Session(session) => session.logind_id.as_ref(),
        Target::Elevation { .. } | Target::Person { .. } => None,
    });
    for id in ids {
        // logind may know no session any more, or not be there: nothing of it runs in any case.
        if let Err(error) = agent.logind.terminate(id).await {
            tracing::debug!(session = %id, "logind did not end the session: {error}");
        }
    }
}

/// Forgets what was ended. What survived stays known, and is struck again at the next look.
fn forget(agent: &Agent, ending: &Ending) {
    match ending.target() {
        Target::Session(session) => {
            if ending.is_done() {
                forget_session(agent, session);
            }
            agent.ending.borrow_mut().remove(&session.leader);
        }
        Target::Elevation { ended, .. } => {
            if ending.is_done() {
                agent.sessions.borrow_mut().remove_elevation(ended.root);
            }
            agent.ending.borrow_mut().remove(&ended.root);
        }
        Target::Person { .. } => {}
    }
}

/// Nothing is left of the session. If it was the person's last, what they have elsewhere is looked at.
fn forget_session(agent: &Agent, session: &Session) {
    agent.sessions.borrow_mut().remove_session(session.leader);
    agent.departing.borrow_mut().insert(session.user.clone());
}
