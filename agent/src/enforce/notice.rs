//! Notice of the end: warnings on people's terminals, and HUP and TERM for their programs shortly before it.

use super::ending::Target;
use super::processes::{Process, Table};
use super::sessions::{Elevation, Session, Standing};
use super::terminals;
use crate::agent::Agent;
use crate::human;
use crate::request::decision::{Elevation as Scoped, Request};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::cell::OnceCell;
use std::time::Duration;

/// The earliest of several times.
pub struct Next(pub Option<Timestamp>);

impl Next {
    /// There is something to do at `at`, too.
    pub fn at(&mut self, at: Timestamp) {
        self.0 = Some(self.0.map_or(at, |before| before.min(at)));
    }
}

/// Gives notice to everybody who is to have it at `now`, and notes in `next` when there is more to give.
pub fn give(agent: &Agent, now: Timestamp, next: &mut Next) {
    let mut round = Round { agent, now, next, table: OnceCell::new() };
    let sessions: Vec<Session> = agent.sessions.borrow().sessions().to_vec();
    let governed = |it: &&Session| !it.closed && !it.exempt && agent.governs(&it.service, it.opened_us);
    sessions.iter().filter(governed).for_each(|session| round.session(session));
    let elevations: Vec<Elevation> = agent.sessions.borrow().elevations().to_vec();
    let governed = |it: &&Elevation| agent.governs(&it.service, it.opened_us);
    elevations.iter().filter(governed).for_each(|elevation| round.elevation(elevation));
}

/// One round of notices.
struct Round<'a> {
    agent: &'a Agent,
    now: Timestamp,
    next: &'a mut Next,
    /// One look at the processes serves all, and is only taken where somebody is to have notice.
    table: OnceCell<Table>,
}

/// What a warning is about.
#[derive(Clone, Copy)]
enum Access {
    Login,
    Sudo,
}

impl Round<'_> {
    fn session(&mut self, session: &Session) {
        let login = session.standing(self.agent.grants.borrow().of(&session.user), self.now);
        if let Standing::Covered { grant, until } = &login {
            self.warn(session, Access::Login, grant, *until);
            self.hang_up_session(session, *until);
        }
        let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
        let sudo = Standing::of(&elevation, self.agent.grants.borrow().of(&session.user), self.now);
        if let Standing::Covered { grant, until } = &sudo {
            // Where both end together, one warning says it all.
            let said = matches!(&login, Standing::Covered { until: login_end, .. } if login_end <= until);
            if !said {
                self.warn(session, Access::Sudo, grant, *until);
            }
        }
    }

    fn elevation(&mut self, elevation: &Elevation) {
        let standing = elevation.standing(self.agent.grants.borrow().of(&elevation.user), self.now);
        let Standing::Covered { until, .. } = standing else { return };
        if self.hang_up_is_due(elevation.hung_up_for, until) {
            let tree = self.table().tree(elevation.root);
            hang_up(self.table().iter().filter(|process| tree.contains(&process.id)));
            let mut sessions = self.agent.sessions.borrow_mut();
            sessions.update_elevation(elevation.root, |elevation| elevation.hung_up_for = Some(until));
        }
    }

    fn warn(&mut self, session: &Session, access: Access, grant: &str, until: Timestamp) {
        let told = match access {
            Access::Login => session.told.login,
            Access::Sudo => session.told.sudo,
        };
        // Nothing was said of another end.
        let told = told.filter(|(end, _)| *end == until).map(|(_, before)| before);
        let warn_before = self.agent.config.borrow().warn_before.clone();
        let due = warn_before.into_iter().filter(|&before| told.is_none_or(|told| before < told));
        let (passed, coming): (Vec<Duration>, Vec<Duration>) = due.partition(|&before| until - before <= self.now);
        if let Some(&soonest) = coming.iter().max() {
            self.next.at(until - soonest);
        }
        let Some(&shortest) = passed.iter().min() else { return };
        terminals::warn(&self.processes_of(session), &self.warning(access, grant, until));
        self.agent.sessions.borrow_mut().update_session(session.leader, |session| match access {
            Access::Login => session.told.login = Some((until, shortest)),
            Access::Sudo => session.told.sudo = Some((until, shortest)),
        });
    }

    fn warning(&self, access: Access, grant: &str, until: Timestamp) -> String {
        let what = match access {
            Access::Login => "access to",
            Access::Sudo => "sudo on",
        };
        // A warning comes a moment late: half a second more makes the minute whole again.
        let left = human::left(self.now, until + Duration::from_millis(500));
        let (host, end) = (&self.agent.host, human::time(until));
        format!("Curfew: your {what} {host} ends in {left}, at {end} (grant {grant}). Save your work.")
    }

    /// HUP and TERM for the programs of a session, not for the connection: people see the end come.
    fn hang_up_session(&mut self, session: &Session, until: Timestamp) {
        if !self.hang_up_is_due(session.hung_up_for, until) {
            return;
        }
        let found = self.processes_of(session);
        let leader = found.iter().find(|process| process.id == session.leader).map(|leader| leader.name.clone());
        hang_up(found.iter().filter(|process| Some(&process.name) != leader.as_ref()));
        let mut sessions = self.agent.sessions.borrow_mut();
        sessions.update_session(session.leader, |session| session.hung_up_for = Some(until));
    }

    fn hang_up_is_due(&mut self, done_for: Option<Timestamp>, until: Timestamp) -> bool {
        let at = until - self.agent.config.borrow().grace;
        if done_for == Some(until) {
            return false;
        }
        if at > self.now {
            self.next.at(at);
        }
        at <= self.now
    }

    fn processes_of(&self, session: &Session) -> Vec<Process> {
        Target::Session(session.clone()).find(self.table()).unwrap_or_default()
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            Table::read().unwrap_or_else(|error| {
                tracing::error!("nobody can be given notice, since the processes can't be listed: {error}");
                Table::default()
            })
        })
    }
}

fn hang_up<'a>(processes: impl Iterator<Item = &'a Process>) {
    for process in processes {
        process.signal(Signal::SIGHUP);
        process.signal(Signal::SIGTERM);
    }
}
