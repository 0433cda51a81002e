//! `sudo -n` for what would need a password: classic sudo answers by itself then, asks PAM nothing and logs nothing. So it is told to ask PAM all the
//! same (sudoers(5), `noninteractive_auth`), where our auth line denies before anything else, with the reason and a record. sudo-rs asks by itself.
//!
//! It is not for exempt users, and for whoever has a live grant of sudo only where the host leaves it to us: PAM may count what it asks in vain, and
//! where the host has PAM asked by itself, that may be answered. Where it can't be kept to that, it is not there.

pub mod host;

use self::host::Host;
use super::sudoers;
use crate::clock;
use crate::grant::HeldGrant;
use crate::grant::ledger::Ledger;
use crate::host::sudo::{Flavour, HostSudo, Identity};
use crate::trigger::Trigger;
use crate::wiring;
use crate::wiring::kind::Kind;
use crate::wiring::stack;
use curfew_protocol::exempt;
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The file among the drop-ins. No grant's id has a `+`.
const NAME: &str = "curfew+noninteractive";

/// The first line tells for which sudo it is, as that of every drop-in.
const HEAD: &str = "# Curfew: no grant, for classic sudo. Whoever would be denied is told so, and audited, also where nothing is asked (-n).\n";

/// So many people with a live grant of sudo are told apart.
const MOST_PEOPLE: usize = 200;

/// What sudo is told, and what the host says itself.
pub struct Noninteractive {
    ledger: Rc<Ledger>,
    trigger: Rc<Trigger>,
    /// Which sudo the host runs.
    sudo: Rc<HostSudo>,
    told: RefCell<Told>,
    /// What is known of the host's own settings.
    pub host: Host,
}

impl Noninteractive {
    /// Has `sudo` ask.
    pub fn new(ledger: Rc<Ledger>, sudo: Rc<HostSudo>, trigger: Rc<Trigger>) -> Self {
        Self { ledger, trigger, sudo, told: RefCell::default(), host: Host::default() }
    }
}

/// What was done last.
#[derive(Debug, Default)]
struct Told {
    /// The text that was put there, or could not be, for which sudo.
    done: Option<(String, Option<Identity>)>,
    is_there: bool,
    is_at_work: bool,
}

/// Whether a file among the drop-ins is this one.
pub fn is_ours(name: &str) -> bool {
    name == NAME
}

/// Takes it away.
pub fn remove() {
    match fs::remove_file(path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::error!("{}: {error}", path().display()),
        _ => {}
    }
}

/// Whether sudo asks PAM in the name of this user id under `-n` since it is told to here; by itself it would have said that it needs a password.
pub fn has_sudo_ask(uid: Option<u32>) -> bool {
    asks(&fs::read_to_string(path()).unwrap_or_default(), uid)
}

/// Of a user id that is not known, that is so where none is spared.
fn asks(text: &str, uid: Option<u32>) -> bool {
    let spared = uid.map_or("!#".into(), |uid| format!("!#{uid}"));
    let is_it = |word: &str| if uid.is_some() { word == spared } else { word.starts_with(&spared) };
    !text.is_empty() && !text.split([' ', ',']).any(is_it)
}

/// Has it be there, as it should be, or not.
pub fn keep(noninteractive: &Rc<Noninteractive>, now: Timestamp) {
    let Some(text) = wanted(noninteractive, now) else {
        let mut told = noninteractive.told.borrow_mut();
        if told.is_there || told.done.is_none() {
            remove();
            // Nothing is to be taken away until it is there again.
            (told.done, told.is_there) = (Some((String::new(), None)), false);
        }
        return;
    };
    host::follow(noninteractive);
    if noninteractive.host.is_silent().is_none() {
        return;
    }
    let todo = (text, noninteractive.sudo.identity());
    {
        let mut told = noninteractive.told.borrow_mut();
        let is_done = told.done.as_ref() == Some(&todo) && (!told.is_there || path().exists());
        if is_done || told.is_at_work {
            return;
        }
        told.is_at_work = true;
    }
    noninteractive.trigger.spawn_tracked(put(Rc::clone(noninteractive), todo));
}

