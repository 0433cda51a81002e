//! Notice of the end: warnings on people's terminals, and shortly before it the last words, with HUP and TERM for their programs.

use super::kill::target::Target;
use super::terminations::Terminations;
use crate::grant::decision::{Elevation as Scoped, Request};
use crate::host::apart;
use crate::host::process_table::{Table, Wanted};
use crate::host::processes::{Process, ProcessId};
use crate::host::terminals::Said;
use crate::human;
use crate::sessions::hung_up::HungUp;
use crate::sessions::last_words::{self, Access};
use crate::sessions::outlook::outlook;
use crate::sessions::run::Elevation;
use crate::sessions::session::Session;
use crate::sessions::standing::Standing;
use jiff::Timestamp;
use std::collections::HashMap;
use std::rc::Rc;
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
pub fn give(terminations: &Rc<Terminations>, now: Timestamp, next: &mut Next) {
    let mut round = Round { terminations, now, next, wanted: Wanted::default(), notices: Vec::new() };
    let sessions: Vec<Session> = terminations.sessions.borrow().sessions().to_vec();
    let governed =
        |it: &&Session| !it.closed && !it.is_left_alone() && terminations.status.governs(&it.service, it.opened_us);
    sessions.iter().filter(governed).for_each(|session| round.session(session));
    let elevations: Vec<Elevation> = terminations.sessions.borrow().elevations().to_vec();
    let governed = |it: &&Elevation| !it.gone && terminations.status.governs(&it.claim.service, it.opened_us);
    elevations.iter().filter(governed).for_each(|elevation| round.elevation(elevation));
    round.give();
}

/// What to tell whom of those who are found.
type Notice = Box<dyn FnOnce(&Table, &mut Given)>;

/// What was given in one round: nobody hears the same twice, and what had HUP and TERM for a login had them for the run of sudo in it, too.
#[derive(Default)]
struct Given {
    said: Said,
    hung_up: HashMap<ProcessId, String>,
}

/// One round of notices.
struct Round<'a> {
    terminations: &'a Rc<Terminations>,
    now: Timestamp,
    next: &'a mut Next,
    /// Whom to look for: one look serves all.
    wanted: Wanted,
    notices: Vec<Notice>,
}

