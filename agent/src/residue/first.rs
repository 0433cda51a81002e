//! The first look of a grant, which nobody waits for but a moment: the lists are short, and mostly read before sudo opens. What is looked at
//! later is told by its change time: what was changed after the opening may not have been there before, and the report names it.
//!
//! One look serves all grants that wait for one: lists one after the other, then walks one after the other. The snapshot is stored after the lists,
//! so that the death of the agent loses only the walk, and again after the walk.

use super::Residue;
use super::scan::{self, Homes, Lists};
use super::snapshot::Snapshot;
use crate::host::files::Files;
use crate::wiring;
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long the opening of sudo waits for the lists, from their beginning.
const OPENING_WAITS: Duration = Duration::from_millis(30);

/// The first looks that are under way.
#[derive(Debug, Default)]
pub struct FirstLooks {
    /// The grants that have none stored yet, or only the lists.
    opening: RefCell<BTreeMap<String, Opening>>,
    /// Those of which a home is being looked up.
    awaited: RefCell<BTreeSet<String>>,
    /// What is to be looked at next.
    asked: RefCell<Vec<Asked>>,
    listed: Notify,
    listing: Cell<bool>,
    to_walk: RefCell<Vec<ToWalk>>,
    walking: Cell<bool>,
}

/// A grant whose first look is under way.
#[derive(Debug)]
struct Opening {
    begun: Instant,
    listed: bool,
    opened: Option<i64>,
    /// How often the clock had been set when it opened.
    steps: u64,
}

#[derive(Debug)]
struct Asked {
    id: String,
    home: Result<PathBuf, (String, String)>,
}

/// A look of which the lists are read.
#[derive(Debug)]
struct ToWalk {
    ids: Vec<String>,
    snapshot: Snapshot,
    files: Option<Files>,
}

impl FirstLooks {
    /// Whether the first look of a grant is under way.
    pub fn has(&self, id: &str) -> bool {
        self.opening.borrow().contains_key(id) || self.awaited.borrow().contains(id)
    }

    /// Notes whether the look will begin as soon as somebody's home is known.
    pub fn awaited(&self, id: &str, awaited: bool) {
        let mut all = self.awaited.borrow_mut();
        _ = if awaited { all.insert(id.to_owned()) } else { all.remove(id) };
    }

    /// The earliest opening of these grants, and whether the clock was set since.
    fn opened(&self, ids: &[String], steps: u64) -> (Option<i64>, bool) {
        let opening = self.opening.borrow();
        let these = || ids.iter().filter_map(|id| opening.get(id)).filter(|it| it.opened.is_some());
        (these().filter_map(|it| it.opened).min(), these().any(|it| it.steps != steps))
    }
}

/// Begins the first look of those of a person's grants that have none. `home` is theirs, or their name and why it is not known.
pub fn begin(residue: &Rc<Residue>, ids: &[String], home: &Result<PathBuf, (String, String)>) {
    let ids: Vec<&String> = ids.iter().filter(|id| residue.lacks(id)).collect();
    if ids.is_empty() || !residue.settings.config().residue_report {
        return;
    }
    let (begun, steps) = (Instant::now(), residue.ledger.clock.steps());
    for id in ids {
        let opening = Opening { begun, listed: false, opened: opened_before(id), steps };
        residue.first.opening.borrow_mut().insert(id.clone(), opening);
        residue.first.asked.borrow_mut().push(Asked { id: id.clone(), home: home.clone() });
    }
    if !residue.first.listing.replace(true) {
        residue.trigger.spawn_tracked(list_all(Rc::clone(residue)));
    }
}

/// Waits until the lists are read, or for as long as the opening may wait.
pub async fn listed(residue: &Residue, id: &str) {
    let first = &residue.first;
    loop {
        let mut listed = std::pin::pin!(first.listed.notified());
        listed.as_mut().enable();
        let left = match first.opening.borrow().get(id) {
            Some(opening) if !opening.listed => OPENING_WAITS.saturating_sub(opening.begun.elapsed()),
            _ => return,
        };
        if tokio::time::timeout(left, listed).await.is_err() {
            return;
        }
    }
}

/// Notes that sudo opens by a grant now: whatever is changed from here on may not have been there before.
pub fn note_opening(residue: &Residue, id: &str) {
    if let Some(opening) = residue.first.opening.borrow_mut().get_mut(id) {
        opening.opened = opening.opened.or_else(|| Some(now()));
        opening.steps = residue.ledger.clock.steps();
    }
}

