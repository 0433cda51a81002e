//! SQLite's log of what was written ahead: brought to its place beside those who write, so that no change waits while pages move.

use sqlx::sqlite::SqlitePool;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How often it is looked at.
const OFTEN: Duration = Duration::from_millis(250);

/// How long it may be, in bytes.
const LONG: u64 = 4 * 1024 * 1024;

/// The log of an SQLite file, and the turns of those who write most.
#[derive(Debug)]
pub(in crate::store) struct Ahead {
    path: PathBuf,
    written: AtomicBool,
    audit: Semaphore,
}

impl Ahead {
    /// The log of this file.
    pub(super) fn of(file: &Path) -> Self {
        let mut path = file.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), written: AtomicBool::new(false), audit: Semaphore::new(1) }
    }

    /// Something was written.
    pub(super) fn written(&self) {
        self.written.store(true, Ordering::Relaxed);
    }

    /// The turn of one that adds to the audit.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.audit.acquire().await.ok()
    }

    /// Brings what was written to its place, again and again. Never ends.
    pub(super) async fn watch(&self, readers: &SqlitePool) {
        loop {
            tokio::time::sleep(OFTEN).await;
            let long = std::fs::metadata(&self.path).is_ok_and(|it| it.len() > LONG);
            if long && self.written.swap(false, Ordering::Relaxed) {
                // Nobody waits for it, and it waits for nobody.
                if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(readers).await {
                    tracing::debug!(%error, "what was written ahead stays there for now");
                }
            }
        }
    }
}
