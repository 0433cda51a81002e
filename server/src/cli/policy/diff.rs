//! `curfew-server policy diff`.

use super::super::{CliError, Global, output};
use crate::policy::cases::Finding;
use crate::policy::diff;
use clap::Args;
use std::path::PathBuf;

/// Compare two versions of the policies: which were added, removed and changed, and with cases, whose verdicts differ.
///
/// Policies are compared by @id and by what they mean: comments and white space are nothing. Exit code 0 means that they could be compared.
#[derive(Args, Debug)]
pub(in crate::cli) struct Diff {
    /// The old version.
    old: PathBuf,
    /// The new version.
    new: PathBuf,
    /// A file of cases, as for `policy test`.
    #[arg(long, value_name = "CASES")]
    cases: Option<PathBuf>,
}

impl Diff {
    pub(super) fn run(self, global: &Global) -> Result<(), CliError> {
        let old = super::policies(&[self.old])?;
        let new = super::policies(&[self.new])?;
        let cases = self.cases.as_deref().map(super::test::read).transpose()?;
        let found = diff::Diff::between(&old, &new, cases.as_ref());
        output::print(global, &found, said)
    }
}

fn said(diff: &diff::Diff) -> String {
    if diff.is_empty() {
        return "nothing changes\n".into();
    }
    let mut text = String::new();
    for (what, policies) in [("added", &diff.added), ("removed", &diff.removed), ("changed", &diff.changed)] {
        text.extend(policies.iter().map(|policy| format!("{what:<8}  {policy}\n")));
    }
    for differs in &diff.cases {
        text += &format!("case      {}: {} -> {}\n", differs.case, verdict(&differs.old), verdict(&differs.new));
    }
    text
}

/// A verdict with what it needs.
fn verdict(finding: &Finding) -> String {
    match &finding.needs {
        Some(needs) => format!("{} ({needs})", finding.verdict),
        None => finding.verdict.to_string(),
    }
}
