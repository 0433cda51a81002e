//! What goes on while the server runs, whoever calls: changes wake the polls that wait for them, what hosts said is written down, what is old is deleted,
//! and the database is watched.

use crate::duration;
use crate::sets::keys::Keys;
use crate::sets::last_seen::LastSeen;
use crate::sets::parked::ParkedPolls;
use crate::store::{Change, Changes, Disk, Health, Store};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How often what hosts said is written down.
const OFTEN: Duration = Duration::from_secs(5);

/// How often what is old is deleted.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is looked after.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub store: Arc<Store>,
    pub keys: Arc<Keys>,
    pub parked: Arc<ParkedPolls>,
    pub last_seen: Arc<LastSeen>,
    pub health: Arc<Health>,
    pub disk: Arc<Disk>,
    /// How long the audit is kept.
    pub audit_keep: Duration,
}

impl Maintenance {
    /// Does all of it. Never ends.
    pub(crate) async fn run(&self, changes: Changes) {
        tokio::join!(
            self.follow(changes),
            self.write_last_seen(),
            self.delete_old(),
            self.health.watch(&self.store),
            self.disk.watch(),
            self.store.tidy()
        );
    }

    /// Wakes who waits for what changes. Never ends.
    async fn follow(&self, mut changes: Changes) {
        loop {
            match changes.next(&self.store).await {
                Change::Hosts(hosts) => self.parked.wake(&hosts),
                Change::All => {
                    if let Err(error) = self.keys.reload(&self.store).await {
                        tracing::error!(%error, "the keys can't be read again; the ones before go on");
                    }
                    self.parked.wake_all();
                }
            }
        }
    }

    async fn write_last_seen(&self) {
        let mut often = tokio::time::interval(OFTEN);
        loop {
            often.tick().await;
            self.last_seen.write(&self.store).await;
        }
    }

    async fn delete_old(&self) {
        let mut daily = tokio::time::interval(DAILY);
        self.tell_if_much_goes().await;
        loop {
            daily.tick().await;
            self.prune().await;
        }
    }

    /// Says so where most of the audit is too old to be kept: `audit_keep` may have been mistyped.
    async fn tell_if_much_goes(&self) {
        match self.store.most_is_before(self.keep_since(Timestamp::now())).await {
            Ok(Some((old, kept))) => tracing::warn!(
                old,
                kept,
                keep = duration::typed(self.audit_keep),
                "more than half of the audit is older than audit_keep, and is deleted now"
            ),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody can see how much of the audit is old"),
        }
    }

    fn keep_since(&self, now: Timestamp) -> Timestamp {
        let keep = SignedDuration::try_from(self.audit_keep).unwrap_or(SignedDuration::MAX);
        now.saturating_sub(keep).unwrap_or(Timestamp::MIN)
    }

    async fn prune(&self) {
        let now = Timestamp::now();
        match self.store.prune(self.keep_since(now), now).await {
            Ok(rows) => tracing::info!(rows, "what was old is deleted"),
            Err(error) => tracing::warn!(%error, "what is old could not be deleted"),
        }
    }
}
