//! The endpoint's store: the newest set as it was received, how far the endpoint's history is known, and what became of grants that a set
//! had no more.
//!
//! A set walks in four steps. What it has no more is over at once ([`EndpointStore::withdraw`]), and that is stored
//! ([`EndpointStore::prepare`]); then it is made durable ([`files::store`]); then it is in force ([`EndpointStore::take`]).
//! One that the disk does not take ends and narrows what is held, and adds nothing: the last set that was stored stays
//! the one that a reboot finds. What is loaded is verified again: the files alone prove nothing.

pub mod files;
mod merge;
mod withdrawn;

pub use self::merge::{NewSet, Whose};

use self::files::{StorePaths, load, put_aside};
use self::merge::{Extent, Next, next, withdraw};
use self::withdrawn::Withdrawn;
use super::held::HeldGrants;
use super::local::SetAside;
use super::{HeldGrant, Revocation, Source};
use curfew_protocol::grant::GrantId;
use curfew_protocol::grant_set::{GrantSet, HostId, Mark, RefusedGrant};
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::fs;

/// Whose sets are believed, and for whom they have to be.
#[derive(Clone, Debug)]
pub struct Trust {
    /// This host's name at the endpoint.
    pub host: HostId,
    /// The pinned keys, and those that were pinned before them: what is stored was verified when it came.
    pub keys: Vec<PublicKey>,
}

/// A set's place and times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SetFacts {
    /// Where it stands in the endpoint's history.
    pub mark: Mark,
    /// When it was signed.
    pub issued: Timestamp,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
    /// From when on its grants open nothing new.
    pub opens_until: Timestamp,
}

impl SetFacts {
    /// Those of `set`.
    pub fn of(set: &GrantSet) -> Self {
        Self { mark: set.mark, issued: set.issued, fresh_until: set.fresh_until, opens_until: set.opens_until }
    }

    /// Whether the other set says the same, signed at another time.
    pub fn is_version_of(&self, other: &Self) -> bool {
        (self.mark.epoch, self.mark.ver) == (other.mark.epoch, other.mark.ver)
    }
}

/// What is known of the endpoint's set.
#[derive(Debug, Default)]
pub struct EndpointStore {
    places: StorePaths,
    facts: Option<SetFacts>,
    mark: Mark,
    /// What root revoked on this host: it holds, whatever newer sets say.
    revoked_here: BTreeMap<String, Revocation>,
    /// Entries of the set that are no grants here.
    refused: Vec<RefusedGrant>,
    /// A stored set that could not be used.
    set_aside: Option<SetAside>,
    /// Until when the stored set is fresh.
    stored_until: Option<Timestamp>,
    /// Why what became of grants could not be stored.
    unstored: Option<String>,
}

impl EndpointStore {
    /// The files.
    pub fn places(&self) -> &StorePaths {
        &self.places
    }

    /// The set in force.
    pub fn facts(&self) -> Option<&SetFacts> {
        self.facts.as_ref()
    }

    /// How far the endpoint's history is known. It never falls while the host stays with its endpoint.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Entries of the set in force that are no grants here.
    pub fn refused(&self) -> &[RefusedGrant] {
        &self.refused
    }

    /// The stored set that could not be used when the agent started.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// Whether the set in force is too old at `now` for its grants to open anything.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.facts.is_some_and(|facts| now >= facts.opens_until)
    }

    /// Whether the stored set is fresh at `now`: a newer copy that says the same need not be stored then.
    pub fn stored_is_fresh(&self, now: Timestamp) -> bool {
        self.stored_until.is_some_and(|until| now < until)
    }

    pub(super) fn unstored(&self) -> Option<&str> {
        self.unstored.as_deref()
    }

    pub(super) fn note_revoked_here(&mut self, id: &str, revocation: Revocation) {
        self.revoked_here.insert(id.to_owned(), revocation);
        self.unstored = Some(String::new());
    }

    /// Stores what became of grants, where that is not stored.
    pub(super) fn store_again(&mut self, held: &[HeldGrant]) {
        if self.unstored.is_some() {
            let withdrawn = Withdrawn::of(held, &self.revoked_here);
            self.unstored = withdrawn.store(&self.places).err();
        }
    }
}

impl EndpointStore {
    /// Reads the store, and has what it holds be held. Without `trust` there is no endpoint, and what is left is what
    /// became of its grants.
    pub(super) fn open(places: StorePaths, trust: Option<&Trust>, grants: &mut HeldGrants) -> Self {
        let (Withdrawn { mut held, revoked_here }, problem) = Withdrawn::load(&places);
        let mut store = Self { revoked_here, ..Self::default() };
        let set_aside = |problem| Some(SetAside { path: places.withdrawn.clone(), problem });
        store.set_aside = problem.and_then(set_aside);
        if let Some(trust) = trust {
            store.mark =
                fs::read(&places.mark).ok().and_then(|it| serde_json::from_slice(&it).ok()).unwrap_or_default();
            match load(&places.set, trust) {
                Ok(Some(set)) => store.begin(&mut held, set, grants.held(), Extent::Whole),
                Ok(None) => {}
                Err(problem) => store.set_aside = Some(put_aside(&places.set, problem)),
            }
            // A set that the disk did not take goes as far as it went before.
            if let Ok(Some(set)) = load(&places.spare_set, trust)
                && set.facts.mark > store.mark
            {
                store.begin(&mut held, set, grants.held(), Extent::HeldAlone);
            }
        }
        store.places = places;
        grants.replace_endpoints(held);
        store
    }

