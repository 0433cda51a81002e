//! The agent's side of the central endpoint: who this host is there, and how it follows.
//!
//! | part | what |
//! |---|---|
//! | `identity` | the endpoint, this host's name and key, the keys that sign its sets: what the disk keeps |
//! | `tls`, `client` | one HTTPS exchange, bounded in bytes and time, and the tokens that go with it |
//! | `failure` | what can go wrong on the way, in words that end with the next step |
//! | `health`, `backoff` | when a failure is worth a word, and how long to wait after it: pure |
//! | `follower` | what following takes |
//! | `poll` | the loop: poll, apply, wait |
//! | `apply` | one set: verified, stored, put in force, audited |
//! | `ship` | the loop that brings the audit there |
//! | `enroll`, `rotate` | joining, leaving, a new key |
//!
//! The network is taken for hostile: whatever it does, the host keeps the last set that was good.

pub mod apply;
pub mod backoff;
pub mod client;
pub mod enroll;
pub mod failure;
pub mod follower;
pub mod health;
pub mod identity;
pub mod poll;
pub mod rotate;
pub mod ship;
pub mod tls;

use crate::audit::keeper;
use crate::grant::signed_set::Trust;
use health::Health;
use identity::{Identity, IdentityError};
use ship::Shipping;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// Where the agent keeps its state.
pub const STATE: &str = "/var/lib/curfew";

/// A difference between two clocks that is taken for a suspend or a step.
const JUMP: Duration = Duration::from_secs(2);

/// What the tasks share about the endpoint.
pub struct Endpoint {
    folder: PathBuf,
    identity: RefCell<Option<Rc<Identity>>>,
    /// Why what the host knows of its endpoint can't be read, where it can't.
    problem: RefCell<Option<String>>,
    /// How following goes.
    pub health: RefCell<Health>,
    /// Whoever changes who this host is, or puts a set in force, holds it.
    pub at_work: Mutex<()>,
    /// Whoever tells that a set is in force holds it, so that they are told in order.
    pub telling: Mutex<()>,
    /// Poll now: it was asked for, the host woke from its sleep, or it is another one at its endpoint.
    woken: Notify,
    /// Somebody waits for a whole set to come.
    asked: Cell<bool>,
    /// The host has just enrolled: nobody is spared by waiting.
    pub at_once: Cell<bool>,
    /// A poll came to its end.
    tried: Notify,
    /// How shipping the audit goes.
    pub shipping: RefCell<Shipping>,
    /// The host is another one, or has another key, at its endpoint.
    moved: Notify,
    /// How far CLOCK_BOOTTIME and the wall clock were ahead of CLOCK_MONOTONIC at the last look.
    ahead: Cell<Option<(Duration, Duration)>>,
}

impl Endpoint {
    /// What the folder says of the endpoint.
    pub fn open(folder: &Path) -> Self {
        let (identity, problem) = match Identity::load(folder) {
            Ok(identity) => (identity.map(Rc::new), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            folder: folder.into(),
            identity: RefCell::new(identity),
            problem: RefCell::new(problem),
            health: RefCell::default(),
            at_work: Mutex::default(),
            telling: Mutex::default(),
            woken: Notify::new(),
            asked: Cell::default(),
            at_once: Cell::default(),
            tried: Notify::new(),
            shipping: RefCell::default(),
            moved: Notify::new(),
            ahead: Cell::default(),
        }
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who this host is at its endpoint, where it has one.
    pub fn identity(&self) -> Option<Rc<Identity>> {
        self.identity.borrow().clone()
    }

    /// Why what the host knows of its endpoint can't be used, where it can't.
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Where the audit goes: to the endpoint, which has the records up to `stored_to`. A static one hands out files and takes none.
    pub fn ships(&self, stored_to: Option<u64>) -> keeper::Shipping {
        let takes_it = self.identity.borrow().as_ref().is_some_and(|identity| !identity.is_static());
        if takes_it { keeper::Shipping::To(stored_to) } else { keeper::Shipping::Nowhere }
    }

    /// Whose sets are believed.
    pub fn trust(&self) -> Option<Trust> {
        self.identity().map(|identity| identity.trust())
    }

    /// Stores who this host is from now on, and then is it.
    ///
    /// # Errors
    ///
    /// That it can't be stored; nothing changed then.
    pub fn become_known_as(&self, identity: Identity) -> Result<(), IdentityError> {
        identity.store(&self.folder)?;
        let identity = Rc::new(identity);
        let before = self.identity.replace(Some(Rc::clone(&identity)));
        *self.problem.borrow_mut() = None;
        if before.is_none_or(|before| !before.is_same_line(&identity)) {
            self.moved.notify_one();
        }
        Ok(())
    }

    /// Forgets the endpoint, the key first.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn forget(&self) -> Result<(), IdentityError> {
        Identity::forget(&self.folder)?;
        *self.identity.borrow_mut() = None;
        self.moved.notify_one();
        *self.problem.borrow_mut() = None;
        Ok(())
    }

    /// Waits until this host is another one, or has another key, at its endpoint.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Begins to follow anew, at once.
    pub fn begin_anew(&self) {
        *self.health.borrow_mut() = Health::default();
        self.at_once.set(true);
        self.asked.set(true);
        self.woken.notify_one();
    }

    /// Polls now instead of at the next time, and waits for what comes of it, `patience` at the longest. Returns whether that was awaited.
    pub async fn poll_now(&self, patience: Duration) -> bool {
        let mut tried = std::pin::pin!(self.tried.notified());
        tried.as_mut().enable();
        self.asked.set(true);
        self.woken.notify_one();
        tokio::time::timeout(patience, tried).await.is_ok()
    }

    /// Dials again after a suspend or a step of the clock: a parked poll hears nothing of either. Looked at when the agent is awake anyway.
    pub fn redial_after_a_jump(&self) {
        if self.identity.borrow().is_none() {
            return;
        }
        use nix::time::{ClockId, clock_gettime};
        let clocks = [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_REALTIME].map(clock_gettime);
        let [Ok(mono), Ok(boot), Ok(wall)] = clocks.map(|it| it.map(Duration::from)) else { return };
        let ahead = (boot.saturating_sub(mono), wall.saturating_sub(mono));
        let jumped =
            |(boot, wall): (Duration, Duration)| ahead.0.abs_diff(boot) > JUMP || ahead.1.abs_diff(wall) > JUMP;
        if self.ahead.replace(Some(ahead)).is_some_and(jumped) {
            self.woken.notify_one();
        }
    }
}
