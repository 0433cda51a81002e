//! A fleet on one server: thousands of simulated hosts, each with a key of its own, enrolled, and with a poll parked over TLS. What that costs the server,
//! how fast a revocation reaches a host meanwhile, and how long all of them take to come back after the server was restarted.

mod hosts;
mod server;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use curfew_tests::report as progress;
use serde_json::{Value, json};

use crate::report::rounded;
use crate::statistics::quantile;
use hosts::SimulatedHosts;
use server::Server;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Simulated hosts.
    pub hosts: usize,
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
    /// The server's memory with nobody there and with every poll parked, in KiB.
    memory: [u64; 2],
    /// Its processor time while all polls are parked, in milliseconds a second.
    idle_ms_a_second: f64,
    /// From the revocation's request to the set in the host's hands, in milliseconds.
    revocations: Vec<f64>,
    /// From the server's end to the last poll parked again.
    reconnect: Duration,
    /// The server's processor time for that, in seconds.
    reconnect_cpu: f64,
}

impl Fleet {
    /// Runs a server and its fleet.
    pub fn measure(plan: Plan) -> Self {
        let mut server = Server::start();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("an event loop");
        let begun = Instant::now();
        let mut fleet = runtime.block_on(SimulatedHosts::enrol(&server, plan.hosts));
        let seconds_to_enrol = begun.elapsed().as_secs_f64();
        progress(&format!("{} hosts enrolled in {seconds_to_enrol:.1} s", plan.hosts));
        let before = server.memory();
        runtime.block_on(fleet.park());
        std::thread::sleep(plan.settled);
        let memory = [before, server.memory()];
        let cpu = server.processor_seconds();
        std::thread::sleep(plan.idle);
        let idle_ms_a_second = (server.processor_seconds() - cpu) * 1000.0 / plan.idle.as_secs_f64();
        progress("timing revocations while the polls are parked");
        let revocations = runtime.block_on(fleet.revoke(&server, plan.revocations));
        progress("restarting the server");
        server.restart();
        let begun = Instant::now();
        runtime.block_on(fleet.come_back());
        let (reconnect, reconnect_cpu) = (begun.elapsed(), server.processor_seconds());
        Self { hosts: plan.hosts, seconds_to_enrol, memory, idle_ms_a_second, revocations, reconnect, reconnect_cpu }
    }

    /// How many hosts it had.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// What one parked poll costs the server, in KiB.
    pub fn kib_a_host(&self) -> f64 {
        (self.memory[1].saturating_sub(self.memory[0])) as f64 / self.hosts as f64
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
            "kib_a_host": rounded(self.kib_a_host()),
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
            "  {} KiB (PSS) with nobody there, {} KiB with every poll parked: {:.1} KiB a host",
            self.memory[0],
            self.memory[1],
            self.kib_a_host()
        )?;
        writeln!(f, "  {:.2} ms of processor time a second while they are parked", self.idle_ms_a_second)?;
        writeln!(
            f,
            "  revocation to the set in the host's hands: p50 {p50:.1} ms, p99 {:.1} ms, {} times",
            self.revocation_p99(),
            self.revocations.len()
        )?;
        writeln!(
            f,
            "  all back and parked {:.1} s after the server was restarted, for {:.1} s of its processor time",
            self.reconnect.as_secs_f64(),
            self.reconnect_cpu
        )
    }
}
