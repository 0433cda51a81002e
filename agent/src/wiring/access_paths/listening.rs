//! The programs that listen on the network (proc_net_tcp(5), proc_pid_fd(5)), of root and of the system's accounts. Those of containers are left out:
//! whoever gets in there is in the container. So are those of people: what they run gives nobody more than they have, and ends with their grant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The tables of sockets.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// So much of each is read, in bytes: some fifty thousand connections.
const LONGEST_TABLE: u64 = 8 * 1024 * 1024;

/// At most so many processes are looked at.
const MOST_PROCESSES: usize = 100_000;

/// So much of a process's memory map and command line is read, in bytes.
const LONGEST_MAP: u64 = 4 * 1024 * 1024;
const LONGEST_COMMAND_LINE: u64 = 64 * 1024;

/// The first user id of people.
const PEOPLE: u32 = 1000;

/// At most so many programs are told.
const MOST_LISTENERS: usize = 256;

/// The state of a socket that listens.
const LISTENS: &str = "0A";

/// A process that listens.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// Its PID.
    pub pid: i32,
    /// Whether it runs as root.
    pub is_root: bool,
    /// Its program.
    pub program: PathBuf,
    /// Its command line; one text where it wrote over its own.
    pub arguments: Vec<String>,
    /// Where it is, for names in its command line.
    pub folder: PathBuf,
    /// On which ports.
    pub ports: BTreeSet<u16>,
    /// Whether it has the PAM library.
    pub has_pam: bool,
}

impl Listener {
    /// The name of its program.
    pub fn name(&self) -> String {
        base_name(&self.program)
    }

    /// The name of its script, where an interpreter runs one.
    pub fn script(&self) -> Option<String> {
        let script = self.arguments.iter().skip(1).find(|word| !word.starts_with('-'))?;
        Some(base_name(Path::new(script)))
    }

    /// Its ports, as a person says them.
    pub fn on(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        format!("port {}", ports.join(", "))
    }
}

pub(super) fn base_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The sockets that listen: their inodes, with their ports.
pub(super) fn sockets() -> BTreeMap<u64, u16> {
    let mut sockets = BTreeMap::new();
    for table in TABLES {
        let Ok(file) = fs::File::open(table) else { continue };
        let lines = BufReader::new(file.take(LONGEST_TABLE)).lines();
        sockets.extend(lines.map_while(Result::ok).filter_map(|line| socket(&line)));
    }
    sockets
}

fn socket(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let port = u16::from_str_radix(address.rsplit(':').next()?, 16).ok()?;
    (*state == LISTENS).then_some((inode.parse().ok()?, port))
}

/// Every process of the host that holds such a socket, but PID 1: what that starts is told by `units`.
pub(super) fn listeners() -> Vec<Listener> {
    let sockets = sockets();
    let host = fs::read_link("/proc/1/ns/pid").ok();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut listeners = Vec::new();
    for pid in pids.filter(|pid| *pid != 1).take(MOST_PROCESSES) {
        let Some(uid) = uid(pid).filter(|uid| *uid < PEOPLE) else { continue };
        let ports = ports_of(pid, &sockets);
        let in_container = fs::read_link(format!("/proc/{pid}/ns/pid")).ok() != host;
        if !ports.is_empty() && !in_container && listeners.len() < MOST_LISTENERS {
            listeners.extend(listener(pid, uid, ports));
        }
    }
    listeners
}

/// The real user id of a process (proc_pid_status(5)).
fn uid(pid: i32) -> Option<u32> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_ascii_whitespace().next()?.parse().ok())
}

/// The beginning of a file.
fn beginning(path: &str, longest: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What can't be read says nothing.
    _ = fs::File::open(path).and_then(|file| file.take(longest).read_to_end(&mut bytes));
    bytes
}

fn ports_of(pid: i32, sockets: &BTreeMap<u64, u16>) -> BTreeSet<u16> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inodes = descriptors.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    });
    inodes.filter_map(|inode: u64| sockets.get(&inode).copied()).collect()
}

fn listener(pid: i32, uid: u32, ports: BTreeSet<u16>) -> Option<Listener> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    // After an upgrade, the new one has the old one's place.
    let program = program.to_str().map_or(program.clone(), |path| path.trim_end_matches(" (deleted)").into());
    let bytes = beginning(&format!("/proc/{pid}/cmdline"), LONGEST_COMMAND_LINE);
    let words = bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut arguments: Vec<String> = words.collect();
    while arguments.last().is_some_and(|last| last.is_empty()) {
        arguments.pop();
    }
    let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_else(|_| "/".into());
    let maps = beginning(&format!("/proc/{pid}/maps"), LONGEST_MAP);
    let has_pam = String::from_utf8_lossy(&maps).contains("/libpam.so");
    Some(Listener { pid, is_root: uid == 0, program, arguments, folder, ports, has_pam })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_is_told_from_what_is_connected() {
        let line =
            |state: &str| format!("  1: 00000000000000000000000000000000:08AE 0:0 {state} 0:0 0:0 0 0 0 4711 1 0");
        assert_eq!(socket(&line("0A")), Some((4711, 2222)));
        assert_eq!(socket(&line("01")), None);
        assert_eq!(socket("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn a_process_that_listens_is_found_with_its_program_and_its_port() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let me = i32::try_from(std::process::id()).unwrap();
        let ports = ports_of(me, &sockets());
        assert!(ports.contains(&port), "{ports:?}");
        let found = listener(me, uid(me).unwrap(), ports).unwrap();
        assert_eq!(found.program, std::env::current_exe().unwrap());
        assert!(!found.arguments.is_empty() && found.on().contains(&port.to_string()));
    }
}
