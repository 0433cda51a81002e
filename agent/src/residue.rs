//! The residue report: what somebody with sudo left on the host for later.
//!
//! When sudo by a grant opens, the host is looked at (`first`) and the [`Snapshot`] stored (`store`); when it is over,
//! and what it had started is dead, the host is looked at again, and what changed in between (`difference`) is audited. What is looked at stands
//! in `places`, and set-user-ID files and device nodes are looked for everywhere. A stored snapshot whose grant gives no sudo any more is all that says so: the
//! death of the agent in between loses nothing.

pub mod difference;
pub mod first;
pub mod kind;
pub mod lines;
pub mod open_path;
pub mod places;
pub mod scan;
pub mod setuid;
pub mod snapshot;
pub mod store;

use self::difference::{difference, parts};
use self::first::FirstLooks;
use self::kind::Kind;
use self::scan::Homes;
use self::snapshot::Snapshot;
use self::store::Store;
use crate::grant::held;
use crate::grant::ledger::Ledger;
use crate::host::users;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::wiring;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// How long a look may take before it is taken to hang, on a dead disk for one.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// How long the second look waits for the kills at the end.
const KILLS_TAKE: Duration = Duration::from_secs(10);

/// The pause between a record and the removal of its snapshot, in which the record becomes durable.
const RECORD_BECOMES_DURABLE: Duration = Duration::from_millis(200);

/// The looks of one residue.
pub struct Residue {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    trigger: Rc<Trigger>,
    store: Store,
    /// The first looks that are under way.
    first: FirstLooks,
    /// One at a time of each: one that hangs must not draw others after it.
    lists_turn: Arc<Semaphore>,
    walk_turn: Arc<Semaphore>,
    /// Grants that no snapshot could be taken or stored for, and why. They are not tried again and again.
    given_up: RefCell<BTreeMap<String, String>>,
    /// Whether looks are being compared.
    comparing: Cell<bool>,
    /// Since when the second look waits for kills.
    waits_since: Cell<Option<Instant>>,
}

impl Residue {
    /// The looks before and after sudo by the ledger's grants.
    pub fn new(settings: Rc<Settings>, ledger: Rc<Ledger>, trigger: Rc<Trigger>) -> Self {
        Self {
            settings,
            ledger,
            trigger,
            store: Store::new(Path::new(store::FOLDER)),
            first: FirstLooks::default(),
            lists_turn: Arc::new(Semaphore::new(1)),
            walk_turn: Arc::new(Semaphore::new(1)),
            given_up: RefCell::default(),
            comparing: Cell::default(),
            waits_since: Cell::default(),
        }
    }

    fn lacks(&self, id: &str) -> bool {
        !self.store.has(id) && !self.first.has(id) && !self.given_up.borrow().contains_key(id)
    }

    /// Looks on a thread that nothing else needs, when it is its turn.
    ///
    /// # Errors
    ///
    /// That it hangs, or can't begin.
    async fn on_thread<T: Send + 'static>(
        name: &'static str,
        turn: &Arc<Semaphore>,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let turn = Arc::clone(turn).acquire_owned();
        let looked = async move {
            let turn = turn.await.map_err(|error| error.to_string())?;
            let (tell, told) = oneshot::channel();
            let looking = move || {
                let begun = Instant::now();
                let found = look();
                // Held until here, however long the look hangs.
                drop(turn);
                tracing::info!(look = name, took = ?begun.elapsed(), "the host was looked at for residue");
                // Nobody may wait any more.
                _ = tell.send(found);
            };
            std::thread::Builder::new().name(name.into()).spawn(looking).map_err(|error| error.to_string())?;
            told.await.map_err(|error| error.to_string())
        };
        let looked = tokio::time::timeout(HANGS_AFTER, looked).await;
        looked.unwrap_or_else(|_| Err(format!("the look did not end within {HANGS_AFTER:?}")))
    }

    /// Whether the second look may begin: what sudo had started is dead, or does not die.
    fn may_look_again(&self, kills_are_under_way: bool) -> bool {
        let since = self.waits_since.take().unwrap_or_else(Instant::now);
        let waits = kills_are_under_way && since.elapsed() < KILLS_TAKE;
        self.waits_since.set(waits.then_some(since));
        !waits
    }

    fn tell_what_is_unseen(&self, snapshot: &Snapshot) {
        for (kind, area, why) in Kind::ALL
            .iter()
            .flat_map(|&kind| snapshot.unseen(kind).iter().map(move |(area, why)| (kind, area, why)))
            .take(20)
        {
            tracing::warn!(%kind, %area, %why, "the residue report does not cover a part of the host");
        }
    }

    /// The second look: all of the host at once.
    async fn look_again(&self, homes: Homes) -> Result<Snapshot, String> {
        let look = move || {
            let (mut snapshot, files) = scan::lists(&homes).into_parts();
            snapshot.take_walked(&scan::walk(files));
            snapshot
        };
        let snapshot = Self::on_thread("residue-again", &self.walk_turn, look).await?;
        self.tell_what_is_unseen(&snapshot);
        Ok(snapshot)
    }
}

