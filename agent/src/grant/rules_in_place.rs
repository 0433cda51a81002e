//! Which user ids have sudo rules in place by which grants, and when they last lost one.
//!
//! sudo reads its rules first and asks PAM afterwards, perhaps minutes later, when the password is typed. So a sudo that is asked about may have read
//! rules that are gone by now, and a live grant for something else must not let it run what those gave.

use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// The rules in place.
#[derive(Debug, Default)]
pub struct RulesInPlace {
    /// The user id of each grant's rules.
    uids: BTreeMap<String, u32>,
    /// When each user id last lost rules, in clock ticks since boot: as processes' starts are counted.
    lost: HashMap<u32, u64>,
    /// Grants that say something else by now than their rules.
    outdated: HashSet<String>,
}

impl RulesInPlace {
    /// Takes note of the rules of a grant for a user id.
    pub fn note_written(&mut self, grant: &str, uid: u32) {
        self.outdated.remove(grant);
        if let Some(before) = self.uids.insert(grant.to_owned(), uid).filter(|before| *before != uid) {
            self.lost.insert(before, ticks());
        }
    }

    /// Takes note that the rules of a grant are gone.
    pub fn note_removed(&mut self, grant: &str) {
        self.outdated.remove(grant);
        if let Some(uid) = self.uids.remove(grant) {
            self.lost.insert(uid, ticks());
        }
    }

    /// Takes note that a grant says something else than its rules, which are still in place.
    pub fn note_outdated(&mut self, grant: &str) {
        if self.uids.contains_key(grant) {
            self.outdated.insert(grant.to_owned());
        }
    }

    /// Whether a process of `uid` that started at `started` may have read rules of grants that give it nothing: it may, where some are still
    /// in place, or went after it started.
    pub fn may_mislead(&self, uid: u32, started: u64, gives: impl Fn(&str) -> bool) -> bool {
        self.lost.get(&uid).is_some_and(|&lost| started <= lost)
            || self.uids.iter().any(|(grant, &of)| of == uid && (self.outdated.contains(grant) || !gives(grant)))
    }
}

/// Now, in clock ticks since boot (proc_pid_stat(5), starttime).
fn ticks() -> u64 {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or(Duration::MAX);
    let a_second =
        sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u128::try_from(ticks).ok()).unwrap_or(100);
    u64::try_from(boot.as_nanos().saturating_mul(a_second) / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_went_mislead_who_was_there_before_and_nobody_else() {
        let mut rules = RulesInPlace::default();
        rules.note_written("alices", 1000);
        rules.note_written("carols", 1000);
        assert!(rules.may_mislead(1000, u64::MAX, |grant| grant == "carols"), "alice's are still there");
        assert!(!rules.may_mislead(1000, 0, |_| true) && !rules.may_mislead(1001, 0, |_| false));
        rules.note_removed("alices");
        assert!(rules.may_mislead(1000, 0, |_| true), "it may have read them");
        assert!(
            !rules.may_mislead(1000, ticks() + 1, |grant| grant == "carols") && !rules.may_mislead(1001, 0, |_| true)
        );
        // What the grant says now is not what its rules say.
        rules.note_outdated("carols");
        assert!(rules.may_mislead(1000, u64::MAX, |_| true));
        rules.note_written("carols", 1000);
        assert!(!rules.may_mislead(1000, u64::MAX, |_| true));
        // The account of a grant has another user id.
        rules.note_written("carols", 1002);
        assert!(!rules.may_mislead(1000, ticks() + 1, |_| false));
    }
}
