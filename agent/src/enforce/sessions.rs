//! The sessions and elevations that are open on this host, and what is known of each.
//!
//! PAM's open_session hook adds them, logind adds logins that the hook missed, and they go when their first process ends. They are kept
//! in `/run`, so that a restart of the agent goes on where it was, and a reboot leaves none.

use super::logind::LogindSession;
use super::processes::ProcessId;
use super::scope::Scope;
use super::sudo_command::SudoCommand;
use crate::durable;
use crate::grant::{HeldGrant, State};
use crate::request::decision::{Elevation as Scoped, ReasonCode, Request, Verdict, WantedCommand, decide, lapsed};
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where they are kept.
pub const PATH: &str = "/run/curfew/sessions.json";

/// All that is open.
#[derive(Debug, Default)]
pub struct Sessions {
    path: PathBuf,
    open: Open,
}

/// What is kept in the file.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Open {
    sessions: Vec<Session>,
    elevations: Vec<Elevation>,
}

/// A login.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    /// Who.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// The address that it came from.
    pub rhost: Option<String>,
    /// The process that opened it; the session is over when it ends.
    pub leader: ProcessId,
    /// The user's id, where it is known.
    pub uid: Option<u32>,
    /// The logind session.
    pub logind_id: Option<String>,
    /// The kernel's audit session.
    pub audit_session: Option<u32>,
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// PAM asked about it, and was told to let it in: by a grant, as an exempt user's, or because the mode is to observe.
    #[serde(default)]
    pub admitted: bool,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
    /// The warnings that its people had.
    #[serde(default)]
    pub told: Told,
    /// The end for which its programs had HUP and TERM.
    #[serde(default)]
    pub hung_up_for: Option<Timestamp>,
    /// Its first process is gone, and something that it started is left.
    #[serde(default)]
    pub closed: bool,
    /// It opened as an exempt user's, and is never ended.
    #[serde(default)]
    pub exempt: bool,
    /// It is a job that was left for later, and goes on under any grant.
    #[serde(default)]
    pub background: bool,
    /// It is not known any more where it came from: it goes on under any login grant.
    #[serde(default)]
    pub from_unknown: bool,
}

/// Whether something may go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is covered.
    Covered {
        /// By this grant.
        grant: String,
        /// Until just before this time.
        until: Timestamp,
    },
    /// It is not covered any more.
    Over {
        /// Why.
        reason: ReasonCode,
        /// Since when.
        ended: Timestamp,
    },
}

/// Which warnings were given: for an end, the shortest time before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Told {
    /// Of the end of the login.
    pub login: Option<(Timestamp, Duration)>,
    /// Of the end of sudo.
    pub sudo: Option<(Timestamp, Duration)>,
}

/// A run of sudo or su.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Elevation {
    /// Who invoked it.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// Whom it turns into.
    pub run_as: Option<String>,
    /// What it runs.
    pub command: SudoCommand,
    /// The process of sudo or su.
    pub root: ProcessId,
    /// The invoker's id.
    pub uid: Option<u32>,
    /// The logind session that it runs in.
    pub logind_id: Option<String>,
    /// The kernel's audit session that it runs in.
    pub audit_session: Option<u32>,
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
    /// The end for which its programs had HUP and TERM.
    #[serde(default)]
    pub hung_up_for: Option<Timestamp>,
    /// Where no grant covers the very command (the host's own sudo rules let it run, or it was typed in a way that can't be told): the
    /// grants that were live when it opened. It goes on while all of them are.
    #[serde(default)]
    pub pinned: Vec<String>,
}

impl Standing {
    /// Whether `request` may go on at `now`.
    pub fn of(request: &Request<'_>, grants: &[HeldGrant], now: Timestamp) -> Self {
        match decide(request, grants, now) {
            Verdict::Permit { grant, until } => Self::Covered { grant: grant.grant.id.to_string(), until },
            Verdict::Deny { reason, .. } => Self::Over { reason, ended: lapsed(request, grants, now) },
        }
    }
}

