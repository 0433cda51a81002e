//! What is believed of the wall clock: no clock and no file, readings in, a judgement out. The rules are in [`clock`](super).

use super::Reading;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Less than this is no step: two clocks are never read at the same instant, and time services slew what is small.
pub const NO_STEP: SignedDuration = SignedDuration::from_secs(1);

/// Less than this is not worth writing down.
const NEARLY: SignedDuration = SignedDuration::from_millis(1);

/// How far the wall clock may stand from what is known before that means anything: more than leap seconds, the drift of two weeks
/// (20 ppm), and what a time service corrects at its first word. All that it is worth to an attacker is half a minute, once.
pub const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// How long a clock has to run without a step forward before what it says is known.
pub const STEADY: Duration = Duration::from_secs(10 * 60);

/// A clock that is further ahead than this is not believed at once, whoever says that it is synchronised.
const FAR_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// How long a set may have been on its way.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(60);

/// How far the wall clock may stand from a set that proves it.
const PROVES_WITHIN: SignedDuration = SignedDuration::from_secs(5 * 60);

/// The wall clock at the start of CLOCK_BOOTTIME, had it never been set: as long as this stays the same, the clock runs on.
type Line = SignedDuration;

/// What is believed. Within a boot it outlives the agent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Belief {
    /// The time that is known to have passed.
    floor: Option<Line>,
    /// The last reading.
    last: Option<Line>,
    /// From then on, on CLOCK_BOOTTIME, the wall clock has run long enough.
    steady_from: Duration,
    /// It was set forward since it last was steady.
    jumped: bool,
    /// Whether it stands behind what is known.
    unproven: bool,
    /// The latest time that a signed set has proved in this boot: no set that was held back takes it away.
    #[serde(default)]
    proved: Option<Line>,
    /// How often it was set in this boot.
    pub steps: u64,
}

/// What a reading changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// The clock was set by so much.
    pub step: Option<SignedDuration>,
    /// It is proven now and was not, or the other way round.
    pub turned: bool,
}

impl Belief {
    /// As of a boot: `mark` is the latest time that was known before.
    pub fn new(mark: Option<Timestamp>, reading: Reading) -> Self {
        let floor = mark.map(|mark| line(mark, reading.boot));
        let steady_from = reading.boot + STEADY;
        Self { floor, last: None, steady_from, jumped: false, unproven: false, proved: None, steps: 0 }
    }

    /// Takes a reading in. `synchronised`: a time service of the host has set its clock in this boot.
    pub fn observe(&mut self, reading: Reading, synchronised: bool) -> Change {
        let now = line(reading.wall, reading.boot);
        let step = self.last.map(|last| now.saturating_sub(last)).filter(|step| step.abs() > NO_STEP);
        self.last = Some(now);
        self.steps += u64::from(step.is_some());
        if step.is_some_and(|step| step.is_positive()) {
            self.steady_from = reading.boot + STEADY;
            self.jumped = true;
        }
        if reading.boot >= self.steady_from {
            self.jumped = false;
        }
        if self.is_credible(reading, synchronised) {
            self.floor = self.floor.max(Some(now));
        }
        let unproven = self.ahead(reading).is_some_and(|ahead| ahead < -TOLERANCE);
        let turned = std::mem::replace(&mut self.unproven, unproven) != unproven;
        Change { step, turned }
    }

    /// Whether what the wall clock says is known to be so.
    fn is_credible(&self, reading: Reading, synchronised: bool) -> bool {
        if reading.boot >= self.steady_from {
            return true;
        }
        match self.ahead(reading) {
            Some(ahead) => !self.jumped && (ahead <= TOLERANCE || (synchronised && ahead <= FAR_AHEAD)),
            None => !self.jumped && synchronised,
        }
    }

    /// How far the wall clock is ahead of what is known.
    fn ahead(&self, reading: Reading) -> Option<SignedDuration> {
        self.floor.map(|floor| line(reading.wall, reading.boot).saturating_sub(floor))
    }

    /// Whether nothing in `other` is worth writing down: two clocks are never read at the same instant.
    pub fn is_nearly(&self, other: &Self) -> bool {
        let near = |a: Option<Line>, b: Option<Line>| match (a, b) {
            (Some(a), Some(b)) => a.saturating_sub(b).abs() < NEARLY,
            (a, b) => a == b,
        };
        near(self.floor, other.floor)
            && near(self.last, other.last)
            && near(self.proved, other.proved)
            && (self.steady_from, self.jumped, self.unproven, self.steps)
                == (other.steady_from, other.jumped, other.unproven, other.steps)
    }

