//! The file of what became of the endpoint's grants: which ones a set had no more, and which ones root revoked on this host.
//!
//! It is written before the set that withdrew them, so that their end is told even if the agent is killed between the two.

use super::files::StorePaths;
use crate::durable;
use crate::grant::{Content, HeldGrant, Listing, Revocation, Source};
use curfew_protocol::grant::Grant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What became of grants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Withdrawn {
    /// Grants that the newest set has no more, or has otherwise.
    pub(super) held: Vec<HeldGrant>,
    /// What root revoked on this host, by id.
    pub(super) revoked_here: BTreeMap<String, Revocation>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    grants: Vec<Entry>,
    revoked_here: BTreeMap<String, Revocation>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    grant: Grant,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Revocation>,
    listing: Listing,
}

impl Withdrawn {
    /// What became of those among `held` that are over by a set.
    pub(super) fn of(held: &[HeldGrant], revoked_here: &BTreeMap<String, Revocation>) -> Self {
        let over = held.iter().filter(|it| it.source == Source::Endpoint && it.listing != Listing::Listed);
        Self {
            // Nothing of how far they have come is kept here.
            held: over.map(|it| HeldGrant { reached: None, barred: false, ..it.clone() }).collect(),
            revoked_here: revoked_here.clone(),
        }
    }

    /// Reads what is kept, in memory before the disk, and says why that could not be, where it could not.
    pub(super) fn load(places: &StorePaths) -> (Self, Option<String>) {
        match (read(&places.spare_withdrawn), read(&places.withdrawn)) {
            (Ok(Some(spare)), _) => (spare, None),
            (_, Ok(stored)) => (stored.unwrap_or_default(), None),
            (_, Err(problem)) => (Self::default(), Some(problem)),
        }
    }

    /// Stores it; in memory where the disk takes nothing.
    ///
    /// # Errors
    ///
    /// What the disk says, and what would forget it.
    pub(super) fn store(&self, places: &StorePaths) -> Result<(), String> {
        let (path, spare) = (&places.withdrawn, &places.spare_withdrawn);
        let bytes = self.to_json().map_err(|error| error.to_string())?;
        let Err(error) = durable::write(path, &bytes) else {
            let _was_there_or_not = fs::remove_file(spare);
            return Ok(());
        };
        let (path, kept) = (path.display(), spare.display());
        Err(match durable::write_unsynced(spare, &bytes) {
            Ok(()) => format!("{path}: {error}; it is kept in {kept}, and a reboot would forget it"),
            Err(second) => format!("{path}: {error}; {kept}: {second}; a restart of the agent would forget it"),
        })
    }

    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let entry = |held: &HeldGrant| Entry {
            grant: held.grant.clone(),
            revoked: held.revoked.clone(),
            listing: held.listing,
        };
        let grants = self.held.iter().map(entry).collect();
        serde_json::to_vec(&Document { version: 1, grants, revoked_here: self.revoked_here.clone() })
    }
}

fn read(path: &Path) -> Result<Option<Withdrawn>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let held = |entry: Entry| {
        let content = Content::of(&entry.grant);
        let (revoked, listing) = (entry.revoked, entry.listing);
        HeldGrant { revoked, listing, ..HeldGrant::of_endpoint(entry.grant, content) }
    };
    let held = document.grants.into_iter().map(held).collect();
    Ok(Some(Withdrawn { held, revoked_here: document.revoked_here }))
}
