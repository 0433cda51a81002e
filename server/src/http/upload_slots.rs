//! How many bodies of one host are read at a time.

use curfew_protocol::grant_set::HostId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What hosts send now.
#[derive(Debug, Default)]
pub(crate) struct UploadSlots(Mutex<HashMap<(HostId, Upload), usize>>);

/// What a host sends in a body.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Upload {
    Audit,
    Request,
}

impl Upload {
    /// How many of one host are read at a time.
    fn most(self) -> usize {
        match self {
            Self::Audit => 1,
            Self::Request => 4,
        }
    }
}

/// A host's slot to send a body. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct UploadSlot<'s> {
    slots: &'s UploadSlots,
    what: (HostId, Upload),
}

impl UploadSlots {
    /// A slot for a body of the host; none while it sends as many as it may.
    pub(crate) fn take(&self, host: &HostId, upload: Upload) -> Option<UploadSlot<'_>> {
        let what = (host.clone(), upload);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = taken.entry(what.clone()).or_default();
        if *now >= upload.most() {
            return None;
        }
        *now += 1;
        Some(UploadSlot { slots: self, what })
    }
}

impl Drop for UploadSlot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.what) {
            Some(2..) => *taken.entry(self.what.clone()).or_default() -= 1,
            _ => drop(taken.remove(&self.what)),
        }
    }
}
