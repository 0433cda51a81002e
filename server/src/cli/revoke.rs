//! `curfew-server revoke`: everything that a person, a host or some labels have.

use super::client::{Client, segment};
use super::host::joined;
use super::{CliError, Global, grant, output};
use crate::http::admin_api::grants::GrantEntry;
use crate::http::admin_api::lockdown::{LockdownDone, NewLockdown};
use clap::Args;
use curfew_protocol::grant::Text;
use reqwest::Method;

/// How many grants are printed for people.
const SHOWN: usize = 50;

/// Revoke all grants of a person, on a host or by labels, in one step: each of them, or none.
///
/// Without --yes it only says which those are, and on how many hosts. What is named has to hold together: --user alice --label env=prod is what alice
/// has on those hosts. A grant by labels ends on all its hosts. Where there is
/// none that holds or will, nothing is revoked, and that is an error: a name may be mistyped. To see whether a host has acknowledged: curfew-server grant revoke ID --wait
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
        let grants = if done.revoked || global.json { Vec::new() } else { shown(&client, &done.grants).await? };
        let grants = if grants.is_empty() { listed(&done.grants) } else { grant::table(&grants)? };
        output::print(global, &done, |done| said(done, &grants))?;
        if done.grants.is_empty() {
            return Err(CliError::Failed(nobodys(&order)));
        }
        if done.revoked {
            return Ok(());
        }
        Err(CliError::Failed("nothing is revoked yet; to revoke them, say the same again with --yes".into()))
    }
}

/// The first of the grants, to be seen before they are revoked.
async fn shown(client: &Client, ids: &[String]) -> Result<Vec<GrantEntry>, CliError> {
    let mut grants = Vec::new();
    for id in ids.iter().take(SHOWN) {
        grants.push(client.ask(Method::GET, &format!("/v1/admin/grants/{}", segment(id))).await?);
    }
    Ok(grants)
}

/// The first of the grants' ids.
fn listed(ids: &[String]) -> String {
    ids.iter().take(SHOWN).map(|id| format!("  {id}\n")).collect()
}

fn said(done: &LockdownDone, grants: &str) -> String {
    if done.grants.is_empty() {
        return String::new();
    }
    let verb = if done.revoked { "revoked" } else { "would be revoked; nothing is yet" };
    let users: Vec<_> = done.users.iter().map(String::as_str).collect();
    let of = if users.is_empty() { String::new() } else { format!(" of {}", output::printable(&users.join(", "))) };
    let (count, hosts) = (grant::counted(done.grants.len(), "grant"), grant::counted(done.hosts, "host"));
    let mut text = format!("{count}{of} on {hosts} {verb}\n{grants}");
    match done.grants.len().saturating_sub(SHOWN) {
        0 => {}
        more => text.push_str(&format!("  and {more} more: --json has all\n")),
    }
    text
}

/// That there is nothing to revoke. Who is in a hurry has easily mistyped a name.
fn nobodys(order: &NewLockdown) -> String {
    let (mut whose, mut list) = (Vec::new(), String::from("curfew-server grant list"));
    for (name, kind, text) in [("for user", "user", &order.user), ("on host", "host", &order.host)] {
        if let Some(text) = text {
            whose.push(format!("{name} {text}"));
            list.push_str(&format!(" --{kind} {text}"));
        }
    }
    if !order.labels.is_empty() {
        whose.push(format!("for hosts with {}", order.labels));
    }
    format!(
        "no live grant is {}; nothing is revoked. Is it spelled right? To see what there is: {list}, or curfew-server grant list --state live",
        whose.join(" ")
    )
}
