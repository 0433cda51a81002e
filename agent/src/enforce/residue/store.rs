//! The snapshots that wait for the end of their grant: one file a grant, named by its id.

use super::snapshot::Snapshot;
use crate::durable;
use curfew_protocol::grant::GrantId;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
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

    /// Stores the snapshot of a grant durably, for root alone.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn put(&self, id: &str, snapshot: &Snapshot) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        durable::write(&self.0.join(id), &serde_json::to_vec(snapshot)?)
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
        File::open(self.0.join(id))?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
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
    use super::super::snapshot::{Fingerprint, Kind};
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_snapshot_is_kept_for_root_alone_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("residue"));
        assert!(store.ids().is_empty());
        let mut snapshot = Snapshot::default();
        snapshot.add(Kind::Linger, "alice".into(), Fingerprint::default());
        store.put("g1", &snapshot).unwrap();
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
