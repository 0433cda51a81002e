//! What is to be seen on the host after a transition.

use crate::people::{Door, Person};
use std::collections::BTreeSet;

/// All of it. What only an agent can tell is empty while it is down.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether these people would get in by these doors now.
    pub doors: Vec<(Person, Door, bool)>,
    /// Whether they would get sudo.
    pub sudo: Vec<(Person, bool)>,
    /// The processes of each login, and of each run of sudo.
    pub logins: Vec<Remains>,
    pub runs: Vec<Remains>,
    /// The grants that have a drop-in; none for a file that is no grant's.
    pub drop_ins: Vec<Option<usize>>,
    /// The grants that the agent shows as ended, and those of which the audit says so.
    pub ended: BTreeSet<usize>,
    pub once_ended: BTreeSet<usize>,
    /// The numbers of records that are not one more than the one before.
    pub out_of_order: Vec<u64>,
    /// The questions that were answered without a record.
    pub unrecorded: Vec<String>,
}

/// What of a login or a run of sudo is there still.
#[derive(Debug, Default)]
pub struct Remains {
    /// What lives, by PID.
    pub living: Vec<i32>,
    /// What would live, had nobody ended it.
    pub lost: Vec<i32>,
}