    /// Whether nothing new may open.
    pub fn is_unproven(&self) -> bool {
        self.unproven
    }

    /// The latest time that is known to have passed when CLOCK_BOOTTIME is `boot`.
    pub fn floor(&self, boot: Duration) -> Option<Timestamp> {
        self.floor.map(|floor| time(floor, boot))
    }

    /// A set that was signed at `signed_at` was verified now.
    pub fn prove(&mut self, signed_at: Timestamp, reading: Reading) {
        let at_least = line(signed_at, reading.boot).saturating_sub(ON_ITS_WAY);
        self.proved = self.proved.max(Some(at_least));
        if reading.wall.duration_since(signed_at).abs() <= PROVES_WITHIN {
            let wall = line(reading.wall, reading.boot);
            // Only a clock that is in doubt needs what was known to be forgotten.
            self.floor = if self.ahead(reading).is_some_and(|ahead| ahead < -TOLERANCE) {
                Some(at_least.min(wall)).max(self.proved)
            } else {
                self.floor.max(Some(at_least.min(wall)))
            };
            self.steady_from = reading.boot;
        } else {
            self.floor = self.floor.max(Some(at_least));
        }
    }

    /// Root takes the wall clock as right.
    pub fn accept(&mut self, reading: Reading) {
        self.floor = Some(line(reading.wall, reading.boot));
        self.proved = None;
        self.steady_from = reading.boot;
    }
}

fn line(wall: Timestamp, boot: Duration) -> Line {
    wall.as_duration().saturating_sub(SignedDuration::try_from(boot).unwrap_or(SignedDuration::MAX))
}

