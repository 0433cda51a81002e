//! What hosts said of themselves in their polls, on its way to the database: written down every few seconds, all at once.
//!
//! A crash loses a few seconds of it. That is on the safe side: a host counts as not having applied what it has.

use crate::store::{Seen, Store};
use curfew_protocol::grant_set::HostId;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What was heard, and is not written down.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    hosts: Mutex<HashMap<HostId, Seen>>,
}

impl LastSeen {
    /// A host said something.
    pub(crate) fn note(&self, host: &HostId, seen: Seen) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = hosts.entry(host.clone()).or_insert(seen);
        *entry = Seen { applied: seen.applied.or(entry.applied), ..seen };
    }

    /// The newest version that a host said it applied, where that is not written down yet.
    pub(crate) fn applied(&self, host: &HostId) -> Option<(i64, i64)> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(host).and_then(|seen| seen.applied)
    }

    /// When a host last called, where that is not written down yet.
    pub(crate) fn seen_at(&self, host: &HostId) -> Option<Timestamp> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(host).map(|seen| seen.at)
    }

    /// Writes it down.
    pub(crate) async fn write(&self, store: &Store) {
        let heard = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        if heard.is_empty() {
            return;
        }
        let heard: Vec<_> = heard.into_iter().collect();
        if let Err(error) = store.note_seen(&heard).await {
            tracing::warn!(%error, "what hosts applied could not be written down; it is tried again");
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            for (host, before) in heard {
                hosts.entry(host).and_modify(|seen| seen.applied = seen.applied.or(before.applied)).or_insert(before);
            }
        }
    }
}
