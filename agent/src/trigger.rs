//! The trigger of the enforcing loop. Whoever changed something pulls it; whoever needs the look waits for it; and the
//! tasks that have to come to their end before a process that works in the agent's stead may go are counted here.

use jiff::Timestamp;
use std::cell::Cell;
use std::rc::Rc;
use tokio::sync::Notify;

/// What wakes the enforcing loop, and tells that it has looked.
#[derive(Debug, Default)]
pub struct Trigger {
    changed: Notify,
    looked: Notify,
    /// When the loop looks next by itself.
    next_look: Cell<Option<Timestamp>>,
    /// How many tasks have to come to their end.
    pending: Cell<usize>,
}

/// A task that is counted, for as long as this lives.
struct Pending(Rc<Trigger>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.set(self.0.pending.get().saturating_sub(1));
    }
}

impl Trigger {
    /// Something changed: compare what is with what should be.
    pub fn pull(&self) {
        self.changed.notify_one();
    }

    /// Waits until it is pulled.
    pub async fn pulled(&self) {
        self.changed.notified().await;
    }

    /// Has the enforcing loop look at `at`, if it would not look before.
    pub fn look_at(&self, at: Timestamp) {
        if self.next_look.get().is_none_or(|next| at < next) {
            self.pull();
        }
    }

    /// Has the enforcing loop look, and waits until it has.
    pub async fn look_now(&self) {
        let mut looked = std::pin::pin!(self.looked.notified());
        looked.as_mut().enable();
        self.pull();
        looked.await;
    }

    /// The loop looks at `at` by itself.
    pub fn note_next_look(&self, at: Timestamp) {
        self.next_look.set(Some(at));
    }

    /// The loop has looked.
    pub fn note_looked(&self) {
        self.looked.notify_waiters();
    }

    /// Runs a task that has to come to its end before a process that works in the agent's stead may go, and looks again then.
    pub fn spawn_tracked(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        self.pending.set(self.pending.get() + 1);
        let pending = Pending(Rc::clone(self));
        tokio::task::spawn_local(async move {
            task.await;
            let trigger = Rc::clone(&pending.0);
            drop(pending);
            trigger.pull();
        });
    }

    /// Whether such a task runs.
    pub fn has_pending(&self) -> bool {
        self.pending.get() > 0
    }
}