impl Session {
    /// The question whether it may go on.
    pub fn request(&self) -> Request<'_> {
        if self.background {
            return Request::Background { user: &self.user };
        }
        if self.from_unknown {
            return Request::Stay { user: &self.user, service: &self.service };
        }
        Request::Login { user: &self.user, service: &self.service, from: self.rhost.as_deref() }
    }

    /// Whether it may go on at `now`.
    pub fn standing(&self, grants: &[HeldGrant], now: Timestamp) -> Standing {
        Standing::of(&self.request(), grants, now)
    }

    /// Its control group.
    pub fn scope(&self) -> Option<Scope> {
        match (&self.logind_id, self.uid) {
            (Some(id), Some(uid)) => Scope::of_session(uid, id),
            _ => None,
        }
    }

    /// An audit entry about it.
    pub fn entry(&self, event: Event) -> Entry {
        Entry::new(event)
            .with(Field::User, self.user.as_str())
            .with(Field::Service, self.service.as_str())
            .with(Field::Rhost, self.rhost.clone())
            .with(Field::Pid, self.leader.pid)
            .with(Field::Session, self.logind_id.clone())
            .with(Field::Grant, self.grant.clone())
    }
}

impl Elevation {
    /// Whether it may go on at `now`.
    pub fn standing(&self, grants: &[HeldGrant], now: Timestamp) -> Standing {
        let pinned = |id: &String| grants.iter().find(|held| held.grant.id.as_str() == id);
        let pins: Vec<Option<&HeldGrant>> = self.pinned.iter().map(pinned).collect();
        // A grant of the endpoint may have another content by now, without sudo.
        let live =
            |held: &&HeldGrant| held.state(now) == State::Live && held.grant.sudo.is_some() && !held.holder.is_gone();
        let first_to_end = pins.iter().flatten().min_by_key(|held| held.end());
        match first_to_end {
            _ if self.pinned.is_empty() => Standing::of(&self.request(), grants, now),
            Some(first) if pins.iter().all(|held| held.as_ref().is_some_and(live)) => {
                Standing::Covered { grant: first.grant.id.to_string(), until: first.end() }
            }
            first => {
                let ended = first.map_or(now, |first| first.end().min(now));
                Standing::Over { reason: ReasonCode::Ended, ended }
            }
        }
    }

    fn request(&self) -> Request<'_> {
        let command = if self.service.starts_with("su") && !self.service.starts_with("sudo") {
            WantedCommand::Any
        } else {
            self.command.wanted()
        };
        Request::Elevation { user: &self.user, scope: Scoped { run_as: self.run_as.as_deref(), command } }
    }

    /// An audit entry about it.
    pub fn entry(&self, event: Event) -> Entry {
        Entry::new(event)
            .with(Field::User, self.user.as_str())
            .with(Field::RunAs, self.run_as.clone())
            .with(Field::Service, self.service.as_str())
            .with(Field::Pid, self.root.pid)
            .with(Field::Session, self.logind_id.clone())
            .with(Field::Grant, self.grant.clone())
    }
}

