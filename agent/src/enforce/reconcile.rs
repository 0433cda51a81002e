//! Reconciling: what the grants say now, compared with what is open on the host, and the difference mended.
//!
//! Every trigger calls [`reconcile`]: a new or revoked grant, a session that opened or closed, the alarm, a step of the clock, a
//! reload, a start. It never waits: what takes time (visudo, following up a kill, logind) goes on in tasks of its own
//! and triggers it again.

use super::adoption::Adoption;
use super::deadline::End;
use super::departure::Departures;
use super::drop_ins::DropIns;
use super::noninteractive::Noninteractive;
use super::notice::{self, Next};
use super::status::EnforcementStatus;
use super::terminations::Terminations;
use super::{closing, departure, drop_ins, noninteractive, terminate};
use crate::grant::ledger::Ledger;
use crate::grant::resolver::{self, Resolver};
use crate::grant::stores::Grants;
use crate::grant::{HeldGrant, State};
use crate::host::selinux;
use crate::residue::{self, Residue};
use crate::settings::Settings;
use jiff::Timestamp;
use std::rc::Rc;
use std::time::Instant;

/// What enforcement works with. Each part owns what is under way of it.
pub struct Enforcer {
    /// What is set.
    pub settings: Rc<Settings>,
    /// The grants, and how far they have come.
    pub ledger: Rc<Ledger>,
    /// Who asks what the names of people stand for.
    pub resolver: Rc<Resolver>,
    /// How enforcement stands.
    pub status: Rc<EnforcementStatus>,
    /// What ends.
    pub terminations: Rc<Terminations>,
    /// The people of whom something ended.
    pub departures: Rc<Departures>,
    /// Who adopts logins.
    pub adoption: Rc<Adoption>,
    /// The drop-ins.
    pub drop_ins: Rc<DropIns>,
    /// What sudo is told of those who would be denied under `-n`.
    pub noninteractive: Rc<Noninteractive>,
    /// The looks at the host before and after sudo.
    pub residue: Rc<Residue>,
}

/// Mends the difference, and returns when there is something to do next.
pub fn reconcile(enforcer: &Enforcer) -> Option<Timestamp> {
    let reading = enforcer.ledger.read_clocks();
    let now = reading.wall;
    let next_by_boot = enforcer.ledger.bar(reading);
    let begins = enforcer.status.update();
    let asked_next = resolver::follow(&enforcer.resolver);
    // The end comes first: everything else can wait a moment for it.
    terminate::end_uncovered(&enforcer.terminations, now);
    enforcer.ledger.grants_mut().store_again();
    enforcer.ledger.announce(now);
    drop_ins::fit_to_sudo(&enforcer.drop_ins);
    drop_ins::remove_unwanted(&enforcer.ledger, now);
    closing::note_closed(&enforcer.terminations);
    departure::start(&enforcer.departures);
    let mut next = Next(next_window(&enforcer.ledger.grants(), now));
    next_by_boot.into_iter().for_each(|end| next.at(reading.wall_at(end)));
    asked_next.into_iter().for_each(|soon| next.at(now + soon));
    notice::give(&enforcer.terminations, now, &mut next);
    if begins {
        // What is open now was open before: logind lists it, and it is left alone.
        enforcer.adoption.openings.all();
    }
    drop_ins::write::write_missing(&enforcer.drop_ins, now, &mut next);
    noninteractive::keep(&enforcer.noninteractive, now);
    residue::follow(&enforcer.residue, enforcer.terminations.are_under_way(), now);
    look_at_access_paths(&enforcer.settings, &enforcer.status);
    let end = next_end(&enforcer.ledger.grants(), now).map(|at| End::new(at, next_by_boot, reading));
    enforcer.status.deadline.set(end, !enforcer.terminations.are_under_way());
    next.0
}

/// Has somebody look, now and then, whether more lets people in than did when Curfew was enabled.
fn look_at_access_paths(settings: &Settings, status: &Rc<EnforcementStatus>) {
    if status.is_wired() && status.opened.is_due(Instant::now()) && !selinux::is_loaded() {
        let (status, config) = (Rc::clone(status), settings.config().clone());
        tokio::task::spawn_local(async move { status.opened.look(config).await });
    }
}

/// When the next window opens or closes, or those of the endpoint's grants may not open any more.
fn next_window(grants: &Grants, now: Timestamp) -> Option<Timestamp> {
    let times = grants.held().iter().filter(|held| held.revoked.is_none());
    let times = times.flat_map(|held| [held.grant.window.not_before(), held.end()]);
    times.chain(grants.endpoint().facts().map(|facts| facts.opens_until)).filter(|&time| time > now).min()
}

/// When the next grant ends.
fn next_end(grants: &Grants, now: Timestamp) -> Option<Timestamp> {
    grants.held().iter().filter(|held| held.state(now) != State::Ended).map(HeldGrant::end).min()
}
