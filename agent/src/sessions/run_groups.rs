//! The control groups of runs of sudo and su, made and removed off everybody's path: the kernel takes its time to move a process, and whoever
//! makes or removes any group of the host waits meanwhile.
//!
//! A group is made from the moment PAM is asked about the account, and sudo waits for it where it opens its session, before it starts
//! anything. Where no session opens, what was started meanwhile is taken in, too.

use super::table::Sessions;
use crate::host::apart;
use crate::host::cgroup::Scope;
use crate::host::processes::ProcessId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a run waits for its group: less than PAM's module waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_millis(900);

/// How often, and after what pause, a group is tried to be removed of which something is still dying.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The groups that are being made, by the first process of their run.
pub struct RunGroups {
    sessions: Rc<RefCell<Sessions>>,
    being_made: RefCell<HashMap<i32, Rc<Notify>>>,
}

impl RunGroups {
    /// Groups of runs that are recorded there.
    pub fn new(sessions: Rc<RefCell<Sessions>>) -> Self {
        Self { sessions, being_made: RefCell::default() }
    }

    /// Whether one is being made for the run of `pid`.
    pub fn is_made_for(&self, pid: i32) -> bool {
        self.being_made.borrow().contains_key(&pid)
    }

    /// Waits until the run of `pid` has its group, or can't have one.
    pub async fn made_for(&self, pid: i32) {
        let made = self.being_made.borrow().get(&pid).cloned();
        if let Some(made) = made {
            drop(tokio::time::timeout(LONGEST_WAIT, made.notified()).await);
        }
    }
}

/// Has a group made for the run of `first`, which is recorded with it. Without one, what the run starts is told by its tree and its login.
pub fn make(groups: &Rc<RunGroups>, first: ProcessId) -> Option<Scope> {
    let unable = |error: &dyn std::fmt::Display| tracing::debug!("a run of sudo has no control group: {error}");
    let group = Scope::for_run(first).inspect_err(|error| unable(error)).ok()?;
    let made = group.clone();
    let result = apart::start(move || made.take_in(first)).inspect_err(|error| unable(error)).ok()?;
    let notify = Rc::new(Notify::new());
    groups.being_made.borrow_mut().insert(first.pid, Rc::clone(&notify));
    let groups = Rc::clone(groups);
    tokio::task::spawn_local(async move {
        if let Ok(Err(error)) = result.await {
            unable(&error);
            groups.sessions.borrow_mut().update_elevation(first, |run| run.group = None);
        }
        groups.being_made.borrow_mut().remove(&first.pid);
        notify.notify_waiters();
    });
    Some(group)
}

/// Has the group removed of a run of which nothing is left.
pub fn remove(group: &Scope) {
    let group = group.clone();
    let removed = apart::start(move || {
        for _ in 0..TRIES {
            if group.remove_if_empty() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        tracing::debug!(?group, "the control group of a run of sudo is not empty again");
    });
    if let Err(error) = removed {
        tracing::debug!("the control group of a run of sudo stays: {error}");
    }
}
