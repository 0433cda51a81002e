//! Who owns the agent's state: one process at a time, the agent or a sweep in its stead.
//!
//! The owner holds a lock (fcntl(2), `F_SETLK`) that the kernel takes away with its life, and that tells others who it is.

use crate::host::processes::{Process, ProcessId};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file that is locked; it holds nothing.
const LOCK: &str = "/run/curfew/owner.lock";

/// How often a lock that another holds is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// The ownership, for as long as this lives.
#[derive(Debug)]
pub struct Ownership {
    _locked: File,
}

impl Ownership {
    /// Takes the ownership, unless another process has it.
    ///
    /// # Errors
    ///
    /// That the lock can't be made: `/run` is not writable.
    pub fn try_take() -> io::Result<Option<Self>> {
        Self::try_take_at(Path::new(LOCK))
    }

    /// Takes the ownership as soon as it is free, within `patience`.
    ///
    /// # Errors
    ///
    /// That the lock can't be made, or who still has it.
    pub fn take(patience: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(owner) = Self::try_take()? {
                return Ok(owner);
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other(match owner()? {
                    Some(owner) => format!("process {} owns the agent's state", owner.pid),
                    None => "another process owns the agent's state".into(),
                }));
            }
            std::thread::sleep(TRIED_AGAIN_AFTER);
        }
    }

    fn try_take_at(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
            Ok(_) => Ok(Some(Self { _locked: file })),
            Err(Errno::EACCES | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The process that owns the state, where one does.
///
/// # Errors
///
/// That it can't be told.
pub fn owner() -> io::Result<Option<ProcessId>> {
    owner_at(Path::new(LOCK))
}

fn owner_at(path: &Path) -> io::Result<Option<ProcessId>> {
    let Some(pid) = holder(path)? else { return Ok(None) };
    let process = Process::read(pid)?.map(|process| process.id);
    // It may have ended and its number been given away in between: only who still holds the lock is the owner.
    if holder(path)? == Some(pid) { Ok(process) } else { Ok(None) }
}

fn holder(path: &Path) -> io::Result<Option<i32>> {
    let mut asked = whole_file();
    fcntl(open(path)?, FcntlArg::F_GETLK(&mut asked))?;
    Ok((i32::from(asked.l_type) != libc::F_UNLCK && asked.l_pid > 0).then_some(asked.l_pid))
}

/// Kills the owner, so that the ownership is free. systemd starts another agent.
///
/// # Errors
///
/// That it can't be told who it is.
pub fn kill_owner() -> io::Result<()> {
    if let Some(owner) = owner()? {
        owner.signal(Signal::SIGKILL);
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

fn whole_file() -> libc::flock {
    let narrow = |constant: i32| i16::try_from(constant).unwrap_or_default();
    libc::flock { l_type: narrow(libc::F_WRLCK), l_whence: narrow(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_lock_names_its_owner_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(owner_at(&path).unwrap(), None);
        // Another process holds it: such a lock never stands in its own process's way.
        let mut other = Command::new("perl")
            .args(["-MFcntl=:DEFAULT,:seek", "-e"])
            .arg("open F, '+<', shift or die; my $l = pack 's s x4 q q l x4', F_WRLCK, SEEK_SET, 0, 0, 0; fcntl F, F_SETLK, $l or die; sleep 60")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while owner_at(&path).unwrap().is_none() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(owner_at(&path).unwrap().unwrap().pid, i32::try_from(other.id()).unwrap());
        assert!(Ownership::try_take_at(&path).unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(owner_at(&path).unwrap(), None);
        assert!(Ownership::try_take_at(&path).unwrap().is_some());
    }
}
