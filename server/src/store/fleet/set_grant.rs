//! A grant as sets have it, and which of them a set takes.

use super::super::StoreError;
use super::super::columns::{from_micros, raw};
use super::super::db::Row;
use curfew_protocol::grant_set::fits;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use std::cmp::Reverse;
use std::sync::Arc;

/// For how long after its end a grant stays in sets: a host whose clock is behind shall see it end, not vanish.
const STAYS: SignedDuration = SignedDuration::from_hours(1);

/// A grant as sets have it.
#[derive(Debug)]
pub(in crate::store) struct SetGrant {
    pub(super) id: String,
    pub(super) not_after: Timestamp,
    pub(super) created_at: i64,
    pub(super) document: Box<RawValue>,
}

impl SetGrant {
    pub(in crate::store) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text("id")?,
            not_after: from_micros(row.int("not_after")?)?,
            created_at: row.int("created_at")?,
            document: raw(row.text("document")?)?,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is in no set any more that says what [`since`] this.
    pub(super) fn is_gone(&self, since: Timestamp) -> bool {
        self.not_after <= since
    }

    /// Whether it holds or will: then it takes room, and has to be in its hosts' sets. One that is over is there only where there is room.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.not_after > now
    }

    pub(super) fn load(&self) -> Load {
        Load::one(self.document.get().len())
    }
}

/// The grants of a host's set.
#[derive(Debug, Default)]
pub(crate) struct SetGrants {
    /// Each as it was written.
    pub grants: Vec<Box<RawValue>>,
    /// How many that hold or will are not among them, since no host would take so many.
    pub left_out: usize,
}

/// So many grants, of so many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::store) struct Load {
    pub grants: usize,
    pub bytes: usize,
}

impl Load {
    /// One grant of this length.
    pub(in crate::store) fn one(bytes: usize) -> Self {
        Self { grants: 1, bytes }
    }

    pub(in crate::store) fn with(self, other: Self) -> Self {
        Self { grants: self.grants.saturating_add(other.grants), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { grants: self.grants.saturating_sub(other.grants), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// Whether it is more of anything.
    pub(in crate::store) fn exceeds(self, other: Self) -> bool {
        self.grants > other.grants || self.bytes > other.bytes
    }

    pub(in crate::store) fn fits(self) -> bool {
        fits(self.grants, self.bytes)
    }
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), Self::with)
    }
}

/// What ended before this is in no set any more.
pub(super) fn since(now: Timestamp) -> Timestamp {
    now.saturating_sub(STAYS).unwrap_or(now)
}

/// A set's grants: those that hold or will, and of those that are over the latest that there is room for.
pub(super) fn assembled<'g>(grants: impl Iterator<Item = &'g Arc<SetGrant>>, now: Timestamp) -> SetGrants {
    let since = since(now);
    let (mut open, mut over): (Vec<_>, Vec<_>) =
        grants.filter(|grant| grant.not_after > since).partition(|grant| grant.is_open(now));
    // Where not all fit, those stay that were there first.
    open.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    over.sort_by_key(|grant| Reverse(grant.not_after));
    let (mut load, mut taken, mut left_out) = (Load::default(), Vec::with_capacity(open.len() + over.len()), 0);
    for grant in open.into_iter().chain(over) {
        let with = load.with(grant.load());
        if with.fits() {
            load = with;
            taken.push(grant);
        } else if grant.is_open(now) {
            left_out += 1;
        }
    }
    taken.sort_by(|a, b| (a.not_after, &a.id).cmp(&(b.not_after, &b.id)));
    SetGrants { grants: taken.into_iter().map(|grant| grant.document.clone()).collect(), left_out }
}
