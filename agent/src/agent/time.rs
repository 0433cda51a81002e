//! The agent and the time: both clocks are read here, for every decision, and what they may open is kept to.

use super::Agent;
use crate::clock::{Keep, Reading};
use crate::grant::Bars;
use crate::human;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::time::Duration;

impl Agent {
    /// What keeps anything new from opening at `now`.
    pub fn bars(&self, now: Timestamp) -> Bars {
        let set_stale = self.grants.borrow().endpoint().is_stale(now);
        Bars { clock_unproven: self.clock.is_unproven(), set_stale }
    }

    /// Keeps the windows shut that may not open now, and ends for good what is over by any clock. Returns when the next grant ends on
    /// CLOCK_BOOTTIME.
    pub fn bar(&self, reading: Reading) -> Option<Duration> {
        let bars = self.bars(reading.wall);
        let mut grants = self.grants.borrow_mut();
        grants.held_mut().iter_mut().for_each(|held| held.barred = bars.bar(held.source));
        let next = self.ends.borrow_mut().follow(grants.held_mut(), reading, self.clock.known(reading));
        self.next_end_by_boot.set(next);
        next
    }

    /// Both clocks, read now; what that changes of what is believed of the time is in force at once.
    pub fn tell_the_time(&self) -> Reading {
        let reading = Reading::take();
        let steps = self.clock.steps();
        if let Some(reason) = self.clock.look(reading) {
            self.audit.write(Entry::new(Event::ClockStepped).with(Field::Reason, reason));
        }
        if self.clock.steps() != steps {
            self.trigger.pull();
        }
        reading
    }

    /// The wall clock now, for a decision: nothing is live then that is over by CLOCK_BOOTTIME.
    pub fn now(&self) -> Timestamp {
        let reading = self.tell_the_time();
        if self.next_end_by_boot.get().is_some_and(|end| end <= reading.boot) {
            self.bar(reading);
            self.trigger.pull();
        }
        reading.wall
    }

    /// Takes the wall clock as right.
    pub fn accept_the_clock(&self, who: &str, why: Option<&str>) {
        let reading = self.tell_the_time();
        self.clock.accept(reading);
        self.ends.borrow_mut().forget(self.grants.borrow_mut().held_mut());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let reason = format!("{who} took it as right at {}{why}", human::time(reading.wall));
        self.audit.write(Entry::new(Event::ClockStepped).with(Field::User, who).with(Field::Reason, reason));
        let reading = self.tell_the_time();
        self.bar(reading);
        self.trigger.pull();
    }

    /// Keeps what is known of the time.
    pub fn keep_the_time(&self, keep: Keep) {
        self.clock.keep(Reading::take(), keep);
    }
}
