//! `sudo -n` by people who would be denied: classic sudo answers by itself then, asks PAM nothing and logs nothing. So it is told to ask PAM all the
//! same (sudoers(5), `noninteractive_auth`), where our auth line denies before anything else, with the reason and a record. sudo-rs asks by itself.
//!
//! It is for nobody else: not for exempt users, and not for whoever has a live grant of sudo, since PAM may count what it asks in vain. Where it can't be
//! kept to that, it is not there.

use super::sudo_flavour::{Flavour, Identity};
use super::sudoers;
use crate::agent::Agent;
use crate::clock;
use crate::grant::HeldGrant;
use crate::wiring::{self, Kind, stack};
use curfew_protocol::exempt;
use jiff::Timestamp;
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

/// What was done last.
#[derive(Debug, Default)]
pub struct Noninteractive {
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

/// Has it be there, as it should be, or not.
pub fn keep(agent: &Rc<Agent>, now: Timestamp) {
    let Some(text) = wanted(agent, now) else {
        let was = std::mem::take(&mut *agent.noninteractive.borrow_mut());
        if was.is_there || was.done.is_none() {
            remove();
            // Nothing is to be taken away until it is there again.
            agent.noninteractive.borrow_mut().done = Some((String::new(), None));
        } else {
            *agent.noninteractive.borrow_mut() = was;
        }
        return;
    };
    let todo = (text, agent.sudo.identity());
    {
        let mut state = agent.noninteractive.borrow_mut();
        let is_done = state.done.as_ref() == Some(&todo) && (!state.is_there || path().exists());
        if is_done || state.is_at_work {
            return;
        }
        state.is_at_work = true;
    }
    agent.work_on(put(Rc::clone(agent), todo));
}

async fn put(agent: Rc<Agent>, todo: (String, Option<Identity>)) {
    let checked = sudoers::check_text(&agent.sudo, path(), &todo.0, Flavour::Classic).await;
    let mut is_there = agent.noninteractive.borrow().is_there;
    if wanted(&agent, clock::now()).as_ref() == Some(&todo.0) {
        match checked.and_then(sudoers::Checked::put) {
            Ok(()) => is_there = true,
            // sudo before 1.9.10 does not know it.
            Err(error) => {
                tracing::warn!("what people try with sudo -n and may not is not audited: {error}");
                remove();
                is_there = false;
            }
        }
    }
    *agent.noninteractive.borrow_mut() = Noninteractive { done: Some(todo), is_there, is_at_work: false };
}

/// What it is to say; none where it is not to be there.
fn wanted(agent: &Agent, now: Timestamp) -> Option<String> {
    let denies_first = |service: &str| {
        let text = fs::read(Path::new(wiring::PAM_FOLDER).join(service)).unwrap_or_default();
        stack::asks_for_a_password_first(&String::from_utf8_lossy(&text), Kind::Elevation).is_none()
    };
    if !agent.in_force.borrow().holds() || agent.sudo.flavour() != Ok(Flavour::Classic) || !denies_first("sudo") {
        return None;
    }
    let exempt = exempt::names(Path::new(exempt::EXEMPT_LIST)).ok()?;
    let grants = agent.grants.borrow();
    let live = |held: &&HeldGrant| held.grant.sudo.is_some() && held.covers(now);
    let uids: BTreeSet<u32> = grants.held().iter().filter(live).filter_map(HeldGrant::uid).collect();
    text(&exempt, &uids)
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
    Path::new(sudoers::FOLDER).join(NAME)
}

#[cfg(test)]
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
}
