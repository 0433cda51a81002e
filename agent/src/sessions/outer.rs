//! Runs of sudo and su within another person's: whoever became somebody else by a grant of their own, and has that person's sudo then, has it
//! while both are granted. Within a run of the same person's nothing more is needed than for any other run.
//!
//! What a run needs of those that it is within is kept with it: they may be gone before it is.

use super::claim::Claim;
use crate::grant::sudo_command::SudoCommand;
use crate::host::processes::ProcessId;
use serde::{Deserialize, Serialize};

/// A run that another person's run is within.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outer {
    /// Who invoked it.
    pub user: String,
    /// The PAM service.
    pub service: String,
    /// Whom it turned into.
    pub run_as: Option<String>,
    /// What it runs.
    pub command: SudoCommand,
    /// See [`Elevation::pinned`](super::run::Elevation::pinned).
    pub pinned: Vec<String>,
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// The process of sudo or su; none where it stands for all runs of its person's in a login, since which it is can't be told.
    pub root: Option<ProcessId>,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
}

impl Outer {
    pub(super) fn claim(&self) -> Claim<'_> {
        Claim {
            user: &self.user,
            service: &self.service,
            run_as: self.run_as.as_deref(),
            command: &self.command,
            pinned: &self.pinned,
            grant: self.grant.as_deref(),
        }
    }

    /// What a record says of it.
    pub(super) fn named(&self, grant: &str) -> String {
        format!("it is within a run of {} by {} under grant {grant}", self.service, self.user)
    }
}