impl Round<'_> {
    fn session(&mut self, session: &Session) {
        let login = session.standing(self.terminations.ledger.grants().of(&session.user), self.now);
        if let Standing::Covered { grant, until } = &login {
            self.warn(session, Access::Login, grant, *until);
            self.last_words_of_session(session, grant, *until);
            self.hang_up_session(session, *until);
        }
        let elevation = Request::Elevation { user: &session.user, scope: Scoped::default() };
        let sudo = Standing::of(&elevation, self.terminations.ledger.grants().of(&session.user), self.now);
        if let Standing::Covered { grant, until } = &sudo {
            // Where both end together, one warning says it all.
            let said = matches!(&login, Standing::Covered { until: login_end, .. } if login_end <= until);
            if !said {
                self.warn(session, Access::Sudo, grant, *until);
            }
        }
    }

    fn elevation(&mut self, elevation: &Elevation) {
        let standing = outlook(
            &self.terminations.ledger,
            &|service, at| self.terminations.status.governs(service, at),
            elevation,
            self.now,
        )
        .standing;
        let Standing::Covered { until, grant } = standing else { return };
        self.last_words_of_run(elevation, &grant, until);
        if self.hang_up_is_due(elevation.hung_up_for, until) {
            let (root, group, terminations) = (elevation.root, elevation.group.clone(), Rc::clone(self.terminations));
            let groups = group.iter().cloned().collect();
            self.tell(Wanted { groups, trees: vec![root], ..Wanted::default() }, move |table, given| {
                let mut started = table.tree(root);
                started.extend(group.and_then(|group| table.in_group(&group).ok()).into_iter().flatten());
                let hung_up = HungUp::send(table.iter().filter(|it| started.contains(&it.id)), &mut given.hung_up);
                terminations
                    .sessions
                    .borrow_mut()
                    .update_elevation(root, |elevation| elevation.hung_up.extend(hung_up));
            });
            let mut sessions = self.terminations.sessions.borrow_mut();
            sessions.update_elevation(elevation.root, |elevation| elevation.hung_up_for = Some(until));
        }
    }

    /// The last words to those in a session: its end is foreseen.
    fn last_words_of_session(&mut self, session: &Session, grant: &str, until: Timestamp) {
        if !self.last_words_are_due(session.told.end, until) {
            return;
        }
        let words = last_words::ahead(Access::Login, &self.terminations.settings.host, grant, until, self.now);
        let target = Target::Session(session.clone());
        self.tell(wanted_of(session), move |table, given| {
            given.said.say(&target.find(table).unwrap_or_default(), &words);
        });
        let mut sessions = self.terminations.sessions.borrow_mut();
        sessions.update_session(session.leader, |session| session.told.end = Some(until));
    }

    /// The last words to whoever runs sudo, on the terminal that they began it on, unless their login ends by then: that says it all.
    fn last_words_of_run(&mut self, run: &Elevation, grant: &str, until: Timestamp) {
        if self.ends_with_login(run, until) || !self.last_words_are_due(run.told_end, until) {
            return;
        }
        let words = last_words::ahead(Access::Sudo, &self.terminations.settings.host, grant, until, self.now);
        let root = run.root;
        self.tell(Wanted { trees: vec![root], ..Wanted::default() }, move |table, given| {
            let (mut line, tree) = (table.ancestors(root), table.tree(root));
            line.extend(tree);
            let line: Vec<Process> = table.iter().filter(|process| line.contains(&process.id)).cloned().collect();
            given.said.say(&line, &words);
        });
        let mut sessions = self.terminations.sessions.borrow_mut();
        sessions.update_elevation(root, |run| run.told_end = Some(until));
    }

    /// Whether the login that a run is in ends at `until`, or before.
    fn ends_with_login(&self, run: &Elevation, until: Timestamp) -> bool {
        let (sessions, grants) = (self.terminations.sessions.borrow(), self.terminations.ledger.grants());
        let same = |session: &&Session| session.audit_session.is_some() && session.audit_session == run.audit_session;
        let ends = |session: &Session| match session.standing(grants.of(&session.user), self.now) {
            Standing::Covered { until: end, .. } => end <= until,
            Standing::Over { .. } => true,
        };
        sessions.sessions().iter().filter(same).any(|session| !session.is_left_alone() && ends(session))
    }

    fn last_words_are_due(&mut self, told: Option<Timestamp>, until: Timestamp) -> bool {
        let at = until - self.terminations.settings.config().grace.max(last_words::AHEAD);
        self.is_due_once(told, at, until)
    }

    fn warn(&mut self, session: &Session, access: Access, grant: &str, until: Timestamp) {
        let told = match access {
            Access::Login => session.told.login,
            Access::Sudo => session.told.sudo,
        };
        // Nothing was said of another end.
        let told = told.filter(|(end, _)| *end == until).map(|(_, before)| before);
        let warn_before = self.terminations.settings.config().warn_before.clone();
        let due = warn_before.into_iter().filter(|&before| told.is_none_or(|told| before < told));
        let (passed, coming): (Vec<Duration>, Vec<Duration>) = due.partition(|&before| until - before <= self.now);
        if let Some(&soonest) = coming.iter().max() {
            self.next.at(until - soonest);
        }
        let Some(&shortest) = passed.iter().min() else { return };
        let (warning, target) = (self.warning(access, grant, until), Target::Session(session.clone()));
        self.tell(wanted_of(session), move |table, given| {
            given.said.say(&target.find(table).unwrap_or_default(), &warning);
        });
        self.terminations.sessions.borrow_mut().update_session(session.leader, |session| match access {
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
        let (host, end) = (&self.terminations.settings.host, human::time(until));
        format!("Curfew: your {what} {host} ends in {left}, at {end} (grant {grant}). Save your work.")
    }

    /// HUP and TERM for the programs of a session, not for the connection: people see the end come.
    fn hang_up_session(&mut self, session: &Session, until: Timestamp) {
        if !self.hang_up_is_due(session.hung_up_for, until) {
            return;
        }
        let (leader, target, terminations) =
            (session.leader, Target::Session(session.clone()), Rc::clone(self.terminations));
        self.tell(wanted_of(session), move |table, given| {
            let found = target.find(table).unwrap_or_default();
            let name = found.iter().find(|process| process.id == leader).map(|leader| leader.name.clone());
            let hung_up = HungUp::send(found.iter().filter(|it| Some(&it.name) != name.as_ref()), &mut given.hung_up);
            terminations.sessions.borrow_mut().update_session(leader, |session| session.hung_up.extend(hung_up));
        });
        let mut sessions = self.terminations.sessions.borrow_mut();
        sessions.update_session(session.leader, |session| session.hung_up_for = Some(until));
    }

    fn hang_up_is_due(&mut self, done_for: Option<Timestamp>, until: Timestamp) -> bool {
        let at = until - self.terminations.settings.config().grace;
        self.is_due_once(done_for, at, until)
    }

    /// Whether what is to be done once for an end is to be done now; else there is something to do then.
    fn is_due_once(&mut self, done_for: Option<Timestamp>, at: Timestamp, until: Timestamp) -> bool {
        if done_for == Some(until) {
            return false;
        }
        if at > self.now {
            self.next.at(at);
        }
        at <= self.now
    }

    fn tell(&mut self, wanted: Wanted, notice: impl FnOnce(&Table, &mut Given) + 'static) {
        self.wanted.extend([wanted]);
        self.notices.push(Box::new(notice));
    }

    /// Looks for those who are to have notice, and gives it, while everything else goes on.
    fn give(self) {
        let Self { terminations, wanted, notices, .. } = self;
        if notices.is_empty() {
            return;
        }
        terminations.trigger.spawn_tracked(async move {
            match apart::run(move || Table::look(&wanted)).await.flatten() {
                Ok(table) => {
                    let mut given = Given::default();
                    notices.into_iter().for_each(|notice| notice(&table, &mut given));
                }
                Err(error) => {
                    tracing::error!("nobody can be given notice, since the processes can't be listed: {error}");
                }
            }
        });
    }
}

/// Its scope holds all that is to have notice, where it has one: nothing else is looked for.
fn wanted_of(session: &Session) -> Wanted {
    let mut wanted = Target::Session(session.clone()).wanted();
    if !wanted.groups.is_empty() {
        wanted.audit_sessions.clear();
    }
    wanted
}
