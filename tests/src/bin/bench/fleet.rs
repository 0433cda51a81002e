//! A fleet on one server: thousands of simulated hosts, each with a key of its own, enrolled, and with a poll parked over TLS. What that costs the server,
//! how fast a revocation reaches a host meanwhile, and how long all of them take to come back after the server was restarted.

mod hosts;
mod postgres;
mod server;
mod trail;
mod wave;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use curfew_tests::report as progress;
use serde_json::{Value, json};

use crate::aim::{Aim, Bound};
use crate::report::rounded;
use crate::statistics::quantile;
use hosts::SimulatedHosts;
use postgres::Postgres;
use server::Server;
use trail::Trail;
use wave::Waves;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Simulated hosts.
    pub hosts: usize,
    /// How many of them are the few.
    pub few: usize,
    /// Grants by labels that are for none of them.
    pub others: usize,
    /// Records of the audit.
    pub records: usize,
    /// Revocations that are timed.
    pub revocations: usize,
    /// How long the server is left alone before it is measured.
    pub settled: Duration,
    /// How long its processor time is counted while nothing happens.
    pub idle: Duration,
}

/// What it came to.
pub struct Fleet {
    hosts: usize,
    seconds_to_enrol: f64,
    few: usize,
    /// The server's memory with nobody there, with every poll parked, and after changes for all of them, in KiB.
    memory: [u64; 3],
    /// Its processor time while all polls are parked, in milliseconds a second.
    idle_ms_a_second: f64,
    /// From the revocation's request to the set in the host's hands, in milliseconds.
    revocations: Vec<f64>,
    /// From the server's end to the last poll parked again.
    reconnect: Duration,
    /// The server's processor time for that, in seconds.
    reconnect_cpu: f64,
    /// Changes for many hosts, on SQLite, and on PostgreSQL where this machine has it.
    waves: [Option<Waves>; 2],
    trail: Trail,
}

impl Fleet {
    /// Runs a server and its fleet.
    pub fn measure(plan: Plan) -> Self {
        let mut server = Server::start(None);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("an event loop");
        let begun = Instant::now();
        let mut fleet = runtime.block_on(SimulatedHosts::enrol(&server, plan.hosts, plan.few));
        let seconds_to_enrol = begun.elapsed().as_secs_f64();
        progress(&format!("{} hosts enrolled in {seconds_to_enrol:.1} s", plan.hosts));
        let before = server.memory();
        runtime.block_on(fleet.park());
        std::thread::sleep(plan.settled);
        let parked = server.memory();
        let cpu = server.processor_seconds();
        std::thread::sleep(plan.idle);
        let idle_ms_a_second = (server.processor_seconds() - cpu) * 1000.0 / plan.idle.as_secs_f64();
        progress("timing revocations while the polls are parked");
        let revocations = runtime.block_on(fleet.revoke(&server, plan.revocations));
        progress("timing changes for many hosts");
        let waves = runtime.block_on(Waves::measure(&mut fleet, &server, plan.few, plan.others));
        std::thread::sleep(plan.settled);
        let memory = [before, parked, server.memory()];
        progress(&format!("shipping {} records of audit", plan.records));
        let trail = runtime.block_on(Trail::measure(&fleet, &server, plan.records));
        progress("restarting the server");
        server.restart();
        let begun = Instant::now();
        runtime.block_on(fleet.come_back());
        let (reconnect, reconnect_cpu) = (begun.elapsed(), server.processor_seconds());
        drop((fleet, server));
        let waves = [Some(waves), on_postgres(&runtime, plan)];
        let (hosts, few) = (plan.hosts, plan.few);
        Self {
            hosts,
            few,
            seconds_to_enrol,
            memory,
            idle_ms_a_second,
            revocations,
            reconnect,
            reconnect_cpu,
            waves,
            trail,
        }
    }

    /// How many hosts it had.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// What one parked poll costs the server after changes for all hosts, in KiB.
    pub fn kib_a_host(&self) -> f64 {
        (self.memory[2].saturating_sub(self.memory[0])) as f64 / self.hosts as f64
    }

