//! `curfew-server policy test`.

use super::super::{CliError, Global, output};
use crate::policy::cases::{Cases, Finding, listed};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Test policies against cases: what is asked, by whom, and what is expected.
///
/// A file of cases in TOML (or JSON) has people with their groups, hosts with their labels, and cases:
///
/// [people]
/// alice = ["dev"]
/// bob = { groups = ["sre"], accounts = ["bob", "deploy"] }
///
/// [hosts]
/// web-1 = "env=prod,role=web"
///
/// [[case]]
/// name = "dev asks for production, and two of sre have to approve"
/// ask = { person = "alice", hosts = ["web-1"], for = "1h", sudo = ["ALL"] }
/// expect = "review"
/// needs = "2:sre"
/// reviewers = ["bob", "carol"]
/// policies = ["dev-asks-prod"]
///
/// A case asks one of ask, breakGlass, review, revoke, readAudit, administer and editPolicy; expect is refused, review (permitted once others approved) or
/// permitted (at once); needs, reviewers and policies may be left out. The facts: person, hosts or labels, requester (whose request is reviewed or revoked),
/// filed_by, account, for, starts_in, login, sudo, run_as, extends, template, ticket, ticket_ok, break_glass, overdue_reviews, at, mfa_age, channel.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Test {
    /// A file of policies; once for each.
    #[arg(long = "policy", required = true, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// The file of cases; policy.cases.toml beside policy.cedar, if left out.
    #[arg(value_name = "CASES")]
    cases: Option<PathBuf>,
}

/// What was found.
#[derive(Serialize)]
struct Tested {
    cases: usize,
    failed: Vec<Failed>,
}

/// A case that is not as expected.
#[derive(Serialize)]
struct Failed {
    case: String,
    differences: Vec<String>,
    found: Finding,
}

impl Test {
    pub(super) fn run(self, global: &Global) -> Result<(), CliError> {
        let cases = match (&self.cases, self.policies.first()) {
            (Some(cases), _) => cases.clone(),
            (None, Some(policies)) => beside(policies)?,
            (None, None) => return Err(CliError::Usage("no policies are named; name some with --policy FILE".into())),
        };
        let policies = super::policies(&self.policies)?;
        let Cases { roster, cases } = read(&cases)?;
        let mut tested = Tested { cases: cases.len(), failed: Vec::new() };
        for case in cases {
            let found = policies.find(&case.question, &roster);
            let differences = found.differences(&case.expected);
            if !differences.is_empty() {
                tested.failed.push(Failed { case: case.name, differences, found });
            }
        }
        output::print(global, &tested, said)?;
        if tested.failed.is_empty() { Ok(()) } else { Err(CliError::Told(1)) }
    }
}

/// The cases of a file.
pub(super) fn read(path: &Path) -> Result<Cases, CliError> {
    Cases::read(&super::source(path)?).map_err(|problem| super::failed(&[problem]))
}

/// The file of cases beside a file of policies.
fn beside(policies: &Path) -> Result<PathBuf, CliError> {
    let [toml, json] = ["cases.toml", "cases.json"].map(|end| policies.with_extension(end));
    match [&toml, &json].into_iter().find(|path| path.exists()) {
        Some(path) => Ok(path.clone()),
        None => Err(CliError::Usage(format!("there is no {}; name the file of cases", toml.display()))),
    }
}

fn said(tested: &Tested) -> String {
    let mut text = String::new();
    for Failed { case, differences, found } in &tested.failed {
        text += &format!("FAILED  {case}\n");
        text.extend(differences.iter().map(|difference| format!("        {difference}\n")));
        text.extend(found.reasons.iter().map(|reason| format!("        {reason}\n")));
        text += &format!("        decided by: {}\n", listed(&found.policies));
    }
    let (all, failed) = (tested.cases, tested.failed.len());
    match failed {
        0 => text + &format!("{all} cases, each as expected\n"),
        _ => text + &format!("{failed} of {all} cases are not as expected\n"),
    }
}
