//! What all hosts' sets are made of, in memory: each change is read once, whoever made it, and everybody who waits for it is answered from here.
//!
//! A call asks for the memory as it is now or later. One look at the counters serves every call that came before it began, and what bears a number that
//! is new is read then, all of it at once. Nothing here trusts that it was told of a change: being told only makes the look come sooner.
//!
//! What is read comes in this order: the counters, the hosts, the grants. So a set's content is never older than its version says.

mod by_labels;
mod read;
mod set_grant;
mod shards;

pub(super) use by_labels::{ByLabels, Known};
pub(crate) use set_grant::SetGrants;
pub(super) use set_grant::{Load, SetGrant};

use super::StoreError;
use super::db::Db;
use crate::labels::Labels;
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::{SignedDuration, Timestamp};
use read::{Counters, Read};
use set_grant::{assembled, since};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

/// How long a look may take before the database counts as away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often grants that are over are forgotten.
const FORGET: SignedDuration = SignedDuration::from_mins(10);

/// What changed, for whoever waits for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// The sets of these hosts.
    Hosts(Vec<HostId>),
    /// The sets of all hosts, and the keys that sign them.
    All,
}

/// A host, as far as its set and its calls need it.
#[derive(Debug)]
pub(crate) struct HostNow {
    pub labels: Labels,
    pub key: Option<PublicKey>,
    /// The key that it had when it was removed.
    pub removed_key: Option<PublicKey>,
    pub ver: i64,
    pub removed: bool,
}

/// Where a host stands: what each of its calls needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub id: HostId,
    pub host: Arc<HostNow>,
    /// The grants for this host alone.
    pub(super) own: Arc<[Arc<SetGrant>]>,
    /// The grants by labels.
    pub(super) known: Arc<Known>,
    pub epoch: i64,
    /// How often the signing keys had changed when the version was this.
    pub keys_changed: i64,
}

impl Standing {
    /// The grants of its set at `now`.
    pub(crate) fn grants(&self, now: Timestamp) -> SetGrants {
        if self.host.removed {
            return SetGrants::default();
        }
        assembled(self.own.iter().chain(self.known.of(&self.host.labels)), now)
    }
}

/// The memory, and who looks whether it is current.
#[derive(Debug)]
pub(super) struct Fleet {
    memory: RwLock<Memory>,
    by_labels: ByLabels,
    /// How many have asked for a look.
    asked: AtomicU64,
    looks: Mutex<Looks>,
    changes: UnboundedSender<Change>,
}

#[derive(Debug, Default)]
struct Looks {
    /// Those that asked before the last look began are answered.
    answered: u64,
    /// Why it failed, if it did.
    failed: Option<String>,
}

#[derive(Debug)]
struct Memory {
    epoch: i64,
    keys: i64,
    sets: i64,
    hosts: HashMap<HostId, Arc<HostNow>>,
    own: HashMap<HostId, Arc<[Arc<SetGrant>]>>,
    known: Arc<Known>,
    forgot: Timestamp,
}

impl Fleet {
    /// Nothing yet. What changes goes to `changes`.
    pub(super) fn new(changes: UnboundedSender<Change>) -> Self {
        let memory = Memory {
            epoch: -1,
            keys: -1,
            sets: -1,
            hosts: HashMap::new(),
            own: HashMap::new(),
            known: Arc::default(),
            forgot: Timestamp::now(),
        };
        let (memory, by_labels) = (RwLock::new(memory), ByLabels::default());
        Self { memory, by_labels, asked: AtomicU64::new(0), looks: Mutex::default(), changes }
    }

    /// The grants by labels.
    pub(super) fn by_labels(&self) -> &ByLabels {
        &self.by_labels
    }

