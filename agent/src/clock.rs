//! The wall clock, and the alarm that wakes the agent at the next thing to do.

use crate::descriptors;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// The wall clock now. Decisions never call this: they are given the time.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// One alarm on the wall clock. It also rings when the clock is stepped (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`).
pub struct Alarm {
    timer: TimerFd,
    /// The same timer, for the event loop to wait on.
    ready: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// What timerfd_create(2) says.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let ready = descriptors::wait_on(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, ready })
    }

    /// Sets it to ring at `at`, at once where that has passed.
    ///
    /// # Errors
    ///
    /// What timerfd_settime(2) says.
    pub fn set(&self, at: Timestamp) -> io::Result<()> {
        // A time of zero would disarm it.
        let at = TimeSpec::new(at.as_second().max(1), i64::from(at.subsec_nanosecond().max(0)));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        self.timer.set(Expiration::OneShot(at), flags)?;
        Ok(())
    }

    /// Waits until it rings or the clock is stepped.
    ///
    /// # Errors
    ///
    /// What read(2) says, but for the two cases above.
    pub async fn ring(&self) -> io::Result<()> {
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
