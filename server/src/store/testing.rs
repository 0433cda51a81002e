//! An empty database and a grant, for the tests of the parts.
#![allow(clippy::unwrap_used)]

use super::fleet::SetGrants;
use super::{Store, StoreError};
use crate::actor::Act;
use curfew_protocol::grant::Grant;
use curfew_protocol::grant_set::HostId;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

/// A database of its own.
pub(crate) async fn empty() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curfew.db");
    std::fs::File::create(&path).unwrap();
    let (store, _changes) = Store::open(&format!("sqlite://{}", path.display()), 2).await.unwrap();
    (folder, store)
}

impl Store {
    /// The grants of a host's set, as it stands.
    pub(crate) async fn set_of(&self, host: &HostId, now: Timestamp) -> Result<SetGrants, StoreError> {
        Ok(self.standing(host).await?.unwrap().grants(now))
    }
}

/// Somebody does something now.
pub(crate) fn act(now: Timestamp) -> Act<'static> {
    Act { admin: "bob", now }
}

/// A grant from `now` on.
pub(crate) fn grant(id: &str, now: Timestamp, seconds: i64) -> Grant {
    let end = now + SignedDuration::from_secs(seconds);
    let grant = json!({
        "id": id, "user": "alice", "not_before": now, "not_after": end, "login": {}, "reason": "r", "requested_by": "alice", "approved_by": ["bob"]
    });
    Grant::from_value(&grant).unwrap()
}
