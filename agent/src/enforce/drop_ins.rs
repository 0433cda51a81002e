//! What is in the drop-ins' folder, `/run/curfew/sudoers.d`: one file a live sudo grant, and nothing else but the file
//! of `noninteractive`.
//!
//! Rules are written for the sudo that the host runs (see `host::sudo`), and [`fit_to_sudo`] takes them away when it is
//! another.

pub mod write;

use super::noninteractive;
use super::status::EnforcementStatus;
use super::sudoers::{content_of, flavour_of, uid_in};
use crate::audit::Audit;
use crate::grant::held::{self, giving_sudo};
use crate::grant::ledger::Ledger;
use crate::grant::stores::Grants;
use crate::grant::sudo_rules::SudoRules;
use crate::grant::{Content, HeldGrant, Listing};
use crate::host::sudo::{Flavour, HostSudo};
use crate::residue::Residue;
use crate::settings::Settings;
use crate::trigger::Trigger;
use crate::wiring::{DROP_IN_FOLDER, make_drop_in_folder};
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// Why a drop-in goes whose grant is still live.
const OTHER_CONTENT: &str = "the grant has another content";

/// What is under way with the drop-ins.
pub struct DropIns {
    settings: Rc<Settings>,
    ledger: Rc<Ledger>,
    audit: Rc<Audit>,
    trigger: Rc<Trigger>,
    residue: Rc<Residue>,
    status: Rc<EnforcementStatus>,
    /// Which sudo the host runs.
    sudo: Rc<HostSudo>,
    /// People whose drop-ins are being written, and whether there is more to write for them by now.
    writing: RefCell<BTreeMap<String, bool>>,
    /// The sudo that the drop-ins were fitted to at the last look, if there was a look, and a sudo.
    fitted: Cell<Option<Option<Flavour>>>,
}

impl DropIns {
    /// The drop-ins for the ledger's grants, of which nothing is under way.
    pub fn new(
        settings: Rc<Settings>,
        ledger: Rc<Ledger>,
        audit: Rc<Audit>,
        trigger: Rc<Trigger>,
        residue: Rc<Residue>,
        status: Rc<EnforcementStatus>,
        sudo: Rc<HostSudo>,
    ) -> Self {
        let (writing, fitted) = (RefCell::default(), Cell::default());
        Self { settings, ledger, audit, trigger, residue, status, sudo, writing, fitted }
    }
}

/// The drop-ins in a folder.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // A name with a dot is one that is being written; sudo skips it.
    names.filter(|name| !name.contains('.') && !noninteractive::is_ours(name))
}

/// Removes drop-ins, and returns the names of those that went.
fn remove(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Vec<String> {
    let unwanted: Vec<String> = names(folder).filter(|name| unwanted(name)).collect();
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
pub fn fit_to_sudo(drop_ins: &DropIns) {
    let folder = Path::new(DROP_IN_FOLDER);
    if let Err(error) = make_drop_in_folder(folder) {
        tracing::error!("{DROP_IN_FOLDER} is gone and could not be made: {error}");
    }
    let flavour = drop_ins.sudo.flavour().ok();
    if drop_ins.fitted.replace(Some(flavour)) == Some(flavour) {
        return;
    }
    if flavour != Some(Flavour::Classic) {
        noninteractive::remove();
    }
    for id in remove(folder, |name| flavour.is_none() || flavour_of(&folder.join(name)) != flavour) {
        note_removed(&drop_ins.ledger, &id, Some("it was not for the sudo that the host runs now"));
    }
    fit_to_contents(&drop_ins.ledger, folder);
    drop_ins.ledger.sudo_rules.try_again();
}

/// Learns what the drop-ins were written for, and removes those of grants that say something else by now: an agent was killed in between.
fn fit_to_contents(ledger: &Ledger, folder: &Path) {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|it| it.file_name().into_string().ok());
    let names = names.filter(|name| !noninteractive::is_ours(name));
    let found: Vec<_> =
        names.map(|name| (name.clone(), content_of(&folder.join(&name)), uid_in(&folder.join(&name)))).collect();
    ledger.sudo_rules.note_found(found.clone());
    let other: Vec<String> = {
        let grants = ledger.grants();
        let is_other = |(name, written, uid): &(String, Option<Content>, Option<u32>)| {
            let held = grants.find(name);
            held.and_then(|held| held.content) != *written || held.and_then(HeldGrant::uid) != *uid
        };
        found.into_iter().filter(is_other).map(|(name, ..)| name).collect()
    };
    for id in remove(folder, |name| other.iter().any(|id| id == name)) {
        note_removed(ledger, &id, Some(OTHER_CONTENT));
    }
}

fn note_removed(ledger: &Ledger, id: &str, why: Option<&str>) {
    ledger.sudo_rules.note_removed(id);
    let entry = Entry::new(Event::SudoersRemoved).with(Field::Grant, id);
    ledger.write_under(Some(id), entry.with(Field::Reason, why.map(str::to_owned)));
}

/// Removes every drop-in that is not to be there: its grant gives no sudo now, or another one than when it was written.
/// One of which the content alone is another, and not whom it is for and what it lets them run, stays until it is
/// written anew.
pub(super) fn remove_unwanted(ledger: &Ledger, now: Timestamp) {
    let unwanted: BTreeMap<String, Option<String>> = {
        let grants = ledger.grants();
        let in_force = ledger.sudo_rules.are_in_force();
        let wanted: HashMap<&str, &HeldGrant> = held::with_rules(grants.held(), now)
            .filter(|_| in_force)
            .filter(|held| held.listing != Listing::Superseded)
            .map(|held| (held.grant.id.as_str(), held))
            .collect();
        let why = |name: &str| match wanted.get(name) {
            Some(held) => gives_other_sudo(&grants, &ledger.sudo_rules, held).then(|| Some(OTHER_CONTENT.to_owned())),
            None => Some(doubt(&grants, name, now)),
        };
        names(Path::new(DROP_IN_FOLDER)).filter_map(|name| Some((name.clone(), why(&name)?))).collect()
    };
    for id in remove(Path::new(DROP_IN_FOLDER), |name| unwanted.contains_key(name)) {
        note_removed(ledger, &id, unwanted.get(&id).and_then(Option::as_deref));
    }
}

/// Whether the rules of a grant were written for another content of it, which gave other sudo.
fn gives_other_sudo(grants: &Grants, rules: &SudoRules, held: &HeldGrant) -> bool {
    let Some(written) = rules.written_for(held.grant.id.as_str()).filter(|written| *written != held.content) else {
        return false;
    };
    let mut earlier = grants.held().iter().filter(|it| it.grant.id == held.grant.id && it.content == written);
    earlier.next().is_none_or(|it| (&it.grant.user, &it.grant.sudo) != (&held.grant.user, &held.grant.sudo))
}

/// Why a live grant of sudo has no rules, where that is for whose account its name stands for.
fn doubt(grants: &Grants, id: &str, now: Timestamp) -> Option<String> {
    let held = giving_sudo(grants.held(), now).find(|held| held.grant.id.as_str() == id)?;
    held.holder.problem(held.grant.user.as_str())
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
        let mut gone = remove(folder.path(), |name| name != "live");
        gone.sort();
        assert_eq!(gone, ["ended", "planted"]);
        assert!(folder.path().join("live").exists());
    }
}
