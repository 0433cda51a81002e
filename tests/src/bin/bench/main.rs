//! What Curfew costs, measured beside its peers in one run on one throwaway host; `tests/bench` runs it.
//!
//! - [`checks`]: one PAM account check, through [`peers`] that range from a module that only permits to SSSD,
//!   and the floor, which is the least that any agent could cost;
//! - [`footprint`]: the agent's memory beside SSSD's, and the module's size beside its neighbours';
//! - [`ending`]: how long after its grant a session's last process is dead;
//! - [`report`]: the figures, what they should be at most, and whether they are.

mod checks;
mod ending;
mod footprint;
mod machine;
mod peers;
mod report;
mod statistics;

use std::process::ExitCode;

use curfew_tests::{Host, Release, report as progress};

use crate::checks::{Checks, Processes};
use crate::ending::Endings;
use crate::footprint::{Memory, Sizes};
use crate::machine::Machine;
use crate::report::Report;

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
    sessions: usize,
}

const FULL: Plan = Plan { rounds: 40, grants: 1000, sessions: 10 };
const QUICK: Plan = Plan { rounds: 4, grants: 50, sessions: 2 };

fn main() -> ExitCode {
    let (mut json, mut check, mut plan) = (false, false, FULL);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--check" => check = true,
            "--quick" => plan = QUICK,
            _ => {
                eprintln!("bench: {argument}: unknown; usage: tests/bench [--json] [--check] [--quick]");
                return ExitCode::from(2);
            }
        }
    }
    let report = measure(&plan);
    if json {
        println!("{:#}", report.to_json());
    } else {
        println!("\n{report}");
    }
    if check && !report.meets_its_aims() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(plan: &Plan) -> Report {
    progress(&format!("booting a {RELEASE} host with Curfew and SSSD"));
    let host = Host::builder(RELEASE).with_packages(&["sssd-common"]).boot();
    peers::install(&host, USER);

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

    progress(&format!("watching {} sessions end", plan.sessions));
    // Its own grants must be the only ones that cover the user whose sessions are to end.
    let endings = Endings::measure(&host, "bob", plan.sessions);
    Report { machine: Machine::this(RELEASE.code_name()), fresh_process, same_process, memory, sizes, endings }
}
