//! Runs of sudo and su within another person's: whoever became somebody else by a grant of their own, and has that person's sudo then, has it
//! while both are granted. Within a run of the same person's nothing more is needed than for any other run.
//!
//! What a run needs of those that it is within is kept with it: they may be gone before it is.

use super::claim::Claim;
use super::run::Elevation;
use super::standing::Standing;
use crate::agent::Agent;
use crate::grant::sudo_command::SudoCommand;
use crate::host::processes::ProcessId;
use jiff::Timestamp;
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
    /// See [`Elevation::pinned`].
    pub pinned: Vec<String>,
    /// The grant that it opened under.
    pub grant: Option<String>,
    /// The process of sudo or su; none where it stands for all runs of its person's in a login, since which it is can't be told.
    pub root: Option<ProcessId>,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
}

impl Outer {
    /// What those within `run` need of it.
    pub fn of(run: &Elevation) -> Self {
        Self {
            user: run.user.clone(),
            service: run.service.clone(),
            run_as: run.run_as.clone(),
            command: run.command.clone(),
            pinned: run.pinned.clone(),
            grant: run.grant.clone(),
            root: Some(run.root),
            opened_us: run.opened_us,
        }
    }

    fn claim(&self) -> Claim<'_> {
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
    fn named(&self, grant: &str) -> String {
        format!("it is within a run of {} by {} under grant {grant}", self.service, self.user)
    }
}

/// Whether a run may go on, and to what it owes that.
pub struct Outlook {
    /// Whether, and until when.
    pub standing: Standing,
    /// The grant that ends it, or ended it.
    pub grant: Option<String>,
    /// Where that is one of a run that it is within: which.
    pub reason: Option<String>,
}

/// What becomes of `run` at `now`, by its own grants and those of the runs that it is within.
pub fn outlook(agent: &Agent, run: &Elevation, now: Timestamp) -> Outlook {
    let grants = agent.ledger.grants();
    let own = grants.of(&run.user);
    let standing = run.claim().standing(own, now);
    let grant = match &standing {
        Standing::Covered { grant, .. } => Some(grant.clone()),
        Standing::Over { .. } => run.claim().ended_grant(own, now),
    };
    match first_to_end(agent, &run.within, now).filter(|(_, outer)| is_before(outer, &standing)) {
        None => Outlook { standing, grant, reason: None },
        Some((outer, standing)) => {
            let grant = match &standing {
                Standing::Covered { grant, .. } => Some(grant.clone()),
                Standing::Over { .. } => outer.claim().ended_grant(grants.of(&outer.user), now),
            };
            let reason = outer.named(grant.as_deref().unwrap_or("without an id"));
            Outlook { standing, grant, reason: Some(reason) }
        }
    }
}

/// The first of the runs outside to end, or that ended. What opened while Curfew only observed is left alone, and so takes nothing along.
pub fn first_to_end<'o>(agent: &Agent, within: &'o [Outer], now: Timestamp) -> Option<(&'o Outer, Standing)> {
    let grants = agent.ledger.grants();
    let governed = within.iter().filter(|outer| agent.governs(&outer.service, outer.opened_us));
    let standings = governed.map(|outer| (outer, outer.claim().standing(grants.of(&outer.user), now)));
    standings.reduce(|first, other| if is_before(&other.1, &first.1) { other } else { first })
}

/// Whether what has one standing ends, or ended, before what has the other.
fn is_before(one: &Standing, other: &Standing) -> bool {
    match (one, other) {
        (Standing::Over { ended, .. }, Standing::Over { ended: other, .. }) => ended < other,
        (Standing::Over { .. }, Standing::Covered { .. }) => true,
        (Standing::Covered { .. }, Standing::Over { .. }) => false,
        (Standing::Covered { until, .. }, Standing::Covered { until: other, .. }) => until < other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::decision::ReasonCode;

    #[test]
    fn what_is_over_comes_before_what_is_to_end_and_the_earlier_before_the_later() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let covered = |second: i64| Standing::Covered { grant: "g".into(), until: at(second) };
        let over = |second: i64| Standing::Over { reason: ReasonCode::Ended, ended: at(second) };
        assert!(is_before(&covered(1), &covered(2)) && !is_before(&covered(2), &covered(2)));
        assert!(is_before(&over(1), &over(2)) && is_before(&over(5), &covered(2)) && !is_before(&covered(2), &over(5)));
    }
}
