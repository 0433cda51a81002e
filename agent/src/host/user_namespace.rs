//! User namespaces (user_namespaces(7)): which one a process is in, and what that is within. None is entered.
//!
//! One of the three files with unsafe code: no crate asks the kernel for the parent of one.

use super::proc::is_gone;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr;

/// The kernel nests no more of them.
const MOST_LEVELS: usize = 33;

/// The namespaces of a process and above, by the kernel's numbers, the innermost first, without the agent's own and what is above that. Empty where the
/// process is in the agent's own, or gone.
///
/// # Errors
///
/// That it can't be told: a security module hides them, or they are of another branch than the agent's own.
pub fn line_of(pid: i32) -> io::Result<Vec<u64>> {
    let own = number(&File::open("/proc/self/ns/user")?)?;
    let mut namespace = match File::open(format!("/proc/{pid}/ns/user")) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut line = Vec::new();
    let mut seen = BTreeSet::new();
    while seen.len() < MOST_LEVELS {
        let at = number(&namespace)?;
        if at == own || !seen.insert(at) {
            return Ok(line);
        }
        line.push(at);
        namespace = parent(&namespace)?;
    }
    Err(io::Error::other("they are nested deeper than can be"))
}

/// What tells one that is there from all others that are.
fn number(namespace: &File) -> io::Result<u64> {
    namespace.metadata().map(|about| about.ino())
}

/// ioctl_nsfs(2), NS_GET_PARENT.
#[allow(unsafe_code)]
fn parent(namespace: &File) -> io::Result<File> {
    // SAFETY: NS_GET_PARENT reads and writes no memory of the caller's, and `Parent` says so.
    let parent = unsafe { rustix::ioctl::ioctl(namespace.as_fd(), Parent) }?;
    Ok(File::from(parent))
}

/// NS_GET_PARENT: no argument, and a new descriptor.
struct Parent;

// SAFETY: the call takes no pointer, changes nothing of the caller's, and what it returns is a descriptor that is the caller's alone.
#[allow(unsafe_code)]
unsafe impl Ioctl for Parent {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::none(0xb7, 2)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        ptr::null_mut()
    }

    unsafe fn output_from_ptr(descriptor: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: the call succeeded, so this is open, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    /// A process that runs in so many namespaces, each within the other; none where this host makes none.
    fn nested(levels: usize) -> Option<Child> {
        let mut arguments = ["--user", "--map-root-user", "unshare"].repeat(levels - 1);
        arguments.extend(["--user", "--map-root-user", "sleep", "60"]);
        let mut child = Command::new("unshare").args(arguments).spawn().ok()?;
        let name = format!("/proc/{}/comm", child.id());
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::read_to_string(&name).is_ok_and(|name| name.trim() != "sleep") {
            assert!(Instant::now() < deadline);
            if child.try_wait().unwrap().is_some() {
                return None;
            }
        }
        Some(child)
    }

    #[test]
    fn what_a_namespace_is_within_is_told_up_to_the_own_one() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(line_of(own).unwrap().is_empty() && line_of(i32::MAX).unwrap().is_empty());
        for levels in [1, 2, 3] {
            let Some(mut child) = nested(levels) else { continue };
            let line = line_of(i32::try_from(child.id()).unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(line.unwrap().len(), levels);
        }
    }
}
