//! Who is at the other end of a socket, by the kernel's word (unix(7), `SO_PEERCRED`).

use crate::enforce::processes;
use crate::user_database::{self, Unanswered, ask};
use nix::unistd::{Group, Uid, User};
use std::path::PathBuf;

/// Groups whose members may read the audit.
const AUDITORS: [&str; 2] = ["systemd-journal", "adm"];

/// The process at the other end, as it was when it connected.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its PID.
    pub pid: i32,
    /// Its user's id.
    pub uid: u32,
    /// Its groups' ids.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Whether it may change what this host grants.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Its user's name, if the user database knows it in time.
    pub async fn user(&self) -> Option<String> {
        user_name(self.uid).await
    }

    /// Who logged in at the beginning of it all, whatever they became since: the person behind a root shell.
    pub async fn person(&self) -> Option<String> {
        match processes::login_uid(self.pid) {
            Some(uid) => user_name(uid).await,
            None => self.user().await,
        }
    }

    /// Whether it may read the audit.
    pub async fn is_auditor(&self) -> bool {
        if self.is_root() {
            return true;
        }
        let groups = self.groups.clone();
        let member = move || {
            let ids = AUDITORS.iter().filter_map(|name| Group::from_name(name).ok().flatten());
            ids.into_iter().any(|group| groups.contains(&group.gid.as_raw()))
        };
        // The groups are the same for everybody: nobody's own slowness stands before them.
        ask(format!("the groups of {}", self.uid), member).await.unwrap_or(false)
    }
}

/// The name of the user `uid`.
pub async fn user_name(uid: u32) -> Option<String> {
    let question = move || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    match ask(uid.to_string(), question).await {
        Err(Unanswered::Busy) => user_database::local(2, &uid.to_string()).and_then(|line| line.into_iter().next()),
        answer => answer.ok().flatten(),
    }
}

/// The id of the user `name`; `Err` if the user database did not answer.
///
/// # Errors
///
/// That it took too long, or what it says.
pub async fn user_id(name: &str) -> Result<Option<u32>, String> {
    look_up(name, |user| Some(user.uid.as_raw()), |line| line.get(2)?.parse().ok()).await
}

/// The home of the user `name`.
///
/// # Errors
///
/// As [`user_id`].
pub async fn home(name: &str) -> Result<Option<PathBuf>, String> {
    look_up(name, |user| Some(user.dir), |line| line.get(5).map(PathBuf::from)).await
}

async fn look_up<T: Send + 'static>(
    name: &str,
    of: impl FnOnce(User) -> Option<T> + Send + 'static,
    of_local: impl FnOnce(Vec<String>) -> Option<T>,
) -> Result<Option<T>, String> {
    let wanted = name.to_owned();
    match ask(name.to_owned(), move || User::from_name(&wanted)).await {
        Ok(Ok(user)) => Ok(user.and_then(of)),
        Ok(Err(errno)) => Err(errno.to_string()),
        Err(busy @ Unanswered::Busy) => {
            user_database::local(0, name).and_then(of_local).map(Some).ok_or_else(|| busy.to_string())
        }
        Err(late) => Err(late.to_string()),
    }
}
