//! How many calls a user may have answered: some at once after a rest, then so many a second. Pure: the time is passed in.

use std::time::{Duration, Instant};

/// The pause that each call takes up: 20 calls a second.
const PAUSE: Duration = Duration::from_millis(50);

/// How many calls need no pause after a rest.
const AT_ONCE: u32 = 40;

/// What one user has used up.
#[derive(Debug, Default)]
pub struct Budget {
    /// When nothing of it is used up any more.
    whole_at: Option<Instant>,
}

impl Budget {
    /// Takes one call out of it.
    ///
    /// # Errors
    ///
    /// How long it takes until there is one; nothing is taken.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + PAUSE;
        let missing = whole_at.saturating_duration_since(now + PAUSE * AT_ONCE);
        if !missing.is_zero() {
            return Err(missing);
        }
        self.whole_at = Some(whole_at);
        Ok(())
    }

    /// Whether nothing of it is used up: it may be forgotten.
    pub fn is_whole(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls it gives at `now`.
    fn taken(budget: &mut Budget, now: Instant) -> u32 {
        let mut count = 0;
        while budget.take(now).is_ok() {
            count += 1;
        }
        count
    }

    #[test]
    fn some_calls_are_answered_at_once_then_so_many_a_second() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert_eq!(taken(&mut budget, start), AT_ONCE);
        for second in 1..=10 {
            assert_eq!(taken(&mut budget, start + Duration::from_secs(second)), 20, "in second {second}");
        }
    }

    #[test]
    fn who_comes_too_early_is_told_how_long_to_wait_and_loses_nothing() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        taken(&mut budget, start);
        for _ in 0..1000 {
            assert_eq!(budget.take(start), Err(PAUSE));
        }
        let later = start + PAUSE / 5;
        assert_eq!(budget.take(later), Err(PAUSE * 4 / 5));
        assert_eq!(budget.take(later + PAUSE * 4 / 5), Ok(()));
    }

    #[test]
    fn a_rest_makes_it_whole_and_a_long_one_no_more_than_whole() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!(budget.is_whole(start));
        taken(&mut budget, start);
        let whole = start + PAUSE * AT_ONCE;
        assert!(!budget.is_whole(whole - Duration::from_nanos(1)) && budget.is_whole(whole));
        assert_eq!(taken(&mut budget, start + Duration::from_secs(86_400)), AT_ONCE);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let (mut budget, start) = (Budget::default(), Instant::now() + Duration::from_secs(60));
        taken(&mut budget, start);
        assert!(budget.take(start - Duration::from_secs(30)).is_err());
    }
}
