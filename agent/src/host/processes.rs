//! Processes as /proc shows them (proc(5)), and signals that can't hit a stranger.
//!
//! A PID alone names nobody: it is taken with the process's start time, and a signal goes through a pidfd that was
//! checked against it.

use super::credentials::Credentials;
use super::proc::{audit_session, number, read_of};
use super::threads;
use curfew_protocol::display;
use nix::sys::signal::Signal;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

/// A process, for good: no other ever has the same two numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ProcessId {
    /// Its PID.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// What /proc says of a process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Which one.
    pub id: ProcessId,
    /// Its parent's PID.
    pub parent: i32,
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// What it does, as proc_pid_stat(5) writes it: `R`, `S`, `D` …
    pub state: char,
    /// The ids and capabilities of its first thread.
    pub credentials: Credentials,
    /// Those of its other threads that differ, where they were [read](Self::read_threads).
    pub others: Vec<Credentials>,
    /// Whether it has more than one thread.
    pub has_threads: bool,
    /// The device number of its controlling terminal; 0 for none.
    pub tty: i32,
    /// The kernel's audit session, inherited through sudo, setsid and nohup; none for what PID 1 started.
    pub audit_session: Option<u32>,
    /// Who logged in, whatever they turned into since; none for what PID 1 started.
    pub login_uid: Option<u32>,
}

/// The longest command line that is read, in bytes: the kernel starts nothing with more (execve(2): three quarters of 8 MiB).
const LONGEST_COMMAND_LINE: u64 = 6 * 1024 * 1024;

impl Process {
    /// Reads the process `pid`; none if it is gone or no longer runs.
    ///
    /// # Errors
    ///
    /// That /proc can't be read, which says nothing about the process.
    pub fn read(pid: i32) -> io::Result<Option<Self>> {
        match Stat::read(pid)? {
            Some(stat) => Self::with(stat),
            None => Ok(None),
        }
    }

    /// Reads what is left of one that has ended and waits to be reaped: nothing of it runs any more, but it keeps namespaces, and whoever may can still
    /// enter them by it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_unreaped(pid: i32) -> io::Result<Option<Self>> {
        match Stat::read_any(pid)?.filter(Stat::has_ended) {
            Some(stat) => Self::with(stat),
            None => Ok(None),
        }
    }

    fn with(stat: Stat) -> io::Result<Option<Self>> {
        let pid = stat.id.pid;
        let Some(credentials) = Credentials::of(pid, "status")? else { return Ok(None) };
        let (audit_session, login_uid) = (audit_session(pid)?, number(pid, "loginuid")?);
        let Stat { id, parent, name, state, tty, has_threads } = stat;
        let others = Vec::new();
        Ok(Some(Self { id, parent, name, state, credentials, others, has_threads, tty, audit_session, login_uid }))
    }

    /// Reads the rights of its other threads, where there are any.
    ///
    /// # Errors
    ///
    /// That /proc can't be read, which says nothing about them.
    pub fn read_threads(&mut self) -> io::Result<()> {
        if self.has_threads {
            self.others = threads::other_rights(self.id.pid, &self.credentials)?;
        }
        Ok(())
    }

    /// The rights that it has: its first thread's, and those of the others as far as they were read.
    pub fn rights(&self) -> impl Iterator<Item = &Credentials> {
        std::iter::once(&self.credentials).chain(&self.others)
    }

    /// Sends it a signal; `false` if it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        self.id.signal(signal)
    }

    /// What it is called, which it may choose itself, and the file that it runs, which it may not: `sleep(/usr/bin/sleep)`. None is named where the
    /// process is dying already.
    pub fn label(&self) -> String {
        let program = std::fs::read_link(format!("/proc/{}/exe", self.id.pid));
        let program = program.map(|path| format!("({})", quoted(&shortened(&path.to_string_lossy()))));
        quoted(&self.name) + &program.unwrap_or_default()
    }

    /// Whether it has ended, and waits to be reaped.
    pub fn is_unreaped(&self) -> bool {
        self.state == 'Z' && !self.has_threads
    }

    /// Why KILL has not ended it yet.
    pub fn why_alive(&self) -> &'static str {
        match self.state {
            'D' => "waits in the kernel",
            'T' | 't' => "is stopped",
            'Z' if self.has_threads => "has threads left",
            'Z' => "was not reaped by its parent",
            _ => "has not died yet",
        }
    }
}

/// What proc_pid_stat(5) says of a process, which one read(2) brings.
pub(super) struct Stat {
    pub id: ProcessId,
    pub parent: i32,
    name: String,
    state: char,
    tty: i32,
    has_threads: bool,
}

