//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::deadline::End;
use super::notice::{self, Next};
use super::{accounts, closing, departure, drop_ins, noninteractive, terminate};
use crate::agent::Agent;
use crate::grant::{HeldGrant, State};
use crate::host::selinux;
use crate::residue;
use jiff::Timestamp;
use std::rc::Rc;
use std::time::Instant;

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(agent: &Rc<Agent>) -> Option<Timestamp> {
    let reading = agent.ledger.read_clocks();
    let now = reading.wall;
    let next_by_boot = agent.ledger.bar(reading);
    let begins = agent.update_in_force();
    let asked_next = accounts::follow(agent);
    // The end comes first: everything else can wait a moment for it.
    terminate::end_uncovered(agent, now);
    agent.ledger.grants_mut().store_again();
    agent.departing.borrow_mut().extend(agent.ledger.announce(now));
    drop_ins::fit_to_sudo(agent);
    drop_ins::remove_unwanted(&agent.ledger, now);
    closing::note_closed(agent);
    departure::start(agent);
    let mut next = Next(next_window(agent, now));
    next_by_boot.into_iter().for_each(|end| next.at(reading.wall_at(end)));
    asked_next.into_iter().for_each(|soon| next.at(now + soon));
    notice::give(agent, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        agent.openings.all();
    }
    drop_ins::write_missing(agent, now, &mut next);
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
        let (agent, config) = (Rc::clone(agent), agent.settings.config().clone());
        tokio::task::spawn_local(async move { agent.opened.look(config).await });
    }
}

/// When the next window opens or closes, or those of the endpoint's grants may not open any more.
fn next_window(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let grants = agent.ledger.grants();
    let times = grants.held().iter().filter(|held| held.revoked.is_none());
    let times = times.flat_map(|held| [held.grant.window.not_before(), held.end()]);
    times.chain(grants.endpoint().facts().map(|facts| facts.opens_until)).filter(|&time| time > now).min()
}

/// When the next grant ends.
fn next_end(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let grants = agent.ledger.grants();
    grants.held().iter().filter(|held| held.state(now) != State::Ended).map(HeldGrant::end).min()
}