async fn put(noninteractive: Rc<Noninteractive>, todo: (String, Option<Identity>)) {
    let checked = sudoers::check_text(&noninteractive.sudo, path(), &todo.0, Flavour::Classic).await;
    let is_wanted = wanted(&noninteractive, clock::now()).as_ref() == Some(&todo.0);
    let mut told = noninteractive.told.borrow_mut();
    told.is_at_work = false;
    if !is_wanted {
        return;
    }
    told.done = Some(todo);
    told.is_there = match checked.and_then(sudoers::Checked::put) {
        Ok(()) => true,
        // sudo before 1.9.10 does not know it.
        Err(error) => {
            tracing::warn!("what people try with sudo -n and may not is not audited: {error}");
            remove();
            false
        }
    };
}

/// What it is to say; none where it is not to be there.
fn wanted(noninteractive: &Noninteractive, now: Timestamp) -> Option<String> {
    if !noninteractive.ledger.sudo_rules.are_in_force()
        || noninteractive.sudo.flavour() != Ok(Flavour::Classic)
        || !denies_first()
    {
        return None;
    }
    let exempt = exempt::names(Path::new(exempt::EXEMPT_LIST)).ok()?;
    if noninteractive.host.is_silent() == Some(true) {
        return text(&exempt, &BTreeSet::new());
    }
    let grants = noninteractive.ledger.grants();
    let live = |held: &&HeldGrant| held.grant.sudo.is_some() && held.covers(now);
    let uids: BTreeSet<u32> = grants.held().iter().filter(live).filter_map(HeldGrant::uid).collect();
    text(&exempt, &uids)
}

/// Whether our line is asked before any other by sudo, and by `sudo -i` where that is a service of its own.
fn denies_first() -> bool {
    let denies = |service: &str| {
        let text = fs::read(Path::new(wiring::PAM_FOLDER).join(service)).unwrap_or_default();
        stack::asks_for_a_password_first(&String::from_utf8_lossy(&text), Kind::Elevation).is_none()
    };
    let folders = [wiring::PAM_FOLDER, wiring::VENDOR_FOLDER];
    let is_there = |service: &str| folders.iter().any(|folder| Path::new(folder).join(service).exists());
    denies("sudo") && (denies("sudo-i") || !is_there("sudo-i"))
}

fn text(exempt: &[String], uids: &BTreeSet<u32>) -> Option<String> {
    // In capitals it would be an alias, and with other characters perhaps something else.
    let is_plain = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c))
    };
    if !exempt.iter().all(is_plain) || uids.len() > MOST_PEOPLE {
        return None;
    }
    let names: BTreeSet<&str> = exempt.iter().map(String::as_str).chain(["root"]).collect();
    let names = names.into_iter().map(|name| format!(", !{name}"));
    let spared: String = names.chain(uids.iter().map(|uid| format!(", !#{uid}"))).collect();
    Some(format!("{HEAD}Defaults:ALL{spared} noninteractive_auth\n"))
}

fn path() -> PathBuf {
    Path::new(wiring::DROP_IN_FOLDER).join(NAME)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn exempt_users_and_whoever_has_a_grant_are_left_alone() {
        let of = |exempt: &[&str], uids: &[u32]| {
            let exempt: Vec<String> = exempt.iter().map(|&name| name.to_owned()).collect();
            text(&exempt, &uids.iter().copied().collect())
        };
        let line = |text: Option<String>| text.and_then(|text| text.lines().last().map(str::to_owned));
        assert_eq!(line(of(&[], &[])).as_deref(), Some("Defaults:ALL, !root noninteractive_auth"));
        assert_eq!(
            line(of(&["ops", "root"], &[1002, 1001])).as_deref(),
            Some("Defaults:ALL, !ops, !root, !#1001, !#1002 noninteractive_auth")
        );
        for odd in ["OPS", "%wheel", "a b", "ops,alice", "#1", "+net", "alice@corp", "!x"] {
            assert_eq!(of(&[odd], &[]), None, "{odd}");
        }
        assert_eq!(of(&[], &(0..=200).collect::<Vec<u32>>()), None);
    }
    #[test]
    fn whoever_is_spared_is_known_by_the_whole_number() {
        let of = |uids: &[u32]| text(&["ops".to_owned()], &uids.iter().copied().collect()).unwrap();
        let some = of(&[1001, 10_023]);
        for (uid, asked) in [(1001, false), (10_023, false), (100, true), (1002, true), (1023, true), (23, true)] {
            assert_eq!(asks(&some, Some(uid)), asked, "{uid}");
        }
        assert!(!asks(&some, None) && asks(&of(&[]), None) && asks(&of(&[]), Some(1001)));
        assert!(!asks("", Some(1001)) && !asks("", None));
    }
}