impl Sessions {
    /// Reads what is kept at `path`. What can't be read is none: logind shows the logins again.
    pub fn open(path: &Path) -> Self {
        let open = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(path = %path.display(), "the open sessions could not be read back: {error}");
                Open::default()
            }),
            Err(_) => Open::default(),
        };
        Self { path: path.into(), open }
    }

    /// The logins.
    pub fn sessions(&self) -> &[Session] {
        &self.open.sessions
    }

    /// The runs of sudo and su.
    pub fn elevations(&self) -> &[Elevation] {
        &self.open.elevations
    }

    /// Adds a login, or what is newly known of it; `true` if it is new.
    pub fn add_session(&mut self, session: Session) -> bool {
        let new = match self.open.sessions.iter_mut().find(|known| known.leader == session.leader) {
            Some(known) => {
                known.logind_id = session.logind_id.or(known.logind_id.take());
                known.uid = session.uid.or(known.uid);
                known.audit_session = session.audit_session.or(known.audit_session);
                known.grant = session.grant.or(known.grant.take());
                known.exempt |= session.exempt;
                false
            }
            None => {
                self.open.sessions.push(session);
                true
            }
        };
        self.save();
        new
    }

    /// Adds a run of sudo or su, or what is newly known of it.
    pub fn add_elevation(&mut self, elevation: Elevation) {
        self.open.elevations.retain(|known| known.root != elevation.root);
        self.open.elevations.push(elevation);
        self.save();
    }

    /// Whether logind's session is known.
    pub fn knows(&self, session: &LogindSession) -> bool {
        let same =
            |known: &Session| known.logind_id.as_deref() == Some(&session.id) && known.leader.pid == session.leader;
        self.open.sessions.iter().any(same)
    }

    /// Changes the login of `leader`.
    pub fn update_session(&mut self, leader: ProcessId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.open.sessions.iter_mut().find(|session| session.leader == leader) {
            change(session);
            self.save();
        }
    }

    /// Changes the run of sudo or su of `root`.
    pub fn update_elevation(&mut self, root: ProcessId, change: impl FnOnce(&mut Elevation)) {
        if let Some(elevation) = self.open.elevations.iter_mut().find(|elevation| elevation.root == root) {
            change(elevation);
            self.save();
        }
    }

    /// Marks the logins whose first process is gone, and returns those that were not marked before.
    pub fn take_closed(&mut self) -> Vec<Session> {
        let mut closed = Vec::new();
        for session in self.open.sessions.iter_mut().filter(|session| !session.closed && !session.leader.lives()) {
            session.closed = true;
            closed.push(session.clone());
        }
        if !closed.is_empty() {
            self.save();
        }
        closed
    }

    /// Forgets the login of `leader`.
    pub fn remove_session(&mut self, leader: ProcessId) {
        self.open.sessions.retain(|session| session.leader != leader);
        self.save();
    }

    /// Forgets the run of sudo or su of `root`.
    pub fn remove_elevation(&mut self, root: ProcessId) {
        self.open.elevations.retain(|elevation| elevation.root != root);
        self.save();
    }

    /// Keeps it for a restart. Not synced: a power loss ends every session, too.
    fn save(&self) {
        let bytes = serde_json::to_vec(&self.open).map_err(std::io::Error::from);
        let saved = bytes.and_then(|bytes| durable::write_unsynced(&self.path, &bytes));
        if let Err(error) = saved {
            tracing::error!(path = %self.path.display(), "the open sessions could not be kept: {error}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn session(leader: ProcessId) -> Session {
        Session {
            user: "alice".into(),
            service: "sshd".into(),
            rhost: None,
            leader,
            uid: None,
            logind_id: None,
            audit_session: None,
            grant: None,
            admitted: false,
            opened_us: 1,
            told: Told::default(),
            hung_up_for: None,
            closed: false,
            exempt: false,
            background: false,
            from_unknown: false,
        }
    }

    #[test]
    fn open_sessions_are_back_after_a_restart_and_closed_ones_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.json");
        let me = super::super::processes::Process::read(i32::try_from(std::process::id()).unwrap());
        let me = me.unwrap().unwrap().id;
        let mut sessions = Sessions::open(&path);
        assert!(sessions.add_session(session(me)));
        assert!(!sessions.add_session(Session { logind_id: Some("3".into()), ..session(me) }));
        assert!(sessions.add_session(session(ProcessId { start: me.start + 1, ..me })));
        let mut sessions = Sessions::open(&path);
        assert_eq!(sessions.sessions().len(), 2);
        assert_eq!(sessions.take_closed().len(), 1);
        assert_eq!(sessions.take_closed().len(), 0);
        assert_eq!(sessions.sessions().first().and_then(|it| it.logind_id.clone()).as_deref(), Some("3"));
    }

    #[test]
    fn a_run_that_no_grant_names_goes_on_while_every_grant_that_was_live_is() {
        let held = |id: &str, end: i64| {
            let end = Timestamp::from_second(end).unwrap().to_string();
            let grant = curfew_protocol::grant::Grant::from_value(&serde_json::json!({
                "id": id, "user": "alice", "not_before": "1970-01-01T00:00:00Z", "not_after": end,
                "sudo": {"commands": ["/usr/bin/id"]}, "reason": "r", "requested_by": "a", "approved_by": []
            }));
            HeldGrant::new(grant.unwrap(), crate::grant::Source::Local)
        };
        let grants = [held("short", 10), held("long", 90)];
        let run = |pinned: &[&str], command| Elevation {
            user: "alice".into(),
            service: "sudo".into(),
            run_as: Some("root".into()),
            command,
            root: ProcessId { pid: 1, start: 1 },
            uid: None,
            logind_id: None,
            audit_session: None,
            grant: None,
            opened_us: 0,
            hung_up_for: None,
            pinned: pinned.iter().map(|&id| id.to_owned()).collect(),
        };
        let covered = |run: &Elevation, second: i64| {
            matches!(run.standing(&grants, Timestamp::from_second(second).unwrap()), Standing::Covered { .. })
        };
        let unknown = run(&["short", "long"], SudoCommand::Anything);
        assert!(covered(&unknown, 9));
        assert!(!covered(&unknown, 10));
        assert!(!covered(&run(&["long", "gone"], SudoCommand::Anything), 9));
        let named = run(&[], SudoCommand::Program { name: "id".into(), arguments: String::new() });
        assert!(covered(&named, 89));
        assert!(!covered(&named, 90));
    }
}
