//! The deadline that PID 1 keeps: a transient timer, always armed at the next end, so that a grant ends on time with the agent
//! dead, masked or wedged, too (systemd.timer(5), systemd-run(1)).
//!
//! The timer starts `curfew-sweep.service`. It rings a moment after the end: an agent that lives has done its work by then and set
//! the next one, and nothing is started. It rings by the wall clock and, where that is set back, by CLOCK_MONOTONIC, which does not count
//! suspend: an agent that is dead while its host sleeps and while the clock stands back, too, ends that much later. `curfew-clock.timer`
//! has the sweep look at each step of the clock.
//!
//! What was armed is looked at again at each of the agent's looks, which costs one stat(2): a timer that somebody
//! stopped is back within 30 s.

use crate::clock::belief::NO_STEP;
use crate::clock::{self, Reading};
use crate::host::guard_timer::{self, Rings};
use crate::host::systemd::{SYSTEMCTL, SYSTEMD_RUN, ask, is_masked};
use jiff::{SignedDuration, Timestamp};
use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Notify;

/// What the timers' names begin with; the end follows.
const PREFIX: &str = "curfew-end-";

/// What they start.
const SWEEP: &str = "curfew-sweep.service";

/// How long after the end the timer rings.
const BEHIND_THE_END: SignedDuration = SignedDuration::from_millis(250);

/// How long one exchange with PID 1 may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long after a failure it is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where PID 1 keeps the files of transient units, for as long as it knows them (systemd.unit(5)).
const TRANSIENT: &str = "/run/systemd/transient";

/// The next end, for PID 1 to keep.
#[derive(Debug, Default)]
pub struct Deadline {
    wanted: Cell<Wanted>,
    changed: Notify,
    /// The file of the timer that was armed last, and that has not rung.
    armed: RefCell<Option<PathBuf>>,
    /// Why PID 1 does not keep it.
    problem: RefCell<Option<String>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Wanted {
    next_end: Option<End>,
    /// Nothing of an end that has passed is left to do, so that its timer can go.
    settled: bool,
}

/// The next end, on both clocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct End {
    /// By the wall clock.
    pub at: Timestamp,
    /// By CLOCK_BOOTTIME.
    pub by_boot: Option<Duration>,
    /// They part: the wall clock was set since the end was fixed.
    parted: bool,
}

impl End {
    /// An end as it is at `reading`.
    pub fn new(at: Timestamp, by_boot: Option<Duration>, reading: Reading) -> Self {
        let parted = by_boot.is_some_and(|end| reading.wall_at(end).duration_since(at).abs() > NO_STEP);
        Self { at, by_boot, parted }
    }

    /// The timer of an end that the clock was set away from has another name, so that it is armed anew.
    fn name(self) -> String {
        let parted = self.by_boot.filter(|_| self.parted).map(|end| format!("-{}ms", end.as_millis()));
        format!("{PREFIX}{}{}", self.at.strftime("%Y%m%dT%H%M%S%.fZ"), parted.unwrap_or_default())
    }
}

impl Deadline {
    /// Has PID 1 keep `next_end`, also where it was told already and the timer was stopped since. The timers of earlier
    /// ends go once everything is `settled`.
    pub fn set(&self, next_end: Option<End>, settled: bool) {
        let wanted = Wanted { next_end, settled };
        let stopped = self.armed.borrow().as_deref().is_some_and(|timer| !timer.exists());
        let known = self.wanted.replace(wanted) == wanted;
        if known && stopped {
            tracing::warn!("the timer of the next end was stopped, and is armed again");
        }
        if !known || stopped {
            self.armed.take();
            self.changed.notify_one();
        }
    }

    /// Why PID 1 does not keep the next end, where it does not.
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone().or_else(|| is_masked(SWEEP).then(|| format!("{SWEEP} is masked")))
    }

    /// Arms what is wanted now.
    pub async fn arm(&self) -> bool {
        let wanted = self.wanted.get();
        let armed = match tokio::time::timeout(PATIENCE, arm(wanted)).await {
            Ok(armed) => armed,
            Err(_) => Err(format!("PID 1 did not answer within {PATIENCE:?}")),
        };
        let problem = armed.err();
        if let Some(problem) = problem.as_ref().filter(|_| self.problem.borrow().is_none()) {
            tracing::error!("PID 1 could not be told of the next end: {problem}");
        }
        let done = problem.is_none();
        let timer =
            wanted.next_end.filter(|_| done).map(|end| Path::new(TRANSIENT).join(format!("{}.timer", end.name())));
        *self.armed.borrow_mut() = timer;
        *self.problem.borrow_mut() = problem;
        done
    }
}

/// Has PID 1 know the next end, whenever it changes. Never returns.
pub async fn keep_armed(deadline: &Deadline) {
    loop {
        deadline.changed.notified().await;
        while !deadline.arm().await {
            tokio::time::sleep(TRIED_AGAIN_AFTER).await;
        }
    }
}

