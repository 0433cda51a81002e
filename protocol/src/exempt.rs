//! The exempt list: the users whom Curfew never refuses. The PAM module reads it before it touches a socket, so that no
//! fault of the agent can lock them out.

use nix::fcntl::OFlag;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Where the list is: one login name a line, `#` begins a comment.
pub const EXEMPT_LIST: &str = "/etc/curfew/exempt";

/// The longest list that is read, in bytes.
const LONGEST_LIST: u64 = 64 * 1024;

/// Whether `user` is on the list at `path`. A list that somebody else than root could have written counts as empty.
pub fn lists(path: &Path, user: &str) -> bool {
    read(path).is_some_and(|list| holds(&list, user))
}

fn read(path: &Path) -> Option<String> {
    // O_NONBLOCK: a FIFO in its place must not hold up a login.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
        return None;
    }
    // Room for all of it at once: a login does not read it in pieces.
    let length = about.len().min(LONGEST_LIST) as usize;
    let mut list = String::with_capacity(length + 1);
    file.take(LONGEST_LIST).read_to_string(&mut list).ok()?;
    Some(list)
}

fn holds(list: &str, user: &str) -> bool {
    !user.is_empty() && list.lines().any(|line| line.split('#').next().unwrap_or_default().trim() == user)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_name_is_listed_whole_and_on_its_own_line() {
        let list = "# exempt\nroot\n  ops  # on call\n#alice\n\n";
        assert!(holds(list, "root"));
        assert!(holds(list, "ops"));
        for user in ["alice", "roo", "op", "", "ops  # on call", "on", "#alice"] {
            assert!(!holds(list, user), "{user}");
        }
    }

    #[test]
    fn a_list_that_others_may_write_is_not_believed() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exempt");
        std::fs::write(&path, "alice\n").unwrap();
        for (mode, believed) in [(0o644, true), (0o664, false), (0o646, false), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(lists(&path, "alice"), believed, "{mode:o}");
        }
        std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
        assert!(!lists(&path, "alice"));
    }

    #[test]
    fn a_missing_list_a_folder_and_a_pipe_list_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!lists(&folder.path().join("none"), "root"));
        assert!(!lists(folder.path(), "root"));
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(!lists(&pipe, "root"));
    }
}
