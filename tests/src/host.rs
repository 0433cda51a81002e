//! A host: booted from a kept root with a scratch layer on top, and gone without a trace when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::builder::HostBuilder;
use crate::cgroup::Cgroup;
use crate::command::{Output, Running, run};
use crate::overlay::Overlay;
use crate::release::Release;
use crate::root::{Root, cache, nspawn};
use crate::wait::{until, wait_for};

/// How long a boot may take, the other core being busy.
const BOOT: Duration = Duration::from_secs(120);
/// How long a command in a host may take.
const COMMAND: Duration = Duration::from_secs(120);

/// A running Debian host.
#[derive(Debug)]
pub struct Host {
    release: Release,
    machine: Child,
    leader: u32,
    cgroup: Cgroup,
    overlay: Overlay,
    folder: PathBuf,
}

/// Numbers the hosts of this process.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl Host {
    /// A host with Curfew installed and enabled, and `ops` on the exempt list.
    #[must_use]
    pub fn boot(release: Release) -> Self {
        Self::builder(release).exempt(&["ops"]).boot()
    }

    /// A host with Curfew installed and enabled, to be changed before it boots.
    #[must_use]
    pub fn builder(release: Release) -> HostBuilder {
        HostBuilder::new(release)
    }

    /// Boots a host from `root`, after `prepare` had a chance to change its files.
    pub(crate) fn start(release: Release, root: &Root, prepare: impl FnOnce(&Path)) -> Self {
        let name = format!("host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = cache().join("hosts").join(&name);
        fs::create_dir_all(&folder).expect("a folder for the host can be made");
        let overlay = Overlay::mount(root, &folder);
        prepare(overlay.root());
        let cgroup = Cgroup::new(&name);
        let machine = boot(&cgroup, overlay.root(), &folder);
        let mut host = Self { release, machine, leader: 0, cgroup, overlay, folder };
        host.come_up();
        host
    }

    /// What it runs.
    #[must_use]
    pub fn release(&self) -> Release {
        self.release
    }

    /// Its PID 1, as numbered outside.
    #[must_use]
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// A file of the host as seen from outside, `/run` and `/tmp` included.
    ///
    /// # Panics
    /// When `path` is not absolute.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        let relative = path.strip_prefix('/').expect("paths in a host are absolute");
        PathBuf::from(format!("/proc/{}/root", self.leader)).join(relative)
    }

    /// Puts a file into the host.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(path), content).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs a shell script as the host's root, outside any login session.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    #[must_use]
    pub fn run(&self, script: &str) -> Output {
        run(&mut self.command("root", script), COMMAND)
    }

    /// As [`Host::run`] for a script that must succeed; gives its output.
    ///
    /// # Panics
    /// When it fails.
    pub fn ok(&self, script: &str) -> String {
        self.run(script).expect_ok(script)
    }

    /// As [`Host::run`], as somebody else: their uid and groups, but no login session.
    #[must_use]
    pub fn run_as(&self, user: &str, script: &str) -> Output {
        run(&mut self.command(user, script), COMMAND)
    }

    /// Starts a shell script as root that runs beside the test.
    #[must_use]
    pub fn spawn(&self, script: &str) -> Running {
        Running::start(&mut self.command("root", script))
    }

    /// `script` under `nsenter` in all of the host's namespaces, as `user`.
    fn command(&self, user: &str, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.leader.to_string()).args(["--all", "--"]);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LANG", "C.UTF-8").env("HOME", "/root");
        if user != "root" {
            command.args(["runuser", "--user", user, "--"]);
        }
        command.args(["/bin/bash", "-c", script]);
        command
    }

    /// Restarts the host as `systemctl reboot` does: an orderly stop, then a boot from the same disk.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn reboot(&mut self) {
        // The call ends with the host, one way or the other.
        let _ = self.run("systemctl reboot");
        wait_for("the host to go down", BOOT, || self.machine.try_wait().ok().flatten());
        self.start_again();
    }

    /// As a power loss and a boot: nothing is stopped in order, nothing gets to write anything.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn power_cycle(&mut self) {
        self.halt();
        self.start_again();
    }

    /// Stops the host in order, for good. Gives the folder that its files are in.
    ///
    /// # Panics
    /// When it does not stop.
    pub(crate) fn power_off(&mut self) -> &Path {
        // The call ends with the host, one way or the other.
        let _ = self.run("systemctl poweroff");
        wait_for("the host to go down", BOOT, || self.machine.try_wait().ok().flatten());
        self.leader = 0;
        self.overlay.root()
    }

    fn start_again(&mut self) {
        self.machine = boot(&self.cgroup, self.overlay.root(), &self.folder);
        self.come_up();
    }

    /// Waits until PID 1 says that it has started everything.
    fn come_up(&mut self) {
        self.leader = self.wait_up("its PID 1", |host| {
            let supervisor = host.machine.id();
            let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
            let leader = children.split_whitespace().next()?;
            let name = fs::read_to_string(format!("/proc/{leader}/comm")).ok()?;
            (name.trim() == "systemd").then(|| leader.parse().ok())?
        });
        self.wait_up("its services", |host| {
            let state = host.run("systemctl is-system-running --wait");
            matches!(state.stdout.trim(), "running" | "degraded").then_some(())
        });
        self.ok("ip link set lo up");
    }

    fn wait_up<T>(&mut self, what: &str, look: impl Fn(&mut Self) -> Option<T>) -> T {
        until(BOOT, || look(self)).unwrap_or_else(|| panic!("{what} did not start:\n{}", self.console()))
    }

    /// What PID 1 printed.
    fn console(&self) -> String {
        fs::read_to_string(self.folder.join("console")).unwrap_or_default()
    }

    /// Kills everything in the host at once.
    fn halt(&mut self) {
        for process in [self.leader, self.machine.id()] {
            if let Some(pid) = i32::try_from(process).ok().filter(|pid| *pid > 1) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = self.machine.wait();
    }

    /// What helps to understand a failure: what the host's own services said.
    fn last_words(&self) -> String {
        self.run("journalctl --no-pager -o short-precise -b -n 60 _SYSTEMD_UNIT=curfewd.service + _COMM=sshd + _COMM=sshd-session + _COMM=sudo").stdout
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() && matches!(self.machine.try_wait(), Ok(None)) && self.leader != 0 {
            eprintln!("--- journal of the {} host\n{}", self.release, self.last_words());
        }
        self.halt();
        self.overlay.unmount();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts the machine on what is mounted at `root`.
fn boot(cgroup: &Cgroup, root: &Path, folder: &Path) -> Child {
    let console = File::create(folder.join("console")).expect("the host's folder can be written");
    let mut command = nspawn(cgroup, root);
    command.arg("--boot").stdin(Stdio::null());
    command.stderr(console.try_clone().expect("a file can be opened twice")).stdout(console);
    command.spawn().expect("/bin/sh can be started")
}

/// Puts `text` before what the file has: keys of a TOML file must stand before its first table.
pub(crate) fn prepend(path: &Path, text: &str) {
    if !text.is_empty() {
        let old = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::write(path, format!("{text}{old}")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
