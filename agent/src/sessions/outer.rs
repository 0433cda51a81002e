//! Runs of sudo and su within another person's: whoever became somebody else by a grant of their own, and has that person's sudo then, has it
//! while both are granted. Within a run of the same person's nothing more is needed than for any other run.
//!
//! What a run needs of those that it is within is kept with it: they may be gone before it is.

use super::claim::Claim;
use crate::host::processes::ProcessId;
use serde::{Deserialize, Serialize};

/// A run that another person's run is within.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outer {
    /// What it needs of its person's grants.
    #[serde(flatten)]
    pub claim: Claim,
    /// The process of sudo or su; none where it stands for all runs of its person's in a login, since which it is can't be told.
    pub root: Option<ProcessId>,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
}

impl Outer {
    /// What a record says of it.
    pub(super) fn named(&self, grant: &str) -> String {
        format!("it is within a run of {} by {} under grant {grant}", self.claim.service, self.claim.user)
    }
}
