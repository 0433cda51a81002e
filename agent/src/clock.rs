//! Time: what the wall clock says, what is believed of it, and the alarm.
//!
//! Whoever controls the wall clock (a time server, a lost battery, a snapshot) must neither lengthen a grant nor bring one back, and a
//! clock that once stood wrong must not lock people out for good. So there are three times, each read once where time enters:
//!
//! - **The wall clock** opens windows and closes them: what it calls over is shut at once.
//! - **CLOCK_BOOTTIME**, which nobody can set and which counts suspend. When a grant is first seen in a boot, and when its window opens,
//!   its end on this clock is fixed (`grant::boot_ends`), and it is over for good when either clock has come to it.
//! - **The floor**: the latest time that is known to have passed. It is kept on disk (the mark), and CLOCK_BOOTTIME carries it on. While the
//!   wall clock stands more than half a minute behind it, the clock is *unproven*: nothing new opens, and what is live stays live until
//!   its end on CLOCK_BOOTTIME. A grant whose end lies before the floor is over for good.
//!
//! Only a *credible* clock raises the floor: one that agrees with it, within that half minute; one that ran for ten minutes without a step
//! forward; after a boot, one that the host's time service has set (systemd-timesyncd(8)), unless it is a day ahead; or one that a freshly
//! signed set proves. While it is not credible, a grant that the wall clock alone calls over is shut, and not over for good: a host
//! that boots in 2099 and is set right a moment later has lost nothing. A step that is undone needs nothing else.
//!
//! An unproven clock is mended by itself when it comes back to the floor, and when a new set is verified that was signed within five
//! minutes of it: that also lowers a floor that a wrong clock had raised. Else root says `curfew clock --accept`: the wall clock is right
//! as it stands, and the ends of grants are fixed anew by it. Each step of more than a second is audited, and so is a clock that comes to
//! be unproven or proven; a flood of steps once a minute, with their number.
//!
//! What remains: after a boot, until the clock is credible, whoever sets it back (not before the floor) brings back a window that ended
//! while the host was down. A clock that is ahead when a grant is first seen ends it early by as much.

pub mod alarm;
pub mod belief;
mod wording;

use crate::durable;
use belief::{Belief, Change};
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the mark is kept.
pub const PATH: &str = "/var/lib/curfew/clock.json";

/// Where the belief is kept within a boot: memory, which is gone with it.
pub const IN_BOOT: &str = "/run/curfew/clock.json";

/// systemd-timesyncd(8) makes it when it has set the clock for the first time in a boot.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// How old the mark on disk may become while something else has the agent awake.
const MARKED_EVERY: Duration = Duration::from_secs(10 * 60);

/// How often a change is told at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How often two clocks are read before they count as read together.
const MOST_READINGS: u32 = 8;

/// Closer together than this is together.
const TOGETHER: Duration = Duration::from_micros(100);

/// The wall clock now. Decisions never call this: they are given the time.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// CLOCK_BOOTTIME now.
pub fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// CLOCK_BOOTTIME.
    pub boot: Duration,
}

impl Reading {
    /// Reads both, again where something came in between.
    pub fn take() -> Self {
        let mut before = boot_time();
        for _ in 1..MOST_READINGS {
            let wall = now();
            let boot = boot_time();
            if boot.saturating_sub(before) <= TOGETHER {
                return Self { wall, boot };
            }
            before = boot;
        }
        Self { wall: now(), boot: before }
    }

    /// The wall clock at `boot` on CLOCK_BOOTTIME, unless it is set until then.
    pub fn wall_at(self, boot: Duration) -> Timestamp {
        let far = if boot < self.boot { Timestamp::MIN } else { Timestamp::MAX };
        let moved = if boot < self.boot {
            self.wall.checked_sub(self.boot.saturating_sub(boot))
        } else {
            self.wall.checked_add(boot.saturating_sub(self.boot))
        };
        moved.unwrap_or(far)
    }
}

/// What the agent knows of the clock, and keeps.
#[derive(Debug)]
pub struct Clock {
    belief: RefCell<Belief>,
    files: Files,
    /// The mark on disk.
    marked: Cell<Option<Timestamp>>,
    /// The belief as it was kept for this boot.
    kept: RefCell<Option<Belief>>,
    /// What was last told, and when on CLOCK_BOOTTIME.
    told: Cell<Option<Duration>>,
    /// What is to be told, and how many changes that stands for.
    untold: RefCell<Option<(String, u64)>>,
}

#[derive(Debug)]
struct Files {
    mark: PathBuf,
    in_boot: PathBuf,
    synchronised: PathBuf,
}

/// The mark on disk.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    known: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self::open(Path::new(PATH), Path::new(IN_BOOT), Reading::take())
    }
}

