//! The clocks of a virtual machine: what they say, and what a test does to them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{PATIENCE, Vm};
use crate::wait::wait_for;

/// All clocks of a machine, read one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The wall clock.
    pub realtime: Timestamp,
    /// Time since the boot, without suspend.
    pub monotonic: Duration,
    /// Time since the boot, with suspend.
    pub boottime: Duration,
    /// The hardware clock, in whole seconds.
    pub hardware: Timestamp,
}

impl Vm {
    /// What its clocks say.
    ///
    /// # Panics
    /// When they can't be read.
    #[must_use]
    pub fn clocks(&mut self) -> Clocks {
        let text = self.ok("vm-clock");
        let seconds: Vec<SignedDuration> = text.lines().map(seconds).collect();
        let [realtime, monotonic, boottime, hardware] = seconds[..] else { panic!("no clocks in {text}") };
        let time = |clock| Timestamp::from_duration(clock).expect("a time that jiff knows");
        let since_boot = |clock| Duration::try_from(clock).expect("time since a boot");
        Clocks {
            realtime: time(realtime),
            monotonic: since_boot(monotonic),
            boottime: since_boot(boottime),
            hardware: time(hardware),
        }
    }

    /// Steps the wall clock by so much, as `date -s` does. The hardware clock stays.
    ///
    /// # Panics
    /// When it can't be set.
    pub fn step_clock(&mut self, by: SignedDuration) {
        let sign = if by.is_negative() { '-' } else { '+' };
        let size = by.unsigned_abs();
        self.ok(&format!("vm-clock {sign}{}.{:09}", size.as_secs(), size.subsec_nanos()));
    }

    /// Waits until its wall clock has passed `time`.
    pub fn wait_clock(&mut self, time: Timestamp) {
        loop {
            let left = time.duration_since(self.clocks().realtime);
            if left.is_negative() {
                return;
            }
            sleep(Duration::try_from(left).unwrap_or_default());
        }
    }

    /// Suspends it to memory as `systemctl suspend` does, and wakes it after `time`. Gives how long it slept.
    ///
    /// # Panics
    /// When it does not go to sleep, or does not wake up.
    pub fn suspend_for(&mut self, time: Duration) -> Duration {
        let asked = self.spawn("systemctl suspend");
        wait_for("the machine to suspend", PATIENCE, || {
            (self.ask("query-status")["status"] == "suspended").then_some(())
        });
        let asleep = Instant::now();
        sleep(time);
        self.ask("system_wakeup");
        let slept = asleep.elapsed();
        asked.finish(PATIENCE).expect_ok("systemctl suspend");
        slept
    }

    /// Halts its processor for `time`, as a hypervisor does to move a machine: the hardware clock alone goes on.
    pub fn pause_for(&mut self, time: Duration) {
        self.ask("stop");
        sleep(time);
        self.ask("cont");
    }
}

fn seconds(text: &str) -> SignedDuration {
    let (whole, nanos) = text.split_once('.').unwrap_or((text, "0"));
    let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    SignedDuration::new(number(whole), i32::try_from(number(nanos)).expect("nine digits"))
}
