//! The ends of grants on CLOCK_BOOTTIME, so that no step of the wall clock lengthens one ([`clock`](crate::clock) has the rules).
//!
//! An end is fixed when a grant is first seen in a boot, and can come sooner when its window opens. It is kept in memory that is gone with
//! the boot, for the next agent and for a sweep in its stead.

use super::{HeldGrant, State};
use crate::clock::Reading;
use crate::clock::belief::NO_STEP;
use crate::durable;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where they are kept.
pub const PATH: &str = "/run/curfew/ends.json";

/// The ends, by the grants' revision keys.
#[derive(Debug)]
pub struct BootTimeEnds {
    path: PathBuf,
    fixed: BTreeMap<String, Fixed>,
    unkept: bool,
}

/// An end of a grant; of that grant with another end by the wall clock, it says nothing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    not_after: Timestamp,
    by_boot: Duration,
    /// Its window has opened in this boot.
    opened: bool,
}

impl BootTimeEnds {
    /// What was fixed in this boot. What can't be read is fixed anew.
    pub fn load(path: &Path) -> Self {
        let fixed = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!("{}: {error}; the ends of grants are fixed anew", path.display());
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Self { path: path.into(), fixed, unkept: false }
    }

    /// Whether the grant's window has opened in this boot: what was open in the last one is gone with it.
    pub fn has_opened(&self, held: &HeldGrant) -> bool {
        self.of(held).is_some_and(|fixed| fixed.opened)
    }

    fn of(&self, held: &HeldGrant) -> Option<&Fixed> {
        let fixed = self.fixed.get(&held.revision_key());
        fixed.filter(|fixed| fixed.not_after == held.grant.window.not_after())
    }

    /// Fixes the ends of the grants that have none, and ends for good those that are over by CLOCK_BOOTTIME or by what is known of the
    /// time. Returns the next end on CLOCK_BOOTTIME.
    pub fn follow(&mut self, grants: &mut [HeldGrant], reading: Reading, known: Option<Timestamp>) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        for held in grants.iter_mut().filter(|held| held.reached != Some(State::Ended)) {
            self.fix(held, reading, known);
            let not_after = held.grant.window.not_after();
            let known_to_be_over = known.is_some_and(|known| known >= not_after);
            if known_to_be_over || held.ends_by_boot.is_some_and(|end| is_over(end, not_after, reading)) {
                held.reached = Some(State::Ended);
            } else if held.revoked.is_none() {
                next = next.into_iter().chain(held.ends_by_boot).min();
            }
        }
        if self.unkept {
            self.keep(grants);
        }
        next
    }

    fn fix(&mut self, held: &mut HeldGrant, reading: Reading, known: Option<Timestamp>) {
        let opens = held.state(reading.wall) == State::Live;
        let fixed = self.of(held).copied();
        held.ends_by_boot = fixed.map(|fixed| fixed.by_boot);
        if fixed.is_some_and(|fixed| fixed.opened || !opens) {
            return;
        }
        // It can't be earlier than what is known to have passed.
        let now = known.map_or(reading.wall, |known| known.max(reading.wall));
        let not_after = held.grant.window.not_after();
        let Ok(left) = Duration::try_from(not_after.duration_since(now)) else { return };
        if left.is_zero() {
            // Shut by the wall clock, which may be wrong: of that, nothing is fixed.
            return;
        }
        let end = reading.boot.saturating_add(left);
        let by_boot = fixed.map_or(end, |fixed| fixed.by_boot.min(end));
        held.ends_by_boot = Some(by_boot);
        self.fixed.insert(held.revision_key(), Fixed { not_after, by_boot, opened: opens });
        self.unkept = true;
    }

    /// Fixes the ends anew: the wall clock is right.
    pub fn forget(&mut self, grants: &mut [HeldGrant]) {
        self.fixed.clear();
        self.unkept = true;
        grants.iter_mut().for_each(|held| held.ends_by_boot = None);
    }

    fn keep(&mut self, grants: &[HeldGrant]) {
        let there: HashSet<String> = grants.iter().map(HeldGrant::revision_key).collect();
        self.fixed.retain(|key, _| there.contains(key));
        let bytes = serde_json::to_vec(&self.fixed).map_err(io::Error::from);
        match bytes.and_then(|bytes| durable::write_unsynced(&self.path, &bytes)) {
            Ok(()) => self.unkept = false,
            Err(error) => tracing::error!("{}: {error}; it is tried again", self.path.display()),
        }
    }
}