/// Arms the timer that is wanted and stops the others. The new one is there before an old one goes.
async fn arm(wanted: Wanted) -> Result<(), String> {
    let listed = ask(SYSTEMCTL, &["list-units", "--plain", "--no-legend", &format!("{PREFIX}*.timer")]).await?;
    let there: Vec<&str> = listed.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    let name = wanted.next_end.map(End::name);
    let timer = name.as_ref().map(|name| format!("{name}.timer"));
    if let (Some(name), Some(timer), Some(end)) = (&name, &timer, wanted.next_end) {
        let armed = there.contains(&timer.as_str());
        let stays = armed && stays(timer);
        if armed && !stays {
            ask(SYSTEMCTL, &["stop", timer]).await?;
        }
        if !stays {
            start(name, end).await?;
        }
    }
    for old in there.into_iter().filter(|it| wanted.settled && timer.as_deref() != Some(it)) {
        // One that has just rung is gone by itself.
        if let Err(problem) = ask(SYSTEMCTL, &["stop", old]).await {
            tracing::debug!(timer = %old, "an old timer was not stopped: {problem}");
        }
    }
    Ok(())
}

/// Whether a timer is one that nothing but the host's end takes away, and not one of an earlier version's. One that
/// can't be read does.
fn stays(timer: &str) -> bool {
    fs::read_to_string(Path::new(TRANSIENT).join(timer)).map_or(true, |text| text.contains(guard_timer::MARK))
}

async fn start(name: &str, end: End) -> Result<(), String> {
    let End { at, by_boot, .. } = end;
    let left = by_boot.map(|end| end.saturating_sub(clock::boot_time()).saturating_add(BEHIND_THE_END.unsigned_abs()));
    let rings = Rings {
        at: Some(calendar(at.checked_add(BEHIND_THE_END).unwrap_or(Timestamp::MAX))),
        after_us: left.map(|left| left.as_micros()),
        accuracy: "1ms",
    };
    let description = format!("The end of access at {at}, kept by PID 1 should curfewd be away");
    let arguments = guard_timer::arguments(name, &description, &rings, SWEEP);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ask(SYSTEMD_RUN, &arguments).await.map(drop)
}

/// systemd.time(7), to the microsecond, and never before `at`.
fn calendar(at: Timestamp) -> String {
    let up = jiff::TimestampRound::new().smallest(jiff::Unit::Microsecond).mode(jiff::RoundMode::Ceil);
    at.round(up).unwrap_or(at).strftime("%Y-%m-%d %H:%M:%S%.6f UTC").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_named_after_its_end_and_rings_no_sooner() {
        let end: Timestamp = "2026-11-21T20:30:00Z".parse().unwrap();
        let reading = Reading { wall: end - Duration::from_secs(60), boot: Duration::from_secs(100) };
        let name = |at, by_boot: Option<u64>| End::new(at, by_boot.map(Duration::from_millis), reading).name();
        assert_eq!(name(end, None), "curfew-end-20261121T203000Z");
        assert_eq!(name(end, Some(160_000)), "curfew-end-20261121T203000Z");
        // The clock was set back by a minute and a half since.
        assert_eq!(name(end, Some(70_500)), "curfew-end-20261121T203000Z-70500ms");
        assert_eq!(calendar(end), "2026-11-21 20:30:00.000000 UTC");
        let odd: Timestamp = "2026-11-21T20:30:00.1234567Z".parse().unwrap();
        assert_eq!(name(odd, None), "curfew-end-20261121T203000.1234567Z");
        assert_eq!(calendar(odd), "2026-11-21 20:30:00.123457 UTC");
    }

    #[test]
    fn what_is_wanted_already_wakes_nobody() {
        let deadline = Deadline::default();
        let end = Some(End { at: Timestamp::UNIX_EPOCH, by_boot: None, parted: false });
        deadline.set(end, true);
        let mut woken = std::pin::pin!(deadline.changed.notified());
        assert!(woken.as_mut().enable());
        let mut woken = std::pin::pin!(deadline.changed.notified());
        deadline.set(end, true);
        assert!(!woken.as_mut().enable());
    }

    #[test]
    fn a_timer_that_was_stopped_is_armed_again_and_one_that_is_there_wakes_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let timer = folder.path().join("curfew-end-x.timer");
        fs::write(&timer, "").unwrap();
        let deadline = Deadline::default();
        *deadline.armed.borrow_mut() = Some(timer.clone());
        let mut woken = std::pin::pin!(deadline.changed.notified());
        deadline.set(None, false);
        assert!(!woken.as_mut().enable());
        fs::remove_file(&timer).unwrap();
        deadline.set(None, false);
        assert!(woken.as_mut().enable());
        // Told once: it is at work already.
        let mut woken = std::pin::pin!(deadline.changed.notified());
        deadline.set(None, false);
        assert!(!woken.as_mut().enable());
    }
}
