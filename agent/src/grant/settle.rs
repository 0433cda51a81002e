//! Waits until sudo works by grants that were just made, or is known not to.

use super::ledger::Ledger;
use super::{HeldGrant, State};
use crate::clock;
use jiff::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

/// How long whoever grants or revokes waits until that is so for sudo.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Has the enforcing loop look, and waits until sudo works by those of these grants that give it now, or is known not to, for a moment at
/// most. Returns by which it does not work yet, and why.
pub async fn settle(ledger: &Ledger, ids: &[String]) -> Vec<(String, String)> {
    let mut waiting: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let mut failed = Vec::new();
    let settling = async {
        ledger.trigger.look_now().await;
        loop {
            let mut settled = std::pin::pin!(ledger.sudo_rules.settled().notified());
            settled.as_mut().enable();
            let now: Vec<(String, Standing)> = standings(ledger, &waiting);
            waiting.retain(|id| now.iter().any(|(it, standing)| it == id && matches!(standing, Standing::Pending)));
            failed.extend(now.into_iter().filter_map(|(id, standing)| match standing {
                Standing::Failed(problem) => Some((id, problem)),
                Standing::Settled | Standing::Pending => None,
            }));
            if waiting.is_empty() {
                return;
            }
            settled.await;
        }
    };
    if tokio::time::timeout(SETTLED_WITHIN, settling).await.is_err() {
        let late = format!("its sudo rule could not be written within {SETTLED_WITHIN:?}; that goes on");
        failed.extend(waiting.into_iter().map(|id| (id.to_owned(), late.clone())));
    }
    failed
}

/// How far sudo by a grant has come.
enum Standing {
    /// It works, or is not to work now.
    Settled,
    /// It does not, for this reason.
    Failed(String),
    /// Its rule is being written.
    Pending,
}

fn standings(ledger: &Ledger, ids: &HashSet<&str>) -> Vec<(String, Standing)> {
    let (grants, now) = (ledger.grants(), clock::now());
    let these = grants.held().iter().filter(|held| ids.contains(held.grant.id.as_str()));
    these.map(|held| (held.grant.id.to_string(), standing(ledger, held, now))).collect()
}

fn standing(ledger: &Ledger, held: &HeldGrant, now: Timestamp) -> Standing {
    let gives_sudo = held.grant.sudo.is_some() && held.state(now) == State::Live;
    if !gives_sudo || !ledger.sudo_rules.are_in_force() || ledger.sudo_rules.are_current(held) {
        return Standing::Settled;
    }
    // Whose the rule would be is looked up first.
    let doubt = held.holder.problem(held.grant.user.as_str());
    if let Some(problem) = doubt {
        return Standing::Failed(problem);
    }
    match ledger.sudo_rules.unwritable(held.grant.id.as_str()) {
        Some(failed) if failed.again_at > now => Standing::Failed(failed.problem),
        _ => Standing::Pending,
    }
}
