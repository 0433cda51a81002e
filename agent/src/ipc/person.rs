//! The person behind what root calls: whoever's run of sudo or su the caller is in, or whoever's login. The login uid
//! is believed only where neither is known: root may write it, and whoever has sudo is root.

use super::peer::Peer;
use crate::host::processes::{self, Process};
use crate::host::users::{self, user_name};
use crate::sessions::person::known;
use crate::sessions::table::Sessions;
use std::cell::RefCell;
use std::time::Duration;

/// How long an end may wait for the name of who ends it.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The person behind what root calls. The run and the login are looked for before anything is waited for: the caller may end meanwhile.
pub async fn behind(sessions: &RefCell<Sessions>, peer: &Peer) -> String {
    if let Some(person) = known_of(sessions, peer) {
        return person;
    }
    let name = match processes::login_uid(peer.pid) {
        Some(uid) => user_name(uid).await,
        None => peer.user().await,
    };
    name.unwrap_or_else(|| "root".into())
}

/// The same for what waits for no directory: a local name, or one that is known at once, or else the number.
pub async fn behind_at_once(sessions: &RefCell<Sessions>, peer: &Peer) -> String {
    match known_of(sessions, peer) {
        Some(person) => person,
        None => at_once(processes::login_uid(peer.pid).unwrap_or(peer.uid)).await,
    }
}

fn known_of(sessions: &RefCell<Sessions>, peer: &Peer) -> Option<String> {
    let process = Process::read(peer.pid).ok().flatten()?;
    known(&sessions.borrow(), &process)
}

async fn at_once(uid: u32) -> String {
    let local = users::local(2, &uid.to_string()).and_then(|line| line.into_iter().next());
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

    #[test]
    fn who_has_no_name_is_told_by_number() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(at_once(0)), "root");
        assert_eq!(runtime.block_on(at_once(4_000_000_001)), "uid 4000000001");
    }
}
