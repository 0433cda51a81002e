//! How following the endpoint goes: what counts is the age of the last verified set, not whether a connection stands.
//!
//! A blip is no news. An endpoint that could not be followed for longer than a poll takes is, once, with the reason; another reason is, at most
//! once a minute; and so is the end of it.

use super::failure::Failure;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How soon another reason is told.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How following goes.
#[derive(Debug)]
pub struct Health {
    /// When a set was last verified, or it was begun.
    good_at: Instant,
    failing: Option<Failing>,
    /// Of what kinds the refusals were that were told since the last good set.
    refused: BTreeSet<&'static str>,
    /// What went wrong last, since the last set.
    latest: Option<String>,
}

/// It does not go well.
#[derive(Clone, Debug)]
pub struct Failing {
    /// Why.
    pub problem: String,
    /// Since when this is known.
    pub since: Timestamp,
    kind: &'static str,
    told_at: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self { good_at: Instant::now(), failing: None, refused: BTreeSet::new(), latest: None }
    }
}

impl Health {
    /// That the endpoint can't be followed, where that is so.
    pub fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }

    /// What went wrong last, since the last set.
    pub fn latest(&self) -> Option<&str> {
        self.latest.as_deref()
    }

    /// Something went wrong `at` that time. Returns whether that is to be told: without a set for longer than `patience`, the endpoint
    /// can't be followed.
    pub fn failed(&mut self, failure: &Failure, at: Instant, now: Timestamp, patience: Duration) -> bool {
        let problem = failure.to_string();
        self.latest = Some(problem.clone());
        if !failure.is_final() && at.saturating_duration_since(self.good_at) < patience {
            return false;
        }
        let (kind, since) = (failure.kind(), self.failing.as_ref().map_or(now, |failing| failing.since));
        let told = match &self.failing {
            None => true,
            Some(before) => before.kind != kind && at.saturating_duration_since(before.told_at) >= TOLD_AGAIN_AFTER,
        };
        match &mut self.failing {
            // What was told stays what is shown, until another reason is told.
            Some(before) if !told && before.kind != kind => {}
            Some(before) if !told => before.problem = problem,
            failing => *failing = Some(Failing { problem, since, kind, told_at: at }),
        }
        told
    }

    /// A set was refused. Returns whether that is to be told: once for each reason, until a good one comes.
    pub fn refused(&mut self, failure: &Failure) -> bool {
        self.refused.insert(failure.kind())
    }

    /// A set was verified. Returns whether following had failed, and that is to be told.
    pub fn verified(&mut self, at: Instant) -> bool {
        self.good_at = at;
        self.refused.clear();
        self.latest = None;
        self.failing.take().is_some()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(65);

    #[test]
    fn a_blip_is_no_news_and_an_outage_is_told_once() {
        let mut health = Health::default();
        let begin = health.good_at;
        let failure = Failure::Unreachable("refused".into());
        let at = |second| begin + Duration::from_secs(second);
        let mut told = |second| health.failed(&failure, at(second), Timestamp::UNIX_EPOCH, PATIENCE);
        assert!(!told(1) && !told(64));
        assert!(told(65));
        assert!(!told(66) && !told(3600));
        assert!(health.failing().is_some());
        assert!(health.verified(at(3601)));
        assert!(!health.verified(at(3602)));
        assert!(!health.failed(&failure, at(3603), Timestamp::UNIX_EPOCH, PATIENCE));
    }

    #[test]
    fn a_no_is_told_at_once() {
        let mut health = Health::default();
        let gone = Failure::Status { status: 410, retry_after: None };
        assert!(health.failed(&gone, health.good_at, Timestamp::UNIX_EPOCH, PATIENCE));
    }

    #[test]
    fn another_reason_is_told_at_most_once_a_minute() {
        let mut health = Health::default();
        let begin = health.good_at;
        let reasons = [Failure::TooLong(1), Failure::TimedOut(PATIENCE)];
        let told: Vec<u64> = (65..400)
            .filter(|&second| {
                let reason = reasons.get(usize::try_from(second % 2).unwrap()).unwrap();
                health.failed(reason, begin + Duration::from_secs(second), Timestamp::UNIX_EPOCH, PATIENCE)
            })
            .collect();
        assert!(told.len() >= 2 && told.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{told:?}");
    }

    #[test]
    fn a_refusal_is_told_once_until_a_good_set_comes() {
        let mut health = Health::default();
        let (a, b) = (Failure::TooLong(1), Failure::TimedOut(PATIENCE));
        assert!(health.refused(&a) && !health.refused(&a) && health.refused(&b) && !health.refused(&a));
        let begin = health.good_at;
        health.verified(begin);
        assert!(health.refused(&b));
    }
}
