//! `curfew doctor`: every precondition, each with the mend.

use super::{CliError, Outcome, ask, only_root, print_painted};
use crate::doctor::{self, Check, Finding, Host, Occasion};
use crate::human;
use clap::Args;
use serde_json::json;
use std::io::IsTerminal;

/// Look at every precondition of Curfew on this host; each that is not as it should be comes with its mend. Root alone.
///
/// Exit code 1 when something fails. A warning is something that works and that somebody should know.
#[derive(Args, Debug)]
pub struct Doctor {}

impl Doctor {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        let checks = examine(Occasion::Visit);
        let count = |finding| checks.iter().filter(|check| check.result == finding).count();
        let (fails, warnings) = (count(Finding::Fail), count(Finding::Warn));
        print_painted(json, &json!({"checks": checks}), || {
            format!(
                "{}{} checks: {fails} failed, {warnings} warnings.\n",
                lines(&checks, std::io::stdout().is_terminal()),
                checks.len()
            )
        })?;
        Ok(if fails == 0 { Outcome::Yes } else { Outcome::No })
    }
}

/// What the doctor finds on this host.
pub(super) fn examine(occasion: Occasion) -> Vec<Check> {
    let host = Host::look(
        ask("Status", json!({})).map_err(|error| error.to_string()),
        ask("Clock", json!({})).map_err(|error| error.to_string()),
    );
    doctor::examine(&host, occasion)
}

/// The checks, one a line, and the mend of each below it; printable, but for our own colours.
pub(super) fn lines(checks: &[Check], colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let line = |check: &Check| {
        let result = check.result.name();
        let result = match check.result {
            Finding::Pass if colour => format!("\x1b[32m{result}\x1b[0m"),
            Finding::Warn if colour => format!("\x1b[33m{result}\x1b[0m"),
            Finding::Fail if colour => format!("\x1b[31m{result}\x1b[0m"),
            _ => result.to_owned(),
        };
        let mend =
            check.mend.as_ref().map(|mend| format!("      mend: {}\n", human::printable(mend))).unwrap_or_default();
        format!("{result}  {:width$}  {}\n{mend}", check.name, human::printable(&check.detail))
    };
    checks.iter().map(line).collect()
}
