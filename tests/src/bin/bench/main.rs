//! What Curfew costs, measured beside its peers in one run on throwaway hosts; `tests/bench` runs it.
//!
//! - [`checks`]: one PAM account check, through [`peers`] that range from a module that only permits to SSSD,
//!   and the floor, which is the least that any agent could cost;
//! - [`footprint`]: the agent's memory beside SSSD's, and the module's size beside its neighbours';
//! - [`ending`]: how long after its grant a session's last process is dead, for one and for many at once, with the agent alive and
//!   with it dead; [`death`] waits for it;
//! - [`rate`]: checks a second, beside a bare echo; [`question`] asks;
//! - [`crowd`]: how long PAM waits while a crowd stands on the public socket, and what the agent holds for it;
//! - [`idle`]: how often the agent wakes with nothing to do;
//! - [`central`]: from a revocation at the endpoint to the last process dead on a host, and what following costs an idle host;
//! - [`scale`]: what grows with the number of processes on a host, beside a host without Curfew;
//! - [`fleet`]: what thousands of hosts with parked polls cost one server;
//! - [`report`]: the figures, what they should be ([`aim`]), and whether they are.

mod aim;
mod central;
mod checks;
mod crowd;
mod death;
mod ending;
mod fleet;
mod footprint;
mod idle;
mod machine;
mod peers;
mod question;
mod rate;
mod report;
mod scale;
mod statistics;

use std::process::ExitCode;
use std::time::Duration;

use curfew_tests::{Host, Release, report as progress};
use serde_json::json;

use crate::aim::Aim;
use crate::central::Central;
use crate::checks::{Checks, Processes};
use crate::crowd::Crowd;
use crate::ending::{Agent, Endings, Series};
use crate::fleet::Fleet;
use crate::footprint::{Memory, Sizes};
use crate::idle::Idle;
use crate::machine::Machine;
use crate::rate::Rates;
use crate::report::Report;
use crate::scale::Scale;

/// The host's release.
const RELEASE: Release = Release::Bookworm;
/// Who has a grant and logs in.
const USER: &str = "alice";

/// How much is measured.
struct Plan {
    /// Rounds of account checks.
    rounds: usize,
    /// Grants in the agent's store.
    grants: usize,
    /// Sessions that are watched to their ends.
    endings: [Series; 4],
    /// Rounds of checks a second, and how long each is, in milliseconds.
    rates: (usize, usize),
    /// Answers that are timed with a crowd on the public socket.
    crowd_samples: usize,
    idle: idle::Plan,
    scale: scale::Plan,
    /// The endpoint's part.
    central: central::Plan,
    fleet: fleet::Plan,
}

const FULL: Plan = Plan {
    rounds: 40,
    grants: 1000,
    endings: series([(1, 40, 20), (50, 6, 5)]),
    rates: (10, 500),
    crowd_samples: 4000,
    idle: idle::Plan { settled: Duration::from_secs(12), watched: Duration::from_secs(60) },
    scale: scale::Plan {
        sizes: &[30, 3000, 30_000],
        rounds: 6,
        sudos: 25,
        logins: 10,
        endings: [(1, 20), (50, 6)],
        rules: 20,
    },
    central: central::Plan {
        revocations: 60,
        idle: idle::Plan { settled: Duration::from_secs(12), watched: Duration::from_secs(120) },
    },
    fleet: fleet::Plan {
        hosts: 10_000,
        few: 1000,
        others: 10_000,
        records: 1_000_000,
        revocations: 300,
        settled: Duration::from_secs(5),
        idle: Duration::from_secs(20),
    },
};
const QUICK: Plan = Plan {
    rounds: 4,
    grants: 50,
    endings: series([(1, 2, 1), (20, 1, 1)]),
    rates: (2, 200),
    crowd_samples: 500,
    idle: NOT_LONG,
    scale: scale::Plan { sizes: &[30, 3000], rounds: 2, sudos: 8, logins: 4, endings: [(1, 2), (10, 1)], rules: 3 },
    central: central::Plan { revocations: 2, idle: NOT_LONG },
    fleet: fleet::Plan {
        hosts: 200,
        few: 20,
        others: 50,
        records: 20_000,
        revocations: 20,
        settled: Duration::from_secs(1),
        idle: Duration::from_secs(1),
    },
};

/// How the idle agent is watched where nobody reads the figure.
const NOT_LONG: idle::Plan = idle::Plan { settled: Duration::from_secs(1), watched: Duration::from_secs(2) };