    /// Returns when the memory is as the database is now, or was a moment ago, but not before this was called.
    pub(super) async fn look(&self, db: &Db) -> Result<(), StoreError> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut looks = self.looks.lock().await;
        if looks.answered < mine {
            let all = self.asked.load(Ordering::SeqCst);
            let read = match timeout(TIMEOUT, Read::after(self.known(), &self.by_labels, db)).await {
                Ok(read) => read,
                Err(_) => Err(StoreError::Away(format!("database: no answer within {} s", TIMEOUT.as_secs()))),
            };
            *looks = match read {
                Ok(read) => {
                    self.learn(read);
                    Looks { answered: all, failed: None }
                }
                // That it is away holds for those, too, who asked meanwhile.
                Err(error) => Looks { answered: self.asked.load(Ordering::SeqCst), failed: Some(error.to_string()) },
            };
        }
        match &looks.failed {
            None => Ok(()),
            Some(error) => Err(StoreError::Away(error.clone())),
        }
    }

    /// Where a host stood at the last look.
    pub(super) fn standing(&self, id: &HostId) -> Option<Standing> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        Some(Standing {
            id: id.clone(),
            host: memory.hosts.get(id)?.clone(),
            own: memory.own.get(id).cloned().unwrap_or_default(),
            known: memory.known.clone(),
            epoch: memory.epoch,
            keys_changed: memory.keys,
        })
    }

    /// The counters as they were at the last look.
    fn known(&self) -> Counters {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        let Memory { epoch, keys, sets, .. } = *memory;
        Counters { epoch, keys, sets, label_grants: memory.known.changed() }
    }

    /// Puts what was read into the memory, and says who has to hear of it. Whoever asks afterwards sees it.
    fn learn(&self, read: Option<Read>) {
        let Some(Read { counters, hosts, own, known }) = read else { return };
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        let all = (memory.epoch, memory.keys) != (counters.epoch, counters.keys);
        // A grant moves the versions of its hosts: they are among those that changed.
        let mut changed = Vec::new();
        for (id, host) in hosts {
            let is_news =
                memory.hosts.get(&id).is_none_or(|before| before.ver != host.ver || before.removed != host.removed);
            memory.hosts.insert(id.clone(), Arc::new(host));
            if is_news {
                changed.push(id);
            }
        }
        memory.take(own);
        (memory.epoch, memory.keys, memory.sets) = (counters.epoch, counters.keys, counters.sets);
        memory.known = known;
        memory.forget(Timestamp::now());
        drop(memory);
        let change = if all { Change::All } else { Change::Hosts(changed) };
        // Nobody waits in a command that only looks once.
        let _ = self.changes.send(change);
    }
}

/// A grant by its id; none where it is in no set any more.
type Changed = (String, Option<Arc<SetGrant>>);

impl Memory {
    fn take(&mut self, grants: Vec<(HostId, String, Option<Arc<SetGrant>>)>) {
        let mut by_host: HashMap<HostId, Vec<Changed>> = HashMap::new();
        for (host, id, grant) in grants {
            by_host.entry(host).or_default().push((id, grant));
        }
        for (host, changed) in by_host {
            let before = self.own.remove(&host).unwrap_or_default();
            let stay = before.iter().filter(|grant| !changed.iter().any(|(id, _)| id == grant.id())).cloned();
            let now: Vec<_> = stay.chain(changed.iter().filter_map(|(_, grant)| grant.clone())).collect();
            if !now.is_empty() {
                self.own.insert(host, now.into());
            }
        }
    }

