//! What becomes of a run of sudo or su, by its own grants and those of the runs that it is within.

use super::outer::Outer;
use super::run::Elevation;
use super::standing::Standing;
use crate::grant::ledger::Ledger;
use jiff::Timestamp;

/// Whether what opened over a service at a time, in microseconds of CLOCK_MONOTONIC, may be ended.
pub type Governs<'g> = &'g dyn Fn(&str, u64) -> bool;

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
pub fn outlook(ledger: &Ledger, governs: Governs<'_>, run: &Elevation, now: Timestamp) -> Outlook {
    let grants = ledger.grants();
    let own = grants.of(&run.claim.user);
    let standing = run.claim.standing(own, now);
    let grant = match &standing {
        Standing::Covered { grant, .. } => Some(grant.clone()),
        Standing::Over { .. } => run.claim.ended_grant(own, now),
    };
    match first_to_end(ledger, governs, &run.within, now).filter(|(_, outer)| is_before(outer, &standing)) {
        None => Outlook { standing, grant, reason: None },
        Some((outer, standing)) => {
            let grant = match &standing {
                Standing::Covered { grant, .. } => Some(grant.clone()),
                Standing::Over { .. } => outer.claim.ended_grant(grants.of(&outer.claim.user), now),
            };
            let reason = outer.named(grant.as_deref().unwrap_or("without an id"));
            Outlook { standing, grant, reason: Some(reason) }
        }
    }
}

/// The first of the runs outside to end, or that ended. What opened while Curfew only observed is left alone, and so takes nothing along.
pub fn first_to_end<'o>(
    ledger: &Ledger,
    governs: Governs<'_>,
    within: &'o [Outer],
    now: Timestamp,
) -> Option<(&'o Outer, Standing)> {
    let grants = ledger.grants();
    let governed = within.iter().filter(|outer| governs(&outer.claim.service, outer.opened_us));
    let standings = governed.map(|outer| (outer, outer.claim.standing(grants.of(&outer.claim.user), now)));
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
