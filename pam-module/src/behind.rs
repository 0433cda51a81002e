//! Whose work a process does that runs as root altogether, by what /proc still tells of it (proc(5)).

use std::fs;
use std::io;

/// The value of a login uid that was never set.
const UNSET: u32 = u32::MAX;

/// More parents than this nobody has for a good reason.
const MOST_ANCESTORS: usize = 256;

/// The user ids that are behind a process. A person can lose their ancestors (an orphan is PID 1's child), and needs root to get out of their control
/// group or to change the login uid once it is set: so none of them alone says that it is root's.
#[derive(Debug)]
pub struct Behind {
    /// The real user ids of its parent, the parent's parent and so on.
    pub ancestors: Vec<u32>,
    /// The login uid, where a login has set it.
    pub login: Option<u32>,
    /// Whose slice it is in.
    pub slice: Option<u32>,
}

impl Behind {
    /// What is behind this very process; none where that can't be told.
    pub fn this_process() -> Option<Self> {
        Some(Self { ancestors: ancestors()?, login: login_uid().ok()?, slice: slice().ok()? })
    }

    /// All of them.
    pub fn everybody(&self) -> impl Iterator<Item = u32> {
        self.ancestors.iter().copied().chain(self.login).chain(self.slice)
    }

    /// Whose process started it, or took it in when that was gone. What has no parent here came from outside, by root's hand.
    pub fn parent(&self) -> u32 {
        self.ancestors.first().copied().unwrap_or(0)
    }
}

fn ancestors() -> Option<Vec<u32>> {
    let mut uids = Vec::new();
    let mut pid = parent_of_this();
    // PID 1 is the host's. A parent in another PID namespace is shown as 0.
    while pid > 1 {
        if uids.len() == MOST_ANCESTORS {
            return None;
        }
        let Some((parent, uid)) =
            fs::read_to_string(format!("/proc/{pid}/status")).ok().as_deref().and_then(parent_and_uid)
        else {
            // It has ended meanwhile, and who is left has another parent now.
            if uids.is_empty() && parent_of_this() != pid {
                pid = parent_of_this();
                continue;
            }
            return None;
        };
        uids.push(uid);
        pid = parent;
    }
    Some(uids)
}

fn parent_of_this() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// The PID of the parent and the real user id.
fn parent_and_uid(status: &str) -> Option<(i32, u32)> {
    let first = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()
    };
    Some((first("PPid:")?.parse().ok()?, first("Uid:")?.parse().ok()?))
}

/// The login uid, unless all that runs here has it: a container that somebody started from their login.
fn login_uid() -> io::Result<Option<u32>> {
    let own = number(fs::read_to_string("/proc/self/loginuid"))?;
    Ok(match own {
        None | Some(UNSET) => None,
        set if number(fs::read_to_string("/proc/1/loginuid"))? == set => None,
        set => set,
    })
}

/// None on a kernel without audit.
fn number(text: io::Result<String>) -> io::Result<Option<u32>> {
    match text {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn slice() -> io::Result<Option<u32>> {
    Ok(fs::read_to_string("/proc/self/cgroup")?.lines().find_map(slice_of))
}

/// The user whose slice a line of /proc/PID/cgroup names. What is shown with a way out of our own tree is of another host.
fn slice_of(line: &str) -> Option<u32> {
    let group = line.splitn(3, ':').nth(2)?;
    let (_, slice) = group.strip_prefix("/user.slice/")?.split_once("user-")?;
    slice.split_once(".slice")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_of_its_parents() {
        let status = "Name:\tsudo\nPid:\t7\nPPid:\t5\nUid:\t1001\t0\t0\t0\nGid:\t1001\t1001\t1001\t1001\n";
        assert_eq!(parent_and_uid(status), Some((5, 1001)));
        assert_eq!(parent_and_uid("Name:\tsudo\n"), None);
        let behind = Behind::this_process();
        assert_eq!(behind.map(|it| it.parent()), Some(nix::unistd::getuid().as_raw()));
    }

    #[test]
    fn a_persons_slice_is_told_by_the_control_group() {
        assert_eq!(slice_of("0::/user.slice/user-1001.slice/session-3.scope"), Some(1001));
        assert_eq!(slice_of("0::/user.slice/user-0.slice/user@0.service/app.slice/a.service"), Some(0));
        assert_eq!(slice_of("1:name=systemd:/user.slice/user-1001.slice/session-c3.scope"), Some(1001));
        for line in
            ["0::/system.slice/cron.service", "0::/", "0::/../../user.slice/user-1000.slice/a", "", "0::/user.slice"]
        {
            assert_eq!(slice_of(line), None, "{line}");
        }
    }
}
