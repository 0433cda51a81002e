//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::notice::{self, Next};
use super::{accounts, departure, over, residue, sudoers};
use crate::agent::{Agent, Unwritable};
use crate::clock;
use crate::deadline::End;
use crate::grant::{HeldGrant, State};
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
    let reading = agent.tell_the_time();
    let now = reading.wall;
    let next_by_boot = agent.bar(reading);
    let begins = agent.update_in_force();
    let asked_next = accounts::follow(agent);
    // The end comes first: everything else can wait a moment for it.
    over::end_uncovered(agent, now);
    agent.grants.borrow_mut().store_again();
    agent.announce(now);
    sudoers::fit_to_sudo(agent);
    remove_drop_ins(agent, now);
    over::note_closed(agent);
    departure::start(agent);
    let mut next = Next(next_window(agent, now));
    next_by_boot.into_iter().for_each(|end| next.at(reading.wall_at(end)));
    asked_next.into_iter().for_each(|soon| next.at(now + soon));
    notice::give(agent, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        agent.openings.all();
    }
    write_drop_ins(agent, now, &mut next);
    residue::follow(agent, now);
    let end = next_end(agent, now).map(|at| End::new(at, next_by_boot, reading));
    agent.deadline.set(end, agent.ending.borrow().is_empty());
    next.0
}

/// When the next window opens or closes, or those of the endpoint's grants may not open any more.
fn next_window(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let grants = agent.grants.borrow();
    let times = grants.held().iter().filter(|held| held.revoked.is_none());
    let times = times.flat_map(|held| [held.grant.window.not_before(), held.end()]);
    times.chain(grants.endpoint().facts().map(|facts| facts.opens_until)).filter(|&time| time > now).min()
}

/// When the next grant ends.
fn next_end(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let grants = agent.grants.borrow();
    grants.held().iter().filter(|held| held.state(now) != State::Ended).map(HeldGrant::end).min()
}

fn remove_drop_ins(agent: &Agent, now: Timestamp) {
    let grants = agent.grants.borrow();
    let in_force = agent.in_force.borrow().holds();
    let wanted: HashSet<&str> =
        sudoers::wanted(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    for id in sudoers::remove_unwanted(Path::new(sudoers::FOLDER), &wanted) {
        agent.rules.borrow_mut().note_removed(&id);
        agent.write_under(Some(&id), Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str()));
    }
}

/// Writes the drop-ins that are missing, one after the other, in a task of its own. What failed is tried again after a while.
fn write_drop_ins(agent: &Rc<Agent>, now: Timestamp, next: &mut Next) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let grants = agent.grants.borrow();
    let missing = sudoers::to_write(&grants, now)
        .filter(|held| !sudoers::is_current(agent, held))
        .map(|held| held.grant.id.to_string())
        .filter(|id| !agent.writing.borrow().contains(id));
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
    let writer = Rc::clone(agent);
    agent.work_on(async move {
        residue::before_sudo(&writer, &ids).await;
        for id in ids {
            write_drop_in(&writer, &id).await;
            writer.writing.borrow_mut().remove(&id);
        }
    });
}

async fn write_drop_in(agent: &Agent, id: &str) {
    let Some(held) = agent.grants.borrow().find(id).cloned() else { return };
    let password = agent.config.borrow().sudo_password;
    agent.sudo.settled().await;
    let sudo = agent.sudo.identity();
    let uid = sudoers::uid_of(&agent.grants.borrow(), &held);
    let checked = sudoers::check(&agent.sudo, Path::new(sudoers::FOLDER), &held, uid, password).await;
    // It may have been revoked, or switched off, or sudo exchanged, while visudo looked: from here on nothing waits.
    let still_wanted = agent.in_force.borrow().holds()
        && agent.sudo.identity() == sudo
        && sudoers::to_write(&agent.grants.borrow(), clock::now())
            .any(|it| it.grant.id.as_str() == id && it.content == held.content && it.uid() == held.uid());
    if !still_wanted || sudoers::is_current(agent, &held) {
        return;
    }
    match checked.and_then(sudoers::Checked::put) {
        Ok(()) => {
            agent.written.borrow_mut().insert(id.to_owned(), held.content);
            held.uid().into_iter().for_each(|uid| agent.rules.borrow_mut().note_written(id, uid));
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
