//! What is in the drop-ins' folder, `/run/curfew/sudoers.d`: one file a live sudo grant, and nothing else but the file of `noninteractive`.
//!
//! Rules are written for the sudo that the host runs (see `host::sudo`), and [`fit_to_sudo`] takes them away when it is another.

use super::noninteractive;
use super::sudoers::{self, SudoersError, content_of, flavour_of, uid_in};
use crate::agent::Agent;
use crate::clock;
use crate::enforce::notice::Next;
use crate::grant::account::Holder;
use crate::grant::held::{self, giving_sudo};
use crate::grant::stores::Grants;
use crate::grant::{Content, HeldGrant};
use crate::host::selinux;
use crate::host::sudo::Flavour;
use crate::residue;
use crate::wiring::{DROP_IN_FOLDER, make_drop_in_folder};
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long after a failure a drop-in is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How many people's drop-ins are written at the same time. Those whose lookups hang are among them for a moment only.
const PEOPLE_AT_A_TIME: usize = 256;

/// A drop-in that can't be written.
#[derive(Debug)]
pub struct Unwritable {
    /// Why.
    pub problem: String,
    /// When it is tried again.
    pub again_at: Timestamp,
}

/// The grants whose drop-in is to be written, where it is not there: those, and the ones of whose account it is said that it can't be found.
pub fn to_write(grants: &Grants, now: Timestamp) -> impl Iterator<Item = &HeldGrant> {
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
pub fn uid_of(grants: &Grants, held: &HeldGrant) -> Result<u32, SudoersError> {
    held.uid().ok_or_else(|| {
        let user = held.grant.user.to_string();
        let problem = grants.accounts().problem(&user).unwrap_or_else(|| "it was not looked up yet".into());
        SudoersError::User { user, problem }
    })
}

/// Removes every drop-in but those of `wanted`, and returns the names of those that went.
pub fn remove_unwanted(folder: &Path, wanted: &HashSet<&str>) -> Vec<String> {
    remove(folder, |name| !wanted.contains(name))
}

fn remove(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A name with a dot is one that is being written; sudo skips it.
    let drop_ins = names.filter(|name| !name.contains('.') && !noninteractive::is_ours(name));
    let unwanted: Vec<String> = drop_ins.filter(|name| unwanted(name)).collect();
    unwanted
        .into_iter()
        .filter(|name| match fs::remove_file(folder.join(name)) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(grant = %name, "a sudo drop-in could not be removed: {error}");
                false
            }
        })
        .collect()
}

/// Removes what an agent that was killed left half written.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.')
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::error!(path = %entry.path().display(), "a leftover could not be removed: {error}");
        }
    }
}

/// Compares the drop-ins with the sudo that the host runs now, and removes at once those that are for another. What is missing then
/// is written by the enforcing loop. Looks into the files only when something changed.
pub fn fit_to_sudo(agent: &Agent) {
    let folder = Path::new(DROP_IN_FOLDER);
    if let Err(error) = make_drop_in_folder(folder) {
        tracing::error!("{DROP_IN_FOLDER} is gone and could not be made: {error}");
    }
    let flavour = agent.sudo.flavour().ok();
    if agent.fitted.replace(Some(flavour)) == Some(flavour) {
        return;
    }
    if flavour != Some(Flavour::Classic) {
        noninteractive::remove();
    }
    for id in remove(folder, |name| flavour.is_none() || flavour_of(&folder.join(name)) != flavour) {
        agent.rules.borrow_mut().note_removed(&id);
        let entry = Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str());
        agent
            .ledger
            .write_under(Some(&id), entry.with(Field::Reason, "it was not for the sudo that the host runs now"));
    }
    fit_to_contents(agent, folder);
    try_again(agent);
}

/// Learns what the drop-ins were written for, and removes those of grants that say something else by now: an agent was killed in between.
fn fit_to_contents(agent: &Agent, folder: &Path) {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|it| it.file_name().into_string().ok());
    let names: Vec<String> = names.filter(|name| !noninteractive::is_ours(name)).collect();
    for name in &names {
        uid_in(&folder.join(name)).into_iter().for_each(|uid| agent.rules.borrow_mut().note_written(name, uid));
    }
    let contents = names.into_iter().map(|name| (content_of(&folder.join(&name)), name));
    *agent.written.borrow_mut() = contents.map(|(content, name)| (name, content)).collect();
    let grants = agent.ledger.grants();
    let is_other = |name: &str, written: Option<Content>| {
        let held = grants.find(name);
        held.and_then(|held| held.content) != written || held.and_then(HeldGrant::uid) != uid_in(&folder.join(name))
    };
    let other: Vec<String> = {
        let written = agent.written.borrow();
        written.iter().filter(|(name, written)| is_other(name, **written)).map(|(name, _)| name.clone()).collect()
    };
    drop(grants);
    other.iter().for_each(|id| withdraw(agent, id, "the grant has another content"));
}

/// Whether the drop-in of a grant is there, and was written for what the grant says now.
pub fn is_current(agent: &Agent, held: &HeldGrant) -> bool {
    let id = held.grant.id.as_str();
    agent.written.borrow().get(id) == Some(&held.content) && is_in_place(id)
}

/// Whether the grant has a drop-in, whatever it was written for.
pub fn is_in_place(id: &str) -> bool {
    Path::new(DROP_IN_FOLDER).join(id).exists()
}

/// Removes the drop-in of a grant that gives other sudo, or none, from now on.
pub fn withdraw(agent: &Agent, id: &str, why: &str) {
    for id in remove(Path::new(DROP_IN_FOLDER), |name| name == id) {
        agent.rules.borrow_mut().note_removed(&id);
        let entry = Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str());
        agent.ledger.write_under(Some(&id), entry.with(Field::Reason, why));
    }
}

