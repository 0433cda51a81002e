//! The polls that are parked, and what wakes them.
//!
//! Nothing is lost between a look at the version and the wait: a poll takes its place first, looks then, and a wake that comes in between is kept
//! for it. Where a host parks too many, the oldest is answered.

use curfew_protocol::grant_set::HostId;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The most polls that one host may have parked: one, and some whose connections died unheard.
const MOST_PER_HOST: usize = 4;

/// How long a host that asks anew waits for those that were woken.
const LONGEST_WAVE: Duration = Duration::from_secs(1);

/// Every poll that is parked.
#[derive(Debug, Default)]
pub(crate) struct ParkedPolls {
    by_host: Mutex<PollsByHost>,
    wave: Wave,
}

/// The polls that were woken and are not answered.
#[derive(Debug, Default)]
struct Wave {
    left: AtomicUsize,
    ended: Notify,
}

#[derive(Debug, Default)]
struct PollsByHost {
    hosts: HashMap<HostId, VecDeque<Arc<ParkedPoll>>>,
    closed: bool,
}

#[derive(Debug, Default)]
struct ParkedPoll {
    notify: Notify,
    leave: AtomicBool,
    /// It is part of the wave.
    woken: AtomicBool,
}

/// One poll's place. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct Parked<'p> {
    polls: &'p ParkedPolls,
    host: HostId,
    poll: Arc<ParkedPoll>,
}

/// Why a poll was woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Woken {
    /// Something may have changed: look.
    Look,
    /// Answer now, whatever there is: another poll needs the place, or the server stops.
    Leave,
}

impl ParkedPolls {
    /// Takes a place for a poll of `host`.
    pub(crate) fn park(&self, host: &HostId) -> Parked<'_> {
        let poll = Arc::new(ParkedPoll::default());
        let mut by_host = self.lock();
        if by_host.closed {
            poll.leave();
        }
        let parked = by_host.hosts.entry(host.clone()).or_default();
        parked.push_back(poll.clone());
        if parked.len() > MOST_PER_HOST
            && let Some(oldest) = parked.pop_front()
        {
            oldest.leave();
        }
        Parked { polls: self, host: host.clone(), poll }
    }

    /// Wakes the polls of these hosts.
    pub(crate) fn wake(&self, hosts: &[HostId]) {
        let by_host = self.lock();
        hosts.iter().filter_map(|host| by_host.hosts.get(host)).flatten().for_each(|poll| poll.wake(&self.wave));
    }

    /// Wakes every poll.
    pub(crate) fn wake_all(&self) {
        self.lock().hosts.values().flatten().for_each(|poll| poll.wake(&self.wave));
    }

    /// Returns when those that were woken are answered: a host that asks anew comes after those that wait for what they asked. Not for long.
    pub(crate) async fn calm(&self) {
        if self.wave.left.load(Ordering::Acquire) == 0 {
            return;
        }
        let ended = self.wave.ended.notified();
        if self.wave.left.load(Ordering::Acquire) > 0 {
            let _ = tokio::time::timeout(LONGEST_WAVE, ended).await;
        }
    }

    /// Has every poll answered, and every one that comes later, too.
    pub(crate) fn close(&self) {
        let mut by_host = self.lock();
        by_host.closed = true;
        by_host.hosts.values().flatten().for_each(|poll| poll.leave());
    }

    fn lock(&self) -> MutexGuard<'_, PollsByHost> {
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ParkedPoll {
    fn wake(&self, wave: &Wave) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            wave.left.fetch_add(1, Ordering::AcqRel);
        }
        self.notify.notify_one();
    }

    /// It is answered, or found nothing to answer.
    fn rest(&self, wave: &Wave) {
        if self.woken.swap(false, Ordering::AcqRel) && wave.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            wave.ended.notify_waiters();
        }
    }

    fn leave(&self) {
        self.leave.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

impl Parked<'_> {
    /// Waits until something wakes it.
    pub(crate) async fn woken(&self) -> Woken {
        // Whoever waits again has found nothing in what woke it before.
        self.poll.rest(&self.polls.wave);
        self.poll.notify.notified().await;
        if self.poll.leave.load(Ordering::Acquire) { Woken::Leave } else { Woken::Look }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.poll.rest(&self.polls.wave);
        let mut by_host = self.polls.lock();
        if let Some(parked) = by_host.hosts.get_mut(&self.host) {
            parked.retain(|poll| !Arc::ptr_eq(poll, &self.poll));
            if parked.is_empty() {
                by_host.hosts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(50);

    fn host(name: &str) -> HostId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_wake_before_the_wait_is_not_lost_and_is_for_its_host_alone() {
        let polls = ParkedPolls::default();
        let (one, other) = (polls.park(&host("one")), polls.park(&host("other")));
        polls.wake(&[host("one"), host("nobody")]);
        assert_eq!(timeout(SOON, one.woken()).await, Ok(Woken::Look));
        assert!(timeout(SOON, other.woken()).await.is_err());
        polls.wake_all();
        assert_eq!(timeout(SOON, other.woken()).await, Ok(Woken::Look));
    }

    #[tokio::test]
    async fn who_asks_anew_comes_after_those_that_were_woken() {
        let polls = ParkedPolls::default();
        polls.calm().await;
        let (one, other) = (polls.park(&host("one")), polls.park(&host("other")));
        polls.wake_all();
        polls.wake_all();
        assert!(timeout(SOON, polls.calm()).await.is_err());
        one.woken().await;
        drop(one);
        let calm = polls.calm();
        let last = async {
            tokio::time::sleep(SOON).await;
            // It finds nothing, and waits again.
            assert_eq!(other.woken().await, Woken::Look);
            assert!(timeout(SOON, other.woken()).await.is_err());
        };
        let begun = std::time::Instant::now();
        tokio::join!(calm, last);
        assert!(begun.elapsed() < LONGEST_WAVE);
        assert_eq!(polls.wave.left.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn the_newest_polls_of_a_host_stay_and_places_are_given_back() {
        let polls = ParkedPolls::default();
        let parked: Vec<_> = (0..=MOST_PER_HOST).map(|_| polls.park(&host("one"))).collect();
        let mut waiting = parked.iter();
        assert_eq!(timeout(SOON, waiting.next().unwrap().woken()).await, Ok(Woken::Leave));
        for poll in waiting {
            assert!(timeout(SOON, poll.woken()).await.is_err());
        }
        drop(parked);
        assert!(polls.lock().hosts.is_empty());
    }

    #[tokio::test]
    async fn when_the_server_stops_polls_are_answered() {
        let polls = ParkedPolls::default();
        let before = polls.park(&host("one"));
        polls.close();
        let after = polls.park(&host("one"));
        assert_eq!(timeout(SOON, before.woken()).await, Ok(Woken::Leave));
        assert_eq!(timeout(SOON, after.woken()).await, Ok(Woken::Leave));
    }
}
