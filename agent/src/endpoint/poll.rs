//! The loop that follows the endpoint: ask for the set, put it in force, wait for the next.
//!
//! A poll is parked at the endpoint until something changes, and nothing of the agent wakes meanwhile. Where a web server only hands out files, it
//! asks every now and then. What is remembered of a set is forgotten with the process: a new one fetches it whole.

use super::apply::apply;
use super::backoff::{Backoff, random};
use super::client::{Fetched, Link, Validators, patience};
use super::failure::Failure;
use super::follower::Follower;
use super::identity::Identity;
use super::rotate;
use crate::clock;
use curfew_protocol::audit::{Entry, Event, Field};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a host waits at most before its first poll after a start: a fleet that boots together does not come as one.
const LONGEST_SPLAY: Duration = Duration::from_secs(5);

/// Follows the endpoint for as long as the agent runs, whichever it is. Never returns.
pub async fn follow(follower: &Rc<Follower>) {
    let mut first = true;
    loop {
        match follower.endpoint.identity() {
            Some(_) => {
                let splay = if first { LONGEST_SPLAY.mul_f64(random()) } else { Duration::ZERO };
                if !follower.endpoint.at_once.take() {
                    pause(follower, splay).await;
                }
                // It may have another key by now, or be gone.
                if let Some(identity) = follower.endpoint.identity() {
                    follow_as(follower, identity).await;
                }
            }
            None => follower.endpoint.woken.notified().await,
        }
        first = false;
    }
}

/// Follows as this host, until it is another one.
async fn follow_as(follower: &Rc<Follower>, identity: Rc<Identity>) {
    let mut backoff = Backoff::default();
    rotate::resume(follower).await;
    let link = match Link::open(follower.endpoint.folder(), identity) {
        Ok(link) => link,
        Err(failure) => {
            note(follower, &failure, Duration::ZERO);
            follower.endpoint.tried.notify_waiters();
            pause(follower, backoff.after(&failure, random())).await;
            return;
        }
    };
    let mut known = Validators::default();
    // How often an endpoint that waits did not wait.
    let mut hasty = Backoff::default();
    while follower.endpoint.identity().is_some_and(|identity| link.serves(&identity)) {
        let asked = follower.endpoint.asked.take();
        if asked {
            known = Validators::default();
        }
        let pace = Pace::of(follower, &link);
        // Without anything to compare with, nobody waits: the next one does.
        let first = !known.are_known();
        let begun = Instant::now();
        let fetched = tokio::select! {
            fetched = link.fetch(&known, Some(pace.wait)) => fetched,
            () = follower.endpoint.woken.notified() => continue,
        };
        let waited = begun.elapsed();
        let next = match take(follower, &link, fetched, &mut known).await {
            Ok(Came { new, waits }) => {
                backoff.reset();
                if new || asked || pace.is_whole_wait(waited) {
                    hasty.reset();
                }
                match () {
                    () if link.identity.is_static() => pace.interval.mul_f64(0.9 + random() / 5.0),
                    () if new || asked || first || pace.is_whole_wait(waited) => Duration::ZERO,
                    // It goes down, perhaps, and sent everybody home.
                    () if waits => hasty.next(random()),
                    () => pace.interval.mul_f64(0.9 + random() / 5.0),
                }
            }
            Err(failure) => {
                note(follower, &failure, pace.patience());
                // The next one does not wait: that the endpoint is there again is known at once.
                known = Validators::default();
                if failure.is_final() && rotate::resume(follower).await {
                    return;
                }
                backoff.after(&failure, random())
            }
        };
        if asked {
            follower.endpoint.tried.notify_waiters();
        }
        pause(follower, next).await;
    }
}

/// How often is asked.
struct Pace {
    wait: Duration,
    interval: Duration,
    is_static: bool,
}

impl Pace {
    fn of(follower: &Follower, link: &Link) -> Self {
        let config = follower.settings.config();
        Self { wait: config.poll_wait, interval: config.poll_interval, is_static: link.identity.is_static() }
    }

    /// Whether a poll took about as long as it was to wait.
    fn is_whole_wait(&self, waited: Duration) -> bool {
        waited >= self.wait.mul_f64(0.8)
    }

    /// How old the last verified set may be while all is well.
    fn patience(&self) -> Duration {
        patience(if self.is_static { self.interval.mul_f64(1.1) } else { self.wait })
    }
}

/// What came of a poll that went well.
struct Came {
    /// Whether the set says something new.
    new: bool,
    /// Whether the endpoint waits for changes.
    waits: bool,
}

/// Puts in force what a poll brought, and remembers what it is called.
async fn take(
    follower: &Rc<Follower>,
    link: &Link,
    fetched: Result<Fetched, Failure>,
    known: &mut Validators,
) -> Result<Came, Failure> {
    let Fetched { text, validators, waits } = fetched?;
    let new = match text {
        Some(text) => apply(follower, link, text).await?,
        None => {
            // That nothing changed proves nothing about its age.
            let facts = follower.ledger.grants().endpoint().facts().copied();
            if let Some(facts) = facts.filter(|facts| facts.fresh_until <= clock::now()) {
                return Err(Failure::NotFresh(facts.fresh_until));
            }
            false
        }
    };
    *known = validators;
    if follower.endpoint.health.borrow_mut().verified(Instant::now()) {
        follower.audit.write(Entry::new(Event::SyncRecovered));
        tracing::info!("the endpoint can be followed again");
    }
    Ok(Came { new, waits })
}

/// Tells of a failure what is new about it.
fn note(follower: &Follower, failure: &Failure, patience: Duration) {
    tracing::debug!("the endpoint could not be followed: {failure}");
    let mut health = follower.endpoint.health.borrow_mut();
    if let Some(why) = failure.of_set().filter(|_| health.refused(failure)) {
        follower.audit.write(Entry::new(Event::SetRefused).with(Field::Source, "endpoint").with(Field::Reason, why));
    }
    if health.failed(failure, Instant::now(), clock::now(), patience) {
        follower.audit.write(Entry::new(Event::SyncFailed).with(Field::Reason, failure.to_string()));
        tracing::warn!("the endpoint can't be followed; the last good set stays in force: {failure}");
    }
}

/// Waits, unless something wants a poll now.
async fn pause(follower: &Follower, pause: Duration) {
    if !pause.is_zero() {
        let _whichever_comes_first = tokio::time::timeout(pause, follower.endpoint.woken.notified()).await;
    }
}
