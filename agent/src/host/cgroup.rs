//! Control groups (cgroups(7)): a session's scope, in which logind keeps all that a login started, a user's manager, which
//! keeps what outlives the sessions (systemd.scope(5), user@.service(5)), and the group that the agent makes for each run of sudo or su.
//!
//! A process is born in the group of the one that starts it, and only root can move it: so a run's group holds what the run started, whatever
//! became of its parents, its ids, its terminal and its session, and nothing else.

pub mod path;

use self::path::{RUN, above_run, first_of_run, session_of};
use super::descendants::descendants;
use super::proc::is_gone;
use super::processes::{Process, ProcessId, Stat, own_pid};
use super::threads;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where control groups of version 2 are mounted: alone, or beside version 1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// The group for what root had put into one that is to be killed, and that is not meant.
const DISPLACED: &str = "curfew-displaced";

/// The control group of a session, of a user's manager, or of a run of sudo.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Scope {
    path: PathBuf,
}

impl Scope {
    /// The id of the logind session in whose scope the process `pid` is, and the scope.
    pub fn of_process(pid: i32) -> Option<(String, Self)> {
        let group = group_of(pid).ok()??;
        let (upto, id) = session_of(&group)?;
        Some((id, Self { path: mount()?.join(upto.trim_start_matches('/')) }))
    }