impl Clock {
    /// Goes on with what is kept at `mark`, and for this boot at `in_boot`.
    pub fn open(mark: &Path, in_boot: &Path, reading: Reading) -> Self {
        let marked = match fs::read(mark) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(|Mark { known }| Some(known)).unwrap_or_else(|error| {
                tracing::error!("{}: {error}; what was known of the time is lost", mark.display());
                None
            }),
            Err(_) => None,
        };
        let kept: Option<Belief> = fs::read(in_boot).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let belief = kept.clone().unwrap_or_else(|| Belief::new(marked, reading));
        let files = Files { mark: mark.into(), in_boot: in_boot.into(), synchronised: SYNCHRONISED.into() };
        let (told, untold) = Default::default();
        Self { belief: belief.into(), files, marked: marked.into(), kept: kept.into(), told, untold }
    }

    /// Takes a reading in. What there is to tell of it is for the audit.
    #[must_use]
    pub fn look(&self, reading: Reading) -> Option<String> {
        let change = self.belief.borrow_mut().observe(reading, self.files.synchronised.exists());
        if change != Change::default() {
            let before = self.untold.borrow_mut().take().map_or(0, |(_, changes)| changes);
            *self.untold.borrow_mut() =
                Some((wording::change(change, reading, &self.belief.borrow(), before), before + 1));
        }
        let due = self.told.get().is_none_or(|told| reading.boot.saturating_sub(told) >= TOLD_EVERY);
        let told = if due { self.untold.borrow_mut().take() } else { None };
        told.map(|(sentence, _)| {
            self.told.set(Some(reading.boot));
            sentence
        })
    }

    /// Whether it stands behind what is known to have passed, as of the last look.
    pub fn is_unproven(&self) -> bool {
        self.belief.borrow().is_unproven()
    }

    /// The latest time that is known to have passed.
    pub fn floor(&self, boot: Duration) -> Option<Timestamp> {
        self.belief.borrow().floor(boot)
    }

    /// The latest time that is known to have passed, as the ends of grants see it: a clock that agrees with the floor is as good.
    pub fn known(&self, reading: Reading) -> Option<Timestamp> {
        let floor = self.floor(reading.boot)?;
        Some(if self.is_unproven() { floor } else { floor.min(reading.wall) })
    }

    /// How often it was set in this boot.
    pub fn steps(&self) -> u64 {
        self.belief.borrow().steps
    }

    /// Why nothing new opens, and the mend.
    pub fn problem(&self, reading: Reading) -> Option<String> {
        wording::problem(reading, &self.belief.borrow())
    }

    /// A set that is newer than all before it, and was signed at `signed_at`, was verified just now: it was that time then at least, and a
    /// wall clock that agrees with it is right.
    pub fn prove(&self, signed_at: Timestamp) {
        self.prove_at(signed_at, Reading::take());
    }

    fn prove_at(&self, signed_at: Timestamp, reading: Reading) {
        self.belief.borrow_mut().prove(signed_at, reading);
    }

    /// Root takes the wall clock as right.
    pub fn accept(&self, reading: Reading) {
        self.belief.borrow_mut().accept(reading);
        self.keep(reading, Keep::Now);
    }

    /// Keeps what is to outlive the agent, and the boot.
    pub fn keep(&self, reading: Reading, keep: Keep) {
        self.keep_in_boot();
        let Some(known) = self.floor(reading.boot) else { return };
        let due = match (self.marked.get(), keep) {
            (None, _) => true,
            // One that was lowered must not come back.
            (Some(marked), _) if marked > known => true,
            (Some(marked), Keep::Now) => marked < known,
            (Some(marked), Keep::Seldom) => known.duration_since(marked).unsigned_abs() >= MARKED_EVERY,
        };
        if due {
            match write_mark(&self.files.mark, known) {
                Ok(()) => self.marked.set(Some(known)),
                Err(error) => tracing::error!("{}: {error}; a reboot forgets the time", self.files.mark.display()),
            }
        }
    }

    fn keep_in_boot(&self) {
        let belief = self.belief.borrow();
        let mut kept = self.kept.borrow_mut();
        if kept.as_ref().is_some_and(|kept| kept.is_nearly(&belief)) {
            return;
        }
        let bytes = serde_json::to_vec(&*belief).map_err(io::Error::from);
        match bytes.and_then(|bytes| durable::write_unsynced(&self.files.in_boot, &bytes)) {
            Ok(()) => *kept = Some(belief.clone()),
            Err(error) => tracing::error!("{}: {error}", self.files.in_boot.display()),
        }
    }
}

/// How urgent it is to keep the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// A grant began or ended, or the agent stops.
    Now,
    /// Something else woke the agent.
    Seldom,
}

fn write_mark(path: &Path, known: Timestamp) -> io::Result<()> {
    durable::write(path, &serde_json::to_vec(&Mark { known })?)
}

