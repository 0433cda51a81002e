//! The logins and the runs of sudo and su that are open on this host, and what is known of each.
//!
//! PAM's hooks add them, logind adds logins that the hook missed, and they go when nothing of them is left. They are kept
//! in `/run`, so that a restart of the agent goes on where it was, and a reboot leaves none.

use super::hung_up::HungUp;
use super::outer::Outer;
use super::run::Elevation;
use super::standing::Standing;
use crate::durable;
use crate::grant::HeldGrant;
use crate::grant::decision::Request;
use crate::host::cgroup::Scope;
use crate::host::logind::LogindSession;
use crate::host::processes::ProcessId;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where they are kept, each in a file of its own: one more costs the same however many there are.
pub const FOLDER: &str = "/run/curfew/open";

/// What the names of the files begin with, and what they end with.
const LOGIN: &str = "login-";
const RUN: &str = "run-";
const SUFFIX: &str = ".json";

/// Where an agent before this one kept all of them.
pub const ONE_FILE: &str = "/run/curfew/sessions.json";

/// All that is open.
#[derive(Debug, Default)]
pub struct Sessions {
    folder: PathBuf,
    sessions: Vec<Session>,
    elevations: Vec<Elevation>,
    /// First processes whose end will be told: nobody has to look whether they live.
    watched: HashSet<ProcessId>,
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
    /// What of it had HUP and TERM.
    #[serde(default)]
    pub hung_up: HungUp,
    /// Its first process is gone, and something that it started is left.
    #[serde(default)]
    pub closed: bool,
    /// It opened as an exempt user's, and is never ended.
    #[serde(default)]
    pub exempt: bool,
    /// PID 1 opened it for a unit that root set up: it is never ended, and is no login of the user's.
    #[serde(default)]
    pub of_unit: bool,
    /// It is a job that was left for later, and goes on under any grant.
    #[serde(default)]
    pub background: bool,
    /// It is not known any more where it came from: it goes on under any login grant.
    #[serde(default)]
    pub from_unknown: bool,
    /// Its end was carried out once: whatever the mode is by then, nothing of it is left alone.
    #[serde(default)]
    pub struck: bool,
}

/// Which warnings were given: for an end, the shortest time before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Told {
    /// Of the end of the login.
    pub login: Option<(Timestamp, Duration)>,
    /// Of the end of sudo.
    pub sudo: Option<(Timestamp, Duration)>,
    /// The end of the login that was told as such, and why.
    #[serde(default)]
    pub end: Option<Timestamp>,
}

impl Session {
    /// Whether it is never ended, whatever the grants say.
    pub fn is_left_alone(&self) -> bool {
        self.exempt || self.of_unit
    }

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

