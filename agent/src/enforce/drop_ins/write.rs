//! Writes drop-ins, each person's by themselves.

use super::DropIns;
use crate::clock;
use crate::enforce::notice::Next;
use crate::enforce::sudoers::{self, SudoersError};
use crate::grant::HeldGrant;
use crate::grant::account::Holder;
use crate::grant::held::giving_sudo;
use crate::grant::stores::Grants;
use crate::grant::sudo_rules::Unwritable;
use crate::host::selinux;
use crate::residue;
use crate::wiring::DROP_IN_FOLDER;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long after a failure a drop-in is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How many people's drop-ins are written at the same time. Those whose lookups hang are among them for a moment only.
const PEOPLE_AT_A_TIME: usize = 256;

/// Writes the drop-ins that are missing, each person's by themselves: nobody waits for somebody else's. What failed is tried again after a while.
pub fn write_missing(drop_ins: &Rc<DropIns>, now: Timestamp, next: &mut Next) {
    let rules = &drop_ins.ledger.sudo_rules;
    if !rules.are_in_force() {
        return;
    }
    let grants = drop_ins.ledger.grants();
    let mut writing = drop_ins.writing.borrow_mut();
    let mut missing = HashSet::new();
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for held in to_write(&grants, now).filter(|held| !rules.are_current(held)) {
        let (id, user) = (held.grant.id.as_str(), held.grant.user.as_str());
        missing.insert(id);
        match (rules.unwritable(id), writing.get_mut(user)) {
            (Some(failed), _) if failed.again_at > now => next.at(failed.again_at),
            (_, Some(more)) => *more = true,
            (_, None) => people.entry(user.to_owned()).or_default().push(id.to_owned()),
        }
    }
    rules.keep_problems(|id| missing.contains(id));
    if !people.is_empty() {
        writing.extend(people.keys().map(|user| (user.clone(), false)));
        drop_ins.trigger.spawn_tracked(write_drop_ins_of_all(Rc::clone(drop_ins), people));
    }
}

async fn write_drop_ins_of_all(drop_ins: Rc<DropIns>, people: BTreeMap<String, Vec<String>>) {
    let mut writers = JoinSet::new();
    for (user, ids) in people {
        if writers.len() >= PEOPLE_AT_A_TIME {
            writers.join_next().await;
        }
        writers.spawn_local(write_drop_ins_of(Rc::clone(&drop_ins), user, ids));
    }
    while writers.join_next().await.is_some() {}
}

async fn write_drop_ins_of(drop_ins: Rc<DropIns>, user: String, ids: Vec<String>) {
    if residue::is_wanted(&drop_ins.residue, &ids) {
        let home = residue::home_of(&user).await;
        residue::first::begin(&drop_ins.residue, &ids, &home);
    }
    for id in &ids {
        write_drop_in(&drop_ins, id).await;
        if !selinux::is_loaded() {
            drop_ins.status.sudo_view.look_at(&user);
        }
        drop_ins.ledger.sudo_rules.note_settled();
    }
    let more = drop_ins.writing.borrow_mut().remove(&user).unwrap_or_default();
    if more || ids.iter().any(|id| drop_ins.ledger.sudo_rules.unwritable(id).is_some()) {
        drop_ins.trigger.pull();
    }
}

async fn write_drop_in(drop_ins: &DropIns, id: &str) {
    let Some(held) = drop_ins.ledger.grants().find(id).cloned() else { return };
    let password = drop_ins.settings.config().sudo_password;
    drop_ins.sudo.settled().await;
    let sudo = drop_ins.sudo.identity();
    let uid = uid_of(&drop_ins.ledger.grants(), &held);
    let checked = sudoers::check(&drop_ins.sudo, Path::new(DROP_IN_FOLDER), &held, uid, password).await;
    residue::first::listed(&drop_ins.residue, id).await;
    // It may have been revoked, or switched off, or sudo exchanged, while visudo looked: from here on nothing waits.
    let still_wanted = drop_ins.ledger.sudo_rules.are_in_force()
        && drop_ins.sudo.identity() == sudo
        && to_write(&drop_ins.ledger.grants(), clock::now())
            .any(|it| it.grant.id.as_str() == id && it.content == held.content && it.uid() == held.uid());
    if !still_wanted || drop_ins.ledger.sudo_rules.are_current(&held) {
        return;
    }
    let put = checked.and_then(|checked| {
        residue::first::note_opening(&drop_ins.residue, id);
        checked.put()
    });
    match put {
        Ok(()) => {
            drop_ins.ledger.sudo_rules.note_written(&held);
            drop_ins.audit.write(held.entry(Event::SudoersWritten));
        }
        Err(error) => {
            let problem = error.to_string();
            let again_at = clock::now() + TRIED_AGAIN_AFTER;
            let unwritable = Unwritable { problem: problem.clone(), again_at };
            // Said once, however often it is tried.
            if drop_ins.ledger.sudo_rules.note_unwritable(id, unwritable) {
                tracing::error!("grant {id} gives no sudo, since its drop-in could not be written: {error}");
                drop_ins.audit.write(
                    Entry::new(Event::GrantRefused)
                        .with(Field::Grant, id)
                        .with(Field::User, held.grant.user.as_str())
                        .with(Field::Reason, format!("no sudo by this grant: {problem}")),
                );
            }
        }
    }
}

/// The grants whose drop-in is to be written, where it is not there: those, and the ones of whose account it is said that it can't be found.
fn to_write(grants: &Grants, now: Timestamp) -> impl Iterator<Item = &HeldGrant> {
    giving_sudo(grants.held(), now).filter(|held| match held.holder {
        Holder::Is(_) => true,
        Holder::Unknown => grants.accounts().problem(held.grant.user.as_str()).is_some(),
        Holder::InDoubt { .. } | Holder::Gone { .. } => false,
    })
}

/// The user id that the rules of a grant are for.
///
/// # Errors
///
/// [`SudoersError::User`] says why it is not known.
fn uid_of(grants: &Grants, held: &HeldGrant) -> Result<u32, SudoersError> {
    held.uid().ok_or_else(|| {
        let user = held.grant.user.to_string();
        let problem = grants.accounts().problem(&user).unwrap_or_else(|| "it was not looked up yet".into());
        SudoersError::User { user, problem }
    })
}