/// CLOCK_MONOTONIC in microseconds: the clock by which logind says when a session opened.
pub fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EIGHT: i64 = 1_795_291_200;

    fn at(wall: i64, boot: u64) -> Reading {
        Reading { wall: Timestamp::from_second(wall).unwrap(), boot: Duration::from_secs(boot) }
    }

    struct Host {
        folder: tempfile::TempDir,
    }

    impl Host {
        fn start(&self, reading: Reading) -> Clock {
            let mut clock = Clock::open(&self.folder.path().join("mark"), &self.folder.path().join("in_boot"), reading);
            clock.files.synchronised = self.folder.path().join("synchronised");
            clock
        }

        fn reboot(&self, reading: Reading) -> Clock {
            let _there_or_not = fs::remove_file(self.folder.path().join("in_boot"));
            self.start(reading)
        }
    }

    fn host() -> Host {
        Host { folder: tempfile::tempdir().unwrap() }
    }

    #[test]
    fn what_is_known_outlives_the_agent_and_the_boot() {
        let host = host();
        let clock = host.start(at(EIGHT, 1000));
        clock.accept(at(EIGHT, 1000));
        assert_eq!(clock.look(at(EIGHT, 1000)), None);
        clock.keep(at(EIGHT, 1000), Keep::Seldom);
        // The agent dies, and the clock is set back meanwhile.
        let clock = host.start(at(EIGHT - 3600, 1100));
        let told = clock.look(at(EIGHT - 3600, 1100)).unwrap();
        assert!(told.contains("1 h 1 min back") && told.contains("unproven"), "{told}");
        assert_eq!(clock.floor(Duration::from_secs(1100)), Timestamp::from_second(EIGHT + 100).ok());
        clock.keep(at(EIGHT - 3600, 1100), Keep::Now);
        let clock = host.reboot(at(EIGHT - 3600, 5));
        assert!(clock.look(at(EIGHT - 3600, 5)).unwrap().contains("unproven"));
        assert_eq!(clock.floor(Duration::from_secs(5)), Timestamp::from_second(EIGHT + 100).ok());
        assert!(clock.problem(at(EIGHT - 3600, 5)).unwrap().contains("curfew clock --accept"));
    }

    #[test]
    fn a_mark_that_root_lowered_does_not_come_back() {
        let host = host();
        let clock = host.start(at(EIGHT + 1_000_000, 1000));
        clock.accept(at(EIGHT + 1_000_000, 1000));
        clock.accept(at(EIGHT, 1001));
        let clock = host.reboot(at(EIGHT + 60, 5));
        assert_eq!(clock.look(at(EIGHT + 60, 5)), None);
        assert!(!clock.is_unproven());
    }

    #[test]
    fn the_mark_is_written_seldom() {
        let host = host();
        let clock = host.start(at(EIGHT, 1000));
        clock.accept(at(EIGHT, 1000));
        let marked = || fs::read_to_string(host.folder.path().join("mark")).unwrap();
        let first = marked();
        clock.keep(at(EIGHT + 599, 1599), Keep::Seldom);
        assert_eq!(marked(), first);
        clock.keep(at(EIGHT + 600, 1600), Keep::Seldom);
        let second = marked();
        assert_ne!(second, first);
        clock.keep(at(EIGHT + 601, 1601), Keep::Now);
        assert_ne!(marked(), second);
    }

    #[test]
    fn a_flood_of_steps_is_told_once_a_minute_with_their_number() {
        let host = host();
        let clock = host.start(at(EIGHT, 1000));
        clock.accept(at(EIGHT, 1000));
        assert_eq!(clock.look(at(EIGHT, 1000)), None);
        let told: Vec<String> =
            (1..=60).filter_map(|second| clock.look(at(EIGHT + second * 3, 1000 + second as u64))).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        let last = clock.look(at(EIGHT + 183, 1061)).unwrap();
        assert!(last.contains("59 changes before it"), "{last}");
        assert_eq!(clock.look(at(EIGHT + 300, 1178)), None);
    }

    #[test]
    fn what_can_not_be_read_is_as_if_nothing_was_known() {
        let host = host();
        fs::write(host.folder.path().join("mark"), "garbage").unwrap();
        fs::write(host.folder.path().join("in_boot"), "{}").unwrap();
        let clock = host.start(at(EIGHT, 10));
        assert_eq!(clock.look(at(EIGHT, 10)), None);
        assert_eq!(clock.floor(Duration::from_secs(10)), None);
    }

    #[test]
    fn both_clocks_are_read_together() {
        let (first, second) = (Reading::take(), Reading::take());
        let wall = second.wall.duration_since(first.wall).unsigned_abs();
        let boot = second.boot.saturating_sub(first.boot);
        assert!(wall.abs_diff(boot) < Duration::from_millis(5));
        assert_eq!(first.wall_at(first.boot + Duration::from_secs(1)), first.wall + Duration::from_secs(1));
        assert_eq!(
            first.wall_at(first.boot.saturating_sub(Duration::from_secs(1))),
            first.wall - Duration::from_secs(1)
        );
    }
}
