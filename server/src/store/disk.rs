//! Room on the disk of an SQLite file: what is left below a reserve is for grants and administrators, and what hosts and strangers write waits.

use crate::config::{self, Config};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often it is looked at.
const OFTEN: Duration = Duration::from_secs(1);

/// The disk of the database.
#[derive(Debug)]
pub(crate) struct Disk {
    /// None: the database is elsewhere, and watches itself.
    folder: Option<PathBuf>,
    reserve: u64,
    low: AtomicBool,
}

impl Disk {
    /// The disk that the database of this configuration is on.
    pub(crate) fn of(config: &Config) -> Self {
        let file = config::sqlite_file(&config.database);
        let folder = file.and_then(Path::parent).map(Into::into);
        let disk = Self { folder, reserve: u64::from(config.disk_reserve_mib) << 20, low: AtomicBool::new(false) };
        disk.look();
        disk
    }

    /// The folder of the database, where it is on a disk of this machine.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether there is no room but the reserve.
    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Looks, again and again. Never ends.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(OFTEN).await;
            self.look();
        }
    }

    fn look(&self) {
        let Some(folder) = &self.folder else { return };
        let Ok(disk) = nix::sys::statvfs::statvfs(folder) else { return };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let low = free < self.reserve;
        if low != self.low.swap(low, Ordering::Relaxed) {
            if low {
                tracing::error!(free, reserve = self.reserve, folder = %folder.display(), "the disk is nearly full: hosts' audit, their requests and new hosts are not taken any more, grants are");
            } else {
                tracing::info!(free, "there is room on the disk again: what hosts send is taken");
            }
        }
    }
}