fn time(line: Line, boot: Duration) -> Timestamp {
    let since_1970 = line.saturating_add(SignedDuration::try_from(boot).unwrap_or(SignedDuration::MAX));
    let farthest = if since_1970.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_duration(since_1970).unwrap_or(farthest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    /// 2026-11-21T20:00:00Z.
    const EIGHT: i64 = 1_795_291_200;

    fn at(wall: i64, boot: u64) -> Reading {
        Reading { wall: Timestamp::from_second(wall).unwrap(), boot: Duration::from_secs(boot) }
    }

    /// A clock of which all is known: it stands at eight, a quarter of an hour after the boot.
    fn known() -> Belief {
        let mut belief = Belief::new(None, at(EIGHT - 900, 0));
        belief.observe(at(EIGHT - 900, 0), false);
        belief.observe(at(EIGHT, 900), false);
        belief
    }

    fn floor(belief: &Belief, boot: u64) -> Option<i64> {
        belief.floor(Duration::from_secs(boot)).map(Timestamp::as_second)
    }

    #[test]
    fn a_clock_that_is_set_back_is_unproven_until_it_is_set_right() {
        let mut belief = known();
        let change = belief.observe(at(EIGHT + 10 - HOUR, 910), false);
        assert_eq!(change, Change { step: Some(SignedDuration::from_hours(-1)), turned: true });
        assert!(belief.is_unproven());
        // What is known goes on without it.
        assert_eq!(floor(&belief, 1000), Some(EIGHT + 100));
        assert!(belief.observe(at(EIGHT + 2000 - HOUR, 2900), false) == Change::default() && belief.is_unproven());
        let change = belief.observe(at(EIGHT + 2100, 3000), false);
        assert!(change.step.is_some() && change.turned && !belief.is_unproven());
    }

    #[test]
    fn a_set_that_was_held_back_brings_no_old_time_back() {
        let mut belief = known();
        belief.prove(Timestamp::from_second(EIGHT).unwrap(), at(EIGHT, 900));
        // A week later; sets came all the time. Then the clock is set back to the first one, and a set of then arrives.
        let week = 7 * 24 * HOUR;
        belief.prove(Timestamp::from_second(EIGHT + week).unwrap(), at(EIGHT + week, 900 + week as u64));
        let back = at(EIGHT + 20, 960 + week as u64);
        belief.observe(back, false);
        assert!(belief.is_unproven());
        belief.prove(Timestamp::from_second(EIGHT + 10).unwrap(), back);
        belief.observe(back, false);
        assert!(belief.is_unproven());
        assert!(floor(&belief, 960 + week as u64).unwrap() >= EIGHT + week - 60);
        // Root may say otherwise.
        belief.accept(back);
        belief.observe(back, false);
        assert!(!belief.is_unproven());
    }

    #[test]
    fn a_step_forward_that_is_undone_poisons_nothing_and_one_that_stays_is_believed() {
        let mut belief = known();
        belief.observe(at(EIGHT + 10 + HOUR, 910), true);
        belief.observe(at(EIGHT + 509 + HOUR, 1409), true);
        assert_eq!(floor(&belief, 1409), Some(EIGHT + 509));
        belief.observe(at(EIGHT + 510, 1410), true);
        assert!(!belief.is_unproven());
        belief.observe(at(EIGHT + 520 + HOUR, 1420), false);
        belief.observe(at(EIGHT + 1120 + HOUR, 2020), false);
        assert_eq!(floor(&belief, 2020), Some(EIGHT + 1120 + HOUR));
        belief.observe(at(EIGHT + 1130, 2030), false);
        assert!(belief.is_unproven());
    }

    #[test]
    fn a_boot_in_2020_is_unproven_and_one_in_2099_is_not_believed() {
        let mark = Timestamp::from_second(EIGHT).ok();
        let mut belief = Belief::new(mark, at(EIGHT - 200_000_000, 5));
        assert!(belief.observe(at(EIGHT - 200_000_000, 5), false).turned && belief.is_unproven());
        belief.observe(at(EIGHT + HOUR, 60), true);
        assert!(!belief.is_unproven());
        let mut belief = Belief::new(mark, at(EIGHT + 2_000_000_000, 5));
        belief.observe(at(EIGHT + 2_000_000_000, 5), true);
        assert_eq!(floor(&belief, 5), Some(EIGHT));
        belief.observe(at(EIGHT + HOUR, 15), true);
        assert!(!belief.is_unproven());
    }

    #[test]
    fn what_a_time_service_says_after_a_boot_is_believed_at_once_if_it_is_not_far_ahead() {
        let mut belief = Belief::new(Timestamp::from_second(EIGHT).ok(), at(EIGHT + HOUR, 5));
        belief.observe(at(EIGHT + HOUR, 5), false);
        assert_eq!(floor(&belief, 5), Some(EIGHT));
        belief.observe(at(EIGHT + HOUR + 1, 6), true);
        assert_eq!(floor(&belief, 6), Some(EIGHT + HOUR + 1));
    }

    #[test]
    fn small_corrections_mean_nothing() {
        let mut belief = known();
        assert!(belief.observe(at(EIGHT - 19, 901), false).step.is_some());
        assert!(!belief.is_unproven());
        // They do not add up.
        belief.observe(at(EIGHT - 39, 902), false);
        assert!(belief.is_unproven());
    }

    #[test]
    fn suspend_is_no_step() {
        let mut belief = known();
        assert_eq!(belief.observe(at(EIGHT + 8 * HOUR, 900 + 8 * 3600), false), Change::default());
    }

    #[test]
    fn a_fresh_set_raises_what_is_known_and_mends_a_poisoned_mark() {
        let mut belief = Belief::new(Timestamp::from_second(EIGHT + 80 * HOUR).ok(), at(EIGHT, 5));
        belief.observe(at(EIGHT, 5), false);
        assert!(belief.is_unproven());
        belief.prove(Timestamp::from_second(EIGHT - 200).unwrap(), at(EIGHT, 5));
        belief.observe(at(EIGHT, 5), false);
        assert!(!belief.is_unproven());
        assert_eq!(floor(&belief, 5), Some(EIGHT));
        // A set from far ahead of the wall clock proves that the clock is behind.
        belief.prove(Timestamp::from_second(EIGHT + HOUR).unwrap(), at(EIGHT, 5));
        belief.observe(at(EIGHT, 5), false);
        assert!(belief.is_unproven());
        assert_eq!(floor(&belief, 5), Some(EIGHT + HOUR - 60));
    }

    #[test]
    fn root_can_take_the_clock_as_right() {
        let mut belief = known();
        belief.observe(at(EIGHT - HOUR, 900), false);
        belief.accept(at(EIGHT - HOUR, 900));
        assert!(belief.observe(at(EIGHT - HOUR, 900), false).turned && !belief.is_unproven());
        assert_eq!(floor(&belief, 900), Some(EIGHT - HOUR));
    }

    #[test]
    fn times_off_the_calendar_are_its_ends() {
        assert_eq!(time(SignedDuration::MAX, Duration::MAX), Timestamp::MAX);
        assert_eq!(time(SignedDuration::MIN, Duration::ZERO), Timestamp::MIN);
    }
}
