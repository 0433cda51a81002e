//! Since when Curfew is in force on this host: what was open before that is left to end by itself.
//!
//! It is in force while the mode is `enforce` and a login service is wired. The instant is kept over restarts of the agent;
//! after a reboot, nothing can be older.

use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the instant is kept.
pub const PATH: &str = "/var/lib/curfew/in-force-since.json";

/// An instant of this boot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Since {
    boot_id: String,
    monotonic_us: u64,
}

/// The keeper of the instant.
#[derive(Debug)]
pub struct InForce {
    path: PathBuf,
    boot_id: String,
    since: Option<Since>,
}

impl InForce {
    /// Reads what is kept at `path`. What can't be read counts as since the boot: nothing is left alone by mistake.
    pub fn open(path: &Path) -> Self {
        let boot_id = boot_id();
        let since = match fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).ok().or(Some(Since { boot_id: boot_id.clone(), monotonic_us: 0 }))
            }
            Err(_) => None,
        };
        Self { path: path.into(), boot_id, since }
    }

    /// Writes down whether Curfew is in force now.
    ///
    /// # Errors
    ///
    /// What the disk says; the agent goes on with what it has in memory.
    pub fn update(&mut self, in_force: bool, now_us: u64) -> io::Result<()> {
        match (&self.since, in_force) {
            (None, true) => {
                let since = Since { boot_id: self.boot_id.clone(), monotonic_us: now_us };
                let kept = serde_json::to_vec(&since)?;
                self.since = Some(since);
                durable::write(&self.path, &kept)
            }
            (Some(_), false) => {
                self.since = None;
                fs::remove_file(&self.path)
            }
            _ => Ok(()),
        }
    }

    /// Whether it governs what opened at `opened_us`, in microseconds of CLOCK_MONOTONIC of this boot.
    pub fn governs(&self, opened_us: u64) -> bool {
        match &self.since {
            Some(since) => since.boot_id != self.boot_id || opened_us >= since.monotonic_us,
            None => false,
        }
    }

    /// Whether it is in force.
    pub fn holds(&self) -> bool {
        self.since.is_some()
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_before_is_not_governed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        let mut in_force = InForce::open(&path);
        assert!(!in_force.governs(100));
        in_force.update(true, 50).unwrap();
        in_force.update(true, 70).unwrap();
        let in_force = InForce::open(&path);
        assert!(!in_force.governs(49));
        assert!(in_force.governs(50));
    }

    #[test]
    fn after_a_reboot_everything_is_governed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        InForce::open(&path).update(true, 5_000_000).unwrap();
        let rebooted = InForce { boot_id: "another".into(), ..InForce::open(&path) };
        assert!(rebooted.governs(0));
    }

    #[test]
    fn switching_off_and_on_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        let mut in_force = InForce::open(&path);
        in_force.update(true, 50).unwrap();
        in_force.update(false, 60).unwrap();
        assert!(!InForce::open(&path).holds());
        in_force.update(true, 70).unwrap();
        assert!(!in_force.governs(60));
    }

    #[test]
    fn a_damaged_file_leaves_nothing_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("since");
        fs::write(&path, "garbage").unwrap();
        assert!(InForce::open(&path).governs(0));
    }
}
