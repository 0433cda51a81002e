//! What happened, so that a model in which nothing does is not taken for one that holds.

use crate::reference::Reference;
use std::cell::RefCell;

thread_local! {
    /// What was done in all sequences.
    pub static TALLY: RefCell<Tally> = RefCell::default();
}

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    logins: usize,
    logins_ended: usize,
    runs: usize,
    runs_ended_alone: usize,
    runs_outlived_by_an_inner_one: usize,
    processes_told_by_their_rights: usize,
    grants: usize,
    revoked: usize,
}

impl Tally {
    pub fn add(&mut self, reference: &Reference) {
        let Reference { logins, runs, grants, .. } = reference;
        self.logins += logins.len();
        self.logins_ended += logins.iter().filter(|login| login.over).count();
        self.runs += runs.len();
        self.runs_ended_alone += runs.iter().filter(|run| run.over && !logins[run.login].over).count();
        self.runs_outlived_by_an_inner_one += reference.outlived;
        self.processes_told_by_their_rights += reference.told_by_rights;
        self.grants += grants.len();
        self.revoked += grants.iter().filter(|grant| grant.revoked).count();
    }
}
