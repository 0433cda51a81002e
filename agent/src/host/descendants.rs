//! What descends from a process, as the kernel lists it (proc_pid_task(5), `children`).

use super::proc::is_gone;
use super::processes::{ProcessId, Stat};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::sync::OnceLock;

/// Whether the kernel lists the children of each thread (proc_pid_task(5), `CONFIG_PROC_CHILDREN`).
pub(super) fn tells_children() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| fs::exists("/proc/1/task/1/children").unwrap_or(false))
}

/// What descends from a process, itself left out.
///
/// # Errors
///
/// That /proc can't be read.
pub(super) fn descendants(root: i32) -> io::Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    if tells_children() {
        descend(root, &mut found)?;
    }
    found.remove(&root);
    Ok(found)
}

/// What descends from a process, without it and without what descends from any of `but`.
///
/// # Errors
///
/// That /proc can't be read.
pub fn descendants_but(root: ProcessId, but: &HashSet<ProcessId>) -> io::Result<Vec<ProcessId>> {
    let (mut next, mut found) = (vec![root.pid], Vec::new());
    while let Some(pid) = next.pop().filter(|_| tells_children()) {
        for child in children(pid)? {
            let child = Stat::read(child)?.map(|stat| stat.id);
            let Some(child) = child.filter(|child| !but.contains(child) && !found.contains(child)) else { continue };
            found.push(child);
            next.push(child.pid);
        }
    }
    Ok(found)
}

/// A process and what descends from it. What is born meanwhile is for the next look.
pub(super) fn descend(root: i32, found: &mut BTreeSet<i32>) -> io::Result<()> {
    let (mut next, mut seen) = (vec![root], HashSet::new());
    while let Some(pid) = next.pop() {
        if seen.insert(pid) {
            found.insert(pid);
            next.extend(children(pid)?);
        }
    }
    Ok(())
}

fn children(pid: i32) -> io::Result<Vec<i32>> {
    let mut children = Vec::new();
    let threads = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if is_gone(&error) => return Ok(children),
        Err(error) => return Err(error),
    };
    for thread in threads {
        let listed = thread.and_then(|thread| fs::read_to_string(thread.path().join("children")));
        match listed {
            Ok(listed) => children.extend(listed.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(children)
}