impl Stat {
    /// Reads it; none if the process is gone or no longer runs.
    pub fn read(pid: i32) -> io::Result<Option<Self>> {
        Ok(Self::read_any(pid)?.filter(|stat| !stat.has_ended()))
    }

    /// Reads it, though the process has ended and waits to be reaped.
    fn read_any(pid: i32) -> io::Result<Option<Self>> {
        let Some(stat) = read_of(pid, "stat")? else { return Ok(None) };
        let stat = String::from_utf8_lossy(&stat);
        let read = Self::parse(pid, &stat);
        read.map(Some).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat makes no sense: {stat:?}")))
    }

    /// A process whose first thread alone has ended looks like a zombie, and runs.
    fn has_ended(&self) -> bool {
        self.state == 'X' || (self.state == 'Z' && !self.has_threads)
    }

    /// `None` where the text makes no sense.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        // The fields behind the name; the first is field 3 of proc_pid_stat(5).
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let threads: u32 = fields.get(17)?.parse().ok()?;
        Some(Self {
            id: ProcessId { pid, start: fields.get(19)?.parse().ok()? },
            parent: fields.get(1)?.parse().ok()?,
            name,
            state: fields.first()?.chars().next()?,
            tty: fields.get(4)?.parse().ok()?,
            has_threads: threads > 1,
        })
    }
}

impl ProcessId {
    /// The process that has this PID now; none where there is none.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).ok().flatten().map(|stat| stat.id)
    }

    /// Whether it still runs. Where that can't be told, it is taken to.
    pub fn lives(self) -> bool {
        match Stat::read(self.pid) {
            Ok(stat) => stat.is_some_and(|stat| stat.id == self),
            Err(_) => true,
        }
    }

    /// A pidfd for it; none if it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // Whatever the PID named when it was opened, the pidfd is for; it must be the one that is meant.
        self.lives().then_some(pidfd)
    }

    /// Sends it a signal; `false` if it is gone, or the agent itself, whatever it looks like.
    pub fn signal(self, signal: Signal) -> bool {
        if self.pid == own_pid() {
            return false;
        }
        let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) else { return false };
        self.open().is_some_and(|pidfd| pidfd_send_signal(pidfd, signal).is_ok())
    }
}

/// The PID of the agent itself.
pub fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// A process and its parents, up to PID 1, so many at most.
pub fn line(pid: i32, most: usize) -> Vec<ProcessId> {
    let first = Stat::read(pid).ok().flatten();
    let parent = |stat: &Stat| Stat::read(stat.parent).ok().flatten();
    std::iter::successors(first, parent).take(most).map(|stat| stat.id).collect()
}

/// The login uid of a process (`/proc/PID/loginuid`): who logged in, whatever they turned into since.
pub fn login_uid(pid: i32) -> Option<u32> {
    number(pid, "loginuid").ok().flatten()
}

/// The folder that a process works in; none if that can't be told, or is no plain text.
pub fn folder(pid: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?.into_os_string().into_string().ok()
}

/// The arguments that a process was started with; what a person typed, and so not to be trusted. None if they can't be read.
pub fn arguments(pid: i32) -> Option<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(LONGEST_COMMAND_LINE + 1).read_to_end(&mut bytes).ok()?;
    let text = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    let is_whole = bytes.len() as u64 <= LONGEST_COMMAND_LINE;
    is_whole.then(|| text.split(|&b| b == 0).map(<[u8]>::to_vec).collect())
}

/// The same as text.
pub fn command_line(pid: i32) -> Option<Vec<String>> {
    Some(arguments(pid)?.iter().map(|argument| String::from_utf8_lossy(argument).into_owned()).collect())
}

/// The file name of the program that a process runs, which it can't choose as it does its arguments.
pub fn program(pid: i32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = path.file_name()?.to_string_lossy().into_owned();
    // So the kernel calls a file that was replaced since.
    Some(name.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(name))
}

/// The longest path that a label has, in characters.
const LONGEST_LABEL: usize = 100;

/// A path, or its end where it is long.
fn shortened(path: &str) -> String {
    match path.chars().count().checked_sub(LONGEST_LABEL) {
        None | Some(0) => path.to_owned(),
        Some(more) => format!("…{}", path.chars().skip(more).collect::<String>()),
    }
}

/// A name as it is where it can't be taken for anything else, and in quotes where it can: processes choose their names.
pub fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-/@".contains(c);
    let plain = !name.is_empty() && name.chars().all(is_plain);
    if plain { name.to_owned() } else { format!("{:?}", display::printable(name)) }
}

/// The most names that a tally tells apart.
const MOST_NAMES: usize = 20;

