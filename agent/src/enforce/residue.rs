//! The residue report: what somebody with sudo left on the host for later.
//!
//! Before sudo by a grant opens, the host is looked at and the [`Snapshot`](snapshot::Snapshot) stored (`store`); when it is over,
//! and what it had started is dead, the host is looked at again, and what changed in between (`difference`) is audited. A
//! stored snapshot whose grant gives no sudo any more is all that says so: the death of the agent in between loses nothing.

pub mod difference;
pub mod file;
pub mod lines;
pub mod look;
pub mod mounts;
pub mod setuid;
pub mod snapshot;
pub mod store;

use super::sudoers;
use crate::agent::Agent;
use curfew_protocol::audit::{Entry, Event, Field};
use difference::difference;
use jiff::Timestamp;
use snapshot::{Kind, Snapshot};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::Semaphore;

/// How long sudo waits for the first look. What comes later is stored as late.
const SUDO_WAITS: Duration = Duration::from_secs(5);

/// How long a look may take before it is taken to hang, on a dead file server for one.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// How long the second look waits for the kills at the end.
const KILLS_TAKE: Duration = Duration::from_secs(10);

/// The pause between a record and the removal of its snapshot, in which the record becomes durable.
const RECORD_BECOMES_DURABLE: Duration = Duration::from_millis(200);

/// The looks of one agent.
#[derive(Debug)]
pub struct Residue {
    store: Store,
    /// One look at a time: one that hangs must not draw others after it.
    turn: Arc<Semaphore>,
    /// Grants whose first look is being taken.
    opening: RefCell<HashSet<String>>,
    /// Grants that no snapshot could be taken or stored for, and why. They are not tried again and again.
    given_up: RefCell<BTreeMap<String, String>>,
    /// Whether looks are being compared.
    comparing: Cell<bool>,
}

impl Default for Residue {
    fn default() -> Self {
        Self {
            store: Store::new(Path::new(store::FOLDER)),
            turn: Arc::new(Semaphore::new(1)),
            opening: RefCell::default(),
            given_up: RefCell::default(),
            comparing: Cell::default(),
        }
    }
}

impl Residue {
    fn lacks(&self, id: &str) -> bool {
        !self.store.has(id) && !self.opening.borrow().contains(id) && !self.given_up.borrow().contains_key(id)
    }

    async fn look(&self, people: BTreeSet<String>) -> Result<Snapshot, String> {
        let turn = Arc::clone(&self.turn).acquire_owned();
        let look = async move {
            let turn = turn.await.map_err(|error| error.to_string())?;
            let looking = tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                let snapshot = look::take(&people);
                // Held until here, however long the look hangs.
                drop(turn);
                tracing::info!(items = snapshot.len(), took = ?begun.elapsed(), "the host was looked at for residue");
                snapshot
            });
            looking.await.map_err(|error| error.to_string())
        };
        let looked = tokio::time::timeout(HANGS_AFTER, look).await;
        let snapshot = looked.unwrap_or_else(|_| Err(format!("the look did not end within {HANGS_AFTER:?}")))?;
        for (kind, area, why) in Kind::ALL
            .iter()
            .flat_map(|&kind| snapshot.unseen(kind).iter().map(move |(area, why)| (kind, area, why)))
            .take(20)
        {
            tracing::warn!(%kind, %area, %why, "the residue report does not cover a part of the host");
        }
        Ok(snapshot)
    }
}

/// Takes and stores the snapshot of those of the grants that have none, before sudo opens by them. Comes back after five
/// seconds at the latest: a look that takes longer goes on.
pub async fn before_sudo(agent: &Rc<Agent>, ids: &[String]) {
    let ids: Vec<String> = ids.iter().filter(|id| agent.residue.lacks(id)).cloned().collect();
    if ids.is_empty() || !agent.config.borrow().residue_report {
        return;
    }
    let late = Rc::new(Cell::new(false));
    let first = tokio::task::spawn_local(first_look(Rc::clone(agent), ids, Rc::clone(&late)));
    if tokio::time::timeout(SUDO_WAITS, first).await.is_err() {
        late.set(true);
        tracing::warn!("sudo opens before the host was looked at for residue: that takes longer than {SUDO_WAITS:?}");
    }
}

