//! Which runs of other people's a run of sudo or su begins within, and whose login that is.

use super::Pam;
use crate::grant::HeldGrant;
use crate::grant::stores::Grants;
use crate::grant::sudo_command::SudoCommand;
use crate::host::processes::Process;
use crate::ipc::peer::Peer;
use crate::sessions::claim::Claim;
use crate::sessions::outer::Outer;
use crate::sessions::person::{self, around};
use crate::sessions::run::Elevation;
use crate::sessions::standing::Standing;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;

/// How many runs of other people's a run may be within.
const MOST_OUTER: usize = 32;

/// Whose process asks, in whose login, and within what.
pub struct Origin<'a> {
    pam: &'a Pam,
    process: Process,
    user: &'a str,
}

impl<'a> Origin<'a> {
    /// Of `peer`, which asks for `user`.
    ///
    /// # Errors
    ///
    /// That its process can't be seen.
    pub fn of(pam: &'a Pam, peer: &Peer, user: &'a str) -> io::Result<Self> {
        let process = Process::read(peer.pid)?.ok_or_else(|| io::Error::other("it is gone"))?;
        Ok(Self { pam, process, user })
    }

    /// Whose run or login it is in, or who logged in, where that is another person than who asks. Those who share a user id can't be told apart by it.
    pub fn actor(&self) -> Option<String> {
        let sessions = self.pam.sessions.borrow();
        if let Some(person) = person::known(&sessions, &self.process) {
            return (!self.is_same_person(&person)).then_some(person);
        }
        let of_login = |session: Option<u32>| session.is_some() && session == self.process.audit_session;
        let session = sessions.sessions().iter().find(|session| of_login(session.audit_session));
        let login_uid = self.process.login_uid?;
        let name = session.map_or_else(|| format!("uid {login_uid}"), |session| session.user.clone());
        let is_same = name == self.user || uid_of(&self.pam.ledger.grants(), self.user) == Some(login_uid);
        (!is_same).then_some(name)
    }

    /// The runs of other people's that it is within: those of its control group and its parents; where neither tells of any though somebody
    /// else logged in, all of that login.
    ///
    /// # Errors
    ///
    /// That they are too many.
    pub fn within(&self, now: Timestamp) -> io::Result<Vec<Outer>> {
        let sessions = self.pam.sessions.borrow();
        let runs = sessions.elevations();
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let found = around(&self.process, runs);
        let mut within = outers_of(&found, |run| self.is_of_same_person(run));
        if found.is_empty() && self.actor().is_some() {
            add(&mut within, self.any_of_login(runs, now));
        }
        if within.len() > MOST_OUTER {
            return Err(io::Error::other(format!("it is within more than {MOST_OUTER} runs of other people's")));
        }
        Ok(within)
    }

    /// What stands for all runs of its login: it goes on while all grants do that others have used there.
    fn any_of_login(&self, runs: &[Elevation], now: Timestamp) -> Vec<Outer> {
        let of_login =
            |run: &&Elevation| run.audit_session.is_some() && run.audit_session == self.process.audit_session;
        let grants = self.pam.ledger.grants();
        let mut people: BTreeMap<&str, Outer> = BTreeMap::new();
        let mut within = Vec::new();
        let counts = |run: &&Elevation| {
            self.pam.status.governs(&run.claim.service, run.opened_us) && !self.is_of_same_person(run)
        };
        for run in runs.iter().filter(of_login).filter(counts) {
            let pins = match run.claim.standing(grants.of(&run.claim.user), now) {
                Standing::Covered { grant, .. } if run.claim.pinned.is_empty() => vec![grant],
                _ if run.claim.pinned.is_empty() => run.claim.grant.clone().into_iter().collect(),
                _ => run.claim.pinned.clone(),
            };
            let all = people.entry(&run.claim.user).or_insert_with(|| Outer {
                claim: Claim { command: SudoCommand::Anything, pinned: Vec::new(), ..run.claim.clone() },
                root: None,
                opened_us: run.opened_us,
            });
            let new: Vec<String> = pins.into_iter().filter(|id| !all.claim.pinned.contains(id)).collect();
            all.claim.pinned.extend(new);
            add(&mut within, run.within.iter().cloned());
        }
        add(&mut within, people.into_values());
        within
    }

    fn is_of_same_person(&self, run: &Elevation) -> bool {
        self.is_same_person(&run.claim.user)
    }

    fn is_same_person(&self, name: &str) -> bool {
        let grants = self.pam.ledger.grants();
        let own = uid_of(&grants, self.user);
        name == self.user || (own.is_some() && own == uid_of(&grants, name))
    }
}

/// What is asked of these runs by whoever begins one within them: they themselves, where they are another person's, and what they are within.
fn outers_of(runs: &[&Elevation], is_of_same_person: impl Fn(&Elevation) -> bool) -> Vec<Outer> {
    let mut within = Vec::new();
    for run in runs {
        let itself = (!is_of_same_person(run)).then(|| run.as_outer());
        add(&mut within, itself.into_iter().chain(run.within.iter().cloned()));
    }
    within
}

fn uid_of(grants: &Grants, user: &str) -> Option<u32> {
    let own = grants.of(user).iter().filter(|held| held.is_of_uid_of(user) && !held.holder.is_gone());
    own.filter_map(HeldGrant::uid).next()
}

fn add(within: &mut Vec<Outer>, more: impl IntoIterator<Item = Outer>) {
    for outer in more {
        if !within.contains(&outer) {
            within.push(outer);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::processes::ProcessId;
    use serde_json::json;

    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    /// As an agent kept it that knew of nothing within anything.
    fn run(pid: i32, user: &str) -> Elevation {
        serde_json::from_value(json!({
            "user": user, "service": "sudo", "run_as": "root", "command": "Anything", "root": id(pid), "uid": null,
            "logind_id": null, "audit_session": 3, "grant": format!("of-{user}"), "opened_us": 5,
        }))
        .unwrap()
    }

    #[test]
    fn a_run_needs_all_runs_of_others_around_it_and_none_of_its_own_person() {
        let who = |user: &'static str| move |run: &Elevation| run.claim.user == user;
        let users = |within: &[Outer]| within.iter().map(|outer| outer.claim.user.clone()).collect::<Vec<_>>();
        let alices = run(1, "alice");
        let bobs = Elevation { within: outers_of(&[&alices], who("bob")), ..run(2, "bob") };
        assert_eq!(users(&bobs.within), ["alice"]);
        // Another run of bob's in it needs alice's, and not the one that it is in.
        let second = Elevation { within: outers_of(&[&bobs], who("bob")), ..run(3, "bob") };
        assert_eq!(second.within, bobs.within);
        // alice's own in bob's needs his, and what his needs.
        assert_eq!(users(&outers_of(&[&second], who("alice"))), ["bob", "alice"]);
        assert!(outers_of(&[&alices], who("alice")).is_empty());
    }

    #[test]
    fn what_a_run_is_within_is_there_after_a_restart() {
        let kept = Elevation { within: outers_of(&[&run(1, "alice")], |_| false), ..run(2, "bob") };
        let read: Elevation = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(read, kept);
    }
}
