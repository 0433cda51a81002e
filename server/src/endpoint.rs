//! The endpoint: everything that a call may need, in one place.

use crate::config::Config;
use crate::keys::Keys;
use crate::replay::Replay;
use crate::seen::Heard;
use crate::store::{Change, Changes, Store};
use crate::wake::Wake;
use curfew_protocol::grant_set::HostId;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often what hosts said is written down, and old tokens are forgotten.
const OFTEN: Duration = Duration::from_secs(5);

/// How often what is old is deleted.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most long bodies in memory at a time.
const LONG_BODIES: usize = 32;

/// The endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub config: Config,
    pub store: Store,
    pub keys: Keys,
    pub wake: Wake,
    pub replay: Replay,
    pub heard: Heard,
    pub long_bodies: Semaphore,
    /// The hosts that send a long body now: one at a time each.
    shipping: Mutex<HashSet<HostId>>,
}

/// A host's turn to send a long body. Dropped, it is over.
#[derive(Debug)]
pub(crate) struct Turn<'e> {
    endpoint: &'e Endpoint,
    host: HostId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.endpoint.shipping.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.host);
    }
}

impl Endpoint {
    /// The endpoint, with nobody connected.
    pub(crate) fn new(config: Config, store: Store, keys: Keys) -> Arc<Self> {
        Arc::new(Self {
            config,
            store,
            keys,
            wake: Wake::default(),
            replay: Replay::default(),
            heard: Heard::default(),
            long_bodies: Semaphore::new(LONG_BODIES),
            shipping: Mutex::default(),
        })
    }

    /// The host's turn to send a long body; none while it sends another one.
    pub(crate) fn turn_of(&self, host: &HostId) -> Option<Turn<'_>> {
        let mut shipping = self.shipping.lock().unwrap_or_else(PoisonError::into_inner);
        shipping.insert(host.clone()).then(|| Turn { endpoint: self, host: host.clone() })
    }

    /// Wakes who waits for what changes, for as long as there are changes.
    pub(crate) async fn follow(&self, mut changes: Changes) {
        while let Some(change) = changes.recv().await {
            match change {
                Change::Hosts(hosts) => self.wake.hosts(hosts.iter().map(String::as_str)),
                Change::All => {
                    if let Err(error) = self.keys.reload(&self.store).await {
                        tracing::error!(%error, "the keys can't be read again; the ones before go on");
                    }
                    self.wake.all();
                }
            }
        }
    }

    /// Writes down, forgets and deletes, each in its time. Never ends.
    pub(crate) async fn keep_house(&self) {
        let mut often = tokio::time::interval(OFTEN);
        let mut daily = tokio::time::interval(DAILY);
        loop {
            tokio::select! {
                _ = often.tick() => {
                    self.heard.write(&self.store).await;
                    self.replay.forget(Timestamp::now().as_second());
                }
                _ = daily.tick() => self.prune().await,
            }
        }
    }

    async fn prune(&self) {
        let now = Timestamp::now();
        let keep = SignedDuration::try_from(self.config.audit_keep).unwrap_or(SignedDuration::MAX);
        let since = now.saturating_sub(keep).unwrap_or(Timestamp::MIN);
        match self.store.prune(since, now).await {
            Ok(rows) => tracing::info!(rows, "what was old is deleted"),
            Err(error) => tracing::warn!(%error, "what is old could not be deleted"),
        }
    }
}
