//! `curfew-server grant revoke`: it says which hosts have acknowledged, and which have not.

use super::super::client::{Client, segment};
use super::super::{CliError, Global, output};
use super::counted;
use crate::http::admin_api::grants::{GrantEntry, Revocation};
use crate::http::admin_api::revocation::{RevocationState, WaitingHost};
use curfew_protocol::grant::Text;
use reqwest::Method;
use std::time::{Duration, Instant};

/// How long after a look the next one comes.
const PAUSE: Duration = Duration::from_millis(250);

/// How many hosts that have not acknowledged are named on a line each.
const NAMED: usize = 50;

/// Revokes a grant, and waits for its hosts if that is asked for.
pub(super) async fn run(
    client: &Client,
    global: &Global,
    id: &str,
    reason: Option<Text>,
    wait: Option<Duration>,
) -> Result<(), CliError> {
    let path = |what: &str| format!("/v1/admin/grants/{}/{what}", segment(id));
    let entry: GrantEntry = client.post(&path("revoke"), &Revocation { reason }).await?;
    let until = wait.map(|wait| Instant::now() + wait);
    let state = loop {
        let state: RevocationState = client.ask(Method::GET, &path("revocation")).await?;
        if state.is_done() || state.is_in_vain() || until.is_none_or(|until| Instant::now() >= until) {
            break state;
        }
        tokio::time::sleep(PAUSE).await;
    };
    if wait.is_none() {
        return output::print(global, &entry, |_| said(&state));
    }
    output::print(global, &state, said)?;
    if state.is_done() {
        return Ok(());
    }
    let missing = state.hosts.saturating_sub(state.acknowledged);
    let hosts = counted(state.hosts, "host");
    Err(CliError::Failed(if state.is_in_vain() {
        format!(
            "{missing} of {hosts} fetch files or were removed, and may never acknowledge; not waited for. \
             Sessions may go on there: export, and look at those hosts"
        )
    } else {
        format!(
            "{missing} of {hosts} {} not acknowledged; sessions may go on there. What is open on a host that is away stays open \
             until the grant's own end; to end it now, on the host itself, as root: curfew revoke {id}",
            if state.hosts == 1 { "has" } else { "have" }
        )
    }))
}

impl RevocationState {
    fn is_done(&self) -> bool {
        self.acknowledged >= self.hosts
    }

    /// Whether nobody is left of whom an acknowledgement can be expected: who fetches files never says so, and who was removed may be gone.
    fn is_in_vain(&self) -> bool {
        let all = self.waiting.len() >= self.hosts.saturating_sub(self.acknowledged);
        !self.is_done() && all && self.waiting.iter().all(|host| host.from_files || host.removed)
    }
}

fn said(state: &RevocationState) -> String {
    let RevocationState { grant, hosts, acknowledged, waiting } = state;
    let mut text = match hosts {
        0 => format!("grant {grant} is revoked; no host had it\n"),
        _ => format!("grant {grant} is revoked; {acknowledged} of {} acknowledged\n", have(*hosts)),
    };
    for host in waiting.iter().take(NAMED) {
        text.push_str(&format!("  not yet: {}, {}\n", output::printable(&host.name), seen(host)));
    }
    match hosts.saturating_sub(*acknowledged).saturating_sub(NAMED) {
        0 => {}
        more => text.push_str(&format!("  and {more} more\n")),
    }
    if !state.is_done() && !state.is_in_vain() {
        text.push_str(&format!("To wait for them: curfew-server grant revoke {grant} --wait\n"));
    }
    text
}

fn have(hosts: usize) -> String {
    format!("{} {}", counted(hosts, "host"), if hosts == 1 { "has" } else { "have" })
}

fn seen(host: &WaitingHost) -> String {
    match (host.from_files, host.seen_at) {
        _ if host.removed => "which was removed: it may be gone for good; look at the host".into(),
        (true, _) => "which fetches files: it never says so; export, and look at the host".into(),
        (false, Some(at)) => format!("last seen {}", output::time(at)),
        (false, None) => "never seen".into(),
    }
}
