//! Sign-ins of administrators, enrolments and calls of hosts that failed: counted in memory, and written to the log, so that whoever tries many fills no disk with it.
//!
//! | what | bound |
//! |---|---|
//! | records | one a minute for each address and kind of token, with the count |
//! | addresses and kinds | [`MOST`] a minute; those beyond are counted together |

use crate::store::{Attempt, FailedSignIns, Presented, Store};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many addresses and kinds of token are told apart.
const MOST: usize = 64;

/// How long after a record the next one of the same kind comes.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);

#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    told: Option<Timestamp>,
}

/// What failed, and is not written down.
#[derive(Debug, Default)]
pub(crate) struct SignIns(Mutex<HashMap<Attempt, Tally>>);

impl SignIns {
    /// A sign-in failed.
    pub(crate) fn failed(&self, attempt: Attempt, now: Timestamp) {
        let mut tallies = self.lock();
        let attempt = match tallies.len() >= MOST && !tallies.contains_key(&attempt) {
            true => Attempt { from: None, presented: Presented::Others },
            false => attempt,
        };
        let tally = tallies.entry(attempt).or_insert(Tally { count: 0, first: now, last: now, told: None });
        if tally.count == 0 {
            tally.first = now;
        }
        tally.count += 1;
        tally.last = now;
    }

    /// Writes down what is due.
    pub(crate) async fn write(&self, store: &Store, now: Timestamp) {
        let due = self.due(now);
        if due.is_empty() {
            return;
        }
        match store.note_failed_sign_ins(&due, now).await {
            Ok(()) => self.told(&due, now),
            Err(error) => {
                tracing::warn!(%error, "sign-ins that failed could not be written to the log; it is tried again")
            }
        }
    }

    fn due(&self, now: Timestamp) -> Vec<FailedSignIns> {
        let mut tallies = self.lock();
        let rests = |tally: &Tally| tally.told.is_some_and(|told| now.duration_since(told) < PAUSE);
        tallies.retain(|_, tally| tally.count > 0 || rests(tally));
        let due = tallies.iter().filter(|(_, tally)| tally.count > 0 && !rests(tally));
        let due = due.map(|(attempt, tally)| FailedSignIns {
            attempt: attempt.clone(),
            count: tally.count,
            first: tally.first,
            last: tally.last,
        });
        due.collect()
    }

    fn told(&self, written: &[FailedSignIns], now: Timestamp) {
        let mut tallies = self.lock();
        for FailedSignIns { attempt, count, .. } in written {
            if let Some(tally) = tallies.get_mut(attempt) {
                tally.count = tally.count.saturating_sub(*count);
                // What came meanwhile came after what was written.
                tally.first = tally.last;
                tally.told = Some(now);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Attempt, Tally>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn attempt(n: u8) -> Attempt {
        Attempt { from: Some(IpAddr::from([192, 0, 2, n])), presented: Presented::Unknown }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_once_a_minute() {
        let sign_ins = SignIns::default();
        sign_ins.failed(attempt(1), at(0));
        let due = sign_ins.due(at(1));
        assert_eq!(due[0].count, 1);
        // One that comes while it is written is not lost.
        sign_ins.failed(attempt(1), at(2));
        sign_ins.told(&due, at(3));
        sign_ins.failed(attempt(1), at(4));
        assert!(sign_ins.due(at(62)).is_empty());
        let due = sign_ins.due(at(63));
        assert_eq!((due[0].count, due[0].last), (2, at(4)));
        sign_ins.told(&due, at(63));
        assert!(sign_ins.due(at(200)).is_empty() && sign_ins.lock().is_empty());
    }

    #[test]
    fn those_that_are_too_many_are_counted_together() {
        let sign_ins = SignIns::default();
        for n in 0..=255 {
            sign_ins.failed(attempt(n), at(0));
        }
        let due = sign_ins.due(at(1));
        assert_eq!(due.len(), MOST + 1);
        assert_eq!(due.iter().map(|it| it.count).sum::<u64>(), 256);
    }
}
