//! What a run of sudo or su needs of somebody's grants to go on: as it is recorded of the run itself, and of each run that it is within.

use super::standing::Standing;
use crate::config::service::is_su;
use crate::grant::HeldGrant;
use crate::grant::decision::{Elevation as Scoped, ReasonCode, Request, WantedCommand, end_reason, last_lapsed};
use crate::grant::sudo_command::SudoCommand;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose grants a run needs, and which of them serve.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Claim {
    /// Who invoked it.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// Whom it turns into.
    pub run_as: Option<String>,
    /// What it runs.
    pub command: SudoCommand,
    /// Where no grant covers the very command (the host's own sudo rules let it run, or it was typed in a way that can't be told): the
    /// grants that were live when it opened. It goes on while all of them are.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// The grant that it opened under.
    pub grant: Option<String>,
}

impl Claim {
    /// Whether it is covered at `now` by what its person holds.
    pub fn standing(&self, grants: &[HeldGrant], now: Timestamp) -> Standing {
        let pinned = |id: &String| grants.iter().find(|held| held.grant.id.as_str() == id);
        let pins: Vec<Option<&HeldGrant>> = self.pinned.iter().map(pinned).collect();
        // A grant of the endpoint may have another content by now, without sudo.
        let covers = |held: &&HeldGrant| held.covers(now) && held.grant.sudo.is_some();
        let first_to_end = pins.iter().flatten().min_by_key(|held| held.end());
        match first_to_end {
            _ if self.pinned.is_empty() => Standing::of(&self.request(), grants, now),
            Some(first) if pins.iter().all(|held| held.as_ref().is_some_and(covers)) => {
                Standing::Covered { grant: first.grant.id.to_string(), until: first.end() }
            }
            first => {
                let ended = first.map_or(now, |first| first.end().min(now));
                Standing::Over { reason: first.map_or(ReasonCode::Ended, |first| end_reason(first)), ended }
            }
        }
    }

    /// The question whether it may go on, where no grant is pinned.
    pub fn request(&self) -> Request<'_> {
        let command = if is_su(&self.service) { WantedCommand::Any } else { self.command.wanted() };
        Request::Elevation { user: &self.user, scope: Scoped { run_as: self.run_as.as_deref(), command } }
    }

    /// The grant to which it is owed; what goes on while several do is told by the one that it opened under.
    pub fn owed_to(&self, grants: &[HeldGrant], now: Timestamp) -> Option<String> {
        if !self.pinned.is_empty() {
            return self.grant.clone();
        }
        self.standing(grants, now).owed_to(self.grant.as_deref(), &self.request(), grants, now)
    }

    /// The grant that it owes its end to.
    pub fn ended_grant(&self, grants: &[HeldGrant], now: Timestamp) -> Option<String> {
        let last = last_lapsed(&self.request(), grants, now).filter(|_| self.pinned.is_empty());
        last.map(|held| held.grant.id.to_string()).or_else(|| self.grant.clone())
    }
}
