//! How long to wait after a failure: longer each time, at random so that a fleet does not come back as one, and as the endpoint asks.

use super::failure::Failure;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::time::Duration;

/// The longest pause after the first failure, and after many.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The longest pause that an endpoint can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// How many failures came one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure. `random` is between 0 and 1: the pause is anything up to a ceiling that doubles ("full jitter").
    pub fn after(&mut self, failure: &Failure, random: f64) -> Duration {
        if failure.is_final() {
            // Anything between half of it and the whole.
            return (LONGEST / 2).saturating_add((LONGEST / 2).mul_f64(random));
        }
        let pause = self.next(random);
        match failure.retry_after() {
            Some(asked) => asked.min(LONGEST_ASKED).saturating_add(pause.min(SHORTEST * 2)),
            None => pause,
        }
    }

    /// The next pause.
    pub fn next(&mut self, random: f64) -> Duration {
        let ceiling = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1).min(16);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }

    /// It went well.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number between 0 and 1, another one each time.
pub fn random() -> f64 {
    let random = ulid::Ulid::generate().random() & 0xffff_ffff;
    f64::from(u32::try_from(random).unwrap_or_default()) / f64::from(u32::MAX)
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = http_date(value)?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// Reads a date in a header (RFC 9110, section 5.6.7).
pub fn http_date(value: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unreachable() -> Failure {
        Failure::Unreachable("refused".into())
    }

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..9).map(|_| backoff.after(&unreachable(), 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.after(&unreachable(), 1.0), SHORTEST);
    }

    #[test]
    fn a_no_is_asked_again_at_the_long_end_alone() {
        let gone = Failure::Status { status: 410, retry_after: None };
        assert!(Backoff::default().after(&gone, 0.0) >= Duration::from_secs(30));
    }

    #[test]
    fn the_endpoint_says_when_to_come_back_but_not_for_how_long_to_be_gone() {
        let asked = |seconds| Failure::Status { status: 429, retry_after: Some(Duration::from_secs(seconds)) };
        let pause = Backoff::default().after(&asked(20), 1.0);
        assert!((20..=22).contains(&pause.as_secs()), "{pause:?}");
        assert!(Backoff::default().after(&asked(86_400), 1.0) <= Duration::from_secs(602));
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-5", now), None);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_its_bounds(random in 0.0..=1.0_f64, failures in 0..40_u32, asked in proptest::option::of(0..1_000_000_u64)) {
            let failure = Failure::Status { status: 503, retry_after: asked.map(Duration::from_secs) };
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                backoff.next(random);
            }
            let pause = backoff.after(&failure, random);
            prop_assert!(pause <= asked.map_or(LONGEST, |_| LONGEST_ASKED + SHORTEST * 2));
            prop_assert!(pause >= asked.map_or(Duration::ZERO, |asked| Duration::from_secs(asked).min(LONGEST_ASKED)));
        }
    }

    #[test]
    fn chance_is_not_always_the_same() {
        assert!((0..10).map(|_| random()).any(|it| (it - random()).abs() > 0.01));
    }
}