/// Has the drop-ins that could not be written tried again at the next look.
pub fn try_again(agent: &Agent) {
    agent.unwritable.borrow_mut().values_mut().for_each(|failed| failed.again_at = Timestamp::UNIX_EPOCH);
}

pub(super) fn remove_unwanted_now(agent: &Agent, now: Timestamp) {
    let grants = agent.ledger.grants();
    let in_force = agent.in_force.borrow().holds();
    let wanted: HashSet<&str> =
        held::with_rules(grants.held(), now).filter(|_| in_force).map(|held| held.grant.id.as_str()).collect();
    for id in remove_unwanted(Path::new(DROP_IN_FOLDER), &wanted) {
        agent.rules.borrow_mut().note_removed(&id);
        agent.ledger.write_under(Some(&id), Entry::new(Event::SudoersRemoved).with(Field::Grant, id.as_str()));
    }
}

/// Writes the drop-ins that are missing, each person's by themselves: nobody waits for somebody else's. What failed is tried again after a while.
pub(super) fn write_missing(agent: &Rc<Agent>, now: Timestamp, next: &mut Next) {
    if !agent.in_force.borrow().holds() {
        return;
    }
    let grants = agent.ledger.grants();
    let mut writing = agent.writing.borrow_mut();
    let mut unwritable = agent.unwritable.borrow_mut();
    let mut missing = HashSet::new();
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for held in to_write(&grants, now).filter(|held| !is_current(agent, held)) {
        let (id, user) = (held.grant.id.as_str(), held.grant.user.as_str());
        missing.insert(id);
        match (unwritable.get(id), writing.get_mut(user)) {
            (Some(failed), _) if failed.again_at > now => next.at(failed.again_at),
            (_, Some(more)) => *more = true,
            (_, None) => people.entry(user.to_owned()).or_default().push(id.to_owned()),
        }
    }
    unwritable.retain(|id, _| missing.contains(id.as_str()));
    if !people.is_empty() {
        writing.extend(people.keys().map(|user| (user.clone(), false)));
        agent.trigger.spawn_tracked(write_drop_ins_of_all(Rc::clone(agent), people));
    }
}

async fn write_drop_ins_of_all(agent: Rc<Agent>, people: BTreeMap<String, Vec<String>>) {
    let mut writers = JoinSet::new();
    for (user, ids) in people {
        if writers.len() >= PEOPLE_AT_A_TIME {
            writers.join_next().await;
        }
        writers.spawn_local(write_drop_ins_of(Rc::clone(&agent), user, ids));
    }
    while writers.join_next().await.is_some() {}
}

async fn write_drop_ins_of(agent: Rc<Agent>, user: String, ids: Vec<String>) {
    if residue::is_wanted(&agent, &ids) {
        let home = residue::home_of(&user).await;
        residue::first::begin(&agent, &ids, &home);
    }
    for id in &ids {
        write_drop_in(&agent, id).await;
        if !selinux::is_loaded() {
            agent.sudo_view.look_at(&user);
        }
        agent.settled.notify_waiters();
    }
    let more = agent.writing.borrow_mut().remove(&user).unwrap_or_default();
    if more || ids.iter().any(|id| agent.unwritable.borrow().contains_key(id)) {
        agent.trigger.pull();
    }
}

async fn write_drop_in(agent: &Agent, id: &str) {
    let Some(held) = agent.ledger.grants().find(id).cloned() else { return };
    let password = agent.settings.config().sudo_password;
    agent.sudo.settled().await;
    let sudo = agent.sudo.identity();
    let uid = uid_of(&agent.ledger.grants(), &held);
    let checked = sudoers::check(&agent.sudo, Path::new(DROP_IN_FOLDER), &held, uid, password).await;
    residue::first::listed(agent, id).await;
    // It may have been revoked, or switched off, or sudo exchanged, while visudo looked: from here on nothing waits.
    let still_wanted = agent.in_force.borrow().holds()
        && agent.sudo.identity() == sudo
        && to_write(&agent.ledger.grants(), clock::now())
            .any(|it| it.grant.id.as_str() == id && it.content == held.content && it.uid() == held.uid());
    if !still_wanted || is_current(agent, &held) {
        return;
    }
    let put = checked.and_then(|checked| {
        residue::first::note_opening(agent, id);
        checked.put()
    });
    match put {
        Ok(()) => {
            agent.written.borrow_mut().insert(id.to_owned(), held.content);
            held.uid().into_iter().for_each(|uid| agent.rules.borrow_mut().note_written(id, uid));
            agent.unwritable.borrow_mut().remove(id);
            agent.audit.write(held.entry(Event::SudoersWritten));
        }
        Err(error) => {
            let problem = error.to_string();
            let again_at = clock::now() + TRIED_AGAIN_AFTER;
            let before =
                agent.unwritable.borrow_mut().insert(id.to_owned(), Unwritable { problem: problem.clone(), again_at });
            // Said once, however often it is tried.
            if before.is_none_or(|before| before.problem != problem) {
                tracing::error!("grant {id} gives no sudo, since its drop-in could not be written: {error}");
                agent.audit.write(
                    Entry::new(Event::GrantRefused)
                        .with(Field::Grant, id)
                        .with(Field::User, held.grant.user.as_str())
                        .with(Field::Reason, format!("no sudo by this grant: {problem}")),
                );
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_drop_ins_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["live", "ended", "planted", ".tmp.new"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut gone = remove_unwanted(folder.path(), &HashSet::from(["live"]));
        gone.sort();
        assert_eq!(gone, ["ended", "planted"]);
        assert!(folder.path().join("live").exists());
    }
}
