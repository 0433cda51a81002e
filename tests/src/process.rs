//! What runs in a host, read from outside it: every process there has a number here too, and both share the
//! wall clock, so that an end can be timed without anything running inside.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

use crate::host::Host;
use crate::root::uid;

/// One process of a host.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number outside the host.
    pub pid: u32,
    /// Its number inside.
    pub inner_pid: u32,
    /// Its effective user.
    pub euid: u32,
    /// The user who logged in, as the kernel's audit keeps it; None for what PID 1 started.
    pub login_uid: Option<u32>,
    /// Its place below the host's top cgroup.
    pub cgroup: String,
    /// Its command line, blanks between the words.
    pub command: String,
}

impl Process {
    /// Whether it belongs to a login session (and not to the user's service manager).
    #[must_use]
    pub fn in_session(&self) -> bool {
        self.cgroup.contains("/session-")
    }

    /// Whether a login of `user` started it, whoever it runs as now; their service manager is none.
    #[must_use]
    pub fn in_login_of(&self, user: &str) -> bool {
        let uid = uid(user);
        self.login_uid == Some(uid) && !self.cgroup.contains(&format!("/user@{uid}.service"))
    }
}

impl Host {
    /// Every process of the host that can be read: those that end meanwhile are left out.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let namespace = fs::read_link(format!("/proc/{}/ns/pid", self.leader())).ok();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).ok() == namespace)
            .filter_map(read)
            .collect()
    }

    /// What login sessions of `user` run, whoever it runs as now; their service manager is left out.
    #[must_use]
    pub fn session_processes(&self, user: &str) -> Vec<Process> {
        let mut processes = self.processes();
        processes.retain(|process| process.in_login_of(user));
        processes
    }

    /// As [`Host::session_processes`], only what runs as root and is not sshd's own.
    #[must_use]
    pub fn elevated_processes(&self, user: &str) -> Vec<Process> {
        let mut processes = self.session_processes(user);
        processes.retain(|process| process.euid == 0 && !process.command.starts_with("sshd"));
        processes
    }

    /// Watches until `look` finds nothing any more, and says how long after `end` that was; negative when it
    /// was before.
    ///
    /// # Panics
    /// When something is still there five seconds after `end`.
    #[must_use]
    pub fn gone_after(&self, end: Timestamp, look: impl Fn(&Host) -> Vec<Process>) -> i64 {
        let end = SystemTime::from(end);
        // Until shortly before the end nothing needs watching closely.
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        std::thread::sleep(left.saturating_sub(Duration::from_millis(100)));
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            let there = look(self);
            let now = SystemTime::now();
            if there.is_empty() {
                return milliseconds(end, now);
            }
            assert!(Instant::now() < limit, "still there {} ms after the end: {there:#?}", milliseconds(end, now));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// From `from` to `to`.
fn milliseconds(from: SystemTime, to: SystemTime) -> i64 {
    let (sign, distance) = match to.duration_since(from) {
        Ok(after) => (1, after),
        Err(before) => (-1, before.duration()),
    };
    sign * i64::try_from(distance.as_millis()).unwrap_or(i64::MAX)
}

/// Reads one process. A zombie is none: it has ended, whoever has not yet asked how.
fn read(pid: u32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    if field("State")?.trim().starts_with(['Z', 'X']) {
        return None;
    }
    let login_uid = fs::read_to_string(folder.join("loginuid")).ok()?.trim().parse().ok()?;
    let cgroups = fs::read_to_string(folder.join("cgroup")).ok()?;
    let command = fs::read(folder.join("cmdline")).ok()?;
    Some(Process {
        pid,
        inner_pid: field("NSpid")?.split_whitespace().last()?.parse().ok()?,
        euid: field("Uid")?.split_whitespace().nth(1)?.parse().ok()?,
        login_uid: (login_uid != u32::MAX).then_some(login_uid),
        cgroup: cgroups.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned(),
        command: String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " "),
    })
}
