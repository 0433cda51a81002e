//! `curfew-server policy check`.

use super::super::{CliError, Global, output};
use crate::policy::people::Roster;
use crate::policy::{Policies, Problem};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Check policies: everything that is wrong with them, with file, line and column.
///
/// Exit code 0 means that they can be used, 1 that they can't. Warnings are shown in either case: of what never applies, and of reviews that nobody may make.
#[derive(Args, Debug)]
pub(in crate::cli) struct Check {
    /// The files; together they are the policies.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file with the people that there are, in TOML or JSON, as for `policy test`: warns of groups that nobody is in.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Take warnings for errors.
    #[arg(long)]
    deny_warnings: bool,
}

/// What was found.
#[derive(Serialize)]
struct Checked {
    /// Whether they can be used.
    usable: bool,
    /// How many policies there are.
    policies: Option<usize>,
    /// The version's name.
    digest: Option<String>,
    problems: Vec<Problem>,
}

impl Check {
    pub(super) fn run(self, global: &Global) -> Result<(), CliError> {
        let sources = super::sources(&self.files)?;
        let people = self.people.as_deref().map(super::source).transpose()?;
        let roster = people.as_ref().map(Roster::read).transpose().map_err(|problem| super::failed(&[problem]))?;
        let checked = match Policies::read(&sources) {
            Err(problems) => Checked { usable: false, policies: None, digest: None, problems },
            Ok(policies) => {
                let problems: Vec<_> =
                    policies.warnings().iter().cloned().chain(policies.unreachable(roster.as_ref())).collect();
                Checked {
                    usable: problems.is_empty() || !self.deny_warnings,
                    policies: Some(policies.rules().len()),
                    digest: Some(policies.digest().to_owned()),
                    problems,
                }
            }
        };
        if !global.json {
            super::tell(&checked.problems);
        }
        output::print(global, &checked, said)?;
        if checked.usable { Ok(()) } else { Err(CliError::Told(1)) }
    }
}

fn said(checked: &Checked) -> String {
    match (checked.policies, &checked.digest) {
        (Some(count), Some(digest)) if checked.usable => {
            let policies = if count == 1 { "policy" } else { "policies" };
            format!("{count} {policies}, SHA-256 {digest}\n")
        }
        _ => String::new(),
    }
}
