//! The processes of one moment: all that run, or those that a look is for, and how they descend from each other.
//!
//! A look at everything costs what the host has of processes, so nobody waits for one: what a login or a run of sudo started
//! is found by its control group and its tree, and what left both by the one short file that names its audit session.

use super::cgroup::Scope;
use super::descendants::{descend, tells_children};
use super::proc::{audit_session, number};
use super::processes::{Process, ProcessId, Stat};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;

/// The processes that ran at one moment.
#[derive(Debug, Default)]
pub struct Table {
    processes: HashMap<i32, Process>,
    children: HashMap<i32, Vec<i32>>,
    /// What has ended and waits to be reaped, where audit sessions or login uids are wanted.
    unreaped: Vec<Process>,
}

/// What a look is for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Control groups, with what is below them.
    pub groups: Vec<Scope>,
    /// Processes, with what descends from them, and what they descend from.
    pub trees: Vec<ProcessId>,
    /// Audit sessions of the kernel's. Any of these, or a login uid, takes a file of every process.
    pub audit_sessions: HashSet<u32>,
    /// Login uids.
    pub login_uids: HashSet<u32>,
}

impl Table {
    /// Reads every process that runs now, with the rights of its first thread.
    ///
    /// # Errors
    ///
    /// That /proc can't be read. An empty table would say that nothing is there.
    pub fn read() -> io::Result<Self> {
        Self::of(pids()?, &Wanted::default())
    }

    /// Reads what is wanted, and no more.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn look(wanted: &Wanted) -> io::Result<Self> {
        if !wanted.trees.is_empty() && !tells_children() {
            return Self::of(pids()?, wanted);
        }
        let mut found = BTreeSet::new();
        for group in &wanted.groups {
            found.extend(group.pids()?);
        }
        for root in &wanted.trees {
            line_of(*root, &mut found)?;
            descend(root.pid, &mut found)?;
        }
        if !wanted.audit_sessions.is_empty() || !wanted.login_uids.is_empty() {
            for pid in pids()? {
                if wanted.marks(pid)? {
                    found.insert(pid);
                }
            }
        }
        Self::of(found, wanted)
    }

    /// Threads are read where rights count, in wanted audit sessions and of wanted people: elsewhere a program may have thousands.
    fn of(pids: impl IntoIterator<Item = i32>, wanted: &Wanted) -> io::Result<Self> {
        let (mut found, mut unreaped) = (Vec::new(), Vec::new());
        let looks_for_marks = !wanted.audit_sessions.is_empty() || !wanted.login_uids.is_empty();
        for pid in pids {
            let Some(mut process) = Process::read(pid)? else {
                if looks_for_marks {
                    unreaped.extend(Process::read_unreaped(pid)?);
                }
                continue;
            };
            if is_marked(&wanted.audit_sessions, process.audit_session)
                || is_marked(&wanted.login_uids, process.login_uid)
            {
                process.read_threads()?;
            }
            found.push(process);
        }
        Ok(Self { unreaped, ..found.into_iter().collect() })
    }

    /// What has ended and waits to be reaped, where audit sessions or login uids were wanted. It is none of [`iter`](Self::iter).
    pub fn unreaped(&self) -> &[Process] {
        &self.unreaped
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The parent of `process`.
    pub fn parent(&self, process: &Process) -> Option<&Process> {
        self.processes.get(&process.parent)
    }

    /// The process that has this number.
    pub fn by_pid(&self, pid: i32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// This very process.
    pub fn by_id(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(&id.pid).filter(|process| process.id == id)
    }

    /// `root` and whatever descends from it.
    pub fn tree(&self, root: ProcessId) -> HashSet<ProcessId> {
        let mut tree = HashSet::new();
        let mut next: Vec<ProcessId> = self.by_id(root).map(|process| process.id).into_iter().collect();
        while let Some(id) = next.pop() {
            if tree.insert(id) {
                let children = self.children.get(&id.pid).into_iter().flatten();
                next.extend(children.filter_map(|pid| self.processes.get(pid)).map(|child| child.id));
            }
        }
        tree
    }

    /// `process` and its parents, up to PID 1.
    pub fn ancestors(&self, process: ProcessId) -> HashSet<ProcessId> {
        let mut line = HashSet::new();
        let mut next = self.by_id(process);
        while let Some(process) = next.filter(|it| line.insert(it.id)) {
            next = self.processes.get(&process.parent);
        }
        line
    }

    /// What of it is in a control group or below it.
    ///
    /// # Errors
    ///
    /// That the group can't be read, which does not mean that it is empty.
    pub fn in_group(&self, group: &Scope) -> io::Result<HashSet<ProcessId>> {
        Ok(group.pids()?.into_iter().filter_map(|pid| self.by_pid(pid)).map(|process| process.id).collect())
    }
}

impl Wanted {
    fn marks(&self, pid: i32) -> io::Result<bool> {
        Ok((!self.audit_sessions.is_empty() && is_marked(&self.audit_sessions, audit_session(pid)?))
            || (!self.login_uids.is_empty() && is_marked(&self.login_uids, number(pid, "loginuid")?)))
    }
}

fn is_marked(wanted: &HashSet<u32>, number: Option<u32>) -> bool {
    number.is_some_and(|it| wanted.contains(&it))
}

impl Extend<Wanted> for Wanted {
    fn extend<I: IntoIterator<Item = Wanted>>(&mut self, others: I) {
        for other in others {
            self.groups.extend(other.groups);
            self.trees.extend(other.trees);
            self.audit_sessions.extend(other.audit_sessions);
            self.login_uids.extend(other.login_uids);
        }
    }
}

impl FromIterator<Process> for Table {
    fn from_iter<I: IntoIterator<Item = Process>>(processes: I) -> Self {
        let mut table = Self::default();
        for process in processes {
            table.children.entry(process.parent).or_default().push(process.id.pid);
            table.processes.insert(process.id.pid, process);
        }
        table
    }
}

/// The numbers of all processes.
fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

/// A process and its parents, up to PID 1.
fn line_of(process: ProcessId, found: &mut BTreeSet<i32>) -> io::Result<()> {
    let mut next = process.pid;
    while let Some(stat) = Stat::read(next)?.filter(|_| found.insert(next)) {
        next = stat.parent;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_look_for_a_tree_finds_what_descends_and_what_it_descends_from_and_nobody_else() {
        let mut sibling = Command::new("sleep").arg("60").spawn().unwrap();
        let mut shell = Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let root = Process::read(pid(&shell)).unwrap().unwrap().id;
        let look = || Table::look(&Wanted { trees: vec![root], ..Wanted::default() }).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while look().tree(root).len() < 3 {
            assert!(std::time::Instant::now() < deadline);
        }
        let table = look();
        assert!(table.ancestors(root).iter().any(|it| it.pid == i32::try_from(std::process::id()).unwrap()));
        assert!(table.by_pid(pid(&sibling)).is_none());
        for process in table.tree(root) {
            process.signal(nix::sys::signal::Signal::SIGKILL);
        }
        shell.wait().unwrap();
        sibling.kill().unwrap();
        sibling.wait().unwrap();
    }
}
