//! The exempt list: the users whom Curfew never refuses. The PAM module reads it before it touches a socket, so that no
//! fault of the agent can lock them out.

use nix::fcntl::OFlag;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Where the list is: one login name a line, `#` begins a comment.
pub const EXEMPT_LIST: &str = "/etc/curfew/exempt";

/// Services in which the invoker acts, `PAM_RUSER`, unless the module's argument says so or otherwise.
pub const ELEVATION_SERVICES: [&str; 6] = ["sudo", "sudo-i", "su", "su-l", "polkit-1", "doas"];

/// The longest list that is read, in bytes.
const LONGEST_LIST: u64 = 64 * 1024;

/// Whether `who` passes `service` whatever the agent says: as the list has it, and root wherever another user's rights are taken. Root has
/// them, listed for logins or not, and what runs as root on the host counts on its sudo and su.
pub fn passes(who: &str, service: &str, elevates: bool) -> bool {
    let takes_less = who == "root" && elevates && ELEVATION_SERVICES.contains(&service);
    takes_less || lists(Path::new(EXEMPT_LIST), who).unwrap_or(false)
}

/// Whether `user` is on the list at `path`.
///
/// # Errors
///
/// Why the list is not believed; nobody is on it then.
pub fn lists(path: &Path, user: &str) -> io::Result<bool> {
    Ok(!user.is_empty() && lines(&read(path)?).any(|line| line == user.as_bytes()))
}

/// The names on the list at `path`.
///
/// # Errors
///
/// Why the list is not believed.
pub fn names(path: &Path) -> io::Result<Vec<String>> {
    Ok(lines(&read(path)?).filter_map(|line| String::from_utf8(line.to_vec()).ok()).collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a FIFO in its place must not hold up a login.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.uid() != 0 || about.mode() & 0o022 != 0 {
        return Err(io::Error::other("it must be a file that belongs to root and that only root may write"));
    }
    // Room for all of it at once: a login does not read it in pieces.
    let length = about.len().min(LONGEST_LIST);
    let mut list = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
    file.take(LONGEST_LIST).read_to_end(&mut list)?;
    Ok(list)
}

/// The names, one a line; a line that makes no sense spoils only itself.
fn lines(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = list.split(|&byte| byte == b'\n').map(|line| {
        let name = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        name.trim_ascii()
    });
    names.filter(|name| !name.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn list(text: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exempt");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        (folder, path)
    }

    fn is_root() -> bool {
        nix::unistd::geteuid().is_root()
    }

    #[test]
    fn a_name_is_listed_whole_and_on_its_own_line() {
        if !is_root() {
            return;
        }
        let (_folder, path) = list(b"# exempt, caf\xe9\nroot\n  ops  # on call\r\n#alice\n\n\xff\n");
        assert_eq!(names(&path).unwrap(), ["root", "ops"]);
        assert!(lists(&path, "root").unwrap());
        assert!(lists(&path, "ops").unwrap());
        for user in ["alice", "roo", "op", "", "ops  # on call", "on", "#alice"] {
            assert!(!lists(&path, user).unwrap(), "{user}");
        }
    }

    #[test]
    fn a_list_that_others_may_write_is_not_believed() {
        if !is_root() {
            return;
        }
        let (_folder, path) = list(b"alice\n");
        for (mode, believed) in [(0o644, true), (0o664, false), (0o646, false), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(lists(&path, "alice").is_ok(), believed, "{mode:o}");
        }
        std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
        assert!(lists(&path, "alice").is_err());
    }

    #[test]
    fn a_missing_list_a_folder_and_a_pipe_list_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lists(&folder.path().join("none"), "root").is_err());
        assert!(lists(folder.path(), "root").is_err());
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(lists(&pipe, "root").is_err());
    }
}