    /// Forgets what is in no set any more, from time to time.
    fn forget(&mut self, now: Timestamp) {
        if now.duration_since(self.forgot) < FORGET {
            return;
        }
        self.forgot = now;
        let since = since(now);
        self.own.retain(|_, grants| {
            if grants.iter().any(|grant| grant.is_gone(since)) {
                *grants = grants.iter().filter(|grant| !grant.is_gone(since)).cloned().collect();
            }
            !grants.is_empty()
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{act, empty, grant};
    use super::super::{Store, Target};
    use super::*;
    use crate::access::grants::{add, revoke};
    use crate::access::hosts;

    async fn ids(store: &Store, host: &HostId, now: Timestamp) -> Vec<String> {
        let grants = store.set_of(host, now).await.unwrap().grants;
        let id = |grant: &serde_json::value::RawValue| -> String {
            let grant: serde_json::Value = serde_json::from_str(grant.get()).unwrap();
            grant.get("id").unwrap().as_str().unwrap().to_owned()
        };
        grants.iter().map(|grant| id(grant)).collect()
    }

    #[tokio::test]
    async fn whatever_changes_is_in_the_memory_of_each_server_with_its_version() {
        let (folder, one) = empty().await;
        let url = format!("sqlite://{}", folder.path().join("curfew.db").display());
        // It is told of nothing that the first one does.
        let (two, _changes) = Store::open(&url, 2).await.unwrap();
        let now = Timestamp::now();
        let host = one.add_host(&"a".parse().unwrap(), &"env=prod".parse().unwrap(), act(now)).await.unwrap().id;
        let mut ver = 0;
        for (step, expected) in
            [(0, &[][..]), (1, &["own"]), (2, &["own", "wide"]), (3, &["wide"]), (4, &[]), (5, &["wide"])]
        {
            match step {
                1 => drop(add(&one, &grant("own", now, 60), &Target::Host("a".into()), act(now)).await.unwrap()),
                2 => drop(
                    add(&one, &grant("wide", now, 61), &Target::Labels("env=prod".parse().unwrap()), act(now))
                        .await
                        .unwrap(),
                ),
                3 => drop(revoke(&one, "own", None, act(now)).await.unwrap()),
                4 => drop(one.label_host("a", &Labels::default(), &["env".into()], act(now)).await.unwrap()),
                5 => drop(one.label_host("a", &"env=prod".parse().unwrap(), &[], act(now)).await.unwrap()),
                _ => {}
            }
            for store in [&one, &two] {
                assert_eq!(ids(store, &host, now).await, expected, "{step}");
            }
            let standing = two.standing(&host).await.unwrap().unwrap();
            assert!(standing.host.ver > ver, "{step}");
            ver = standing.host.ver;
        }
        hosts::remove(&one, "a", act(now)).await.unwrap();
        let standing = two.standing(&host).await.unwrap().unwrap();
        assert!(standing.host.removed && standing.host.ver > ver && standing.grants(now).grants.is_empty());
        one.bump_epoch(act(now)).await.unwrap();
        assert_eq!(two.standing(&host).await.unwrap().unwrap().epoch, standing.epoch + 1);
    }

    #[tokio::test]
    async fn one_look_serves_all_who_asked_before_it_and_tells_of_each_change_once() {
        let (folder, one) = empty().await;
        let url = format!("sqlite://{}", folder.path().join("curfew.db").display());
        let (two, mut changes) = Store::open(&url, 2).await.unwrap();
        let now = Timestamp::now();
        let host = one.add_host(&"a".parse().unwrap(), &Labels::default(), act(now)).await.unwrap().id;
        let mut waiting = tokio::task::JoinSet::new();
        let two = Arc::new(two);
        for _ in 0..100 {
            let (two, host) = (two.clone(), host.clone());
            waiting.spawn(async move { two.standing(&host).await.unwrap().is_some() });
        }
        assert!(waiting.join_all().await.into_iter().all(|there| there));
        assert_eq!(changes.changed.try_recv(), Ok(Change::All), "the epoch was not known");
        assert!(changes.changed.try_recv().is_err());
        add(&one, &grant("own", now, 60), &Target::Host("a".into()), act(now)).await.unwrap();
        two.look().await.unwrap();
        two.look().await.unwrap();
        assert_eq!(changes.changed.try_recv(), Ok(Change::Hosts(vec![host])));
        assert!(changes.changed.try_recv().is_err());
    }
}
