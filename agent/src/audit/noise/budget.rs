//! A budget: so many records and bytes a minute, and more at once after a quiet while.

use super::WINDOW;
use std::time::Duration;

/// How much somebody may write.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records a minute.
    records: u32,
    /// Bytes a minute.
    bytes: u32,
    /// What was not used of so many minutes may be used at once.
    minutes: u32,
}

/// A person who holds a grant, for each event: 240 records at once, then one a second.
pub const A_PERSON: Limits = Limits { records: 60, bytes: 64 * 1024, minutes: 4 };

/// A name that holds none: 60 records at once, then one each three seconds.
pub const A_NAME: Limits = Limits { records: 20, bytes: 20 * 1024, minutes: 3 };

/// All names that hold none together.
pub const ALL_NAMES: Limits = Limits { records: 120, bytes: 128 * 1024, minutes: 4 };

/// What is left of a budget.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limits: Limits,
    /// What was written is paid for by the time until then (the generic cell rate algorithm, ITU-T I.371).
    paid_by: Duration,
}

impl Budget {
    /// A whole one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, paid_by: Duration::ZERO }
    }

    /// Whether there is enough left for a record of so many bytes.
    pub fn covers(&self, bytes: usize, now: Duration) -> bool {
        self.paid_after(bytes, now) <= now + WINDOW * self.limits.minutes
    }

    /// Takes a record of so many bytes out of it.
    pub fn charge(&mut self, bytes: usize, now: Duration) {
        self.paid_by = self.paid_after(bytes, now);
    }

    /// Whether it is whole.
    pub fn is_whole(&self, now: Duration) -> bool {
        self.paid_by <= now
    }

    fn paid_after(&self, bytes: usize, now: Duration) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let price = (WINDOW / self.limits.records).max(WINDOW.saturating_mul(bytes) / self.limits.bytes);
        self.paid_by.max(now) + price
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(budget: &mut Budget, bytes: usize, now: Duration) -> usize {
        (0..10_000).take_while(|_| budget.covers(bytes, now).then(|| budget.charge(bytes, now)).is_some()).count()
    }

    #[test]
    fn what_was_saved_may_be_spent_at_once_and_no_more() {
        let (mut budget, now) = (Budget::new(A_PERSON), Duration::from_secs(1000));
        assert_eq!(written(&mut budget, 300, now), 240);
        assert_eq!(written(&mut budget, 300, now + WINDOW), 60);
        assert!(!budget.is_whole(now + WINDOW * 4) && budget.is_whole(now + WINDOW * 5));
        assert_eq!(written(&mut budget, 300, now + WINDOW * 100), 240);
    }

    #[test]
    fn a_long_record_costs_more() {
        let (mut budget, now) = (Budget::new(A_PERSON), Duration::ZERO);
        assert_eq!(written(&mut budget, 4096, now), 64);
        assert!(!Budget::new(A_PERSON).covers(usize::MAX, now));
    }
}
