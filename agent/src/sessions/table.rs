//! The logins and the runs of sudo and su that are open on this host, and what is known of each.
//!
//! PAM's hooks add them, logind adds logins that the hook missed, and they go when nothing of them is left. They are kept
//! in `/run`, so that a restart of the agent goes on where it was, and a reboot leaves none.

use super::outer::Outer;
use super::run::Elevation;
use super::session::Session;
use crate::durable;
use crate::host::logind::LogindSession;
use crate::host::processes::ProcessId;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
        let is_it = |outer: &&mut Outer| outer.root == Some(resolved.root) && outer.claim.user == resolved.claim.user;
        let mut changed = vec![resolved.root];
        for run in &mut self.elevations {
            for outer in run.within.iter_mut().filter(is_it) {
                *outer = resolved.as_outer();
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
        let service = "sshd".into();
        Session { service, opened_us: 1, ..Session::headed_by(leader, "alice".into()) }
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
}
