//! The snapshots that wait for the end of their grant: one file a grant, named by its id.

use super::snapshot::Snapshot;
use crate::durable;
use curfew_protocol::grant::GrantId;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where they are.
pub const FOLDER: &str = "/var/lib/curfew/residue";

/// The longest file that is read. A snapshot at its limits is shorter.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The stored snapshots.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// The store in `folder`, which the first [`put`](Self::put) makes.
    pub fn new(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// Stores the snapshot of some grants durably, for root alone: once on the disk, however many they are.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn put(&self, ids: &[String], snapshot: &Snapshot) -> io::Result<()> {
        let Some((first, others)) = ids.split_first() else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let (place, bytes) = (self.0.join(first), serde_json::to_vec(snapshot)?);
        durable::write(&place, &bytes)?;
        for other in others {
            self.remove(other)?;
            // A file has so many names and no more.
            if fs::hard_link(&place, self.0.join(other)).is_err() {
                durable::write(&self.0.join(other), &bytes)?;
            }
        }
        File::open(&self.0)?.sync_all()
    }

    /// Whether the grant has a snapshot.
    pub fn has(&self, id: &str) -> bool {
        self.0.join(id).exists()
    }

    /// The grants that have one. What is named like no grant is none of ours.
    pub fn ids(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.parse::<GrantId>().is_ok()).collect()
    }

    /// The snapshot of a grant.
    ///
    /// # Errors
    ///
    /// That it can't be read, or is none.
    pub fn get(&self, id: &str) -> io::Result<Snapshot> {
        let mut bytes = Vec::new();
        let file = File::open(self.0.join(id))?;
        let stored = file.metadata()?;
        file.take(LONGEST).read_to_end(&mut bytes)?;
        let mut snapshot: Snapshot = serde_json::from_slice(&bytes)?;
        if snapshot.begun == 0 {
            // Versions that did not note it stored it before sudo opened.
            snapshot.begun = stored.mtime().saturating_mul(1_000_000_000);
        }
        Ok(snapshot)
    }

    /// Removes the snapshot of a grant.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::residue::kind::Kind;
    use crate::residue::snapshot::Fingerprint;
    #[test]
    fn a_snapshot_is_kept_for_root_alone_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("residue"));
        assert!(store.ids().is_empty());
        let mut snapshot = Snapshot::default();
        snapshot.add(Kind::Linger, "alice".into(), Fingerprint::default());
        store.put(&["g1".into(), "g2".into()], &snapshot).unwrap();
        store.put(&["g2".into(), "g1".into()], &snapshot).unwrap();
        assert_eq!(store.get("g2").unwrap().of(Kind::Linger), snapshot.of(Kind::Linger));
        store.remove("g2").unwrap();
        fs::write(folder.path().join("residue/no id.tmp"), "").unwrap();
        assert_eq!(store.ids(), ["g1"]);
        assert_eq!(store.get("g1").unwrap().of(Kind::Linger), snapshot.of(Kind::Linger));
        assert_eq!(fs::metadata(folder.path().join("residue/g1")).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("residue")).unwrap().mode() & 0o077, 0);
        store.remove("g1").unwrap();
        store.remove("g1").unwrap();
        assert!(!store.has("g1"));
    }

    #[test]
    fn a_spoiled_snapshot_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        fs::write(folder.path().join("g1"), "{\"late\":").unwrap();
        assert!(store.get("g1").is_err());
    }
}
