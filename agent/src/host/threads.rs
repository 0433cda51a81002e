//! The threads of a process. The kernel keeps ids, groups and capabilities for each of them (credentials(7)): one may have root's while the first,
//! which stands for the process in /proc, has given all of them up. What any thread may do, the process may.
//!
//! The user namespace, the program and the control group are the whole process's: no thread leaves alone for a user namespace (setns(2),
//! unshare(2)), and one that is in a threaded control group keeps the process in that one's domain.

use super::credentials::Credentials;
use super::proc::{is_gone, read_of};
use std::collections::HashSet;
use std::fs;
use std::io;

/// So many listings at the most, until one has no thread that was not there before.
const MOST_LISTINGS: usize = 64;

/// So many different rights within one process are told apart.
const MOST_RIGHTS: usize = 64;

/// The rights of the threads of a process that are not its `first` one's, each once. A thread that is gone before it is
/// read had its rights from one that is listed, or has passed them on to one: so it is listed again until nothing new
/// is there. A process that never comes to rest, or whose threads have more different rights than are told apart, is
/// taken to have all there are.
///
/// # Errors
///
/// That /proc can't be read, which says nothing about them.
pub(super) fn other_rights(pid: i32, first: &Credentials) -> io::Result<Vec<Credentials>> {
    let (mut seen, mut others) = (HashSet::from([pid]), Vec::new());
    for _ in 0..MOST_LISTINGS {
        let new: Vec<i32> = threads(pid)?.into_iter().filter(|thread| seen.insert(*thread)).collect();
        if new.is_empty() {
            return Ok(others);
        }
        for thread in new {
            let Some(rights) = Credentials::of(pid, &format!("task/{thread}/status"))? else { continue };
            if rights != *first && !others.contains(&rights) {
                others.push(rights);
            }
            if others.len() > MOST_RIGHTS {
                return Ok(vec![Credentials::all()]);
            }
        }
    }
    others.push(Credentials::all());
    Ok(others)
}

/// The numbers of its threads; none where it is gone.
fn threads(pid: i32) -> io::Result<Vec<i32>> {
    let listed = || fs::read_dir(format!("/proc/{pid}/task"))?.collect::<io::Result<Vec<_>>>();
    match listed() {
        Ok(entries) => Ok(entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The process that a thread belongs to; none where it is gone.
///
/// # Errors
///
/// That /proc can't be read, or makes no sense.
pub(super) fn process_of(thread: i32) -> io::Result<Option<i32>> {
    let Some(status) = read_of(thread, "status")? else { return Ok(None) };
    let status = String::from_utf8_lossy(&status);
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    process.map(Some).ok_or_else(|| io::Error::other(format!("/proc/{thread}/status makes no sense: {status:?}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::plain::Plain;
    use crate::host::processes::Process;
    use rustix::process::Uid;
    use rustix::thread::{gettid, set_thread_res_uid};
    use std::sync::mpsc;

    #[test]
    fn a_process_has_the_rights_of_each_of_its_threads() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (tell, told) = mpsc::channel();
        let (_end, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            let nobody = Uid::from_raw(60_001);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            tell.send(gettid()).unwrap();
            _ = ended.recv();
        });
        let thread = told.recv().unwrap().as_raw_nonzero().get();
        let own = i32::try_from(std::process::id()).unwrap();
        let mut process = Process::read(own).unwrap().unwrap();
        assert!(process.others.is_empty() && process.rights().count() == 1);
        process.read_threads().unwrap();
        assert!(process.rights().any(|rights| rights.uids == [60_001; 4] && rights.permitted == 0));
        assert!(Plain { uid: 0, gids: Vec::new() }.is_exceeded_by(&process));
        assert!(Plain { uid: 60_001, gids: Vec::new() }.is_exceeded_by(&process));
        assert_eq!(process_of(thread).unwrap(), Some(own));
        assert_eq!(process_of(own).unwrap(), Some(own));
    }

    #[test]
    fn what_is_gone_has_no_threads() {
        assert!(threads(i32::MAX).unwrap().is_empty());
        assert_eq!(process_of(i32::MAX).unwrap(), None);
    }
}