/// By CLOCK_BOOTTIME alone, or by both clocks, which are never read at quite the same instant.
fn is_over(end: Duration, not_after: Timestamp, reading: Reading) -> bool {
    reading.boot >= end || (reading.wall >= not_after && reading.boot.saturating_add(NO_STEP.unsigned_abs()) >= end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Keep};
    use crate::grant::Source;
    use curfew_protocol::grant::Grant;
    use proptest::prelude::*;
    use serde_json::json;
    use std::fs;

    const EIGHT: i64 = 1_795_291_200;

    fn held(id: &str, begin: i64, end: i64) -> HeldGrant {
        let at = |second: i64| Timestamp::from_second(EIGHT + second).unwrap().to_string();
        let grant = json!({
            "id": id, "user": "alice", "not_before": at(begin), "not_after": at(end),
            "login": {}, "reason": "INC-1", "requested_by": "alice", "approved_by": ["bob"]
        });
        HeldGrant::new(Grant::from_value(&grant).unwrap(), Source::Local)
    }

    /// A host without people: its clocks, its disk, and an agent that looks.
    struct Host {
        folder: tempfile::TempDir,
        boot: i64,
        /// How far the wall clock stands from the truth.
        off: i64,
        truth: i64,
        clock: Clock,
        ends: BootTimeEnds,
        grants: Vec<HeldGrant>,
        /// How far the audit has heard that the grants had come.
        announced: Vec<Option<State>>,
    }

    impl Host {
        fn new(grants: Vec<HeldGrant>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (clock, ends) = Self::open(&folder, 1000, 0);
            let announced = vec![None; grants.len()];
            let mut host = Self { folder, boot: 1000, off: 0, truth: 0, clock, ends, grants, announced };
            host.clock.accept(host.reading());
            host.look();
            host
        }

        fn open(folder: &tempfile::TempDir, boot: i64, wall: i64) -> (Clock, BootTimeEnds) {
            let path = |name: &str| folder.path().join(name);
            let reading = reading(boot, wall);
            (Clock::open(&path("mark"), &path("in_boot"), reading), BootTimeEnds::load(&path("ends")))
        }

        fn reading(&self) -> Reading {
            reading(self.boot, self.truth + self.off)
        }

        fn pass(&mut self, seconds: i64) {
            (self.truth, self.boot) = (self.truth + seconds, self.boot + seconds);
        }

        fn restart_agent(&mut self) {
            (self.clock, self.ends) = Self::open(&self.folder, self.boot, self.truth + self.off);
            for (held, announced) in self.grants.iter_mut().zip(&self.announced) {
                *held = HeldGrant::new(held.grant.clone(), held.source);
                held.reached = announced.filter(|it| *it == State::Ended || self.ends.has_opened(held));
            }
        }

        fn reboot(&mut self) {
            self.boot = 5;
            for name in ["in_boot", "ends"] {
                let _there_or_not = fs::remove_file(self.folder.path().join(name));
            }
            self.restart_agent();
        }

        fn state(&self, grant: usize) -> State {
            self.grants[grant].state(self.reading().wall)
        }

        /// As the agent does.
        fn look(&mut self) {
            let reading = self.reading();
            let _told = self.clock.look(reading);
            let unproven = self.clock.is_unproven();
            self.grants.iter_mut().for_each(|held| held.barred = unproven);
            self.ends.follow(&mut self.grants, reading, self.clock.known(reading));
            for (held, announced) in self.grants.iter_mut().zip(&mut self.announced) {
                let state = held.state(reading.wall);
                if state != State::Ended || held.is_over_for_good() {
                    held.reached = Some(state);
                    *announced = (*announced).max(Some(state));
                }
            }
            self.clock.keep(reading, Keep::Now);
        }
    }

    fn reading(boot: i64, wall: i64) -> Reading {
        Reading {
            wall: Timestamp::from_second(EIGHT + wall).unwrap(),
            boot: Duration::from_secs(u64::try_from(boot).unwrap()),
        }
    }

    #[test]
    fn a_clock_that_is_set_back_lengthens_nothing_and_opens_nothing() {
        let mut host = Host::new(vec![held("live", 0, 1800), held("coming", 600, 1800), held("short", 0, 60)]);
        host.pass(60);
        host.look();
        assert_eq!(host.state(2), State::Ended);
        host.off = -3600;
        host.look();
        assert_eq!((host.state(0), host.state(1), host.state(2)), (State::Live, State::Coming, State::Ended));
        host.pass(1739);
        host.look();
        assert_eq!((host.state(0), host.state(1)), (State::Live, State::Coming));
        host.pass(1);
        host.look();
        assert_eq!((host.state(0), host.state(1)), (State::Ended, State::Ended));
    }

    #[test]
    fn a_boot_far_ahead_shuts_everything_and_ends_nothing_for_good() {
        let mut host = Host::new(vec![held("live", 0, 1800), held("coming", 600, 1800)]);
        host.off = 2_000_000_000;
        host.reboot();
        host.look();
        assert!(host.grants.iter().all(|held| !held.is_over_for_good()));
        assert_eq!((host.state(0), host.state(1)), (State::Ended, State::Ended));
        host.pass(5);
        host.off = 0;
        host.look();
        assert_eq!((host.state(0), host.state(1)), (State::Live, State::Coming));
        // Where it stays there, it is believed in the end.
        host.off = 2_000_000_000;
        host.look();
        host.pass(600);
        host.look();
        assert!(host.grants.iter().all(HeldGrant::is_over_for_good));
    }

    #[test]
    fn a_boot_in_the_past_opens_nothing_until_the_clock_is_right() {
        let mut host = Host::new(vec![held("live", 0, 1800)]);
        host.off = -200_000_000;
        host.reboot();
        host.look();
        assert_eq!(host.state(0), State::Coming);
        host.pass(30);
        host.off = 0;
        host.look();
        assert_eq!(host.state(0), State::Live);
    }

    #[test]
    fn a_step_forward_that_is_undone_gives_back_what_was_left() {
        let mut host = Host::new(vec![held("live", 0, 1800)]);
        host.off = 3600;
        host.look();
        assert_eq!(host.state(0), State::Ended);
        host.pass(10);
        host.off = 0;
        host.look();
        assert_eq!(host.state(0), State::Live);
        host.pass(1790);
        host.look();
        assert!(host.grants.iter().all(HeldGrant::is_over_for_good));
    }

    #[test]
    fn suspend_across_the_end_ends_it() {
        let mut host = Host::new(vec![held("live", 0, 1800)]);
        host.pass(8 * 3600);
        host.off = -8 * 3600;
        host.look();
        assert!(host.grants.iter().all(HeldGrant::is_over_for_good));
    }

    #[test]
    fn a_small_correction_does_not_cut_a_short_grant_off() {
        let mut host = Host::new(vec![]);
        host.pass(100);
        host.off = -20;
        host.look();
        (host.grants, host.announced) = (vec![held("short", 80, 88)], vec![None]);
        host.look();
        assert_eq!(host.state(0), State::Live);
        assert_eq!(host.grants[0].ends_by_boot, Some(Duration::from_secs(1108)));
    }

    #[test]
    fn a_grant_with_another_end_has_another_end_on_both_clocks() {
        let mut host = Host::new(vec![held("a", 0, 1800)]);
        host.pass(60);
        host.grants = vec![held("a", 0, 3600)];
        host.look();
        assert_eq!(host.grants[0].ends_by_boot, Some(Duration::from_secs(4600)));
        host.restart_agent();
        host.off = -600;
        host.look();
        assert_eq!(host.grants[0].ends_by_boot, Some(Duration::from_secs(4600)));
        host.clock.accept(host.reading());
        host.ends.forget(&mut host.grants);
        host.look();
        assert_eq!(host.grants[0].ends_by_boot, Some(Duration::from_secs(5200)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Pass(i64),
        Step(i64),
        Undo,
        Restart,
        Reboot,
        DownFor(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => prop_oneof![0..60_i64, 0..2000_i64].prop_map(Act::Pass),
            4 => prop_oneof![-60..60_i64, -4000..4000_i64, Just(-200_000_000), Just(2_000_000_000)].prop_map(Act::Step),
            2 => Just(Act::Undo),
            1 => Just(Act::Restart),
            1 => Just(Act::Reboot),
            1 => (0..2000_i64).prop_map(Act::DownFor),
        ]
    }

    fn window() -> impl Strategy<Value = (i64, i64)> {
        (-100..3000_i64, 1..2500_i64).prop_map(|(begin, length)| (begin, begin + length))
    }

    proptest! {
        #[test]
        fn no_sequence_of_steps_suspends_and_restarts_lengthens_a_grant_or_opens_one_by_an_unproven_clock(
            windows in prop::collection::vec(window(), 1..4), acts in prop::collection::vec(act(), 1..30)
        ) {
            let grants = windows.iter().enumerate().map(|(id, (begin, end))| held(&id.to_string(), *begin, *end));
            let mut host = Host::new(grants.collect());
            // The latest instant of CLOCK_BOOTTIME at which each may live, as of when it was first seen coming or live in this boot.
            let mut latest: Vec<Option<i64>> = vec![None; windows.len()];
            let mut over = vec![false; windows.len()];
            let mut was_open = vec![false; windows.len()];
            for act in [Act::Pass(0)].into_iter().chain(acts) {
                match act {
                    Act::Pass(seconds) => host.pass(seconds),
                    Act::Step(by) => host.off = (host.off + by).clamp(-1_000_000_000, 2_000_000_000),
                    Act::Undo => host.off = 0,
                    Act::Restart => host.restart_agent(),
                    Act::Reboot | Act::DownFor(_) => {
                        host.truth += if let Act::DownFor(seconds) = act { seconds } else { 0 };
                        host.reboot();
                        latest.fill(None);
                        was_open.fill(false);
                    }
                }
                host.look();
                let wall = host.truth + host.off;
                let floor = host.clock.floor(host.reading().boot).unwrap().as_second() - EIGHT;
                for (it, (begin, end)) in windows.iter().enumerate() {
                    let live = host.state(it) == State::Live;
                    if host.state(it) != State::Ended {
                        latest[it].get_or_insert(host.boot + end - wall);
                    }
                    prop_assert!(!live || latest[it].is_some_and(|latest| host.boot < latest), "{it} lives too long");
                    prop_assert!(!live || !over[it], "{it} lives again");
                    // What the wall clock shut for a while has been open.
                    let opens = live && !was_open[it];
                    prop_assert!(!opens || (*begin <= wall && wall >= floor - 30), "{it} opens at {wall} below {floor}");
                    over[it] |= host.grants[it].is_over_for_good();
                    was_open[it] |= live;
                }
            }
        }
    }
}