/// Whether one of these grants has no first look yet, and should.
pub fn is_wanted(residue: &Residue, ids: &[String]) -> bool {
    residue.settings.config().residue_report && ids.iter().any(|id| residue.lacks(id))
}

/// The home of somebody, for a look; else their name, and why it is not known.
pub async fn home_of(user: &str) -> Result<PathBuf, (String, String)> {
    let home = match users::home(user).await {
        Ok(Some(home)) => Ok(home),
        Ok(None) => Err("there is no such user".into()),
        Err(problem) => Err(problem),
    };
    home.map_err(|why| (user.to_owned(), why))
}

/// Begins the first look of grants that gave sudo before there was one.
async fn first_look_late(residue: Rc<Residue>, id: String) {
    let user = residue.ledger.grants().find(&id).map(|held| held.grant.user.to_string()).unwrap_or_default();
    let home = home_of(&user).await;
    residue.first.awaited(&id, false);
    first::begin(&residue, &[id], &home);
}

/// Compares what is stored with what should be, and begins what is missing: the second look for grants that give no sudo any more,
/// a late first one for those that gave it before there was a look.
pub fn follow(residue: &Rc<Residue>, kills_are_under_way: bool, now: Timestamp) {
    if residue.comparing.get() {
        return;
    }
    let stored: HashSet<String> = residue.store.ids().into_iter().collect();
    if !residue.settings.config().residue_report {
        return stored.iter().for_each(|id| remove(residue, id));
    }
    let grants = residue.ledger.grants();
    let in_force = residue.ledger.sudo_rules.are_in_force();
    let live: HashSet<&str> =
        held::with_rules(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    let missing = live.iter().filter(|&&id| !stored.contains(id) && residue.lacks(id));
    let late: Vec<String> =
        missing.filter(|id| Path::new(wiring::DROP_IN_FOLDER).join(id).exists()).map(|&id| id.to_owned()).collect();
    // A first look that goes on is stored once more.
    let over = stored.iter().filter(|id| !live.contains(id.as_str()) && !residue.first.has(id));
    let over: Vec<String> = over.cloned().collect();
    residue.given_up.borrow_mut().retain(|id, why| {
        let open = live.contains(id.as_str());
        if !open {
            report(residue, id, vec![format!("unknown, since the host was not looked at before: {why}")]);
        }
        open
    });
    for id in late {
        residue.first.awaited(&id, true);
        tokio::task::spawn_local(first_look_late(Rc::clone(residue), id));
    }
    if over.is_empty() || !residue.may_look_again(kills_are_under_way) {
        return;
    }
    residue.comparing.set(true);
    residue.trigger.spawn_tracked(compare(Rc::clone(residue), over));
}

/// Looks again and audits what changed while these grants gave sudo. Their snapshots go once that is recorded.
async fn compare(residue: Rc<Residue>, ids: Vec<String>) {
    let homes = homes(people(&residue, &ids)).await;
    let after = residue.look_again(homes).await.map(Arc::new);
    for id in &ids {
        let found = match &after {
            Ok(after) => changes(&residue, id, Arc::clone(after)).await,
            Err(why) => vec![format!("the host could not be looked at: {why}")],
        };
        for part in parts(found).into_iter().filter(|part| !part.is_empty()) {
            report(&residue, id, part);
            // Many of them hold nobody up.
            tokio::task::yield_now().await;
        }
    }
    tokio::time::sleep(RECORD_BECOMES_DURABLE).await;
    ids.iter().for_each(|id| remove(&residue, id));
    residue.comparing.set(false);
}

async fn changes(residue: &Residue, id: &str, after: Arc<Snapshot>) -> Vec<String> {
    let (store, id) = (residue.store.clone(), id.to_owned());
    let comparing = tokio::task::spawn_blocking(move || match store.get(&id) {
        Ok(before) => difference(&before, &after),
        Err(error) => vec![format!("the first look can't be read: {error}")],
    });
    comparing.await.unwrap_or_else(|error| vec![format!("the looks could not be compared: {error}")])
}

fn report(residue: &Residue, id: &str, found: Vec<String>) {
    let entry = Entry::new(Event::ResidueFound).with(Field::Grant, id).with(Field::Residue, found);
    residue.ledger.write_under(Some(id), entry);
}

/// The people of these grants: their homes are looked at also where /etc/passwd does not have them.
fn people(residue: &Residue, ids: &[String]) -> BTreeSet<String> {
    let grants = residue.ledger.grants();
    ids.iter().filter_map(|id| grants.find(id)).map(|held| held.grant.user.to_string()).collect()
}

async fn homes(people: BTreeSet<String>) -> Homes {
    let mut lookups = JoinSet::new();
    for user in people {
        lookups.spawn_local(async move { home_of(&user).await });
    }
    let mut homes = Homes::default();
    while let Some(home) = lookups.join_next().await {
        match home {
            Ok(Ok(home)) => drop(homes.known.insert(home)),
            Ok(Err(unknown)) => homes.unknown.push(unknown),
            Err(_) => {}
        }
    }
    homes
}

fn remove(residue: &Residue, id: &str) {
    if let Err(error) = residue.store.remove(id) {
        tracing::error!(grant = %id, "a stored look at the host could not be removed: {error}");
    }
}
