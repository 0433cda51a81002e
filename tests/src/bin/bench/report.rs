//! What a run found: as tables for a person, or as one JSON object.

use std::fmt::{self, Display};

use serde_json::{Map, Value, json};

use crate::aim::{Aim, Bound};
use crate::central::Central;
use crate::checks::Checks;
use crate::crowd::Crowd;
use crate::ending::{Agent, Endings};
use crate::fleet::Fleet;
use crate::footprint::{Memory, Sizes};
use crate::idle::Wakes;
use crate::machine::Machine;
use crate::rate::Rates;
use crate::scale::Scale;
use crate::statistics::quantile;

/// At most this many times the floor's median.
const MOST_TIMES_THE_FLOOR: f64 = 1.3;
/// At most this much memory with the grants in the store, in KiB.
const MOST_MEMORY: f64 = 10.0 * 1024.0;
/// At most this large a module, in bytes.
const MOST_MODULE: f64 = 600.0 * 1024.0;
/// At most this long from `not_after` to the last process dead, in milliseconds, at the 99th percentile.
const MOST_LATE: f64 = 100.0;
/// The same when a timer of PID 1's has to do it.
const MOST_LATE_WITHOUT_AGENT: f64 = 1500.0;
/// At least this share of what an echo server answers.
const LEAST_SHARE_OF_THE_ECHO: f64 = 0.5;
/// At most this long until PAM has its answer with a crowd on the public socket, in milliseconds, at the 99th percentile.
const MOST_WAIT: f64 = 5.0;
/// At most this much memory with the crowd there, in KiB: a quarter of what the unit allows.
const MOST_MEMORY_IN_A_CROWD: f64 = 64.0 * 1024.0;
/// At most this long from a revocation at the endpoint to the last process dead on the host, in milliseconds, at the 99th percentile.
const MOST_LATE_FROM_THE_ENDPOINT: f64 = 1000.0;
/// At most this much of the server's memory for each parked poll, in KiB.
const MOST_MEMORY_A_HOST: f64 = 30.0;
/// At most this many context switches a minute with nothing to do.
const MOST_WAKES: f64 = 10.0;

/// All figures of a run.
pub struct Report {
    pub machine: Machine,
    /// Every check in a process of its own.
    pub fresh_process: Checks,
    /// One process that checks again and again.
    pub same_process: Checks,
    pub memory: Memory,
    pub sizes: Sizes,
    pub endings: [Endings; 4],
    /// For each number of clients.
    pub rates: Vec<Rates>,
    pub crowd: Crowd,
    pub wakes: Wakes,
    pub scale: Scale,
    pub central: Central,
    pub fleet: Fleet,
}

impl Report {
    /// Whether every figure is as it should be.
    pub fn meets_its_aims(&self) -> bool {
        self.aims().iter().all(Aim::met)
    }

