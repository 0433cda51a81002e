//! What systemd has to start, and in which order: a login that comes before our socket finds nobody to ask.

use super::Check;
use crate::host::program::{self, Said};
use std::collections::BTreeSet;

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// What is started at every boot.
const UNITS: [&str; 5] =
    ["curfewd.socket", "curfewd.service", "curfew-sweep.service", "curfew-clock.timer", "curfew-revert.service"];

/// What may let somebody in.
const DOORS: [&str; 4] = ["ssh.service", "ssh.socket", "sshd.service", "sshd.socket"];

pub(super) fn checks() -> Vec<Check> {
    vec![enabled(), running(), order()]
}

fn ask(arguments: &[&str]) -> Result<String, String> {
    program::run_and_wait(SYSTEMCTL, arguments).and_then(Said::output)
}

/// A property of each unit, one a line.
fn property(name: &str, units: &[&str]) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for unit in units {
        values.push(ask(&["show", "--property", name, "--value", unit])?.trim().to_owned());
    }
    Ok(values)
}

fn enabled() -> Check {
    let (name, mend) = ("boot", format!("systemctl enable {}", UNITS.join(" ")));
    match property("UnitFileState", &UNITS) {
        Ok(states) => {
            let off: Vec<String> = UNITS
                .iter()
                .zip(&states)
                .filter(|(_, state)| *state != "enabled")
                .map(|(unit, state)| format!("{unit} is {}", if state.is_empty() { "not installed" } else { state }))
                .collect();
            if off.is_empty() {
                Check::pass(name, "the agent and its guards start at boot")
            } else {
                Check::fail(name, off.join(", "), mend)
            }
        }
        Err(problem) => Check::fail(name, problem, mend),
    }
}

/// Whether a unit in this state runs: one that reads its configuration again does all the while.
fn runs(state: &str) -> bool {
    matches!(state, "active" | "reloading" | "refreshing")
}

fn running() -> Check {
    let units = ["curfewd.socket", "curfewd.service", "curfew-clock.timer"];
    let (name, mend) = ("units", format!("systemctl start {}; see systemctl status", units.join(" ")));
    match property("ActiveState", &units) {
        Ok(states) => {
            let off: Vec<String> = units
                .iter()
                .zip(&states)
                .filter(|(_, state)| !runs(state))
                .map(|(unit, state)| format!("{unit} is {state}"))
                .collect();
            if off.is_empty() { Check::pass(name, "they run") } else { Check::fail(name, off.join(", "), mend) }
        }
        Err(problem) => Check::fail(name, problem, mend),
    }
}

fn order() -> Check {
    let name = "order";
    let doors = doors();
    let before = ask(&["show", "--property", "Before", "--value", "curfewd.socket"]);
    match (doors, before) {
        (Ok(doors), Ok(before)) => {
            let before: Vec<&str> = before.split_ascii_whitespace().collect();
            let late: Vec<&str> = doors.iter().map(String::as_str).filter(|door| !before.contains(door)).collect();
            if late.is_empty() {
                Check::pass(name, "our socket is there before sshd")
            } else {
                let detail = format!("{} may start before our socket is there", late.join(" "));
                Check::fail(name, detail, format!("systemctl edit curfewd.socket: [Unit] Before={}", late.join(" ")))
            }
        }
        (Err(problem), _) | (_, Err(problem)) => Check::fail(name, problem, "see systemctl status"),
    }
}

/// The doors that this host uses, by their own names: one may be another's alias.
fn doors() -> Result<BTreeSet<String>, String> {
    let (names, enabled, active) =
        (property("Id", &DOORS)?, property("UnitFileState", &DOORS)?, property("ActiveState", &DOORS)?);
    let doors = names.into_iter().zip(enabled.into_iter().zip(active));
    let open = |enabled: &str, active: &str| enabled.starts_with("enabled") || runs(active);
    Ok(doors.filter(|(_, (enabled, active))| open(enabled, active)).map(|(name, _)| name).collect())
}
