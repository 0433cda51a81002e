//! The endpoint: everything that a call may need, in one place.

use crate::config::Config;
use crate::duration;
use crate::http::body::Room;
use crate::identity::replay::Replay;
use crate::identity::sign_ins::SignIns;
use crate::sets::keys::Keys;
use crate::sets::last_seen::Heard;
use crate::sets::parked::Wake;
use crate::store::Disk;
use crate::store::Health;
use crate::store::{Change, Changes, Store};
use curfew_protocol::grant_set::HostId;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often what hosts said is written down, and old tokens are forgotten.
const OFTEN: Duration = Duration::from_secs(5);

/// How often what is old is deleted.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// The endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub config: Config,
    pub store: Store,
    pub keys: Keys,
    pub wake: Wake,
    pub replay: Replay,
    pub heard: Heard,
    pub sign_ins: SignIns,
    pub health: Health,
    pub disk: Disk,
    /// The memory for hosts' bodies.
    pub room: Room,
    /// What hosts send now.
    sending: Mutex<HashMap<(HostId, Sends), usize>>,
}

/// What a host sends in a body.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Sends {
    Audit,
    Request,
}

impl Sends {
    /// How many of one host are read at a time.
    fn most(self) -> usize {
        match self {
            Self::Audit => 1,
            Self::Request => 4,
        }
    }
}

/// A host's turn to send a body. Dropped, it is over.
#[derive(Debug)]
pub(crate) struct Turn<'e> {
    endpoint: &'e Endpoint,
    what: (HostId, Sends),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut sending = self.endpoint.sending.lock().unwrap_or_else(PoisonError::into_inner);
        match sending.get_mut(&self.what) {
            Some(2..) => *sending.entry(self.what.clone()).or_default() -= 1,
            _ => drop(sending.remove(&self.what)),
        }
    }
}

impl Endpoint {
    /// The endpoint, with nobody connected.
    pub(crate) fn new(config: Config, store: Store, keys: Keys) -> Arc<Self> {
        Arc::new(Self {
            disk: Disk::of(&config),
            config,
            store,
            keys,
            wake: Wake::default(),
            replay: Replay::default(),
            heard: Heard::default(),
            sign_ins: SignIns::default(),
            health: Health::default(),
            room: Room::default(),
            sending: Mutex::default(),
        })
    }

    /// The host's turn to send a body; none while it sends as many as it may.
    pub(crate) fn turn_of(&self, host: &HostId, sends: Sends) -> Option<Turn<'_>> {
        let what = (host.clone(), sends);
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let now = sending.entry(what.clone()).or_default();
        if *now >= sends.most() {
            return None;
        }
        *now += 1;
        Some(Turn { endpoint: self, what })
    }

    /// Wakes who waits for what changes. Never ends.
    pub(crate) async fn follow(&self, mut changes: Changes) {
        loop {
            match changes.next(&self.store).await {
                Change::Hosts(hosts) => self.wake.hosts(&hosts),
                Change::All => {
                    if let Err(error) = self.keys.reload(&self.store).await {
                        tracing::error!(%error, "the keys can't be read again; the ones before go on");
                    }
                    self.wake.all();
                }
            }
        }
    }

    /// Writes down, forgets, deletes and watches, each in its time. Never ends.
    pub(crate) async fn maintain(&self) {
        let often = async {
            let mut often = tokio::time::interval(OFTEN);
            loop {
                often.tick().await;
                self.heard.write(&self.store).await;
                self.sign_ins.write(&self.store, Timestamp::now()).await;
                self.replay.forget(Timestamp::now().as_second());
            }
        };
        let daily = async {
            let mut daily = tokio::time::interval(DAILY);
            self.tell_if_much_goes().await;
            loop {
                daily.tick().await;
                self.prune().await;
            }
        };
        tokio::join!(often, daily, self.health.watch(&self.store), self.disk.watch(), self.store.tidy());
    }

    /// Says so where most of the audit is too old to be kept: `audit_keep` may have been mistyped.
    async fn tell_if_much_goes(&self) {
        match self.store.most_is_before(self.keep_since(Timestamp::now())).await {
            Ok(Some((old, kept))) => tracing::warn!(
                old,
                kept,
                keep = duration::typed(self.config.audit_keep),
                "more than half of the audit is older than audit_keep, and is deleted now"
            ),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody can see how much of the audit is old"),
        }
    }

    fn keep_since(&self, now: Timestamp) -> Timestamp {
        let keep = SignedDuration::try_from(self.config.audit_keep).unwrap_or(SignedDuration::MAX);
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
