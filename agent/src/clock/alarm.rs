//! The alarm that wakes the agent at the next thing to do: the same instant on two clocks, and any step of the wall clock.

use super::Reading;
use crate::descriptors;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How far the second timer is behind: where nothing was set, the first one rings and the other is set anew, which is one wake instead of two.
const BEHIND: Duration = Duration::from_millis(5);

/// Two timers of which the earlier wins (timerfd_create(2)). The one on the wall clock also rings when that is set
/// (`TFD_TIMER_CANCEL_ON_SET`); the one on CLOCK_BOOTTIME rings also where the wall clock stands back. Neither wakes a host that sleeps: both
/// ring at once when it wakes up.
pub struct Alarm {
    wall: Timer,
    boot: Timer,
}

struct Timer {
    timer: TimerFd,
    /// The same timer, for the event loop to wait on.
    ready: AsyncFd<OwnedFd>,
}

/// What became of setting the alarm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alarmed {
    /// It will ring.
    Set,
    /// The clock was set since it was last looked at: look again.
    Stepped,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// What timerfd_create(2) says.
    pub fn new() -> io::Result<Self> {
        Ok(Self { wall: Timer::new(ClockId::CLOCK_REALTIME)?, boot: Timer::new(ClockId::CLOCK_BOOTTIME)? })
    }

    /// Sets it to ring at `at`, at once where that has passed.
    ///
    /// # Errors
    ///
    /// What timerfd_settime(2) says.
    pub fn set(&self, at: Timestamp) -> io::Result<Alarmed> {
        let reading = Reading::take();
        let left = Duration::try_from(at.duration_since(reading.wall)).unwrap_or_default();
        self.boot.set(
            time_spec(reading.boot.saturating_add(left).saturating_add(BEHIND)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?;
        let at = TimeSpec::new(at.as_second(), i64::from(at.subsec_nanosecond().max(0)));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        match self.wall.set(at, flags) {
            Ok(()) => Ok(Alarmed::Set),
            // A step since the last ring is told here, and nowhere else any more.
            Err(Errno::ECANCELED) => Ok(Alarmed::Stepped),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until it rings or the clock is set.
    ///
    /// # Errors
    ///
    /// What read(2) says, but for the two cases above.
    pub async fn ring(&self) -> io::Result<()> {
        tokio::select! {
            rung = self.wall.ring() => rung,
            rung = self.boot.ring() => rung,
        }
    }
}

impl Timer {
    fn new(clock: ClockId) -> io::Result<Self> {
        let timer = TimerFd::new(clock, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let ready = descriptors::wait_on(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, ready })
    }

    fn set(&self, at: TimeSpec, flags: TimerSetTimeFlags) -> nix::Result<()> {
        // A time of zero would disarm it, and there is none before.
        let at = if at.tv_sec() < 1 { TimeSpec::new(1, 0) } else { at };
        self.timer.set(Expiration::OneShot(at), flags)
    }

    async fn ring(&self) -> io::Result<()> {
        loop {
            let mut ready = self.ready.readable().await?;
            match ready.try_io(|_| match self.timer.wait() {
                Ok(()) | Err(Errno::ECANCELED) => Ok(()),
                Err(errno) => Err(errno.into()),
            }) {
                Ok(rung) => return rung,
                Err(_would_block) => {}
            }
        }
    }
}

fn time_spec(since_boot: Duration) -> TimeSpec {
    TimeSpec::new(i64::try_from(since_boot.as_secs()).unwrap_or(i64::MAX), i64::from(since_boot.subsec_nanos()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::daemon::event_loop;
    use std::time::Instant;

    #[test]
    fn it_rings_once_at_its_time_and_at_once_where_that_has_passed() {
        event_loop().unwrap().block_on(async {
            let alarm = Alarm::new().unwrap();
            let begun = Instant::now();
            alarm.set(super::super::now() + Duration::from_millis(80)).unwrap();
            alarm.ring().await.unwrap();
            assert!(begun.elapsed() >= Duration::from_millis(80));
            alarm.set(Timestamp::UNIX_EPOCH).unwrap();
            alarm.ring().await.unwrap();
            // Set anew, it has forgotten what the other of its timers was set to.
            alarm.set(super::super::now() + Duration::from_secs(60)).unwrap();
            assert!(tokio::time::timeout(Duration::from_millis(50), alarm.ring()).await.is_err());
        });
    }
}
