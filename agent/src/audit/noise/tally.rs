//! A tally: how many events, the first and the last, and what they had in common.

use curfew_protocol::audit::{Entry, Field};
use jiff::Timestamp;

/// Events that are counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// The event, with the fields that all have in common.
    common: Entry,
}

impl Tally {
    /// One event.
    pub fn new(entry: Entry, at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at, common: entry }
    }

    /// Counts what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.common.fields.retain(|field, value| other.common.fields.get(field) == Some(value));
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What they had in common.
    pub fn common(&self) -> &Entry {
        &self.common
    }

    /// The record that stands for them.
    pub fn into_entry(self) -> Entry {
        self.common
            .with(Field::Count, self.count)
            .with(Field::First, self.first.to_string())
            .with(Field::Last, self.last.to_string())
    }
}

/// Counts one more.
pub fn count(tally: &mut Option<Tally>, more: Tally) {
    match tally {
        Some(tally) => tally.add(&more),
        None => *tally = Some(more),
    }
}
