//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::deadline::End;
use super::notice::{self, Next};
use super::{accounts, departure, noninteractive, sudoers, terminate};
use crate::agent::{Agent, Unwritable};
use crate::clock;
use crate::grant::held;
use crate::grant::{HeldGrant, State};
use crate::host::selinux;
use crate::residue;
use crate::wiring;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long after a failure a drop-in is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How many people's drop-ins are written at the same time. Those whose lookups hang are among them for a moment only.
const PEOPLE_AT_A_TIME: usize = 256;

/// How long whoever grants or revokes waits until that is so for sudo.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(agent: &Rc<Agent>) -> Option<Timestamp> {
    let reading = agent.tell_the_time();
    let now = reading.wall;
    let next_by_boot = agent.bar(reading);
    let begins = agent.update_in_force();
    let asked_next = accounts::follow(agent);
    // The end comes first: everything else can wait a moment for it.
    terminate::end_uncovered(agent, now);
    agent.grants.borrow_mut().store_again();
    agent.announce(now);
    sudoers::fit_to_sudo(agent);
    remove_drop_ins(agent, now);
    terminate::note_closed(agent);
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
    noninteractive::keep(agent, now);
    residue::follow(agent, now);
    look_at_access_paths(agent);
    let end = next_end(agent, now).map(|at| End::new(at, next_by_boot, reading));
    agent.deadline.set(end, agent.ending.borrow().is_empty());
    next.0
}

/// Has somebody look, now and then, whether more lets people in than did when Curfew was enabled.
fn look_at_access_paths(agent: &Rc<Agent>) {
    if agent.is_wired() && agent.opened.is_due(Instant::now()) && !selinux::is_loaded() {
        let (agent, config) = (Rc::clone(agent), agent.config.borrow().clone());
        tokio::task::spawn_local(async move { agent.opened.look(config).await });
    }
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
        held::with_rules(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    for id in sudoers::remove_unwanted(Path::new(wiring::DROP_IN_FOLDER), &wanted) {
        agent.rules.borrow_mut().note_removed(&id);
        agent.write_under(Some(&id), Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str()));
    }
}

/// Writes the drop-ins that are missing, each person's by themselves: nobody waits for somebody else's. What failed is tried again after a while.
fn write_drop_ins(agent: &Rc<Agent>, now: Timestamp, next: &mut Next) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let grants = agent.grants.borrow();
    let mut writing = agent.writing.borrow_mut();
    let mut unwritable = agent.unwritable.borrow_mut();
    let mut missing = HashSet::new();
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for held in sudoers::to_write(&grants, now).filter(|held| !sudoers::is_current(agent, held)) {
        let (id, user) = (held.grant.id.as_str(), held.grant.user.as_str());
        missing.insert(id);
        match (unwritable.get(id), writing.get_mut(user)) {
            (Some(failed), _) if failed.again_at > now => next.at(failed.again_at),
            (_, Some(more)) => *more = true,
            (_, None) => people.entry(user.to_owned()).or_default().push(id.to_owned()),
        }
    }
    unwritable.retain(|id, _| missing.contains(id.as_str()));
    if !people.is_empty() {
        writing.extend(people.keys().map(|user| (user.clone(), false)));
        agent.work_on(write_drop_ins_of_all(Rc::clone(agent), people));
    }
}

async fn write_drop_ins_of_all(agent: Rc<Agent>, people: BTreeMap<String, Vec<String>>) {
    let mut writers = JoinSet::new();
    for (user, ids) in people {
        if writers.len() >= PEOPLE_AT_A_TIME {
            writers.join_next().await;
        }
        writers.spawn_local(write_drop_ins_of(Rc::clone(&agent), user, ids));
    }
    while writers.join_next().await.is_some() {}
}

