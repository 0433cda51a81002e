//! Who is at the other end of a socket, by the kernel's word (unix(7), `SO_PEERCRED`).

use crate::host::processes::{Process, ProcessId};
use crate::host::users::user_name;
use nix::unistd::Group;

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
    /// That very process; none where it was gone by then.
    process: Option<ProcessId>,
}

impl Peer {
    /// Who connects now.
    pub fn new(pid: i32, uid: u32) -> Self {
        Self { pid, uid, groups: Vec::new(), process: ProcessId::of(pid) }
    }

    /// Whether it may change what this host grants.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether what root connected is root's still: a connection can be handed to somebody else, or kept by whoever became somebody else, and then
    /// outlives the run of sudo that it was made in.
    pub fn is_still_root(&self) -> bool {
        let process = Process::read(self.pid).ok().flatten();
        self.is_root() && process.is_some_and(|it| Some(it.id) == self.process && it.credentials.euid() == 0)
    }

    /// The real user id of the process: sudo and su keep that of whoever invoked them while they ask. None where it can't be told.
    pub fn real_uid(&self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        uids.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Its user's name, if the user database knows it in time.
    pub async fn user(&self) -> Option<String> {
        user_name(self.uid).await
    }
}

/// Whether a member of these groups may read the audit. It asks the group database, which may take its time.
pub fn may_audit(groups: &[u32]) -> bool {
    let ids = AUDITORS.iter().filter_map(|name| Group::from_name(name).ok().flatten());
    ids.into_iter().any(|group| groups.contains(&group.gid.as_raw()))
}