/// When the drop-in of a grant was put in its place, where it is there already: the agent ended before it could look.
fn opened_before(id: &str) -> Option<i64> {
    let about = std::fs::symlink_metadata(Path::new(wiring::DROP_IN_FOLDER).join(id)).ok()?;
    Some(about.ctime().saturating_mul(1_000_000_000).saturating_add(about.ctime_nsec()))
}

/// The time by the clock of which filesystems take their change times, in nanoseconds since 1970: none after this is earlier.
pub fn now() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME_COARSE).map(Duration::from).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Reads the lists for whoever waits for them, until nobody does.
async fn list_all(residue: Rc<Residue>) {
    let first = &residue.first;
    loop {
        let asked = first.asked.take();
        if asked.is_empty() {
            first.listing.set(false);
            return;
        }
        let mut homes = Homes::default();
        let mut ids = Vec::new();
        for Asked { id, home } in asked {
            match home {
                Ok(home) => drop(homes.known.insert(home)),
                Err(unknown) if homes.unknown.contains(&unknown) => {}
                Err(unknown) => homes.unknown.push(unknown),
            }
            ids.push(id);
        }
        let begun = now();
        match Residue::on_thread("residue-lists", &residue.lists_turn, move || scan::lists(&homes)).await {
            Ok(lists) => listed_now(&residue, ids, begun, lists).await,
            Err(why) => give_up(&residue, &ids, &why),
        }
    }
}

/// Tells those who wait, stores what there is, and has the rest walked.
async fn listed_now(residue: &Rc<Residue>, ids: Vec<String>, begun: i64, lists: Lists) {
    let first = &residue.first;
    let (mut snapshot, files) = lists.into_parts();
    let finished = now();
    for id in &ids {
        if let Some(opening) = first.opening.borrow_mut().get_mut(id) {
            opening.listed = true;
            snapshot.late |= opening.opened.is_some_and(|opened| opened < finished);
        }
    }
    first.listed.notify_waiters();
    (snapshot.begun, snapshot.finished) = (begun, finished);
    let mut so_far = snapshot.clone();
    so_far.not_walked("the agent ended before it had looked everywhere");
    store(residue, &ids, so_far).await;
    first.to_walk.borrow_mut().push(ToWalk { ids, snapshot, files: Some(files) });
    if !first.walking.replace(true) {
        // What is stored already will do for whoever works in the agent's stead.
        tokio::task::spawn_local(walk_all(Rc::clone(residue)));
    }
}

/// Walks for whoever waits for it, until nobody does.
async fn walk_all(residue: Rc<Residue>) {
    loop {
        let mut waiting = residue.first.to_walk.take();
        // What is mounted as of the first of them: it misses what came later, and what it finds was there for all.
        let Some(files) = waiting.first_mut().and_then(|first| first.files.take()) else {
            residue.first.walking.set(false);
            return;
        };
        let walked = Residue::on_thread("residue-walk", &residue.walk_turn, move || scan::walk(files)).await;
        for ToWalk { ids, mut snapshot, .. } in waiting {
            match &walked {
                Ok(walked) => snapshot.take_walked(walked),
                Err(why) => snapshot.not_walked(why),
            }
            snapshot.finished = now();
            residue.tell_what_is_unseen(&snapshot);
            store(&residue, &ids, snapshot).await;
            residue.first.opening.borrow_mut().retain(|id, _| !ids.contains(id));
        }
        residue.trigger.pull();
    }
}

/// Stores a snapshot with what is known of the opening by now.
async fn store(residue: &Residue, ids: &[String], mut snapshot: Snapshot) {
    let (opened, clock_was_set) = residue.first.opened(ids, residue.ledger.clock.steps());
    (snapshot.opened, snapshot.clock_was_set) = (opened, clock_was_set);
    let (store, to_store) = (residue.store.clone(), ids.to_owned());
    let stored =
        tokio::task::spawn_blocking(move || store.put(&to_store, &snapshot).map_err(|error| error.to_string()));
    if let Err(why) = stored.await.map_err(|error| error.to_string()).and_then(|stored| stored) {
        give_up(residue, ids, &why);
    }
}

fn give_up(residue: &Residue, ids: &[String], why: &str) {
    tracing::error!(grants = %ids.join(" "), "the host was not looked at for residue: {why}");
    residue.given_up.borrow_mut().extend(ids.iter().map(|id| (id.clone(), why.to_owned())));
    residue.first.opening.borrow_mut().retain(|id, _| !ids.contains(id));
    residue.first.listed.notify_waiters();
    residue.trigger.pull();
}
