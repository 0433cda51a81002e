//! Whether the database takes what is written, tried every few seconds.

use super::{Store, StoreError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often writing is tried.
const OFTEN: Duration = Duration::from_secs(2);

/// After how long without a good write the server is not ready, though no write has failed: one hangs.
const STUCK: Duration = Duration::from_secs(15);

/// What the last try came to.
#[derive(Debug)]
pub(crate) struct Health {
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    written: Instant,
    failed: bool,
}

impl Default for Health {
    /// Of a server that has just opened its database.
    fn default() -> Self {
        Self { last: Mutex::new(Last { written: Instant::now(), failed: false }) }
    }
}

impl Health {
    /// Tries to write, every few seconds. Never ends.
    pub(crate) async fn watch(&self, store: &Store) {
        let mut often = tokio::time::interval(OFTEN);
        often.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            often.tick().await;
            self.note(store.try_writing().await);
        }
    }

    fn note(&self, tried: Result<(), StoreError>) {
        let mut last = self.lock();
        match tried {
            Ok(()) => {
                if last.failed {
                    tracing::info!("the database takes writes again");
                }
                *last = Last { written: Instant::now(), failed: false };
            }
            Err(error) => {
                if !last.failed {
                    tracing::error!(%error, "the database takes no writes: nothing can be granted or revoked. Is its disk full, or is it away?");
                }
                last.failed = true;
            }
        }
    }

    /// Whether the last try succeeded, and was lately.
    pub(crate) fn is_ready(&self) -> bool {
        let last = self.lock();
        !last.failed && last.written.elapsed() < STUCK
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_or_hangs_is_told_until_one_succeeds() {
        let health = Health::default();
        assert!(health.is_ready());
        health.note(Err(StoreError::Failed));
        assert!(!health.is_ready());
        health.note(Ok(()));
        assert!(health.is_ready());
        if let Some(long_ago) = Instant::now().checked_sub(STUCK) {
            health.lock().written = long_ago;
            assert!(!health.is_ready());
        }
    }
}
