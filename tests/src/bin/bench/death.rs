//! Waiting for the last of many processes, from outside their host: what watches must not take the time of what kills.
//!
//! Each process has a pidfd, and they are waited for one after the other: whoever is waited for wakes this process once, when
//! it dies, and all that died meanwhile cost no waiting at all.
//!
//! What is there is read from the control groups of the sessions at first, which takes as long on a host of many
//! processes as on one of few; when all of that is dead, everything that the sessions' people started is looked for.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use curfew_tests::Host;
use curfew_tests::root::uid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The processes of people's sessions in a host.
pub struct Watched<'a> {
    host: &'a Host,
    users: &'a [&'a str],
    pidfds: Vec<OwnedFd>,
}

impl<'a> Watched<'a> {
    /// All that sessions of `users` run now.
    pub fn sessions_of(host: &'a Host, users: &'a [&'a str]) -> Self {
        let pids = users.iter().flat_map(|user| in_scopes(host, user));
        Self { host, users, pidfds: open(pids) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pidfds.len()
    }

    /// Waits until all are dead, and what they started meanwhile; gives the time at which the last one was. None when something
    /// still lives at `limit`.
    pub fn last_death(mut self, limit: SystemTime) -> Option<SystemTime> {
        loop {
            for pidfd in &self.pidfds {
                wait_for_death(pidfd, limit)?;
            }
            let dead = SystemTime::now();
            self.pidfds = open(self.users.iter().flat_map(|user| self.host.session_processes(user)).map(|it| it.pid));
            if self.pidfds.is_empty() {
                return Some(dead);
            }
        }
    }
}

/// The processes in the scopes of a user's sessions, as numbered outside the host.
fn in_scopes(host: &Host, user: &str) -> Vec<u32> {
    let slice = host.path(&format!("/sys/fs/cgroup/user.slice/user-{}.slice", uid(user)));
    let scopes = fs::read_dir(slice).into_iter().flatten().flatten();
    let scopes = scopes.filter(|scope| scope.file_name().to_string_lossy().starts_with("session-"));
    let listed = scopes.filter_map(|scope| fs::read_to_string(scope.path().join("cgroup.procs")).ok());
    listed.flat_map(|pids| pids.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn open(pids: impl Iterator<Item = u32>) -> Vec<OwnedFd> {
    let pids = pids.filter_map(|pid| Pid::from_raw(pid.cast_signed()));
    // One that is gone by now needs no watching.
    pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
}

/// A pidfd is readable from the death of its process on, pidfd_open(2). None at `limit`.
fn wait_for_death(pidfd: &OwnedFd, limit: SystemTime) -> Option<()> {
    loop {
        let left = limit.duration_since(SystemTime::now()).ok()?;
        let left = Timespec::try_from(left).expect("the limit is near");
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&left)) {
            Ok(1..) => return Some(()),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("a pidfd can't be waited for: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    fn pidfd(pid: u32) -> OwnedFd {
        pidfd_open(Pid::from_raw(pid.cast_signed()).expect("no process is 0"), PidfdFlags::empty()).expect("it lives")
    }

    #[test]
    fn a_death_is_noticed_and_a_life_is_not_waited_out() {
        let limit = SystemTime::now() + Duration::from_millis(20);
        assert!(wait_for_death(&pidfd(std::process::id()), limit).is_none());
        let mut child = Command::new("true").spawn().expect("it can be started");
        let limit = SystemTime::now() + Duration::from_secs(10);
        assert!(wait_for_death(&pidfd(child.id()), limit).is_some());
        child.wait().expect("it can be waited for");
    }
}