    /// What could not be measured, and why.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let endings = self.endings.iter().filter_map(|endings| {
            let (agent, sessions) = (endings.series.agent.name(), endings.series.sessions);
            Some(format!("agent {agent}, {sessions} session(s): {}", endings.problem.as_ref()?))
        });
        endings.chain(self.scale.problems())
    }

    fn aims(&self) -> Vec<Aim> {
        let floor = Bound::AtMost(MOST_TIMES_THE_FLOOR);
        let mut aims = vec![
            Aim::new("account check, times the floor, a process each", self.fresh_process.times_the_floor(), floor, ""),
            Aim::new("account check, times the floor, one process", self.same_process.times_the_floor(), floor, ""),
            Aim::new("agent's memory (PSS)", self.memory.agent as f64, Bound::AtMost(MOST_MEMORY), "KiB"),
            Aim::new("pam_curfew.so", self.sizes.curfew as f64, Bound::AtMost(MOST_MODULE), "bytes"),
        ];
        aims.extend(self.endings.iter().map(ending_aim));
        aims.extend(self.rates.iter().map(|rates| {
            let name = format!("checks a second, share of the echo's, {} client(s)", rates.clients);
            Aim::new(name, rates.share_of_the_echo(), Bound::AtLeast(LEAST_SHARE_OF_THE_ECHO), "")
                .bounded_by("one thread, and one write(2) of an audit record before each answer")
        }));
        aims.extend(self.scale.aims());
        aims.extend([
            Aim::new("answer to PAM in a crowd, p99", self.crowd.p99_ms(), Bound::AtMost(MOST_WAIT), "ms")
                .bounded_by("one thread, which PAM shares with whoever asks in public"),
            Aim::new(
                "agent's memory in a crowd (PSS)",
                self.crowd.memory as f64,
                Bound::AtMost(MOST_MEMORY_IN_A_CROWD),
                "KiB",
            )
            .bounded_by("64 connections a user and 1024 in all"),
            Aim::new("context switches a minute, idle", self.wakes.a_minute(), Bound::AtMost(MOST_WAKES), "")
                .bounded_by("the look every 30 s that feeds the watchdog"),
            Aim::new(
                "revoked at the endpoint to last process dead, p99",
                self.central.revocation_p99(),
                Bound::AtMost(MOST_LATE_FROM_THE_ENDPOINT),
                "ms",
            )
            .bounded_by("the fsync of the set on the server's and the host's disk, and the kernel's exits"),
            Aim::new(
                "server's memory for a parked poll",
                self.fleet.kib_a_host(),
                Bound::AtMost(MOST_MEMORY_A_HOST),
                "KiB",
            )
            .bounded_by("the buffers of TLS and HTTP of one connection"),
            Aim::new(
                "revocation to the host's hands in a fleet, p99",
                self.fleet.revocation_p99(),
                Bound::AtMost(MOST_LATE_FROM_THE_ENDPOINT),
                "ms",
            )
            .bounded_by("the fsync of the server's database, and one signature"),
        ]);
        aims.extend(self.fleet.aims());
        aims
    }

    /// The report as one JSON object; times in microseconds unless a name ends otherwise.
    pub fn to_json(&self) -> Value {
        json!({
            "machine": self.machine.to_json(),
            "account_check": {
                "process_each": checks_to_json(&self.fresh_process),
                "one_process": checks_to_json(&self.same_process),
            },
            "memory_pss_kib": {
                "curfewd": self.memory.agent,
                "curfewd_before_the_checks": self.memory.agent_at_rest,
                "grants": self.memory.grants,
                "seconds_to_add_the_grants": rounded(self.memory.seconds_to_grant),
                "sssd": self.memory.sssd.iter().map(|(name, kib)| (name.clone(), json!(kib))).collect::<Map<_, _>>(),
                "sssd_total": self.memory.sssd_total(),
            },
            "module_bytes": {
                "pam_curfew.so": self.sizes.curfew, "pam_sss.so": self.sizes.sss, "pam_unix.so": self.sizes.unix,
            },
            "not_after_to_last_process_dead_ms": self.endings.iter().map(Endings::to_json).collect::<Vec<_>>(),
            "checks_a_second": self.rates.iter().map(Rates::to_json).collect::<Vec<_>>(),
            "answer_in_a_crowd": self.crowd.to_json(),
            "idle": self.wakes.to_json(),
            "by_processes": self.scale.to_json(),
            "endpoint": self.central.to_json(),
            "fleet": self.fleet.to_json(),
            "aims": self.aims().iter().map(Aim::to_json).collect::<Vec<_>>(),
        })
    }
}

fn ending_aim(endings: &Endings) -> Aim {
    let (agent, sessions) = (endings.series.agent, endings.series.sessions);
    let (most, bounded_by) = match agent {
        Agent::Alive => (MOST_LATE, "the kernel's exits, and one look at all processes"),
        Agent::Dead => (MOST_LATE_WITHOUT_AGENT, "a timer of PID 1's, and the start of a program"),
    };
    let name = format!("not_after to last process dead, p99, {sessions}, agent {}", agent.name());
    Aim::new(name, endings.quantile(0.99), Bound::AtMost(most), "ms").bounded_by(bounded_by)
}