    /// The grant to which it is owed, as it stands.
    pub fn owed_to(&self, standing: &Standing, grants: &[HeldGrant], now: Timestamp) -> Option<String> {
        standing.owed_to(self.grant.as_deref(), &self.request(), grants, now)
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

impl Sessions {
    /// Reads what is kept in `folder`. What can't be read is none: logind shows the logins again.
    pub fn open(folder: &Path) -> Self {
        let mut open = Self { folder: folder.into(), ..Self::default() };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let mut read = || -> io::Result<()> {
                let bytes = fs::read(&path)?;
                if name.starts_with(LOGIN) {
                    open.sessions.push(serde_json::from_slice(&bytes)?);
                } else {
                    open.elevations.push(serde_json::from_slice(&bytes)?);
                }
                Ok(())
            };
            if name.ends_with(SUFFIX)
                && let Err(error) = read()
            {
                tracing::error!(path = %path.display(), "what is open could not be read back: {error}");
            }
        }
        open.sessions.sort_by_key(|session| session.opened_us);
        open.elevations.sort_by_key(|elevation| elevation.opened_us);
        open
    }

    /// Takes over what an agent before this one kept in one file: an upgrade ends nothing, and loses nothing.
    pub fn take_over(&mut self, file: &Path) {
        let Ok(bytes) = fs::read(file) else { return };
        let kept: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let entries = |list: &str| kept.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        for session in entries("sessions").into_iter().filter_map(|it| serde_json::from_value(it).ok()) {
            self.add_session(session);
        }
        for mut run in entries("elevations") {
            // What it runs was told otherwise: without it, the run is ended with the first of its grants.
            if let Some(command) = run.pointer_mut("/command") {
                *command = json!("Anything");
            }
            serde_json::from_value(run).into_iter().for_each(|run| self.add_elevation(run));
        }
        let _the_next_look_takes_it_again = fs::remove_file(file);
    }

    /// The logins.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The runs of sudo and su.
    pub fn elevations(&self) -> &[Elevation] {
        &self.elevations
    }

    /// The run of sudo or su of `root`.
    pub fn elevation(&self, root: ProcessId) -> Option<&Elevation> {
        self.elevations.iter().find(|elevation| elevation.root == root)
    }

    /// Adds a login, or what is newly known of it; `true` if it is new.
    pub fn add_session(&mut self, session: Session) -> bool {
        let leader = session.leader;
        let new = match self.sessions.iter_mut().find(|known| known.leader == leader) {
            Some(known) => {
                known.logind_id = session.logind_id.or(known.logind_id.take());
                known.uid = session.uid.or(known.uid);
                known.audit_session = session.audit_session.or(known.audit_session);
                known.grant = session.grant.or(known.grant.take());
                known.exempt |= session.exempt;
                known.of_unit |= session.of_unit;
                false
            }
            None => {
                self.sessions.push(session);
                true
            }
        };
        self.save_session(leader);
        new
    }

    /// Adds a run of sudo or su, or what is newly known of it.
    pub fn add_elevation(&mut self, elevation: Elevation) {
        let root = elevation.root;
        self.elevations.retain(|known| known.root != root);
        self.elevations.push(elevation);
        self.save_elevation(root);
    }

    /// Whether logind's session is known.
    pub fn knows(&self, session: &LogindSession) -> bool {
        let same =
            |known: &Session| known.logind_id.as_deref() == Some(&session.id) && known.leader.pid == session.leader;
        self.sessions.iter().any(same)
    }

    /// Whether a session of logind's with this id is known.
    pub fn knows_id(&self, id: &str) -> bool {
        self.sessions.iter().any(|known| known.logind_id.as_deref() == Some(id))
    }

    /// Changes the login of `leader`.
    pub fn update_session(&mut self, leader: ProcessId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.iter_mut().find(|session| session.leader == leader) {
            change(session);
            self.save_session(leader);
        }
    }

    /// Changes the run of sudo or su of `root`.
    pub fn update_elevation(&mut self, root: ProcessId, change: impl FnOnce(&mut Elevation)) {
        if let Some(elevation) = self.elevations.iter_mut().find(|elevation| elevation.root == root) {
            change(elevation);
            self.save_elevation(root);
        }
    }

    /// What a run of sudo runs is known by now: to those within it, too.
    pub fn resolve_elevation(&mut self, resolved: Elevation) {
        let is_it = |outer: &&mut Outer| outer.root == Some(resolved.root) && outer.user == resolved.user;
        let mut changed = vec![resolved.root];
        for run in &mut self.elevations {
            for outer in run.within.iter_mut().filter(is_it) {
                *outer = Outer::of(&resolved);
                changed.push(run.root);
            }
        }
        if let Some(run) = self.elevations.iter_mut().find(|run| run.root == resolved.root) {
            *run = resolved;
        }
        changed.into_iter().for_each(|root| self.save_elevation(root));
    }

    /// The end of this first process will be told by [`has_ended`](Self::has_ended).
    pub fn is_watched(&mut self, first: ProcessId) {
        self.watched.insert(first);
    }

    /// A first process that was watched has ended, or is watched no more.
    pub fn has_ended(&mut self, first: ProcessId) {
        self.watched.remove(&first);
    }

    /// Whether the first process of something runs, as far as is known.
    pub fn lives(&self, first: ProcessId) -> bool {
        self.watched.contains(&first) || first.lives()
    }

    /// Marks the logins whose first process is gone, and returns those that were not marked before.
    pub fn take_closed(&mut self) -> Vec<Session> {
        let watched = &self.watched;
        let ended = |it: &&mut Session| !it.closed && !watched.contains(&it.leader) && !it.leader.lives();
        let closed = self.sessions.iter_mut().filter(ended).map(|session| {
            session.closed = true;
            session.clone()
        });
        let closed: Vec<Session> = closed.collect();
        closed.iter().for_each(|session| self.save_session(session.leader));
        closed
    }

    /// Forgets the login of `leader`.
    pub fn remove_session(&mut self, leader: ProcessId) {
        self.sessions.retain(|session| session.leader != leader);
        self.remove(LOGIN, leader);
    }

    /// Forgets the run of sudo or su of `root`.
    pub fn remove_elevation(&mut self, root: ProcessId) {
        self.elevations.retain(|elevation| elevation.root != root);
        self.remove(RUN, root);
    }

    fn save_session(&self, leader: ProcessId) {
        self.save(LOGIN, leader, self.sessions.iter().find(|session| session.leader == leader));
    }

    fn save_elevation(&self, root: ProcessId) {
        self.save(RUN, root, self.elevation(root));
    }

    /// Keeps it for a restart. Not synced: a power loss ends every session, too.
    fn save(&self, kind: &str, first: ProcessId, what: Option<&impl Serialize>) {
        let path = self.file(kind, first);
        let saved = serde_json::to_vec(&what).map_err(io::Error::from).and_then(|bytes| {
            durable::write_unsynced(&path, &bytes).or_else(|_| {
                durable::private_folder(&self.folder)?;
                durable::write_unsynced(&path, &bytes)
            })
        });
        if let Err(error) = saved {
            tracing::error!(path = %path.display(), "what is open could not be kept: {error}");
        }
    }

    fn remove(&mut self, kind: &str, first: ProcessId) {
        self.watched.remove(&first);
        match fs::remove_file(self.file(kind, first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(folder = %self.folder.display(), "what has ended could not be forgotten: {error}");
            }
            _ => {}
        }
    }

    fn file(&self, kind: &str, first: ProcessId) -> PathBuf {
        self.folder.join(format!("{kind}{}-{}{SUFFIX}", first.pid, first.start))
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
            hung_up: HungUp::default(),
            closed: false,
            exempt: false,
            of_unit: false,
            background: false,
            from_unknown: false,
            struck: false,
        }
    }

