//! From a grant's `not_after` to the death of the last process that its session started.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use curfew_tests::{Grant, Host, Output};

use crate::statistics::{largest, median};

/// How long each grant holds. The host's default grace is longer, so the session is asked to end at once.
const WINDOW: &str = "3s";
/// What the session does: it ignores every request to end, at the shell and in its child, and must be killed.
const STUBBORN: &str = "trap '' HUP TERM INT QUIT; echo ready; sleep 600";
/// When the session's processes are listed, before the end.
const HEAD_START: Duration = Duration::from_millis(400);
/// How long after the end they may be watched.
const PATIENCE: Duration = Duration::from_secs(10);

/// How late sessions ended.
pub struct Endings {
    /// Milliseconds after `not_after`, session by session.
    pub late_ms: Vec<f64>,
}

impl Endings {
    /// Lets `user` log in `count` times, each time for [`WINDOW`].
    pub fn measure(host: &Host, user: &str, count: usize) -> Self {
        Self { late_ms: (0..count).map(|_| one_session(host, user)).collect() }
    }

    pub fn median(&self) -> f64 {
        median(&self.late_ms).expect("there was a session")
    }

    pub fn worst(&self) -> f64 {
        largest(&self.late_ms).expect("there was a session")
    }
}

fn one_session(host: &Host, user: &str) -> f64 {
    let grant = host.grant(&format!("{user} --for {WINDOW} --login"));
    let mut shell = host.login(user);
    shell.type_text(&format!("{STUBBORN}\n"));
    shell.see("\nready", Duration::from_secs(2));

    let late = death_of_the_last(host, user, &grant);
    let Output { status, .. } = shell.finish(PATIENCE);
    assert_ne!(status, 0, "the session was killed, it did not end by itself");
    late
}

/// Milliseconds from the grant's end to the end of the last of the session's processes.
fn death_of_the_last(host: &Host, user: &str, grant: &Grant) -> f64 {
    let end = SystemTime::from(grant.not_after);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    std::thread::sleep(left.saturating_sub(HEAD_START));

    let list = || host.session_processes(user).into_iter().map(|process| process.pid).collect::<BTreeSet<_>>();
    let mut watched = list();
    assert!(!watched.is_empty(), "the session lives shortly before the end");
    loop {
        watched.retain(|pid| is_alive(*pid));
        let now = SystemTime::now();
        if watched.is_empty() {
            // Whatever it started since the list was made counts as well.
            watched = list();
            if watched.is_empty() {
                return milliseconds(end, now);
            }
        }
        assert!(now < end + PATIENCE, "still alive long after the end: {watched:?}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Whether the process exists and is no zombie, by proc_pid_stat(5): the state follows the name's closing bracket.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// From `from` to `to`, negative when that was earlier.
fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(after) => after.as_secs_f64() * 1000.0,
        Err(before) => before.duration().as_secs_f64() * -1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_that_cannot_be_is_not() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(u32::MAX));
    }
}