async fn write_drop_ins_of(agent: Rc<Agent>, user: String, ids: Vec<String>) {
    if residue::is_wanted(&agent, &ids) {
        let home = residue::home_of(&user).await;
        residue::first::begin(&agent, &ids, &home);
    }
    for id in &ids {
        write_drop_in(&agent, id).await;
        if !selinux::is_loaded() {
            agent.sudo_view.look_at(&user);
        }
        agent.settled.notify_waiters();
    }
    let more = agent.writing.borrow_mut().remove(&user).unwrap_or_default();
    if more || ids.iter().any(|id| agent.unwritable.borrow().contains_key(id)) {
        agent.changed.notify_one();
    }
}

async fn write_drop_in(agent: &Agent, id: &str) {
    let Some(held) = agent.grants.borrow().find(id).cloned() else { return };
    let password = agent.config.borrow().sudo_password;
    agent.sudo.settled().await;
    let sudo = agent.sudo.identity();
    let uid = sudoers::uid_of(&agent.grants.borrow(), &held);
    let checked = sudoers::check(&agent.sudo, Path::new(wiring::DROP_IN_FOLDER), &held, uid, password).await;
    residue::first::listed(agent, id).await;
    // It may have been revoked, or switched off, or sudo exchanged, while visudo looked: from here on nothing waits.
    let still_wanted = agent.in_force.borrow().holds()
        && agent.sudo.identity() == sudo
        && sudoers::to_write(&agent.grants.borrow(), clock::now())
            .any(|it| it.grant.id.as_str() == id && it.content == held.content && it.uid() == held.uid());
    if !still_wanted || sudoers::is_current(agent, &held) {
        return;
    }
    let put = checked.and_then(|checked| {
        residue::first::note_opening(agent, id);
        checked.put()
    });
    match put {
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

/// Has the enforcing loop look, and waits until sudo works by those of these grants that give it now, or is known not to, for a moment at
/// most. Returns by which it does not work yet, and why.
pub async fn settle(agent: &Agent, ids: &[String]) -> Vec<(String, String)> {
    let mut waiting: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let mut failed = Vec::new();
    let settling = async {
        agent.look_now().await;
        loop {
            let mut settled = std::pin::pin!(agent.settled.notified());
            settled.as_mut().enable();
            let now: Vec<(String, Standing)> = standings(agent, &waiting);
            waiting.retain(|id| now.iter().any(|(it, standing)| it == id && matches!(standing, Standing::Pending)));
            failed.extend(now.into_iter().filter_map(|(id, standing)| match standing {
                Standing::Failed(problem) => Some((id, problem)),
                Standing::Settled | Standing::Pending => None,
            }));
            if waiting.is_empty() {
                return;
            }
            settled.await;
        }
    };
    if tokio::time::timeout(SETTLED_WITHIN, settling).await.is_err() {
        let late = format!("its sudo rule could not be written within {SETTLED_WITHIN:?}; that goes on");
        failed.extend(waiting.into_iter().map(|id| (id.to_owned(), late.clone())));
    }
    failed
}

/// How far sudo by a grant has come.
enum Standing {
    /// It works, or is not to work now.
    Settled,
    /// It does not, for this reason.
    Failed(String),
    /// Its rule is being written.
    Pending,
}

fn standings(agent: &Agent, ids: &HashSet<&str>) -> Vec<(String, Standing)> {
    let (grants, now) = (agent.grants.borrow(), clock::now());
    let these = grants.held().iter().filter(|held| ids.contains(held.grant.id.as_str()));
    these.map(|held| (held.grant.id.to_string(), standing(agent, held, now))).collect()
}

fn standing(agent: &Agent, held: &HeldGrant, now: Timestamp) -> Standing {
    let gives_sudo = held.grant.sudo.is_some() && held.state(now) == State::Live;
    if !gives_sudo || !agent.in_force.borrow().holds() || sudoers::is_current(agent, held) {
        return Standing::Settled;
    }
    // Whose the rule would be is looked up first.
    let doubt = held.holder.problem(held.grant.user.as_str());
    if let Some(problem) = doubt {
        return Standing::Failed(problem);
    }
    match agent.unwritable.borrow().get(held.grant.id.as_str()) {
        Some(failed) if failed.again_at > now => Standing::Failed(failed.problem.clone()),
        _ => Standing::Pending,
    }
}