    /// What a fleet should be served like.
    pub fn aims(&self) -> Vec<Aim> {
        let mut aims = Vec::new();
        let growth = self.hosts as f64 / self.few as f64;
        for (waves, database, most) in [(&self.waves[0], "SQLite", 500.0), (&self.waves[1], "PostgreSQL", 1000.0)] {
            let Some(waves) = waves else { continue };
            let aim = |what: &str, value: f64, most: f64, unit| {
                Aim::new(format!("{what}, {database}"), value, Bound::AtMost(most), unit)
            };
            aims.extend([
                aim("revocation to the last of all hosts", waves.all, most, "ms").bounded_by(
                    "a signature, a record of TLS and two system calls a host, and what the simulated hosts take",
                ),
                aim("the same beside other grants", waves.beside_others, most, "ms"),
                aim("all hosts beside a few, times their number", waves.all / waves.few / growth, 1.0, ""),
                aim("two revocations in a row beside one", waves.two / waves.all, 1.2, ""),
                aim(
                    "a grant by labels beside all others, times the first ones",
                    waves.granted[1] / waves.granted[0],
                    1.5,
                    "",
                ),
            ]);
        }
        let [first, last] = self.trail.rates;
        aims.extend([
            Aim::new("records of audit a second, SQLite", last, Bound::AtLeast(30_000.0), ""),
            Aim::new("the same, last tenth beside first", last / first, Bound::AtLeast(0.9), ""),
            Aim::new("a grant while audit is shipped, p99", self.trail.grant_p99(), Bound::AtMost(50.0), "ms"),
            Aim::new("the slowest page of the audit", self.trail.slowest_page(), Bound::AtMost(50.0), "ms"),
        ]);
        aims
    }

    /// From the revocation to the set in the host's hands, at the 99th percentile, in milliseconds.
    pub fn revocation_p99(&self) -> f64 {
        quantile(&self.revocations, 0.99).unwrap_or(f64::INFINITY)
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        json!({
            "hosts": self.hosts,
            "seconds_to_enrol": rounded(self.seconds_to_enrol),
            "server_kib_before": self.memory[0],
            "server_kib_parked": self.memory[1],
            "server_kib_after_changes": self.memory[2],
            "kib_a_host": rounded(self.kib_a_host()),
            "changes_for_many": {
                "few": self.few,
                "sqlite": self.waves[0].as_ref().map(Waves::to_json),
                "postgresql": self.waves[1].as_ref().map(Waves::to_json),
            },
            "audit": self.trail.to_json(),
            "idle_cpu_ms_a_second": rounded(self.idle_ms_a_second),
            "revocation_p50_ms": rounded(quantile(&self.revocations, 0.5).unwrap_or(f64::NAN)),
            "revocation_p99_ms": rounded(self.revocation_p99()),
            "revocations": self.revocations.len(),
            "reconnect_s": rounded(self.reconnect.as_secs_f64()),
            "reconnect_server_cpu_s": rounded(self.reconnect_cpu),
        })
    }
}

impl Display for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p50 = quantile(&self.revocations, 0.5).unwrap_or(f64::NAN);
        writeln!(f, "  enrolled in {:.1} s, a token and a key each", self.seconds_to_enrol)?;
        writeln!(
            f,
            "  {} KiB (PSS) with nobody there, {} KiB with every poll parked, {} KiB after changes for all: {:.1} KiB a host",
            self.memory[0],
            self.memory[1],
            self.memory[2],
            self.kib_a_host()
        )?;
        writeln!(f, "  {:.2} ms of processor time a second while they are parked", self.idle_ms_a_second)?;
        writeln!(
            f,
            "  revocation to the set in the host's hands: p50 {p50:.1} ms, p99 {:.1} ms, {} times",
            self.revocation_p99(),
            self.revocations.len()
        )?;
        for (waves, database) in self.waves.iter().zip(["SQLite", "PostgreSQL"]) {
            if let Some(waves) = waves {
                write!(f, "  {database}, {} are few:\n{waves}", self.few)?;
            }
        }
        write!(f, "{}", self.trail)?;
        writeln!(
            f,
            "  all back and parked {:.1} s after the server was restarted, for {:.1} s of its processor time",
            self.reconnect.as_secs_f64(),
            self.reconnect_cpu
        )
    }
}

/// The same changes on PostgreSQL.
fn on_postgres(runtime: &tokio::runtime::Runtime, plan: Plan) -> Option<Waves> {
    let postgres = Postgres::start()?;
    progress("the same on PostgreSQL");
    let server = Server::start(Some(&postgres.url()));
    let mut fleet = runtime.block_on(SimulatedHosts::enrol(&server, plan.hosts, plan.few));
    runtime.block_on(fleet.park());
    Some(runtime.block_on(Waves::measure(&mut fleet, &server, plan.few, plan.others)))
}