    /// What the set has no more is over from `now` on, before anything is stored. Returns whether anything was.
    pub(super) fn withdraw(&mut self, grants: &mut HeldGrants, set: &NewSet, whose: Whose, now: Timestamp) -> bool {
        self.mark = self.mark.max(set.facts.mark);
        let changed = withdraw(grants.held_mut(), set, whose, now);
        if changed {
            grants.settle();
            // The enforcing loop ends what is over first, and stores it then.
            self.unstored = Some(String::new());
        }
        changed
    }

    /// As [`withdraw`](Self::withdraw), for a set whose times are not right by this host's clock.
    pub(super) fn withdraw_untimely(&mut self, grants: &mut HeldGrants, set: &NewSet, now: Timestamp) -> bool {
        let mark = self.mark;
        let changed = self.withdraw(grants, set, Whose::Everybody, now);
        self.mark = mark;
        changed
    }

    /// Stores what becomes of grants by the set, where that changes.
    pub(super) fn prepare(&mut self, before: &[HeldGrant], set: &NewSet, now: Timestamp) {
        let mut held = before.to_vec();
        withdraw(&mut held, set, Whose::Everybody, now);
        let next = next(&held, set, Extent::Whole, &self.revoked_here, now);
        let after = Withdrawn::of(&next.held, &self.revoked_here);
        if self.unstored.is_some() || after != Withdrawn::of(before, &self.revoked_here) {
            self.unstored = after.store(&self.places).err();
        }
    }

    /// Whether the set adds to what the one before it said.
    pub(super) fn is_news(&self, held: &[HeldGrant], set: &NewSet) -> bool {
        self.facts.is_none_or(|facts| !facts.is_version_of(&set.facts)) || set.adds_to(held)
    }

    /// The set is on the disk.
    pub(super) fn note_stored(&mut self, set: &NewSet) {
        self.stored_until = Some(set.facts.fresh_until);
    }

    /// Puts the set in force: the whole of a stored one; of one that is not, only what it says of grants that are held.
    pub(super) fn take(&mut self, grants: &mut HeldGrants, set: &NewSet, stored: bool, now: Timestamp) -> Taken {
        let extent = if stored { Extent::Whole } else { Extent::HeldAlone };
        let Next { held, received, changed, refused } = next(grants.held(), set, extent, &self.revoked_here, now);
        grants.replace_endpoints(held);
        let new_version = self.facts.is_none_or(|facts| !facts.is_version_of(&set.facts));
        // Of a set that is not stored nothing is told yet: it comes again.
        let unheard_of = if stored { unheard_of(&refused, &self.refused) } else { Vec::new() };
        self.mark = self.mark.max(set.facts.mark);
        self.facts = match self.facts {
            // An unstored set is not the one in force, but it does prove that the endpoint is there.
            Some(facts) if !stored && new_version => Some(SetFacts { mark: facts.mark, ..set.facts }),
            None if !stored => None,
            _ => Some(set.facts),
        };
        if stored {
            self.refused = refused;
            self.set_aside = None;
        }
        let ids: HashSet<&str> = grants.held().iter().map(|held| held.grant.id.as_str()).collect();
        self.revoked_here.retain(|id, _| ids.contains(id.as_str()));
        Taken { received, changed, refused: unheard_of, new_version: new_version && stored }
    }

    /// The host leaves its endpoint: the endpoint's grants are over, and its history begins anew with another one.
    pub(super) fn leave(&mut self, grants: &mut HeldGrants, now: Timestamp) {
        for held in grants.held_mut().iter_mut().filter(|held| held.source == Source::Endpoint) {
            merge::end(held, super::Listing::Withdrawn, now, "this host has left its endpoint");
        }
        (self.facts, self.stored_until, self.mark, self.set_aside) = (None, None, Mark::default(), None);
        self.refused.clear();
        self.unstored = Some(String::new());
    }
}

fn unheard_of(refused: &[RefusedGrant], before: &[RefusedGrant]) -> Vec<RefusedGrant> {
    let said: HashSet<(Option<&GrantId>, &str)> =
        before.iter().map(|it| (it.id.as_ref(), it.problem.as_str())).collect();
    refused.iter().filter(|it| !said.contains(&(it.id.as_ref(), it.problem.as_str()))).cloned().collect()
}

/// What came of a set that was put in force.
#[derive(Debug, Default)]
pub struct Taken {
    /// The grants that are new, or have a new content.
    pub received: Vec<HeldGrant>,
    /// What was superseded, beside what superseded it.
    pub changed: Vec<(HeldGrant, HeldGrant)>,
    /// Entries that are no grants here, and of which nothing was known.
    pub refused: Vec<RefusedGrant>,
    /// Whether it was another version than the one before.
    pub new_version: bool,
}

impl EndpointStore {
    /// Begins with a set that was stored.
    fn begin(&mut self, held: &mut Vec<HeldGrant>, set: NewSet, local: &[HeldGrant], extent: Extent) {
        // What was withdrawn by a newer set than this one, which a crash kept from being stored, stays withdrawn.
        let mut all = local.to_vec();
        all.append(held);
        if extent == Extent::HeldAlone {
            withdraw(&mut all, &set, Whose::Everybody, set.facts.issued);
        }
        let next = merge::loaded(&all, &set, extent, &self.revoked_here);
        *held = next.held;
        self.mark = self.mark.max(set.facts.mark);
        if extent == Extent::Whole {
            self.refused = next.refused;
            self.facts = Some(set.facts);
            self.stored_until = Some(set.facts.fresh_until);
        } else if let Some(facts) = &mut self.facts {
            *facts = SetFacts { mark: facts.mark, ..set.facts };
        }
    }
}

#[cfg(test)]
mod tests;
