//! What has expired: found, ended, followed up and forgotten, session by session.

use super::closing::{forget_session, write_under};
use super::kill::target::Target;
use super::kill::{self, Ending};
use super::terminations::{Terminations, how_it_ended};
use crate::grant::decision::ReasonCode;
use crate::host::processes::ProcessId;
use crate::sessions::last_words::{self, Access};
use crate::sessions::outlook::{Outlook, outlook};
use crate::sessions::run::Elevation;
use crate::sessions::run_groups;
use crate::sessions::standing::Standing;
use curfew_protocol::audit::{Event, Field};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Why something ended.
struct Why {
    reason: ReasonCode,
    /// Since when no grant covers it.
    ended: Timestamp,
    /// The grant to which it was owed last.
    owed_to: Option<String>,
    /// Where that is so of a run that it is within, which.
    outer: Option<String>,
    /// How its grant ended.
    how: Option<String>,
}

/// Kills what no grant covers, and follows it up in a task of its own.
pub fn end_uncovered(terminations: &Rc<Terminations>, now: Timestamp) {
    let mut endings = Vec::new();
    let mut why = Vec::new();
    {
        let grants = terminations.ledger.grants();
        let sessions = terminations.sessions.borrow();
        let mut ending = terminations.ending.borrow_mut();
        for session in sessions.sessions().iter().filter(|session| !session.is_left_alone()) {
            let standing = session.standing(grants.of(&session.user), now);
            let Standing::Over { reason, ended } = standing else { continue };
            let grant = last_words::grant_of_session(session, grants.of(&session.user), now);
            let is_ours = session.struck || terminations.status.governs(&session.service, session.opened_us);
            if is_ours && ending.insert(session.leader) {
                let words = (session.told.end != Some(ended)).then(|| {
                    last_words::at_the_end(Access::Login, &terminations.settings.host, grant.as_deref(), reason)
                });
                endings.push(Ending::new(Target::Session(session.clone())).with_words(words));
                let owed_to = session.owed_to(&standing, grants.of(&session.user), now);
                let how = how_it_ended(&grants, &standing, grant.as_deref(), None);
                why.push(Why { reason, ended, owed_to, outer: None, how });
            }
        }
        // Whose login ends has been told.
        let logins: HashSet<u32> = sessions
            .sessions()
            .iter()
            .filter(|session| ending.contains(&session.leader))
            .filter_map(|session| session.audit_session)
            .collect();
        // What opened while Curfew only observed is left alone, like what a grant covers.
        let is_ours = |run: &Elevation| run.struck || terminations.status.governs(&run.claim.service, run.opened_us);
        // Each is asked once, however many end together.
        let outlooks: HashMap<ProcessId, Outlook> = sessions
            .elevations()
            .iter()
            .map(|run| {
                (
                    run.root,
                    outlook(&terminations.ledger, &|service, at| terminations.status.governs(service, at), run, now),
                )
            })
            .collect();
        let is_covered = |outlook: &Outlook| matches!(outlook.standing, Standing::Covered { .. });
        let covered = |run: &Elevation| !is_ours(run) || outlooks.get(&run.root).is_some_and(is_covered);
        for run in sessions.elevations() {
            let Some(Outlook { standing, grant, reason: outer }) = outlooks.get(&run.root) else { continue };
            let Standing::Over { reason, ended } = standing else { continue };
            if is_ours(run) && ending.insert(run.root) {
                let is_told = run.gone || run.told_end == Some(*ended);
                let with_login = run.audit_session.is_some_and(|session| logins.contains(&session));
                let words = (!is_told && !with_login).then(|| {
                    last_words::at_the_end(Access::Sudo, &terminations.settings.host, grant.as_deref(), *reason)
                });
                endings.push(Ending::new(Target::of_run(&sessions, run, covered)).with_words(words));
                let owed_to = run.claim.owed_to(grants.of(&run.claim.user), now);
                let how = how_it_ended(&grants, standing, grant.as_deref(), outer.as_deref());
                why.push(Why { reason: *reason, ended: *ended, owed_to, outer: outer.clone(), how });
            }
        }
    }
    if !endings.is_empty() {
        kill::strike_groups(&mut endings);
        note_struck(terminations, &endings);
        terminations.trigger.spawn_tracked(finish(Rc::clone(terminations), endings, why));
    }
}

/// Should this agent die now, the next one finishes it.
fn note_struck(terminations: &Terminations, endings: &[Ending]) {
    let mut sessions = terminations.sessions.borrow_mut();
    for ending in endings {
        match ending.target() {
            Target::Session(session) => sessions.update_session(session.leader, |it| it.struck = true),
            Target::Elevation { ended, .. } => sessions.update_elevation(ended.root, |it| it.struck = true),
            Target::Person { .. } => {}
        }
    }
}

/// Follows the kills up until nothing is left, and audits what came of them.
async fn finish(terminations: Rc<Terminations>, mut endings: Vec<Ending>, why: Vec<Why>) {
    kill::follow_up(&mut endings).await;
    for (ending, Why { reason, ended, owed_to, outer, how }) in endings.iter().zip(why) {
        let entry = match ending.target() {
            Target::Session(session) => Some(session.entry(Event::SessionTerminated)),
            // A run of sudo that had finished by itself needs no record of its end.
            Target::Elevation { ended, .. } if ending.killed_any() => Some(ended.entry(Event::SudoTerminated)),
            Target::Elevation { .. } | Target::Person { .. } => None,
        };
        if let Some(entry) = entry {
            let entry = entry.with(Field::ReasonCode, reason.name()).with(Field::Reason, outer).with(Field::End, how);
            let entry = ending.report(entry, ended);
            write_under(&terminations, owed_to, entry);
        }
        forget(&terminations, ending);
    }
    terminations.trigger.pull();
    let ids = endings.iter().filter_map(|ending| match ending.target() {
        Target::Session(session) => session.logind_id.as_ref(),
        Target::Elevation { .. } | Target::Person { .. } => None,
    });
    // Each by itself: one that logind is slow to forget holds up no other.
    join_all(ids.map(|id| forget_at_logind(&terminations, id))).await;
}

async fn forget_at_logind(terminations: &Terminations, id: &str) {
    // logind may know no session any more, or not be there: nothing of it runs in any case.
    if let Err(error) = terminations.logind.terminate(id).await {
        tracing::debug!(session = %id, "logind did not end the session: {error}");
    }
}

/// Forgets what was ended. What survived stays known, and is struck again at the next look.
fn forget(terminations: &Terminations, ending: &Ending) {
    match ending.target() {
        Target::Session(session) => {
            if ending.is_done() {
                forget_session(terminations, session);
            }
            terminations.ending.borrow_mut().remove(&session.leader);
        }
        Target::Elevation { ended, .. } => {
            if ending.is_done() {
                ended.group.iter().for_each(run_groups::remove);
                terminations.sessions.borrow_mut().remove_elevation(ended.root);
            }
            terminations.ending.borrow_mut().remove(&ended.root);
        }
        Target::Person { .. } => {}
    }
}
