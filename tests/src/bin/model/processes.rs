//! Real processes: logins and runs of sudo as `tests/peers/stand_in.c` makes them, found again in /proc by what the kernel knows.

use crate::people::{Person, Wanted};
use crate::reference;
use crate::seen::Remains;
use crate::tree::{Becomes, Branch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SSHD: &str = "/opt/curfew-model/sshd";
const SUDO: &str = "/opt/curfew-model/sudo";

/// What a process of a run of sudo reads when it is told to.
const ORDER: &str = "/opt/curfew-model/order";

/// How long processes take to do what they are told.
const SOON: Duration = Duration::from_secs(10);

/// Numbers the sessions, as logind would.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A process of some login, for good.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Process {
    pub pid: i32,
    start: u64,
    parent: i32,
}

/// What the kernel counts to an audit session, zombies aside.
pub fn of_session(session: u32) -> BTreeSet<Process> {
    let entries = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| audit_session(*pid) == Some(session)).filter_map(read).collect()
}

fn audit_session(pid: i32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{pid}/sessionid")).ok()?.trim().parse().ok()
}

/// proc_pid_stat(5); the programs' names have no brackets.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn read(pid: i32) -> Option<Process> {
    let stat = stat(pid)?;
    (stat[0] != "Z" && stat[0] != "X").then(|| Process {
        pid,
        start: stat[19].parse().expect("field 22 is a number"),
        parent: stat[1].parse().expect("field 4 is a number"),
    })
}

impl Process {
    fn lives(&self) -> bool {
        read(self.pid).is_some_and(|process| process.start == self.start)
    }

    /// What a process of a run of sudo is to do.
    fn order(&self, order: &str) {
        fs::write(ORDER, order).expect("an order can be written");
        kill(Pid::from_raw(self.pid), Signal::SIGUSR2).expect("the process is there");
    }
}

fn remains(of: &BTreeSet<Process>, kept: &BTreeSet<Process>) -> Remains {
    let living = of.iter().filter(|process| process.lives()).map(|process| process.pid).collect();
    let lost = kept.iter().filter(|process| !process.lives()).map(|process| process.pid).collect();
    Remains { living, lost }
}

/// A login, open or not.
pub struct Login {
    pub who: Person,
    uid: u32,
    leader: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub session: u32,
    scope: Option<PathBuf>,
    /// What stays as long as nobody ends it.
    kept: BTreeSet<Process>,
}

impl Login {
    /// Knocks: the process that asks PAM is there, and waits.
    pub fn knock(who: Person, uid: u32, scope: bool) -> Self {
        let mut command = Command::new(SSHD);
        command.arg(uid.to_string()).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut leader = command.spawn().expect("the stand-in can be started");
        let output = BufReader::new(leader.stdout.take().expect("it is a pipe"));
        let input = leader.stdin.take();
        let (session, scope) = (0, scope.then(|| scope_of(uid)));
        let mut login = Self { who, uid, leader, input, output, session, scope, kept: BTreeSet::new() };
        login.hear("in");
        login.session = audit_session(login.pid()).expect("the login has an audit session");
        if let Some(scope) = &login.scope {
            move_to(scope, login.pid());
        }
        login
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.leader.id()).expect("a PID is positive")
    }

    /// PAM permits it. Where there are scopes, one program goes to the user's manager, as by `systemd-run --user --scope`.
    pub fn open(&mut self) {
        self.tell("open");
        self.hear("ready");
        self.kept = of_session(self.session);
        assert_eq!(self.kept.len(), 5, "sshd, a shell and three programs");
        if let Some(scope) = &self.scope {
            let shell = self.kept.iter().find(|process| process.parent == self.pid()).expect("a shell");
            let program = self.kept.iter().find(|process| process.parent == shell.pid).expect("a program of its");
            let manager = format!("user@{}.service/app.slice", self.uid);
            move_to(&scope.with_file_name(manager), program.pid);
        }
    }

    /// The person leaves.
    pub fn log_out(&mut self) {
        self.input = None;
        let leader = self.pid();
        wait_for("the end of a login", || matches!(self.leader.try_wait(), Ok(Some(_))));
        let stays = |process: &Process| process.pid != leader && process.lives();
        let shell = self.kept.iter().find(|process| process.parent == leader).copied();
        self.kept.retain(|process| Some(*process) != shell && process.pid != leader);
        assert!(self.kept.iter().all(stays) && self.kept.len() == 3, "three programs stay");
    }

    pub fn remains(&self) -> Remains {
        remains(&of_session(self.session), &self.kept)
    }

    /// As sshd ends a connection that PAM refuses; and after all, whatever is there still.
    pub fn kill(&mut self) {
        wait_for("the death of a login", || {
            let left = of_session(self.session);
            for process in &left {
                let _gone_or_not = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            left.is_empty()
        });
        let _reaped = self.leader.wait();
        if let Some(scope) = &self.scope {
            wait_for("the end of a control group", || remove_group(scope));
        }
    }

    fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("nobody has logged out");
        writeln!(input, "{line}").expect("the login listens");
    }

    fn hear(&mut self, expected: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the login can be heard");
        line.trim()
            .strip_prefix(expected)
            .unwrap_or_else(|| panic!("{line:?} instead of {expected:?}"))
            .trim()
            .to_owned()
    }
}