    /// The scope of the logind session `id` of the user `uid`.
    pub fn of_session(uid: u32, id: &str) -> Option<Self> {
        let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric());
        let path = mount()?.join(format!("user.slice/user-{uid}.slice/session-{id}.scope"));
        (plain && path.is_dir()).then_some(Self { path })
    }

    /// The group of the user's own service manager, with all that it runs: `systemd-run --user`, user units, lingering.
    pub fn of_user_manager(uid: u32) -> Option<Self> {
        let path = mount()?.join(format!("user.slice/user-{uid}.slice/{}", user_manager(uid)));
        path.is_dir().then_some(Self { path })
    }

    /// The ids of the user's sessions in which something runs.
    ///
    /// # Errors
    ///
    /// That they can't be listed.
    pub fn populated_sessions(uid: u32) -> io::Result<Vec<String>> {
        let Some(slice) = mount().map(|mount| mount.join(format!("user.slice/user-{uid}.slice"))) else {
            return Ok(Vec::new());
        };
        let entries = match fs::read_dir(slice) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry?;
            let id = entry.file_name().to_str().and_then(|name| session_of(name).map(|(_, id)| id));
            if let Some(id) = id
                && !(Self { path: entry.path() }).is_empty()?
            {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The group for a run of sudo or su, which [`take_in`](Self::take_in) makes: in the session's scope, where the run is in one, and never
    /// where its person may move processes to another group (a user's own manager has such).
    ///
    /// # Errors
    ///
    /// That there are no control groups of version 2, or none can be made: what the run starts has to be told by its tree and its
    /// login then.
    pub fn for_run(first: ProcessId) -> io::Result<Self> {
        let missing = || io::Error::other("it is in no control group of version 2");
        let group = group_of(first.pid)?.ok_or_else(missing)?;
        let mount = mount().ok_or_else(missing)?;
        let above = roots_own(mount, above_run(&group)).ok_or_else(missing)?;
        Ok(Self { path: above.join(format!("{RUN}{}-{}", first.pid, first.start)) })
    }

    /// The first process of the run in whose group the process `pid` is.
    pub fn run_with(pid: i32) -> Option<ProcessId> {
        first_of_run(&group_of(pid).ok()??)
    }

    /// Makes the group, and puts a run's first process there with what it started meanwhile. The kernel takes about 10 ms for a move (a grace
    /// period of its read-copy-update), in which whoever makes or removes another group waits, too.
    ///
    /// # Errors
    ///
    /// That it can't be made. A process that is gone needs none.
    pub fn take_in(&self, first: ProcessId) -> io::Result<()> {
        let Some(before) = group_of(first.pid)? else { return Ok(()) };
        match fs::create_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let put = |pid: i32| match self.put("cgroup.procs", &pid.to_string()) {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        };
        let moved = put(first.pid);
        if moved.is_ok() {
            // Each child is born where its parent is: a second look finds what was born before its parent moved.
            for _ in 0..2 {
                for pid in descendants(first.pid)? {
                    if group_of(pid)?.as_ref() == Some(&before) {
                        put(pid)?;
                    }
                }
            }
        }
        if moved.is_err() || !first.lives() {
            self.remove_if_empty();
        }
        moved
    }

    /// Removes the group; `false` where something still runs in it.
    pub fn remove_if_empty(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// The numbers of the processes in it and in the groups below it.
    ///
    /// # Errors
    ///
    /// That it can't be read, which does not mean that it is empty.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        collect(&self.path, &mut pids)?;
        Ok(pids)
    }

    /// The file of the program `name` that a child of `first`'s, or a child of that, runs here; sudo may have one of its own in between.
    pub fn program_below(&self, first: ProcessId, name: &str) -> Option<String> {
        let parent = |pid: i32| Stat::read(pid).ok().flatten().map(|stat| stat.parent);
        let is_below = |pid: i32| {
            let above = parent(pid);
            above == Some(first.pid) || above.and_then(parent) == Some(first.pid)
        };
        let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok()?.into_os_string().into_string().ok();
        let pids = self.pids().ok()?.into_iter().filter(|&pid| pid != first.pid && is_below(pid));
        pids.filter_map(program).find(|path| path.rsplit('/').next() == Some(name))
    }

    /// What runs in it and below it, as far as it can be seen.
    pub fn members(&self) -> Vec<Process> {
        let pids = self.pids().unwrap_or_default();
        pids.into_iter().filter_map(|pid| Process::read(pid).ok().flatten()).collect()
    }

    /// Whether nothing runs in it or below it (cgroups(7), `cgroup.events`).
    ///
    /// # Errors
    ///
    /// That it can't be read; a group that is gone is empty.
    pub fn is_empty(&self) -> io::Result<bool> {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => Ok(events.lines().any(|line| line == "populated 0")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes to a file of the group's, and makes none where the group is gone.
    fn put(&self, file: &str, value: &str) -> io::Result<()> {
        File::options().write(true).open(self.path.join(file))?.write_all(value.as_bytes())
    }

    /// Moves out what only root can have put there: what is older than what the group was made for (where that is known), and the agent itself. Neither is meant by what
    /// becomes of the group. What can't be moved is left, and said.
    pub fn expel_older_than(&self, first: Option<ProcessId>) {
        let start = |pid: i32| Stat::read(pid).ok().flatten().map(|stat| stat.id.start);
        let is_older = |pid: i32| first.zip(start(pid)).is_some_and(|(first, start)| start < first.start);
        let pids = self.pids().unwrap_or_default();
        let strangers: Vec<i32> = pids.into_iter().filter(|&pid| pid == own_pid() || is_older(pid)).collect();
        let Some(refuge) = mount().map(|mount| Self { path: mount.join(DISPLACED) }) else { return };
        if strangers.is_empty() {
            return;
        }
        let made = fs::create_dir(&refuge.path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        });
        let moved = made.and_then(|()| {
            strangers.iter().try_for_each(|pid| match refuge.put("cgroup.procs", &pid.to_string()) {
                Err(error) if !is_gone(&error) => Err(error),
                _ => Ok(()),
            })
        });
        let group = self.path.display();
        match moved {
            Ok(()) => {
                tracing::warn!(%group, ?strangers, "these processes were moved into a group that is ended, and out of it again")
            }
            Err(error) => {
                tracing::error!(%group, ?strangers, "what is not of a group that is ended stays in it: {error}")
            }
        }
    }

    /// Stops all that is in it, before it is killed: nothing of it acts on the death of the rest. A kernel that can't is no obstacle
    /// to the kill.
    pub fn freeze(&self) {
        if let Err(error) = self.put("cgroup.freeze", "1") {
            tracing::debug!(group = %self.path.display(), "not frozen: {error}");
        }
    }

    /// Lets what is in it go on, should anything be.
    pub fn thaw(&self) {
        let _gone_mostly = self.put("cgroup.freeze", "0");
    }

    /// Kills all that is in it at once; nothing that it forks meanwhile escapes.
    ///
    /// # Errors
    ///
    /// What writing `cgroup.kill` says: the kernel is older than 5.14.
    pub fn kill(&self) -> io::Result<()> {
        match self.put("cgroup.kill", "1") {
            // The group is gone, and so is all that was in it.
            Err(error) if !self.path.is_dir() => {
                tracing::debug!("the scope is gone already: {error}");
                Ok(())
            }
            done => done,
        }
    }
}

/// The first process of the logind session `id`, as sd_session_get_leader(3) reads it; none if logind knows no such session.
pub fn leader_of(id: &str) -> Option<i32> {
    let session = fs::read_to_string(format!("/run/systemd/sessions/{id}")).ok()?;
    session.lines().find_map(|line| line.strip_prefix("LEADER="))?.parse().ok()
}

/// The control group of a process; none if it is gone, or in none of version 2.
fn group_of(pid: i32) -> io::Result<Option<String>> {
    match fs::read_to_string(format!("/proc/{pid}/cgroup")) {
        Ok(groups) => Ok(groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name of a user's own service manager.
pub fn user_manager(uid: u32) -> String {
    format!("user@{uid}.service")
}

/// The group, or the nearest above it that is root's alone.
fn roots_own(mount: &Path, group: &str) -> Option<PathBuf> {
    let group = Path::new(group.trim_start_matches('/'));
    // A process of another control group namespace is shown with a way out of ours.
    if group.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
        return None;
    }
    let is_roots = |path: &Path| fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0);
    let above = group.ancestors().map(|group| mount.join(group));
    above.into_iter().find(|path| is_roots(path) && is_roots(&path.join("cgroup.procs")))
}

fn mount() -> Option<&'static Path> {
    MOUNTS.iter().map(Path::new).find(|mount| mount.join("cgroup.procs").exists())
}

fn collect(group: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    let gone = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound) || error.raw_os_error() == Some(19);
    match fs::read_to_string(group.join("cgroup.procs")) {
        Ok(procs) => pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok())),
        // Root may have made it a threaded one, which lists no processes: that hides nothing.
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
            match fs::read_to_string(group.join("cgroup.threads")) {
                Ok(threads) => pids.extend(processes_of(&threads)?),
                Err(error) if gone(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // ENOENT, or ENODEV while it goes.
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    let entries = match fs::read_dir(group) {
        Ok(entries) => entries,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), pids)?;
        }
    }
    Ok(())
}

/// The processes that the threads of a listing belong to.
fn processes_of(threads: &str) -> io::Result<BTreeSet<i32>> {
    let mut processes = BTreeSet::new();
    for thread in threads.lines().filter_map(|line| line.parse::<i32>().ok()) {
        processes.extend(threads::process_of(thread)?);
    }
    Ok(processes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_group_where_no_user_may_move_what_is_in_it() {
        let slice = "/user.slice/user-1001.slice";
        for (group, above) in [
            (format!("{slice}/session-c3.scope"), format!("{slice}/session-c3.scope")),
            (format!("{slice}/session-c3.scope/curfew-run-7-9/deeper"), format!("{slice}/session-c3.scope")),
            (format!("{slice}/user@1001.service/app.slice/tmux.scope"), slice.to_owned()),
            (format!("{slice}/curfew-run-7-9"), format!("{slice}/")),
            ("/system.slice/cron.service".to_owned(), "/system.slice/cron.service".to_owned()),
            ("/".to_owned(), "/".to_owned()),
        ] {
            assert_eq!(above_run(&group), above, "{group}");
        }
        assert_eq!(roots_own(Path::new("/nowhere"), "/../elsewhere"), None);
    }
}
