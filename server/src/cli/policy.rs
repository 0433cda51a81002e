//! `curfew-server policy`: what needs no server and no database.

mod check;
mod diff;
mod explain;
mod test;

use super::{CliError, Global};
use crate::policy::{Policies, Problem, Source};
use clap::Subcommand;
use curfew_protocol::display::printable;
use std::path::Path;

/// Policies: who may ask for what, who has to approve, and what nobody may.
///
/// Policies are files in Cedar. A permit for ask says in @needs("2:sre,1:security") who has to approve; a forbid says in @advice("...") what to do instead; every
/// policy has an @id, and one that looks at the day or the time a @zone("Europe/Berlin"). These commands read files, and change nothing.
#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    Check(check::Check),
    Test(test::Test),
    Diff(diff::Diff),
    Explain(Box<explain::Explain>),
}

impl Policy {
    pub(super) fn run(self, global: &Global) -> Result<(), CliError> {
        match self {
            Self::Check(check) => check.run(global),
            Self::Test(test) => test.run(global),
            Self::Diff(diff) => diff.run(global),
            Self::Explain(explain) => explain.run(global),
        }
    }
}

/// The text of a file, by the name that it was given.
fn source(path: &Path) -> Result<Source, CliError> {
    let name = path.display().to_string();
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => Ok(Source::new(name, text)),
        Ok(Err(_)) => Err(CliError::Usage(format!("{name}: it is not UTF-8"))),
        Err(error) => Err(CliError::Usage(format!("{name}: {error}"))),
    }
}

fn sources(paths: &[impl AsRef<Path>]) -> Result<Vec<Source>, CliError> {
    paths.iter().map(|path| source(path.as_ref())).collect()
}

/// The policies of these files; what is wrong with them is told.
fn policies(paths: &[impl AsRef<Path>]) -> Result<Policies, CliError> {
    let policies = Policies::read(&sources(paths)?).map_err(|problems| failed(&problems))?;
    tell(policies.warnings());
    Ok(policies)
}

/// Says on standard error what is wrong.
fn tell(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{}", printable(&problem.to_string()));
    }
}

/// The error of a command that can't go on for these problems.
fn failed(problems: &[Problem]) -> CliError {
    CliError::Failed(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
