//! What PID 1 opens by a PAM service of a login or of su for a unit (`PAMName=`, systemd.exec(5); `machinectl shell`): root set it up, and no person logs in.

use crate::host::processes::{self, Process};
use crate::ipc::peer::Peer;
use curfew_protocol::ipc::Hook;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What PID 1 calls PAM with: a copy of itself, or its helper (systemd 254 and later).
const PROGRAMS: [&str; 4] = [
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd-executor",
    "/lib/systemd/systemd",
    "/lib/systemd/systemd-executor",
];

/// What run0 has PID 1 open: whoever asked for it is a person.
const RUN0: &str = "systemd-run0";

/// Whether PID 1 itself asks, for a unit. getty and sshd let people in, and are programs of their own.
pub fn asks(peer: &Peer, hook: Hook, service: &str) -> bool {
    let path = format!("/proc/{}/exe", peer.pid);
    let (Ok(Some(process)), Ok(program)) = (Process::read(peer.pid), fs::read_link(&path)) else { return false };
    let is_roots = fs::metadata(&path).is_ok_and(|about| about.uid() == 0 && about.mode() & 0o022 == 0);
    service != RUN0
        && peer.is_root()
        && is_roots
        && is_own_of_pid_1(&process, &program)
        && (hook != Hook::Account || is_of_no_login(&process, processes::login_uid(1)))
}

fn is_own_of_pid_1(process: &Process, program: &Path) -> bool {
    // An upgrade puts another file in its place.
    let program = program.to_string_lossy();
    let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
    process.parent == 1 && process.credentials.uids.iter().all(|&uid| uid == 0) && PROGRAMS.contains(&program)
}

/// Whether nobody's login is behind it, as it is before PAM opens the session: an orphan of somebody's root shell keeps their login uid. All that
/// runs in a container may have that of who started it.
fn is_of_no_login(process: &Process, of_pid_1: Option<u32>) -> bool {
    process.login_uid.is_none() || process.login_uid == of_pid_1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::Credentials;
    use crate::host::processes::ProcessId;

    fn process(parent: i32, uids: [u32; 4], login_uid: Option<u32>) -> Process {
        let credentials = Credentials { uids, ..Credentials::default() };
        let (name, id) = ("(login)".into(), ProcessId { pid: 7, start: 1 });
        let (others, has_threads, audit_session) = (Vec::new(), false, None);
        Process { id, parent, name, state: 'S', credentials, others, has_threads, tty: 0, audit_session, login_uid }
    }

    #[test]
    fn pid_1_is_told_from_the_programs_that_it_starts_and_from_whatever_else_asks() {
        let asks = |parent, uids, program: &str| is_own_of_pid_1(&process(parent, uids, None), Path::new(program));
        let root = [0; 4];
        assert!(asks(1, root, "/usr/lib/systemd/systemd"));
        assert!(asks(1, root, "/usr/lib/systemd/systemd-executor"));
        assert!(asks(1, root, "/usr/lib/systemd/systemd (deleted)"));
        // getty's login and sshd; a manager of root's own; a person's; an orphan; somebody else's program of that name.
        assert!(!asks(1, root, "/usr/bin/login"));
        assert!(!asks(1, root, "/usr/sbin/sshd"));
        assert!(!asks(900, root, "/usr/lib/systemd/systemd"));
        assert!(!asks(1, [1001, 0, 0, 0], "/usr/lib/systemd/systemd"));
        assert!(!asks(1, [1001; 4], "/usr/lib/systemd/systemd-executor"));
        assert!(!asks(1, root, "/home/alice/usr/lib/systemd/systemd"));
        assert!(!asks(1, root, "/usr/lib/systemd/systemd-logind"));
    }

    #[test]
    fn an_orphan_of_a_login_is_not_pid_1() {
        let of = |login_uid, of_pid_1| is_of_no_login(&process(1, [0; 4], login_uid), of_pid_1);
        assert!(of(None, None) && of(Some(1000), Some(1000)));
        assert!(!of(Some(1001), None) && !of(Some(0), None) && !of(Some(1001), Some(1000)));
    }
}
