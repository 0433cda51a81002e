//! What is ended, and how it is found among the processes.

use crate::enforce::elevated::{self, Covered};
use crate::host::cgroup::Scope;
use crate::host::cgroup::path::Place;
use crate::host::descendants::descendants_but;
use crate::host::process_table::{Table, Wanted};
use crate::host::processes::{Process, ProcessId};
use crate::sessions::hung_up::HungUp;
use crate::sessions::run::Elevation;
use crate::sessions::session::Session;
use crate::sessions::table::Sessions;
use std::collections::HashSet;
use std::io;

/// How far up the terminal of a run is looked for.
const LONGEST_LINE: usize = 32;

/// What is ended.
pub enum Target {
    /// A login, with all that it started.
    Session(Session),
    /// Elevated processes alone.
    Elevation {
        /// The run of sudo or su that ends.
        ended: Box<Elevation>,
        /// The runs that go on.
        covered: Vec<Covered>,
        /// The control groups of other runs that end: each has an ending of its own.
        ending: Vec<Scope>,
        /// The first processes of the logins that it may have left something in: root's as well, and not its work.
        leaders: HashSet<ProcessId>,
        /// What descended from its first process when that was struck.
        started: Vec<ProcessId>,
    },
    /// What of a person is left outside of their sessions: their service manager, and what else carries their login uid.
    Person {
        /// Who.
        user: String,
        /// Their user id.
        uid: u32,
        /// The audit sessions of units that root set up for their user id.
        spared: HashSet<u32>,
    },
}

impl Target {
    /// The end of a run of sudo or su, which spares those that are `covered`.
    pub fn of_run(sessions: &Sessions, ended: &Elevation, covered: impl Fn(&Elevation) -> bool) -> Self {
        // Of others' runs nothing is looked at that this one can't have touched: what many runs end with does not grow
        // with the square of them.
        let is_near = |other: &&Elevation| other.root != ended.root && !other.gone && other.may_share_with(ended);
        let others = sessions.elevations().iter().filter(is_near);
        let (others, ending): (Vec<&Elevation>, Vec<&Elevation>) = others.partition(|other| covered(other));
        let ending = ending.into_iter().filter_map(|other| other.group.clone()).collect();
        let may_be_near = |session: &&Session| {
            let same = session.audit_session.is_some() && session.audit_session == ended.audit_session;
            same || (session.uid.is_some() && session.uid == ended.uid)
        };
        let leaders = sessions.sessions().iter().filter(may_be_near).map(|session| session.leader).collect();
        let covered = others.into_iter().map(Covered::of).collect();
        Self::Elevation { ended: Box::new(ended.clone()), covered, ending, leaders, started: Vec::new() }
    }

    /// The process that it began with; none where it is a person.
    pub fn first(&self) -> Option<ProcessId> {
        match self {
            Self::Session(session) => Some(session.leader),
            Self::Elevation { ended, .. } => Some(ended.root),
            Self::Person { .. } => None,
        }
    }

    /// What of it had HUP and TERM.
    pub(super) fn hung_up(&self) -> Option<&HungUp> {
        match self {
            Self::Session(session) => Some(&session.hung_up),
            Self::Elevation { ended, .. } => Some(&ended.hung_up),
            Self::Person { .. } => None,
        }
    }

    /// Takes note of what descends from the first process of a run: once that is dead, nothing tells what root moved to the control group of
    /// another run from what that one started.
    pub(super) fn note_tree(&mut self) {
        let Self::Elevation { ended, covered, started, .. } = self else { return };
        let covered = covered.iter().map(|run| run.root).collect();
        match descendants_but(ended.root, &covered) {
            Ok(found) => *started = found,
            Err(error) => tracing::error!("what a run of sudo started can't be listed: {error}"),
        }
    }

