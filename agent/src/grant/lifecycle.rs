//! Which grants the audit has seen begin and end: kept over restarts, so that each is audited once, and none goes back. What the wall clock
//! alone calls over has not ended yet.

use super::boot_ends::BootTimeEnds;
use super::{HeldGrant, Source, State};
use crate::audit::Audit;
use crate::durable;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::grant_set::RefusedGrant;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Where that is kept.
const PATH: &str = "/var/lib/curfew/announced.json";

/// How far each grant had come when the audit last heard of it, by its revision key.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Lifecycle(BTreeMap<String, State>);

/// What came of a look.
#[derive(Debug)]
pub struct Followed {
    /// Whose grants ended.
    pub departing: Vec<String>,
    /// Something began or ended.
    pub changed: bool,
}

impl Lifecycle {
    /// What the last agent left. What can't be read means events written twice, not missed.
    pub fn load() -> Self {
        std::fs::read(PATH).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Lets the grants go on from where they had come. What was live in an earlier boot has to open again: nothing of it is left.
    pub fn resume(&self, grants: &mut [HeldGrant], ends: &BootTimeEnds) {
        for held in grants {
            let reached = self.0.get(&held.revision_key()).copied();
            held.reached = reached.filter(|reached| *reached == State::Ended || ends.has_opened(held));
        }
    }

    /// Audits the grants of which the audit has not heard: an agent that was killed had stored them, and no more.
    pub fn note_unheard_of(&self, grants: &[HeldGrant], audit: &Audit) {
        for held in grants.iter().filter(|held| !self.0.contains_key(&held.revision_key())) {
            let event = match held.source {
                Source::Local => Event::LocalGranted,
                Source::Endpoint => Event::GrantReceived,
            };
            audit.write(held.entry(event));
        }
    }

    /// Audits the grants that began or ended since the last look.
    pub fn follow(&mut self, grants: &mut [HeldGrant], now: Timestamp, audit: &Audit) -> Followed {
        let mut latest = BTreeMap::new();
        let mut departing = Vec::new();
        for held in grants {
            let key = held.revision_key();
            let before = self.0.get(&key).copied();
            let state = held.state(now);
            if state == State::Ended && !held.is_over_for_good() {
                latest.insert(key, before.unwrap_or(State::Coming));
                continue;
            }
            held.reached = Some(state);
            match (before, state) {
                // What ended and is live is in the endpoint's set again, after it was not.
                (Some(State::Coming | State::Ended) | None, State::Live) => {
                    audit.write(held.entry(Event::GrantStarted))
                }
                (Some(State::Ended), _) => {}
                (_, State::Ended) => {
                    departing.push(held.grant.user.to_string());
                    audit.write(held.entry(Event::GrantEnded).with(Field::End, held.end_word()));
                }
                _ => {}
            }
            // What has to open again after a boot began before.
            let heard = if (before, state) == (Some(State::Live), State::Coming) { State::Live } else { state };
            latest.insert(key, heard);
        }
        let changed = self.0 != latest;
        if changed {
            self.0 = latest;
            self.save();
        }
        Followed { departing, changed }
    }

    /// Not synced: a mark that is lost means an event written twice, not one missed.
    fn save(&self) {
        let bytes = serde_json::to_vec(self).map_err(std::io::Error::from);
        let saved = bytes.and_then(|bytes| durable::write_unsynced(Path::new(PATH), &bytes));
        if let Err(error) = saved {
            tracing::error!(path = PATH, "which grants began and ended could not be written down: {error}");
        }
    }
}

/// A record of an entry of a set that is no grant here.
pub fn refusal(refused: &RefusedGrant) -> Entry {
    Entry::new(Event::GrantRefused)
        .with(Field::Grant, refused.id.as_ref().map(|id| id.to_string()))
        .with(Field::Source, "endpoint")
        .with(Field::Reason, refused.problem.as_str())
}
