//! Which person acts through a process, whatever it turned into: whoever's run of sudo or su it is in, or whoever's login. The login uid is believed
//! only where neither is known: root may write it, and whoever has sudo is root.

use super::peer::{Peer, user_name};
use super::within::around;
use crate::agent::Agent;
use crate::enforce::processes::{self, Process};
use crate::enforce::run::Elevation;
use crate::enforce::scope::Scope;
use crate::enforce::sessions::{Session, Sessions};
use crate::user_database;
use std::time::Duration;

/// How long an end may wait for the name of who ends it.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The person behind what root calls. The run and the login are looked for before anything is waited for: the caller may end meanwhile.
pub async fn behind(agent: &Agent, peer: &Peer) -> String {
    if let Some(person) = known_of(agent, peer) {
        return person;
    }
    let name = match processes::login_uid(peer.pid) {
        Some(uid) => user_name(uid).await,
        None => peer.user().await,
    };
    name.unwrap_or_else(|| "root".into())
}

/// The same for what waits for no directory: a local name, or one that is known at once, or else the number.
pub async fn behind_at_once(agent: &Agent, peer: &Peer) -> String {
    match known_of(agent, peer) {
        Some(person) => person,
        None => at_once(processes::login_uid(peer.pid).unwrap_or(peer.uid)).await,
    }
}

/// Whose run of sudo or su, or else whose login, a process is in by its control group and its parents.
pub fn known(sessions: &Sessions, process: &Process) -> Option<String> {
    let session = Scope::of_process(process.id.pid).map(|(id, _)| id);
    whose(&around(process, sessions.elevations()), session.as_deref(), sessions.sessions())
}

fn known_of(agent: &Agent, peer: &Peer) -> Option<String> {
    let process = Process::read(peer.pid).ok().flatten()?;
    known(&agent.sessions.borrow(), &process)
}

/// Who is behind the nearest of these runs: who logged in there, where that is another person than who invoked it. Root may move a process to the
/// group of another run, but gives it no other parents, which come last. Without any run, whose session it is.
fn whose(runs: &[&Elevation], session: Option<&str>, sessions: &[Session]) -> Option<String> {
    if let Some(run) = runs.last() {
        return Some(run.actor.as_ref().unwrap_or(&run.user).clone());
    }
    let session = session?;
    let of_it = |known: &&Session| known.logind_id.as_deref() == Some(session) && !known.of_unit;
    sessions.iter().find(of_it).map(|known| known.user.clone())
}

async fn at_once(uid: u32) -> String {
    let local = user_database::local(2, &uid.to_string()).and_then(|line| line.into_iter().next());
    let name = match local {
        Some(name) => Some(name),
        None => tokio::time::timeout(AT_ONCE, user_name(uid)).await.ok().flatten(),
    };
    name.unwrap_or_else(|| format!("uid {uid}"))
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
    fn who_has_no_name_is_told_by_number() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(at_once(0)), "root");
        assert_eq!(runtime.block_on(at_once(4_000_000_001)), "uid 4000000001");
    }
}