    /// What has to be looked at to [`find`](Self::find) it.
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Session(session) => Wanted {
                groups: self.groups(),
                trees: vec![session.leader],
                audit_sessions: session.audit_session.into_iter().collect(),
                ..Wanted::default()
            },
            Self::Elevation { ended, covered, ending, started, .. } => {
                let mut groups = self.groups();
                groups.extend(covered.iter().filter_map(|run| run.group.clone()).chain(ending.iter().cloned()));
                let trees =
                    covered.iter().map(|run| run.root).chain([ended.root]).chain(started.iter().copied()).collect();
                // A login uid and an audit session are set together: the uid brings all that the session would.
                let (login_uids, audit_sessions) = match ended.is_of_who_logged_in() {
                    true => (ended.uid.into_iter().collect(), HashSet::new()),
                    false => (HashSet::new(), ended.audit_session.into_iter().collect()),
                };
                Wanted { groups, trees, audit_sessions, login_uids }
            }
            Self::Person { uid, .. } => {
                Wanted { groups: self.groups(), login_uids: HashSet::from([*uid]), ..Wanted::default() }
            }
        }
    }

    /// What of it is in `table`.
    ///
    /// # Errors
    ///
    /// That it can't be told.
    pub fn find(&self, table: &Table) -> io::Result<Vec<Process>> {
        match self {
            Self::Session(session) => find_session(session, table),
            Self::Elevation { ended, covered, ending, leaders, started } => {
                let found = elevated::find(table, ended, started, covered, leaders)?;
                let mut elsewhere = HashSet::new();
                for group in ending {
                    elsewhere.extend(table.in_group(group)?);
                }
                Ok(found.into_iter().filter(|process| !elsewhere.contains(&process.id)).collect())
            }
            Self::Person { uid, spared, .. } => find_left_of_person(*uid, spared, table),
        }
    }

    /// The first processes of the logins that a run of sudo may have left something in.
    pub(super) fn leaders(&self) -> HashSet<ProcessId> {
        match self {
            Self::Elevation { leaders, .. } => leaders.clone(),
            Self::Session(_) | Self::Person { .. } => HashSet::new(),
        }
    }

    /// What carries words to the person: the login's first process and its own child, without a terminal, as sshd has them. Nothing that the person
    /// started is one, whatever it is called.
    pub(super) fn carriers(&self, members: &[Process]) -> HashSet<ProcessId> {
        let Self::Session(session) = self else { return HashSet::new() };
        let first = |process: &&Process| process.id == session.leader;
        let Some(leader) = members.iter().find(first) else { return HashSet::new() };
        let program = |process: &Process| std::fs::read_link(format!("/proc/{}/exe", process.id.pid)).ok();
        let its_program = program(leader);
        let is_child = |process: &&Process| process.parent == leader.id.pid && process.tty == 0;
        let children = members.iter().filter(is_child);
        let children = children.filter(|child| its_program.is_some() && program(child) == its_program);
        children.chain([leader]).map(|process| process.id).collect()
    }

    /// A run's first process and what that was started from, up to the login; none for anything else.
    pub(super) fn line(&self) -> Vec<Process> {
        let Self::Elevation { ended, .. } = self else { return Vec::new() };
        let (mut line, mut next) = (Vec::new(), ended.root.pid);
        while line.len() < LONGEST_LINE
            && let Ok(Some(process)) = Process::read(next)
            && process.audit_session == ended.audit_session
        {
            next = process.parent;
            line.push(process);
        }
        line
    }

    /// The control groups that are killed whole.
    pub(super) fn groups(&self) -> Vec<Scope> {
        match self {
            Self::Session(session) => session.scope().into_iter().collect(),
            Self::Elevation { ended, .. } => ended.group.iter().filter(|_| !ended.gone).cloned().collect(),
            Self::Person { uid, .. } => Scope::of_user_manager(*uid).into_iter().collect(),
        }
    }
}

/// What the user's manager runs, and what carries their login uid outside of any session and of the system's own units: a service under
/// the same uid is not theirs, and neither is what a container numbers alike. What of a unit is spared runs in none of the user's own units.
fn find_left_of_person(uid: u32, spared: &HashSet<u32>, table: &Table) -> io::Result<Vec<Process>> {
    let managed = match Scope::of_user_manager(uid) {
        Some(manager) => table.in_group(&manager)?,
        None => HashSet::new(),
    };
    let is_spared = |process: &Process| process.audit_session.is_some_and(|session| spared.contains(&session));
    let left = |process: &&Process| {
        managed.contains(&process.id)
            || (process.login_uid == Some(uid)
                && !is_spared(process)
                && Place::of_process(process.id.pid) == Some(Place::User))
    };
    Ok(table.iter().filter(left).cloned().collect())
}

/// All that runs in the session's scope, shares its audit session, or descends from its first process.
fn find_session(session: &Session, table: &Table) -> io::Result<Vec<Process>> {
    let mut wanted = table.tree(session.leader);
    if let Some(scope) = session.scope() {
        wanted.extend(table.in_group(&scope)?);
    }
    let own = |process: &&Process| {
        wanted.contains(&process.id)
            || (session.audit_session.is_some() && process.audit_session == session.audit_session)
    };
    Ok(table.iter().filter(own).cloned().collect())
}