    #[test]
    fn open_sessions_are_back_after_a_restart_and_closed_ones_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        let me = crate::host::processes::Process::read(i32::try_from(std::process::id()).unwrap());
        let me = me.unwrap().unwrap().id;
        let mut sessions = Sessions::open(&path);
        assert!(sessions.add_session(session(me)));
        assert!(!sessions.add_session(Session { logind_id: Some("3".into()), ..session(me) }));
        assert!(sessions.add_session(session(ProcessId { start: me.start + 1, ..me })));
        let mut sessions = Sessions::open(&path);
        assert_eq!(sessions.sessions().len(), 2);
        assert_eq!(sessions.take_closed().len(), 1);
        assert_eq!(sessions.take_closed().len(), 0);
        let known: Vec<_> = sessions.sessions().iter().filter_map(|it| it.logind_id.as_deref()).collect();
        assert_eq!(known, ["3"]);
        sessions.remove_session(me);
        assert_eq!(Sessions::open(&path).sessions().len(), 1);
    }

    #[test]
    fn what_an_agent_before_this_one_kept_in_one_file_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = (folder.path().join("sessions.json"), folder.path().join("open"));
        let leader = ProcessId { pid: 7, start: 8 };
        let run = json!({
            "user": "alice", "service": "sudo", "run_as": "root", "command": {"Program": {"name": "id", "arguments": ""}},
            "root": {"pid": 9, "start": 9}, "uid": 1001, "logind_id": null, "audit_session": 3, "grant": "a", "opened_us": 5,
        });
        fs::write(&file, json!({"sessions": [session(leader)], "elevations": [run, 7]}).to_string()).unwrap();
        let mut sessions = Sessions::open(&path);
        sessions.take_over(&file);
        assert!(!file.exists());
        let sessions = Sessions::open(&path);
        assert_eq!((sessions.sessions().len(), sessions.elevations().len()), (1, 1));
    }

    #[test]
    fn who_is_watched_is_taken_to_live_until_their_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut sessions = Sessions::open(folder.path());
        let gone = ProcessId { pid: i32::MAX, start: 1 };
        sessions.add_session(session(gone));
        sessions.is_watched(gone);
        assert!(sessions.lives(gone) && sessions.take_closed().is_empty());
        sessions.has_ended(gone);
        assert_eq!((sessions.lives(gone), sessions.take_closed().len()), (false, 1));
    }
    #[test]
    fn what_goes_on_under_another_grant_is_owed_to_the_one_that_covered_it_last() {
        let held = |id: &str, begin: i64, end: i64| {
            let [begin, end] = [begin, end].map(|at| Timestamp::from_second(at).unwrap().to_string());
            let grant = curfew_protocol::grant::Grant::from_value(&json!({
                "id": id, "user": "alice", "not_before": begin, "not_after": end, "login": {}, "reason": "r", "requested_by": "a", "approved_by": []
            }));
            HeldGrant::new(grant.unwrap(), crate::grant::Source::Local)
        };
        let grants = [held("first", 0, 10), held("second", 5, 20), held("longest", 15, 90)];
        let owed_to = |first: Option<&str>, grants: &[HeldGrant], second: i64| {
            let session = Session { grant: first.map(str::to_owned), ..session(ProcessId { pid: 7, start: 8 }) };
            let now = Timestamp::from_second(second).unwrap();
            session.owed_to(&session.standing(grants, now), grants, now)
        };
        // The one that it opened under has it for as long as it covers it, whatever else does.
        assert_eq!(owed_to(Some("first"), &grants, 7).as_deref(), Some("first"));
        assert_eq!(owed_to(Some("second"), &grants, 17).as_deref(), Some("second"));
        assert_eq!(owed_to(Some("first"), &grants, 12).as_deref(), Some("second"));
        assert_eq!(owed_to(Some("first"), &grants, 90).as_deref(), Some("longest"));
        assert_eq!(owed_to(Some("first"), &grants[..1], 10).as_deref(), Some("first"));
        // Of what nobody knows any more, it stays what it was.
        assert_eq!(owed_to(Some("gone"), &[], 12).as_deref(), Some("gone"));
        assert_eq!(owed_to(None, &grants[..1], 12), None);
        assert_eq!(owed_to(None, &grants[..1], 7).as_deref(), Some("first"));
    }
}