/// Names and counts, such as `bash:1 sleep:2`.
pub fn tally<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0_u32) += 1;
    }
    let told = counts.iter().take(MOST_NAMES).map(|(name, count)| format!("{}:{count}", display::printable(name)));
    let mut told = told.collect::<Vec<_>>().join(" ");
    let rest: u32 = counts.values().skip(MOST_NAMES).sum();
    if rest > 0 {
        told += &format!(" and {rest} more");
    }
    told
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn a_long_command_line_is_read_to_its_end_and_the_program_is_named_whatever_that_says() {
        let long = vec!["x".repeat(100_000); 15];
        let mut child = Command::new("/bin/sleep");
        std::os::unix::process::CommandExt::arg0(&mut child, "harmless");
        let mut child = child.args(["60", "--"]).spawn().unwrap();
        let mut sh = Command::new("/bin/sh");
        let mut sh =
            sh.args(["-c", "read x"]).args(&long).arg("last").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let [pid, sh_pid] = [&child, &sh].map(|it| i32::try_from(it.id()).unwrap());
        // They are others' until the exec, a moment after the fork.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while command_line(sh_pid).unwrap().len() != 19 || command_line(pid).unwrap().len() != 3 {
            assert!(std::time::Instant::now() < deadline);
        }
        assert_eq!(command_line(sh_pid).unwrap().last().unwrap(), "last");
        let file = fs::canonicalize("/bin/sleep").unwrap();
        assert_eq!(program(pid).unwrap(), file.file_name().unwrap().to_string_lossy());
        assert_eq!(command_line(pid).unwrap(), ["harmless", "60", "--"]);
        for it in [&mut child, &mut sh] {
            it.kill().unwrap();
            it.wait().unwrap();
        }
        assert_eq!(arguments(i32::MAX), None);
    }

    #[test]
    fn a_process_with_a_bracket_in_its_name_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a) R 1 (b");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // The name changes at exec, a moment after the fork.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while command_line(pid).unwrap().last().is_none_or(|argument| argument != "60") {
            assert!(std::time::Instant::now() < deadline);
        }
        let process = Process::read(pid).unwrap().unwrap();
        assert_eq!(process.name, "a) R 1 (b");
        assert_eq!(process.parent, i32::try_from(std::process::id()).unwrap());
        assert_eq!(process.credentials.euid(), nix::unistd::geteuid().as_raw());
        assert!(process.signal(Signal::SIGKILL));
        child.wait().unwrap();
        assert!(!process.id.lives());
        assert!(!process.signal(Signal::SIGKILL));
    }

    #[test]
    fn a_signal_does_not_reach_another_process_with_the_same_pid() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = Process::read(i32::try_from(child.id()).unwrap()).unwrap().unwrap().id;
        let stranger = ProcessId { start: id.start + 1, ..id };
        assert!(!stranger.signal(Signal::SIGKILL));
        assert!(child.try_wait().unwrap().is_none());
        assert!(id.signal(Signal::SIGKILL));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_is_named_by_what_it_runs_and_its_own_name_counts_nothing_else() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = loop {
            let process = Process::read(pid).unwrap().unwrap();
            if process.name == "sleep" {
                break process;
            }
        };
        let file = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(process.label(), format!("sleep({})", file.display()));
        let forged = Process { name: "bash:1 sleep".into(), ..process };
        assert_eq!(forged.label(), format!("\"bash:1 sleep\"({})", file.display()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(quoted("(sd-pam)"), "\"(sd-pam)\"");
        assert!(shortened(&"/a".repeat(3000)).chars().count() <= LONGEST_LABEL + 1);
    }

    #[test]
    fn names_are_counted_and_can_not_drive_a_terminal() {
        assert_eq!(tally(["sleep", "bash", "sleep", "\u{1b}[2J"].into_iter()), "?[2J:1 bash:1 sleep:2");
        let many: Vec<String> = (100..6000).map(|number| number.to_string()).collect();
        let told = tally(many.iter().map(String::as_str));
        assert!(told.ends_with(" and 5880 more") && told.len() < 300, "{told}");
    }

    #[test]
    fn a_process_whose_first_thread_alone_has_ended_is_still_there() {
        let stat =
            |state: &str, threads: u32| format!("7 (a) {state} 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 99 0 0");
        let seen = |stat: &str| Some(Stat::parse(7, stat).unwrap()).filter(|it| !it.has_ended()).map(|it| it.id.start);
        assert_eq!(seen(&stat("Z", 1)), None);
        assert_eq!(seen(&stat("Z", 2)), Some(99));
        assert_eq!(seen(&stat("S", 1)), Some(99));
    }
}