fn checks_to_json(checks: &Checks) -> Value {
    let peers = checks.peers().map(|(name, figures)| {
        let value = json!({
            "p50_us": rounded(figures.p50), "p99_us": rounded(figures.p99), "samples": figures.samples,
        });
        (name.to_owned(), value)
    });
    json!({
        "peers": peers.collect::<Map<_, _>>(),
        "pam_curfew_to_floor": {
            "median": rounded(checks.times_the_floor()),
            "rounds": checks.rounds_to_the_floor().into_iter().map(rounded).collect::<Vec<_>>(),
        },
    })
}

/// Three decimals: more would only look exact.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.machine)?;
        writeln!(
            f,
            "PAM account check, a fresh transaction each, in microseconds; the agent holds {} grants",
            self.memory.grants
        )?;
        writeln!(f, "                          a process each          one process")?;
        writeln!(f, "                           p50       p99          p50       p99")?;
        for (name, fresh) in self.fresh_process.peers() {
            let same = self.same_process.peer(name);
            writeln!(f, "  {name:<20} {:>9.1} {:>9.1}    {:>9.1} {:>9.1}", fresh.p50, fresh.p99, same.p50, same.p99)?;
        }
        for (name, checks) in [("a process each", &self.fresh_process), ("one process", &self.same_process)] {
            let rounds = checks.rounds_to_the_floor();
            let [low, high] = [0.1, 0.9].map(|share| quantile(&rounds, share).unwrap_or(f64::NAN));
            writeln!(
                f,
                "  pam_curfew p50 / floor p50, {name}: {:.2}, the middle of {} rounds (most: {low:.2} to {high:.2})",
                checks.times_the_floor(),
                rounds.len()
            )?;
        }
        writeln!(f, "\nMemory (PSS), in KiB")?;
        writeln!(f, "  {:<28} {:>9}", format!("curfewd, {} grants", self.memory.grants), self.memory.agent)?;
        writeln!(f, "  {:<28} {:>9}", "  the same before the checks", self.memory.agent_at_rest)?;
        for (name, kib) in &self.memory.sssd {
            writeln!(f, "  {name:<28} {kib:>9}")?;
        }
        writeln!(f, "  {:<28} {:>9}", "SSSD together", self.memory.sssd_total())?;
        writeln!(f, "  {} times `curfew grant` took {:.1} s", self.memory.grants, self.memory.seconds_to_grant)?;
        writeln!(f, "\nPAM modules, in bytes")?;
        for (name, bytes) in
            [("pam_curfew.so", self.sizes.curfew), ("pam_sss.so", self.sizes.sss), ("pam_unix.so", self.sizes.unix)]
        {
            writeln!(f, "  {name:<28} {bytes:>9}")?;
        }
        writeln!(f, "\nnot_after to the last process of all sessions dead, in ms")?;
        writeln!(f, "                                     p50       p99    rounds")?;
        self.endings.iter().try_for_each(|endings| write!(f, "{endings}"))?;
        writeln!(f, "\nChecks a second, a connection each")?;
        writeln!(f, "                                 curfewd      echo     share")?;
        self.rates.iter().try_for_each(|rates| write!(f, "{rates}"))?;
        writeln!(f, "\nAn answer to PAM, a connection each, in microseconds")?;
        writeln!(f, "                                     p50       p99   samples")?;
        write!(f, "{}", self.crowd)?;
        writeln!(f, "\nThe agent with nothing to do\n{}", self.wakes)?;
        writeln!(f, "What grows with the host, in ms\n{}", self.scale)?;
        writeln!(f, "One host that follows an endpoint\n{}", self.central)?;
        writeln!(f, "{} simulated hosts on one server\n{}", self.fleet.hosts(), self.fleet)?;
        writeln!(f, "Aims")?;
        self.aims().iter().try_for_each(|aim| writeln!(f, "{aim}"))
    }
}