async fn first_look(agent: Rc<Agent>, ids: Vec<String>, late: Rc<Cell<bool>>) {
    let residue = &agent.residue;
    residue.opening.borrow_mut().extend(ids.iter().cloned());
    let stored = match residue.look(people(&agent, &ids)).await {
        Ok(mut snapshot) => {
            snapshot.late = late.get();
            let (store, to_store) = (residue.store.clone(), ids.clone());
            let storing =
                tokio::task::spawn_blocking(move || to_store.iter().try_for_each(|id| store.put(id, &snapshot)));
            storing
                .await
                .map_err(|error| error.to_string())
                .and_then(|stored| stored.map_err(|error| error.to_string()))
        }
        Err(why) => Err(why),
    };
    if let Err(why) = stored {
        tracing::error!(grants = %ids.join(" "), "the host was not looked at for residue: {why}");
        residue.given_up.borrow_mut().extend(ids.iter().map(|id| (id.clone(), why.clone())));
    }
    residue.opening.borrow_mut().retain(|id| !ids.contains(id));
    agent.changed.notify_one();
}

/// Compares what is stored with what should be, and begins what is missing: the second look for grants that give no sudo any more,
/// a late first one for those that gave it before there was a look.
pub fn follow(agent: &Rc<Agent>, now: Timestamp) {
    let residue = &agent.residue;
    if residue.comparing.get() {
        return;
    }
    let stored: HashSet<String> = residue.store.ids().into_iter().collect();
    if !agent.config.borrow().residue_report {
        return stored.iter().for_each(|id| remove(agent, id));
    }
    let grants = agent.grants.borrow();
    let in_force = agent.in_force.borrow().holds();
    let live: HashSet<&str> =
        sudoers::wanted(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    let missing = live.iter().filter(|&&id| !stored.contains(id) && residue.lacks(id));
    let late: Vec<String> =
        missing.filter(|id| Path::new(sudoers::FOLDER).join(id).exists()).map(|&id| id.to_owned()).collect();
    let over: Vec<String> = stored.iter().filter(|id| !live.contains(id.as_str())).cloned().collect();
    residue.given_up.borrow_mut().retain(|id, why| {
        let open = live.contains(id.as_str());
        if !open {
            report(agent, id, vec![format!("unknown, since the host was not looked at before: {why}")]);
        }
        open
    });
    if !late.is_empty() {
        residue.opening.borrow_mut().extend(late.iter().cloned());
        tokio::task::spawn_local(first_look(Rc::clone(agent), late, Rc::new(Cell::new(true))));
    }
    if !over.is_empty() {
        residue.comparing.set(true);
        agent.work_on(compare(Rc::clone(agent), over));
    }
}

/// Looks again and audits what changed while these grants gave sudo. Their snapshots go once that is recorded.
async fn compare(agent: Rc<Agent>, ids: Vec<String>) {
    let patience = Instant::now() + KILLS_TAKE;
    while !agent.ending.borrow().is_empty() && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = agent.residue.look(people(&agent, &ids)).await.map(Arc::new);
    for id in &ids {
        let found = match &after {
            Ok(after) => changes(&agent, id, Arc::clone(after)).await,
            Err(why) => vec![format!("the host could not be looked at: {why}")],
        };
        if !found.is_empty() {
            report(&agent, id, found);
        }
    }
    tokio::time::sleep(RECORD_BECOMES_DURABLE).await;
    ids.iter().for_each(|id| remove(&agent, id));
    agent.residue.comparing.set(false);
}

async fn changes(agent: &Agent, id: &str, after: Arc<Snapshot>) -> Vec<String> {
    let (store, id) = (agent.residue.store.clone(), id.to_owned());
    let comparing = tokio::task::spawn_blocking(move || match store.get(&id) {
        Ok(before) => difference(&before, &after),
        Err(error) => vec![format!("the first look can't be read: {error}")],
    });
    comparing.await.unwrap_or_else(|error| vec![format!("the looks could not be compared: {error}")])
}

fn report(agent: &Agent, id: &str, found: Vec<String>) {
    let entry = Entry::new(Event::ResidueFound).with(Field::Grant, id).with(Field::Residue, found);
    agent.write_under(Some(id), entry);
}

/// The people of these grants: their homes are looked at also where /etc/passwd does not have them.
fn people(agent: &Agent, ids: &[String]) -> BTreeSet<String> {
    let grants = agent.grants.borrow();
    ids.iter().filter_map(|id| grants.find(id)).map(|held| held.grant.user.to_string()).collect()
}

fn remove(agent: &Agent, id: &str) {
    if let Err(error) = agent.residue.store.remove(id) {
        tracing::error!(grant = %id, "a stored look at the host could not be removed: {error}");
    }
}
