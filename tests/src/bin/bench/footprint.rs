//! What Curfew and SSSD take of a host: memory while they run, and the size of the modules.

use std::fs;
use std::time::Duration;

use curfew_tests::{Host, Process};

/// The longest that adding the grants may take.
const GRANTING: Duration = Duration::from_secs(900);

/// Proportional set sizes, in KiB: memory that processes share counts for each in part.
pub struct Memory {
    /// How many grants the agent held.
    pub grants: usize,
    /// How long it took to add them, one command each.
    pub seconds_to_grant: f64,
    /// The agent, right after the grants were added.
    pub agent_at_rest: u64,
    /// The agent, after it answered all account checks.
    pub agent: u64,
    /// SSSD's processes by name.
    pub sssd: Vec<(String, u64)>,
}

impl Memory {
    /// SSSD's processes together.
    pub fn sssd_total(&self) -> u64 {
        self.sssd.iter().map(|(_, kib)| kib).sum()
    }
}

/// How many people share the grants, beside the one whose checks are timed.
const PEOPLE: usize = 100;

/// Gives the host `count` live grants, one command each: five for `user`, the others spread over a hundred people, as on a host that
/// many use; every tenth is for sudo. Returns the seconds that took.
pub fn add_grants(host: &Host, user: &str, count: usize) -> f64 {
    host.ok(&format!("for i in $(seq {PEOPLE}); do echo person$i:x:$((20000 + i)):100::/:/bin/sh; done >>/etc/passwd"));
    let script = format!(
        "set -e
        for i in $(seq {count}); do
            who=person$((i % {PEOPLE} + 1)) what=--login
            [ $i -gt 5 ] || who={user}
            [ $((i % 10)) != 0 ] || what='--sudo --command /usr/bin/id'
            curfew grant $who $what --for 2h --reason \"INC-$i a disk is full\" >/dev/null 2>&1
        done"
    );
    let output = host.spawn(&script).finish(GRANTING);
    let seconds = output.took.as_secs_f64();
    output.expect_ok("curfew grant, again and again");
    let held = host.status()["grants"].as_array().map_or(0, Vec::len);
    assert!(held >= count, "the agent holds {held} grants instead of {count}");
    seconds
}

/// The agent's process.
pub fn agent(host: &Host) -> Process {
    let pid = host.ok("systemctl show --property=MainPID --value curfewd.service");
    let found = host.processes().into_iter().find(|process| process.inner_pid.to_string() == pid);
    found.unwrap_or_else(|| panic!("the agent runs as {pid}"))
}

/// The agent's share of memory.
pub fn agent_memory(host: &Host) -> u64 {
    memory_of(&agent(host)).1
}

/// The shares of SSSD's processes.
pub fn sssd_memory(host: &Host) -> Vec<(String, u64)> {
    let found = [processes_of(host, "/usr/sbin/sssd"), processes_of(host, "/usr/libexec/sssd/")].concat();
    let processes: Vec<_> = found.iter().map(memory_of).collect();
    assert!(processes.len() >= 4, "SSSD runs as a monitor, a backend and two responders: {processes:?}");
    processes
}

/// The processes whose command lines begin so.
fn processes_of(host: &Host, command: &str) -> Vec<Process> {
    host.processes().into_iter().filter(|process| process.command.starts_with(command)).collect()
}

/// Name and share of a process.
fn memory_of(process: &Process) -> (String, u64) {
    let program = process.command.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)).expect("it still runs");
    (name, pss(&rollup))
}

/// The `Pss` of a proc_pid_smaps_rollup(5).
fn pss(rollup: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a rollup has a Pss");
    line.trim().trim_end_matches(" kB").parse().expect("in kB")
}

/// Module sizes in bytes.
pub struct Sizes {
    pub curfew: u64,
    pub sss: u64,
    pub unix: u64,
}

impl Sizes {
    /// As the host's packages brought them.
    pub fn of(host: &Host) -> Self {
        let size = |package: &str, module: &str| {
            let find = format!("dpkg --listfiles {package} | grep '/{module}$' | xargs stat --dereference --format=%s");
            host.ok(&find).parse().unwrap_or_else(|_| panic!("{package} brought one {module}"))
        };
        Self {
            curfew: size("curfew", "pam_curfew.so"),
            sss: size("libpam-sss", "pam_sss.so"),
            unix: size("libpam-modules", "pam_unix.so"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_has_its_pss_in_kib() {
        let rollup =
            "55d0-7ffe ---p 00000000 00:00 0  [rollup]\nRss:  9000 kB\nPss:                4321 kB\nPss_Dirty: 7 kB\n";
        assert_eq!(pss(rollup), 4321);
    }
}
