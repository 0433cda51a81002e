//! Who asks on the public socket: each user has one call in hand at a time, within their budget, and one thread at the most.

use super::budget::Budget;
use crate::ipc::varlink::ErrorReply;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a call may wait for its turn: shorter than people's programs do, so that they learn why.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// When those who waited in vain are to try again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How many users are known before the first of them are forgotten.
const MANY: usize = 1024;

/// How long a thread may take for an answer that somebody waits for.
pub const THREADS_TIME: Duration = Duration::from_secs(2);

/// How many threads work for other users than root: what hangs in some of them leaves the others.
pub const MOST_THREADS: usize = 12;

/// All who have asked lately.
#[derive(Debug)]
pub struct Users {
    known: RefCell<HashMap<u32, Rc<User>>>,
    /// At how many of them the next are forgotten.
    forget_at: Cell<usize>,
    threads: Arc<Semaphore>,
}

impl Default for Users {
    fn default() -> Self {
        let threads = Arc::new(Semaphore::new(MOST_THREADS));
        Self { known: RefCell::default(), forget_at: Cell::new(MANY), threads }
    }
}

impl Users {
    /// The user with this id.
    pub fn user(&self, uid: u32) -> Rc<User> {
        let mut known = self.known.borrow_mut();
        // One person may have tens of thousands of ids (subuid(5)).
        if known.len() >= self.forget_at.get() {
            let now = Instant::now();
            known.retain(|_, user| Rc::strong_count(user) > 1 || !user.budget.borrow().is_whole(now));
            self.forget_at.set(MANY.max(known.len() * 2));
        }
        Rc::clone(known.entry(uid).or_insert_with(|| Rc::new(User::new(Arc::clone(&self.threads)))))
    }
}

/// One who asks.
#[derive(Debug)]
pub struct User {
    budget: RefCell<Budget>,
    turn: Semaphore,
    /// Their one thread, and all of them.
    thread: Arc<Semaphore>,
    threads: Arc<Semaphore>,
}

/// A thread did not come to its end in time.
#[derive(Debug)]
pub struct Hangs;

impl User {
    fn new(threads: Arc<Semaphore>) -> Self {
        Self { budget: RefCell::default(), turn: Semaphore::new(1), thread: Arc::new(Semaphore::new(1)), threads }
    }

    /// Waits until no other call of theirs is in hand, and the budget has one.
    ///
    /// # Errors
    ///
    /// The error reply, when that takes too long.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, ErrorReply> {
        let turn = async {
            let turn = self.turn.acquire().await;
            loop {
                let taken = self.budget.borrow_mut().take(Instant::now());
                match taken {
                    Ok(()) => return turn,
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            }
        };
        match tokio::time::timeout(LONGEST_WAIT, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(ErrorReply::too_many_calls(AGAIN_AFTER)),
        }
    }

    /// Has their thread do what may hang, such as asking the user database. While it does hang, they get no other.
    ///
    /// # Errors
    ///
    /// [`Hangs`], after [`THREADS_TIME`] and, as long as it goes on, at once.
    pub async fn in_time<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
        tokio::time::timeout(THREADS_TIME, self.on_thread(work)).await.unwrap_or(Err(Hangs))
    }

    /// As [`in_time`](Self::in_time), for work that takes what it takes.
    ///
    /// # Errors
    ///
    /// [`Hangs`], where their thread has not come back from earlier work.
    pub async fn on_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Hangs> {
        let own = Arc::clone(&self.thread).try_acquire_owned().map_err(|_| Hangs)?;
        let any = Arc::clone(&self.threads).acquire_owned().await.map_err(|_| Hangs)?;
        // Who gives up waiting leaves the thread at work: it counts until it is done.
        let held = (own, any);
        let work = move || {
            let done = work();
            drop(held);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Hangs)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn run<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
    }

    #[test]
    fn a_user_who_waits_is_not_forgotten_and_others_come_meanwhile() {
        run(async {
            let users = Users { forget_at: Cell::new(1), ..Users::default() };
            let busy = users.user(1000);
            let waits = async {
                for _ in 0..60 {
                    drop(busy.turn().await.unwrap());
                }
            };
            let come = async {
                for uid in 2000..6000 {
                    drop(users.user(uid).turn().await.unwrap());
                    users.user(uid + 10_000);
                    tokio::task::yield_now().await;
                }
            };
            tokio::join!(waits, come);
            assert!(Rc::ptr_eq(&busy, &users.user(1000)));
            assert!(users.known.borrow().len() < 8001, "nobody is ever forgotten");
        });
    }

    #[test]
    fn a_user_has_one_call_in_hand_and_learns_why_the_next_one_waits() {
        run(async {
            let user = Users::default().user(1000);
            let _first = user.turn().await.unwrap();
            let refused = serde_json::to_value(user.turn().await.unwrap_err()).unwrap();
            assert_eq!(refused["error"], "io.curfew.Agent.TooManyCalls");
            assert_eq!(refused["parameters"]["retry_after_ms"], 2000);
        });
    }

    #[test]
    fn a_thread_that_hangs_is_the_users_only_one_and_no_other_users() {
        let (go_on, wait) = mpsc::channel::<()>();
        run(async {
            let users = Users::default();
            let (hung, other) = (users.user(1000), users.user(1001));
            let hangs = hung.in_time(move || wait.recv());
            assert!(matches!(tokio::time::timeout(Duration::from_millis(50), hangs).await, Err(_) | Ok(Err(Hangs))));
            assert!(matches!(hung.in_time(|| ()).await, Err(Hangs)));
            assert!(other.in_time(|| ()).await.is_ok());
            drop(go_on);
            while hung.in_time(|| ()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
}
