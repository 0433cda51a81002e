//! How often the agent wakes while there is nothing to do: context switches with grants that are live, sessions that are open,
//! and no end near. On a host of its own, so that nothing else asks the agent.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use curfew_tests::{Host, Release, Shell};
use serde_json::{Value, json};

use crate::footprint::agent;
use crate::report::rounded;

/// Who has two grants each; the first three are logged in.
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "ops"];
const SESSIONS: usize = 3;
/// Far behind what is measured, and the warnings too.
const WINDOW: &str = "4h";
/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// How long the agent has after the last login: its threads for blocking work end after ten seconds without any.
    pub settled: Duration,
    /// How long it is watched: whole periods of its look every 30 s.
    pub watched: Duration,
}

/// A host with an agent that has less and less to do.
pub struct Idle {
    host: Host,
    _sessions: Vec<Shell>,
    since: Instant,
}

/// The same, from the first reading on.
pub struct Watching {
    idle: Idle,
    before: BTreeMap<u32, Switches>,
    begun: Instant,
}

/// What it came to.
pub struct Wakes {
    seconds: f64,
    switches: Switches,
    threads: usize,
}

/// Context switches, as proc_pid_status(5) counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Switches {
    voluntary: u64,
    involuntary: u64,
}

impl Idle {
    /// Boots the host, and lets people in.
    pub fn boot(release: Release) -> Self {
        let host = Host::builder(release).boot();
        for user in PEOPLE {
            for what in ["--login", "--login --sudo --command /usr/bin/id"] {
                let _ = host.grant(&format!("{user} --for {WINDOW} {what}"));
            }
        }
        let sessions = PEOPLE[..SESSIONS].iter().map(|user| host.login(user)).collect();
        Self { host, _sessions: sessions, since: Instant::now() }
    }

    /// Takes the first reading, once the agent has had its time to settle.
    pub fn watch(self, settled: Duration) -> Watching {
        sleep(settled.saturating_sub(self.since.elapsed()));
        let before = read(&self.host);
        Watching { idle: self, before, begun: Instant::now() }
    }
}

impl Watching {
    /// Takes the second one, `window` after the first or later.
    pub fn finish(self, window: Duration) -> Wakes {
        sleep(window.saturating_sub(self.begun.elapsed()));
        let after = read(&self.idle.host);
        let seconds = self.begun.elapsed().as_secs_f64();
        let live = self.idle.host.processes().iter().filter(|process| process.in_session()).count();
        assert!(live >= SESSIONS, "the sessions were there all along");
        Wakes { seconds, switches: between(&self.before, &after), threads: after.len() }
    }
}

impl Wakes {
    /// All switches, for a minute.
    pub fn a_minute(&self) -> f64 {
        self.switches.all() as f64 * 60.0 / self.seconds
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        json!({
            "context_switches_a_minute": rounded(self.a_minute()), "voluntary": self.switches.voluntary,
            "involuntary": self.switches.involuntary, "seconds": rounded(self.seconds), "threads": self.threads,
            "grants": PEOPLE.len() * 2, "sessions": SESSIONS,
        })
    }
}

impl Display for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, switches, threads } = self;
        writeln!(
            f,
            "  {:.1} context switches a minute ({} voluntary and {} involuntary in {seconds:.0} s, {threads} threads)",
            self.a_minute(),
            switches.voluntary,
            switches.involuntary
        )
    }
}

/// The agent's threads and their switches so far.
pub fn read(host: &Host) -> BTreeMap<u32, Switches> {
    let tasks = format!("/proc/{}/task", agent(host).pid);
    let threads = fs::read_dir(tasks).expect("the agent runs").flatten();
    threads
        .filter_map(|thread| {
            let status = fs::read_to_string(thread.path().join("status")).ok()?;
            Some((thread.file_name().to_str()?.parse().ok()?, Switches::parse(&status)))
        })
        .collect()
}

/// What came since `before`; a thread that is new counts as a whole.
pub fn between(before: &BTreeMap<u32, Switches>, after: &BTreeMap<u32, Switches>) -> Switches {
    after.iter().fold(Switches::default(), |sum, (thread, now)| {
        let then = before.get(thread).copied().unwrap_or_default();
        Switches {
            voluntary: sum.voluntary + now.voluntary - then.voluntary,
            involuntary: sum.involuntary + now.involuntary - then.involuntary,
        }
    })
}

impl Switches {
    /// Both kinds together.
    pub fn all(self) -> u64 {
        self.voluntary + self.involuntary
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a status counts switches");
            line.trim().parse().expect("a count is a number")
        };
        Self { voluntary: field("voluntary_ctxt_switches:"), involuntary: field("nonvoluntary_ctxt_switches:") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_counted_thread_by_thread() {
        let status = "Name:\tcurfewd\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let read = Switches::parse(status);
        assert_eq!(read, Switches { voluntary: 12, involuntary: 3 });
        let before = BTreeMap::from([(1, Switches { voluntary: 10, involuntary: 3 }), (2, read)]);
        let after = BTreeMap::from([(1, read), (3, Switches { voluntary: 5, involuntary: 1 })]);
        assert_eq!(between(&before, &after), Switches { voluntary: 7, involuntary: 1 });
    }
}
