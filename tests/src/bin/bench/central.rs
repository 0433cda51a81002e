//! One host and its endpoint: from a revocation there to the last process dead here, and what following costs the host while nothing happens.

use std::fmt::{self, Display};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use curfew_tests::central::Central as Endpoint;
use curfew_tests::{Host, Release, wait_for};
use serde_json::{Value, json};

use crate::USER;
use crate::idle;
use crate::report::rounded;
use crate::statistics::quantile;

/// How long a grant may take to reach the host.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Sessions that are ended from the endpoint.
    pub revocations: usize,
    /// How the idle agent is watched.
    pub idle: idle::Plan,
}

/// What it came to.
pub struct Central {
    /// From the start of the administrator's command, in milliseconds.
    revocations: Vec<f64>,
    /// The same command, with nothing to revoke: a process and a TLS handshake of its own.
    command_alone: Vec<f64>,
    seconds: f64,
    switches: u64,
    /// What the host's interface carried, both ways, with all its headers.
    bytes: u64,
}

impl Central {
    /// Boots a host with an endpoint of its own, and revokes.
    pub fn measure(release: Release, plan: Plan) -> Self {
        let host = Host::builder(release).config("grace = \"0s\"").boot();
        let endpoint = Endpoint::start(&host);
        endpoint.enroll();
        let mut revocations = Vec::new();
        let mut command_alone = Vec::new();
        for _ in 0..plan.revocations {
            let grant = endpoint.grant(&format!("{USER} --labels role=web --for 1h --login"));
            let there = || host.ssh(USER, "true").success().then_some(());
            wait_for("the grant", PATIENCE, there);
            let session = host.login(USER);
            let begun = Instant::now();
            endpoint.run("grant list").expect_ok("grant list");
            command_alone.push(begun.elapsed().as_secs_f64() * 1000.0);
            let begun = Instant::now();
            let revoking = endpoint.spawn(&format!("grant revoke {grant}"));
            wait_for("the last process dead", PATIENCE, || host.session_processes(USER).is_empty().then_some(()));
            revocations.push(begun.elapsed().as_secs_f64() * 1000.0);
            revoking.finish(PATIENCE).expect_ok("grant revoke");
            drop(session);
        }
        sleep(plan.idle.settled);
        let (before, bytes) = (idle::read(&host), carried(&host));
        let begun = Instant::now();
        sleep(plan.idle.watched);
        let seconds = begun.elapsed().as_secs_f64();
        let switches = idle::between(&before, &idle::read(&host)).all();
        let bytes = carried(&host) - bytes;
        Self { revocations, command_alone, seconds, switches, bytes }
    }

    /// From the start of the command to the last process dead, at the 99th percentile, in milliseconds.
    pub fn revocation_p99(&self) -> f64 {
        quantile(&self.revocations, 0.99).unwrap_or(f64::INFINITY)
    }

    fn an_hour(&self, count: u64) -> f64 {
        count as f64 * 3600.0 / self.seconds
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        let [p50, alone] =
            [&self.revocations, &self.command_alone].map(|it| rounded(quantile(it, 0.5).unwrap_or(f64::NAN)));
        json!({
            "revocation_to_last_process_dead_ms": {
                "p50": p50, "p99": rounded(self.revocation_p99()), "rounds": self.revocations.len(),
            },
            "command_alone_p50_ms": alone,
            "idle_context_switches_an_hour": rounded(self.an_hour(self.switches)),
            "idle_bytes_an_hour": rounded(self.an_hour(self.bytes)),
            "idle_seconds": rounded(self.seconds),
        })
    }
}

impl Display for Central {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, alone] = [&self.revocations, &self.command_alone].map(|it| quantile(it, 0.5).unwrap_or(f64::NAN));
        writeln!(
            f,
            "  `grant revoke` begun to the last process dead: p50 {p50:.0} ms, p99 {:.0} ms, {} times (a command that changes nothing: {alone:.0} ms)",
            self.revocation_p99(),
            self.revocations.len()
        )?;
        writeln!(
            f,
            "  idle with a poll parked, an hour: {:.0} context switches, {:.0} KiB both ways (watched for {:.0} s)",
            self.an_hour(self.switches),
            self.an_hour(self.bytes) / 1024.0,
            self.seconds
        )
    }
}

/// The bytes that the host's loopback has carried: each once.
fn carried(host: &Host) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/net/dev", host.leader())).expect("the host has a network");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("it has a loopback");
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}
