//! Which person acts through a process, whatever it turned into: whoever's run of sudo or su it is in, or whoever's login. The login uid is believed
//! only where neither is known: root may write it, and whoever has sudo is root.

use super::run::Elevation;
use super::session::Session;
use super::table::Sessions;
use crate::host::cgroup::Scope;
use crate::host::processes::{self, Process, ProcessId};
use std::collections::HashMap;

/// How many processes above the asking one are looked at: whoever asks decides how many there are.
const MOST_ABOVE: usize = 128;

/// Whose run of sudo or su, or else whose login, a process is in by its control group and its parents.
pub fn known(sessions: &Sessions, process: &Process) -> Option<String> {
    let session = Scope::of_process(process.id.pid).map(|(id, _)| id);
    whose(&around(process, sessions.elevations()), session.as_deref(), sessions.sessions())
}

/// Who is behind the nearest of these runs: who logged in there, where that is another person than who invoked it. Root may move a process to the
/// group of another run, but gives it no other parents, which come last. Without any run, whose session it is.
fn whose(runs: &[&Elevation], session: Option<&str>, sessions: &[Session]) -> Option<String> {
    if let Some(run) = runs.last() {
        return Some(run.actor.as_ref().unwrap_or(&run.claim.user).clone());
    }
    let session = session?;
    let of_it = |known: &&Session| known.logind_id.as_deref() == Some(session) && !known.of_unit;
    sessions.iter().find(of_it).map(|known| known.user.clone())
}

/// The run whose first process it is; or else the one in whose control group it is, and the one of its nearest parent: mostly they are the same.
pub fn around<'r>(process: &Process, runs: &'r [Elevation]) -> Vec<&'r Elevation> {
    // sudo may turn into what it runs, and that be sudo: then one process is two runs.
    if let Some(known) = runs.iter().find(|run| run.root == process.id && !run.gone) {
        return vec![known];
    }
    let above = processes::line(process.parent, MOST_ABOVE).into_iter();
    let above = above.flat_map(|it| [Some(it), Scope::run_with(it.pid)]).flatten();
    nearest(Scope::run_with(process.id.pid), above, runs)
}

/// The run of `own`, and the first run of those that are `above`. This is one pass, however many of both there are.
fn nearest(own: Option<ProcessId>, above: impl Iterator<Item = ProcessId>, runs: &[Elevation]) -> Vec<&Elevation> {
    let mut places: HashMap<ProcessId, usize> = HashMap::new();
    for (place, it) in above.enumerate() {
        places.entry(it).or_insert(place);
    }
    let by_group = runs.iter().find(|run| own == Some(run.root));
    let by_parent = runs.iter().filter_map(|run| Some((*places.get(&run.root)?, run)));
    let by_parent = by_parent.min_by_key(|(place, _)| *place).map(|(_, run)| run);
    by_group.into_iter().chain(by_parent.filter(|run| Some(run.root) != own)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(user: &str, actor: Value) -> Elevation {
        serde_json::from_value(json!({
            "user": user, "service": "sudo", "run_as": "root", "command": "Anything", "root": {"pid": 7, "start": 1}, "uid": null,
            "logind_id": null, "audit_session": 3, "grant": null, "opened_us": 5, "actor": actor,
        }))
        .unwrap()
    }

    fn session(user: &str, id: &str, of_unit: bool) -> Session {
        serde_json::from_value(json!({
            "user": user, "service": "sshd", "rhost": null, "leader": {"pid": 6, "start": 1}, "uid": null, "logind_id": id,
            "audit_session": 3, "grant": null, "opened_us": 5, "of_unit": of_unit,
        }))
        .unwrap()
    }

    #[test]
    fn a_run_tells_whose_work_it_is_and_without_one_the_login() {
        let sessions = [session("unit", "3", true), session("ops", "3", false), session("carol", "4", false)];
        let (alices, bobs) = (run("alice", Value::Null), run("bob", json!("alice")));
        let told = |runs: &[&Elevation], id| whose(runs, id, &sessions);
        assert_eq!(told(&[&alices], Some("3")).as_deref(), Some("alice"), "the run is nearer than the login");
        assert_eq!(told(&[&bobs], None).as_deref(), Some("alice"), "who logged in, where somebody else invoked it");
        assert_eq!(told(&[&run("carol", Value::Null), &alices], None).as_deref(), Some("alice"), "root moved it");
        assert_eq!(told(&[], Some("3")).as_deref(), Some("ops"));
        assert_eq!(told(&[], Some("5")), None);
        assert_eq!(told(&[], None), None);
    }

    #[test]
    fn the_run_that_another_one_begins_in_is_the_one_of_its_group_and_of_its_nearest_parent() {
        let id = |pid: i32| ProcessId { pid, start: 1 };
        let runs = [1, 2, 3].map(|pid| Elevation { root: id(pid), ..run("alice", Value::Null) });
        let found = |own: Option<i32>, above: &[i32]| -> Vec<i32> {
            let found = nearest(own.map(id), above.iter().map(|&pid| id(pid)), &runs);
            found.iter().map(|run| run.root.pid).collect()
        };
        assert_eq!(found(Some(2), &[20, 2, 2, 10, 1]), [2]);
        assert_eq!(found(None, &[20, 2, 10, 1]), [2]);
        assert_eq!(found(Some(3), &[20, 2, 10, 1]), [3, 2], "root moved it, or its parent");
        assert_eq!(found(Some(2), &[]), [2], "its parents are gone");
        assert!(found(Some(9), &[20, 10]).is_empty());
    }
}
