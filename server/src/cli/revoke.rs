//! `curfew-server revoke`: everything that a person, a host or some labels have.

use super::client::Client;
use super::host::joined;
use super::{CliError, Global, output};
use crate::admin_api::lockdown::{LockdownDone, NewLockdown};
use clap::Args;
use curfew_protocol::grant::Text;

/// How many ids are printed for people.
const SHOWN: usize = 50;

/// Revoke all grants of a person, on a host or by labels, in one step: each of them, or none.
///
/// Without --yes it only says how many those are, and on how many hosts. What is named has to hold together: --user alice --label env=prod is what alice
/// has on those hosts. A grant by labels ends on all its hosts. To see whether a host has acknowledged: curfew-server grant revoke ID --wait
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("whose").required(true).multiple(true).args(["user", "host", "labels"])))]
pub(super) struct Revoke {
    /// Of this user.
    #[arg(long)]
    user: Option<Text>,
    /// On this host, by id or name.
    #[arg(long)]
    host: Option<Text>,
    /// On hosts that have this label, and on those that will: env=prod. Can be given again: those that have all of them.
    #[arg(long = "label", alias = "labels", value_name = "LABEL")]
    labels: Vec<String>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<Text>,
    /// Do it.
    #[arg(long)]
    yes: bool,
}

impl Revoke {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let labels = joined(&self.labels)?;
        let client = Client::new(global)?;
        let order = NewLockdown { user: self.user, host: self.host, labels, reason: self.reason, dry_run: !self.yes };
        let done: LockdownDone = client.post("/v1/admin/revocations", &order).await?;
        output::print(global, &done, said)?;
        if done.revoked || done.grants.is_empty() {
            return Ok(());
        }
        Err(CliError::Failed("nothing is revoked yet; to revoke them, say the same again with --yes".into()))
    }
}

fn said(done: &LockdownDone) -> String {
    let verb = if done.revoked { "revoked" } else { "would be revoked" };
    let users: Vec<_> = done.users.iter().map(String::as_str).collect();
    let of = if users.is_empty() { String::new() } else { format!(" of {}", output::printable(&users.join(", "))) };
    let mut text = format!("{} grants{of} {verb}, on {} hosts\n", done.grants.len(), done.hosts);
    for id in done.grants.iter().take(SHOWN) {
        text.push_str(&format!("  {id}\n"));
    }
    match done.grants.len().saturating_sub(SHOWN) {
        0 => {}
        more => text.push_str(&format!("  and {more} more: --json has all\n")),
    }
    text
}