/// A run of sudo in a login, open or not.
pub struct Run {
    pub login: usize,
    /// Its first process, and what it grew since.
    pub processes: Vec<Process>,
    /// What it began with.
    programs: BTreeSet<Process>,
}

impl Run {
    /// Somebody types it: the process that asks PAM is there, and waits. They sit in the login, or `inside` of a process of another run's.
    pub fn knock(logins: &mut [Login], login: usize, inside: Option<Process>, wanted: Wanted) -> Self {
        let user = if wanted.www_data { "-u www-data " } else { "" };
        let line = format!("sudo {user}{}", wanted.command.typed());
        match inside {
            None => logins[login].tell(&line),
            Some(typist) => typist.order(&format!("n{line}")),
        }
        let first = logins[login].hear("sudo").parse().expect("sudo says its PID");
        wait_for("sudo to wait", || stat(first).is_some_and(|stat| stat[0] == "T"));
        Self { login, processes: vec![read(first).expect("sudo is there")], programs: BTreeSet::new() }
    }

    pub fn root(&self) -> i32 {
        self.processes[0].pid
    }

    /// PAM permits it.
    pub fn open(&mut self, logins: &mut [Login], others: &[Self]) {
        self.signal(Signal::SIGCONT);
        logins[self.login].hear("ready");
        let login = &logins[self.login];
        let known: BTreeSet<i32> = others.iter().flat_map(Self::all).chain(&login.kept).map(|it| it.pid).collect();
        let new = of_session(login.session).into_iter().filter(|process| !known.contains(&process.pid));
        self.programs = new.filter(|process| process.pid != self.root()).collect();
        assert_eq!(self.programs.len(), 3, "three programs");
    }

    /// One of its processes starts another.
    pub fn grow(&mut self, process: usize, branch: Branch, logins: &mut [Login]) {
        self.processes[process].order(&letters(branch));
        let new = logins[self.login].hear("more").parse().expect("a branch says its PID");
        self.processes.push(read(new).expect("a branch is there"));
    }

    /// The command ends by itself.
    pub fn end(&mut self) {
        self.signal(Signal::SIGUSR1);
        wait_for("the end of sudo", || !self.processes[0].lives());
    }

    /// As sudo ends when PAM refuses it.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        wait_for("the death of sudo", || !self.processes[0].lives());
    }

    /// What can be told from what other runs left, as `reference` has it, stays as long as nobody ends it.
    pub fn remains(&self, reference: &reference::Run) -> Remains {
        let processes = self.processes.iter().zip(&reference.processes).enumerate();
        let kept = processes.filter(|(number, (_, it))| !it.unsure && (*number > 0 || !reference.finished));
        let kept = kept.map(|(_, (process, _))| *process).chain(self.programs.iter().copied()).collect();
        remains(&self.all().copied().collect(), &kept)
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().chain(&self.programs)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.root()), signal).expect("sudo is there");
    }
}

/// An order as `stand_in.c` reads it.
fn letters(branch: Branch) -> String {
    let becomes = branch.becomes.map(|becomes| match becomes {
        Becomes::User => 'u',
        Becomes::ButForAnId => 'e',
        Becomes::ButForAGroup => 'g',
        Becomes::ButForCapabilities => 'c',
    });
    let letters = [(branch.orphan, 'o'), (branch.session, 's'), (branch.leaves, 'l')];
    let letters = letters.into_iter().filter(|(does, _)| *does).map(|(_, letter)| letter);
    // An order has a letter at least.
    letters.chain(becomes).chain(['.']).collect()
}

/// A sudo that only asks, in nobody's login.
pub struct Probe(Child);

impl Probe {
    pub fn start() -> Self {
        let mut command = Command::new(SUDO);
        let child = command.arg("-v").env_clear().stdout(Stdio::null()).spawn();
        Self(child.expect("the stand-in can be started"))
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a PID is positive")
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A control group where logind would make one, which it does not know.
fn scope_of(uid: u32) -> PathBuf {
    let mounts = [Path::new("/sys/fs/cgroup/unified"), Path::new("/sys/fs/cgroup")];
    let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists()).expect("control groups are there");
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    mount.join(format!("user.slice/user-{uid}.slice/session-m{number}.scope"))
}

/// With the groups of the runs in it.
fn remove_group(group: &Path) -> bool {
    let below = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in below.filter(|path| path.is_dir()) {
        let _empty_or_not = remove_group(&path);
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

fn move_to(group: &Path, pid: i32) {
    fs::create_dir_all(group).expect("a control group can be made");
    fs::write(group.join("cgroup.procs"), pid.to_string()).expect("a process can be moved");
}

fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !look() {
        assert!(std::time::Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}
