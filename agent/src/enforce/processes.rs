//! Processes as /proc shows them (proc(5)), and signals that can't hit a stranger.
//!
//! A PID alone names nobody: it is taken with the process's start time, and a signal goes through a pidfd that was
//! checked against it.

use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::OwnedFd;

/// A process, for good: no other ever has the same two numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ProcessId {
    /// Its PID.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// What /proc says of a process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Which one.
    pub id: ProcessId,
    /// Its parent's PID.
    pub parent: i32,
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// Its effective user id.
    pub euid: u32,
    /// The device number of its controlling terminal; 0 for none.
    pub tty: i32,
    /// The kernel's audit session, inherited through sudo, setsid and nohup; none for what PID 1 started.
    pub audit_session: Option<u32>,
}

/// The value of an audit session or login uid that was never set.
const UNSET: u32 = u32::MAX;

impl Process {
    /// Reads the process `pid`; none if it is gone or no longer runs.
    pub fn read(pid: i32) -> Option<Self> {
        let stat = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned();
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        // The fields behind the name; the first is field 3 of proc_pid_stat(5).
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        Some(Self {
            id: ProcessId { pid, start: fields.get(19)?.parse().ok()? },
            parent: fields.get(1)?.parse().ok()?,
            name,
            euid: uids.split_ascii_whitespace().nth(1)?.parse().ok()?,
            tty: fields.get(4)?.parse().ok()?,
            audit_session: number(pid, "sessionid"),
        })
    }

    /// Sends it a signal; `false` if it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        self.id.signal(signal)
    }
}

impl ProcessId {
    /// The process that has the PID `pid` now.
    pub fn of(pid: i32) -> Option<Self> {
        Process::read(pid).map(|process| process.id)
    }

    /// Whether it still runs.
    pub fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// A pidfd for it; none if it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Whatever the PID named when it was opened, the pidfd is for; it must be the one that is meant.
        self.lives().then_some(pidfd)
    }

    /// Sends it a signal; `false` if it is gone.
    pub fn signal(self, signal: Signal) -> bool {
        let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) else { return false };
        self.open().is_some_and(|pidfd| pidfd_send_signal(pidfd, signal).is_ok())
    }
}

/// The login uid of a process (`/proc/PID/loginuid`): who logged in, whatever they turned into since.
pub fn login_uid(pid: i32) -> Option<u32> {
    number(pid, "loginuid")
}

fn number(pid: i32, file: &str) -> Option<u32> {
    let number = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?.trim().parse().ok()?;
    if number == UNSET { None } else { Some(number) }
}

/// The arguments that a process was started with, made printable; what a person typed, and so not to be trusted.
pub fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    text.split(|&b| b == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// Every process that runs now.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(Process::read).collect()
}

/// `root` and whatever descends from it, among `table`.
pub fn tree(table: &[Process], root: ProcessId) -> Vec<ProcessId> {
    let mut tree: Vec<ProcessId> = table.iter().filter(|it| it.id == root).map(|it| it.id).collect();
    let mut done = 0;
    while let Some(parent) = tree.get(done).copied() {
        done += 1;
        let children = table.iter().filter(|it| it.parent == parent.pid && !tree.contains(&it.id)).map(|it| it.id);
        let children: Vec<_> = children.collect();
        tree.extend(children);
    }
    tree
}

/// `process` and its parents, up to PID 1, among `table`.
pub fn ancestors(table: &[Process], process: ProcessId) -> Vec<ProcessId> {
    let mut line = Vec::new();
    let mut next = table.iter().find(|it| it.id == process);
    while let Some(process) = next.filter(|it| !line.contains(&it.id)) {
        line.push(process.id);
        next = table.iter().find(|it| it.id.pid == process.parent);
    }
    line
}

/// Names and counts, such as `bash:1 sleep:2`.
pub fn tally<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0_u32) += 1;
    }
    let printable = |name: &str| name.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
    counts.iter().map(|(name, count)| format!("{}:{count}", printable(name))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_with_a_bracket_in_its_name_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a) R 1 (b");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // The name changes at exec, a moment after the fork.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while command_line(pid).last().is_none_or(|argument| argument != "60") {
            assert!(std::time::Instant::now() < deadline);
        }
        let process = Process::read(pid).unwrap();
        assert_eq!(process.name, "a) R 1 (b");
        assert_eq!(process.parent, i32::try_from(std::process::id()).unwrap());
        assert_eq!(process.euid, nix::unistd::geteuid().as_raw());
        assert!(process.signal(Signal::SIGKILL));
        child.wait().unwrap();
        assert!(!process.id.lives());
        assert!(!process.signal(Signal::SIGKILL));
    }

    #[test]
    fn a_signal_does_not_reach_another_process_with_the_same_pid() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let stranger = ProcessId { start: id.start + 1, ..id };
        assert!(!stranger.signal(Signal::SIGKILL));
        assert!(child.try_wait().unwrap().is_none());
        assert!(id.signal(Signal::SIGKILL));
        child.wait().unwrap();
    }

    #[test]
    fn names_are_counted_and_can_not_drive_a_terminal() {
        assert_eq!(tally(["sleep", "bash", "sleep", "\u{1b}[2J"].into_iter()), "?[2J:1 bash:1 sleep:2");
    }
}