/// Sessions at once, and the rounds with the agent alive and with it dead.
const fn series([one, many]: [(usize, usize, usize); 2]) -> [Series; 4] {
    const fn with(agent: Agent, sessions: usize, rounds: usize) -> Series {
        Series { agent, sessions, rounds }
    }
    [
        with(Agent::Alive, one.0, one.1),
        with(Agent::Alive, many.0, many.1),
        with(Agent::Dead, one.0, one.2),
        with(Agent::Dead, many.0, many.2),
    ]
}

fn main() -> ExitCode {
    let (mut json, mut check, mut scale, mut fleet, mut plan) = (false, false, false, false, FULL);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--check" => check = true,
            "--quick" => plan = QUICK,
            "--scale" => scale = true,
            "--fleet" => fleet = true,
            _ => {
                eprintln!(
                    "bench: {argument}: unknown; usage: tests/bench [--json] [--check] [--quick] [--scale] [--fleet]"
                );
                return ExitCode::from(2);
            }
        }
    }
    let (text, value, problems, met) = if scale {
        let scale = Scale::measure(RELEASE, plan.scale);
        let aims = scale.aims();
        let told: String = aims.iter().map(|aim| format!("{aim}\n")).collect();
        let value = json!({"by_processes": scale.to_json(), "aims": aims.iter().map(Aim::to_json).collect::<Vec<_>>()});
        (format!("{scale}\nAims\n{told}"), value, scale.problems().collect(), aims.iter().all(Aim::met))
    } else if fleet {
        let fleet = Fleet::measure(plan.fleet);
        let aims = fleet.aims();
        let told: String = aims.iter().map(|aim| format!("{aim}\n")).collect();
        let value = json!({"fleet": fleet.to_json(), "aims": aims.iter().map(Aim::to_json).collect::<Vec<_>>()});
        (format!("{fleet}\nAims\n{told}"), value, Vec::new(), aims.iter().all(Aim::met))
    } else {
        let report = measure(&plan);
        (report.to_string(), report.to_json(), report.problems().collect::<Vec<_>>(), report.meets_its_aims())
    };
    if json {
        println!("{value:#}");
    } else {
        println!("\n{text}");
    }
    for problem in &problems {
        eprintln!("bench: {problem}");
    }
    let failed = !problems.is_empty() || check && !met;
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(plan: &Plan) -> Report {
    progress(&format!("booting two {RELEASE} hosts: one to idle, one with Curfew and SSSD"));
    let idle = Idle::boot(RELEASE);
    let host = Host::builder(RELEASE).with_packages(&["sssd-common"]).boot();
    peers::install(&host, USER);

    // An idle host disturbs nothing that is timed meanwhile, and nothing here wakes its agent.
    let idle = idle.watch(plan.idle.settled);
    progress(&format!("adding {} grants", plan.grants));
    let seconds_to_grant = footprint::add_grants(&host, USER, plan.grants);
    let agent_at_rest = footprint::agent_memory(&host);
    let sizes = Sizes::of(&host);

    progress("timing account checks, each in a process of its own");
    let fresh_process = Checks::measure(&host, USER, Processes::Fresh, plan.rounds);
    progress("timing account checks, all in one process");
    let same_process = Checks::measure(&host, USER, Processes::Same, plan.rounds);
    let memory = Memory {
        grants: plan.grants,
        seconds_to_grant,
        agent_at_rest,
        agent: footprint::agent_memory(&host),
        sssd: footprint::sssd_memory(&host),
    };

    progress(&format!("watching the idle agent until {:?} are over", plan.idle.watched));
    let wakes = idle.finish(plan.idle.watched);

    let endings = plan.endings.map(|series| {
        let Series { agent, sessions, rounds } = series;
        progress(&format!("watching {sessions} session(s) end {rounds} time(s), the agent {}", agent.name()));
        Endings::measure(&host, series)
    });
    progress("timing answers with a crowd on the public socket");
    let crowd = Crowd::measure(&host, USER, plan.crowd_samples);
    // Last, since its audit is the longest.
    progress("counting checks a second");
    let (rounds, milliseconds) = plan.rates;
    let rates = Rates::measure(&host, USER, rounds, milliseconds);
    drop(host);
    let scale = Scale::measure(RELEASE, plan.scale);
    progress("revoking at the endpoint what holds on a host");
    let central = Central::measure(RELEASE, plan.central);
    progress(&format!("enrolling {} simulated hosts", plan.fleet.hosts));
    let fleet = Fleet::measure(plan.fleet);
    let machine = Machine::this(RELEASE.code_name());
    Report { machine, fresh_process, same_process, memory, sizes, endings, rates, crowd, wakes, scale, central, fleet }
}
