//! How far sudo by each grant has come on this host: which rules are in place, what they were written for, and which
//! can't be written.
//!
//! The enforcer alone adds and withdraws rules, and says so here; PAM, root's answers and what follows the endpoint
//! read it.

use super::rules_in_place::RulesInPlace;
use super::{Content, HeldGrant};
use jiff::Timestamp;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::sync::Notify;

/// The sudo rules of grants.
#[derive(Debug)]
pub struct SudoRules {
    /// Where they are, a file a grant.
    folder: PathBuf,
    /// Whether Curfew is in force: no rules are wanted otherwise.
    in_force: Cell<bool>,
    /// What those in place were written for.
    written: RefCell<BTreeMap<String, Option<Content>>>,
    /// Those that can't be written.
    unwritable: RefCell<BTreeMap<String, Unwritable>>,
    in_place: RefCell<RulesInPlace>,
    /// Somebody's rules were written, or could not be.
    settled: Notify,
}

/// Rules that can't be written.
#[derive(Clone, Debug)]
pub struct Unwritable {
    /// Why.
    pub problem: String,
    /// When it is tried again.
    pub again_at: Timestamp,
}

impl SudoRules {
    /// The rules in `folder`, of which nothing is known yet.
    pub fn within(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            in_force: Cell::default(),
            written: RefCell::default(),
            unwritable: RefCell::default(),
            in_place: RefCell::default(),
            settled: Notify::new(),
        }
    }

    /// Whether rules are wanted at all.
    pub fn are_in_force(&self) -> bool {
        self.in_force.get()
    }

    /// Rules are wanted from now on, or are not.
    pub fn set_in_force(&self, in_force: bool) {
        self.in_force.set(in_force);
    }

    /// Whether the rules of a grant are in place, and were written for what the grant says now.
    pub fn are_current(&self, held: &HeldGrant) -> bool {
        let id = held.grant.id.as_str();
        self.written.borrow().get(id) == Some(&held.content) && self.are_in_place(id)
    }

    /// Whether the grant has rules in place, whatever they were written for.
    pub fn are_in_place(&self, id: &str) -> bool {
        self.folder.join(id).exists()
    }

    /// The content of the grant that its rules were written for; none where none are known of.
    pub fn written_for(&self, id: &str) -> Option<Option<Content>> {
        self.written.borrow().get(id).copied()
    }

    /// Takes note of the rules that a look into the folder found: for which grant, which content of it, and which user
    /// id.
    pub fn note_found(&self, found: Vec<(String, Option<Content>, Option<u32>)>) {
        let mut in_place = self.in_place.borrow_mut();
        found.iter().for_each(|(id, _, uid)| uid.iter().for_each(|&uid| in_place.note_written(id, uid)));
        *self.written.borrow_mut() = found.into_iter().map(|(id, content, _)| (id, content)).collect();
    }

    /// Takes note that the rules of a grant were written.
    pub fn note_written(&self, held: &HeldGrant) {
        let id = held.grant.id.as_str();
        self.written.borrow_mut().insert(id.to_owned(), held.content);
        held.uid().into_iter().for_each(|uid| self.in_place.borrow_mut().note_written(id, uid));
        self.unwritable.borrow_mut().remove(id);
    }

    /// Takes note that the rules of a grant are gone.
    pub fn note_removed(&self, id: &str) {
        self.in_place.borrow_mut().note_removed(id);
    }

    /// Takes note that a grant says something else by now: whoever sudo's rules were read for meanwhile may be misled.
    pub fn note_outdated(&self, id: &str) {
        self.in_place.borrow_mut().note_outdated(id);
    }

    /// Takes note that rules can't be written. Returns whether that is news.
    pub fn note_unwritable(&self, id: &str, unwritable: Unwritable) -> bool {
        let problem = unwritable.problem.clone();
        let before = self.unwritable.borrow_mut().insert(id.to_owned(), unwritable);
        before.is_none_or(|before| before.problem != problem)
    }

    /// Why the rules of a grant could not be written, and when that is tried again, where they could not.
    pub fn unwritable(&self, id: &str) -> Option<Unwritable> {
        self.unwritable.borrow().get(id).cloned()
    }

    /// Why there is no sudo by which grants.
    pub fn problems(&self) -> Vec<String> {
        let unwritable = self.unwritable.borrow();
        unwritable.iter().map(|(id, failed)| format!("grant {id} gives no sudo: {}", failed.problem)).collect()
    }

    /// Forgets that rules could not be written, but for those that are still `missing`.
    pub fn keep_problems(&self, missing: impl Fn(&str) -> bool) {
        self.unwritable.borrow_mut().retain(|id, _| missing(id));
    }

    /// Has what could not be written tried again at the next look.
    pub fn try_again(&self) {
        self.unwritable.borrow_mut().values_mut().for_each(|failed| failed.again_at = Timestamp::UNIX_EPOCH);
    }

    /// Whether a process of `uid` that started at `started` may have read rules of grants that give it nothing.
    pub fn may_mislead(&self, uid: u32, started: u64, gives: impl Fn(&str) -> bool) -> bool {
        self.in_place.borrow().may_mislead(uid, started, gives)
    }

    /// Somebody's rules were written, or could not be.
    pub fn note_settled(&self) {
        self.settled.notify_waiters();
    }

    /// What tells when somebody's rules were written, or could not be.
    pub fn settled(&self) -> &Notify {
        &self.settled
    }
}
