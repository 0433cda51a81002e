//! Words on the terminals of a session, as write(1) and wall(1) give them.

use super::processes::{Process, ProcessId};
use curfew_protocol::display::printable;
use nix::fcntl::OFlag;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

/// The device numbers of pseudo-terminals (pts(4)).
const PTS_MAJORS: std::ops::RangeInclusive<i32> = 136..=143;

/// On so many terminals of one session at the most: an end waits for no more.
const MOST: usize = 32;

/// What was said on which terminal in one go: nobody hears the same twice.
#[derive(Debug, Default)]
pub struct Said(HashSet<(i32, String)>);

impl Said {
    /// Writes `message` on every pseudo-terminal that `processes` have, once. A terminal that takes nothing is left out. Says whether one took it.
    pub fn say(&mut self, processes: &[Process], message: &str) -> bool {
        let mut took = false;
        for (terminal, users) in outermost(processes).into_iter().take(MOST) {
            if !self.0.insert((terminal, message.to_owned())) {
                continue;
            }
            match write(terminal, &users, message) {
                Ok(()) => took = true,
                Err(error) => tracing::debug!(terminal, "a terminal took no word: {error}"),
            }
        }
        took
    }
}

/// The terminals of processes, with whose they may be. One inside of another (sudo and script(1) make such) shows its person nothing that the
/// other does not, and is left out.
fn outermost(processes: &[Process]) -> BTreeMap<i32, HashSet<u32>> {
    let by_pid: HashMap<i32, &Process> = processes.iter().map(|process| (process.id.pid, process)).collect();
    let mut all: BTreeMap<i32, HashSet<u32>> = BTreeMap::new();
    let mut inner = HashSet::new();
    for process in processes {
        let Some(terminal) = pseudo_terminal(process.tty) else { continue };
        all.entry(terminal).or_default().extend(process.login_uid.into_iter().chain(process.credentials.uids));
        if is_inside_another(process, terminal, &by_pid) {
            inner.insert(terminal);
        }
    }
    if inner.len() < all.len() {
        all.retain(|terminal, _| !inner.contains(terminal));
    }
    all
}

/// Whether an ancestor of the process is on another terminal than it.
fn is_inside_another(process: &Process, terminal: i32, by_pid: &HashMap<i32, &Process>) -> bool {
    let (mut next, mut seen): (i32, HashSet<ProcessId>) = (process.parent, HashSet::new());
    while let Some(above) = by_pid.get(&next).filter(|above| seen.insert(above.id)) {
        if pseudo_terminal(above.tty).is_some_and(|other| other != terminal) {
            return true;
        }
        next = above.parent;
    }
    false
}

/// The number of the pseudo-terminal behind a device number of proc_pid_stat(5).
pub(super) fn pseudo_terminal(device: i32) -> Option<i32> {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    PTS_MAJORS.contains(&major).then(|| (major - PTS_MAJORS.start()) * 256 + minor)
}

/// Writes to a terminal that belongs to one of `users`: in a container of their own, people's terminals have the numbers of others'.
fn write(terminal: i32, users: &HashSet<u32>, message: &str) -> std::io::Result<()> {
    // A terminal that is stopped or full must not hold up the agent, and must not become its own.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
    let path = format!("/dev/pts/{terminal}");
    let mut file = File::options().write(true).custom_flags(flags.bits()).open(path)?;
    let about = file.metadata()?;
    let is_terminal =
        about.file_type().is_char_device() && PTS_MAJORS.contains(&(((about.rdev() >> 8) & 0xfff) as i32));
    if !is_terminal || !users.contains(&about.uid()) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    file.write_all(format!("\r\n\u{7}{}\r\n", printable(message)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::Credentials;

    #[test]
    fn device_numbers_name_pseudo_terminals_and_nothing_else() {
        assert_eq!(pseudo_terminal(136 << 8 | 7), Some(7));
        assert_eq!(pseudo_terminal(137 << 8 | 1), Some(257));
        assert_eq!(pseudo_terminal(4 << 8 | 1), None);
        assert_eq!(pseudo_terminal(0), None);
    }

    fn process(pid: i32, parent: i32, terminal: Option<i32>) -> Process {
        Process {
            id: ProcessId { pid, start: 1 },
            parent,
            name: String::new(),
            state: 'S',
            credentials: Credentials { uids: [1001; 4], ..Credentials::default() },
            others: Vec::new(),
            has_threads: false,
            tty: terminal.map_or(0, |number| 136 << 8 | number),
            audit_session: None,
            login_uid: Some(1001),
        }
    }

    #[test]
    fn a_terminal_inside_of_another_is_left_out() {
        let terminals = |processes: &[Process]| outermost(processes).into_keys().collect::<Vec<_>>();
        // sshd → bash (0) → sudo (0) → its monitor (1) → bash (1), and what lost its parents there.
        let sudo = [(10, 1, None), (11, 10, Some(0)), (12, 11, Some(0)), (13, 12, Some(1)), (14, 13, Some(1))];
        let mut sudo: Vec<Process> = sudo.map(|(pid, parent, terminal)| process(pid, parent, terminal)).into();
        assert_eq!(terminals(&sudo), [0]);
        sudo.push(process(15, 1, Some(1)));
        assert_eq!(terminals(&sudo), [0]);
        // Two shells over one connection, and a tmux server without a terminal.
        let two = [(10, 1, None), (11, 10, Some(0)), (12, 10, Some(3)), (20, 1, None), (21, 20, Some(5))];
        assert_eq!(terminals(&two.map(|(pid, parent, terminal)| process(pid, parent, terminal))), [0, 3, 5]);
        // Whoever ties them into a knot hears it all the same.
        assert_eq!(terminals(&[process(1, 2, Some(0)), process(2, 1, Some(1))]), [0, 1]);
    }
}
