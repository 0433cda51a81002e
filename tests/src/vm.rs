//! A virtual machine: a host with a kernel of its own, for what a container can't show. Its clock can be stepped, it suspends
//! and wakes, boots with a wrong hardware clock, and loses power.
//!
//! - [`image`] makes the disk: the same files as a [`Host`](crate::Host)'s, with Curfew enabled and a kernel; [`guard`] is what
//!   SELinux and `AppArmor` take.
//! - [`machine`] is one power-on of it, [`control`] runs scripts in it, [`clock`] is about time, and [`curfew`] speaks to
//!   the product.
//!
//! It is emulated, so it takes about twenty seconds to boot, and tenths of a second to start a program in it: what a
//! container can show belongs there. Never hold two in a test: few run at once, so that the times of other hosts stay true.

mod clock;
mod control;
mod curfew;
mod guard;
mod image;
mod machine;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use clock::Clocks;
pub use control::Script;
pub use guard::Guard;

use crate::command::Output;
use crate::release::Release;
use crate::root::cache;
use crate::ssh::quoted;
use crate::wait::wait_for;
use image::Image;
use machine::Machine;

/// How long a boot may take, the processors being busy.
const BOOT: Duration = Duration::from_secs(180);
/// How long anything else may.
const PATIENCE: Duration = Duration::from_secs(240);
/// As far from today as QEMU can set a hardware clock: it counts the seconds between in 32 bits.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24 * 365 * 67);

/// Each is held by a machine that runs.
static TURNS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
/// Numbers the virtual machines of this process.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// What a virtual machine is to be like.
#[derive(Clone, Copy, Debug)]
pub struct VmBuilder {
    release: Release,
    guard: Guard,
    hardware_clock: Option<Timestamp>,
}

impl VmBuilder {
    /// Booted with the hardware clock at `time`, within 67 years from today.
    #[must_use]
    pub fn hardware_clock(mut self, time: Timestamp) -> Self {
        self.hardware_clock = Some(time);
        self
    }

    /// With a security module of the kernel in force.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// Boots it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(self) -> Vm {
        let image = Image::of(self.release, self.guard);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let turn = TURNS[number % TURNS.len()].lock().unwrap_or_else(PoisonError::into_inner);
        let folder = cache().join("hosts").join(format!("vm-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the machine can be made");
        let disk = image.copy(&folder);
        let guard = self.guard;
        let mut vm = Vm { image, guard, disk, folder, machine: None, clock_error: SignedDuration::ZERO, _turn: turn };
        vm.power_on(self.hardware_clock);
        vm
    }
}

/// A running virtual machine with Curfew enabled, and `ops` on the exempt list.
#[derive(Debug)]
pub struct Vm {
    image: Image,
    guard: Guard,
    disk: PathBuf,
    folder: PathBuf,
    /// None while it has no power.
    machine: Option<Machine>,
    /// How far its hardware clock is ahead.
    clock_error: SignedDuration,
    _turn: MutexGuard<'static, ()>,
}

impl Vm {
    /// Boots one with a right clock.
    #[must_use]
    pub fn boot(release: Release) -> Self {
        Self::builder(release).boot()
    }

    /// One that is to be changed before it boots.
    #[must_use]
    pub fn builder(release: Release) -> VmBuilder {
        VmBuilder { release, guard: Guard::None, hardware_clock: None }
    }

    /// Runs a shell script as its root, outside any login session.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn run(&mut self, script: &str) -> Output {
        self.within(PATIENCE, script)
    }

    /// As [`Vm::run`] for a script that must succeed; gives its output.
    ///
    /// # Panics
    /// When it fails.
    pub fn ok(&mut self, script: &str) -> String {
        self.run(script).expect_ok(script)
    }

    /// Starts a shell script as root that runs beside the test.
    pub fn spawn(&mut self, script: &str) -> Script {
        self.machine().control.start(script)
    }

    /// Puts a text file into it.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&mut self, path: &str, text: &str) {
        self.ok(&format!("printf %s {} >{}", quoted(text), quoted(path)));
    }

    /// Restarts it as `systemctl reboot` does: an orderly stop, then a boot from the same disk.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn reboot(&mut self) {
        self.power_off();
        self.power_on(None);
    }

    /// Stops it in order, until [`Vm::power_on`].
    ///
    /// # Panics
    /// When it does not stop.
    pub fn power_off(&mut self) {
        // The answer is lost with the machine.
        let _ = self.spawn("systemctl poweroff");
        wait_for("the machine to go down", BOOT, || (!self.machine().is_on()).then_some(()));
        self.machine = None;
    }

    /// Takes its power away, until [`Vm::power_on`]: nothing is stopped in order, what it had not yet written is gone.
    pub fn lose_power(&mut self) {
        self.machine = None;
    }

    /// Boots it from its disk, with its hardware clock set to `clock`; without one, that clock went on meanwhile.
    ///
    /// # Panics
    /// When it has power already, or does not come up.
    pub fn power_on(&mut self, clock: Option<Timestamp>) {
        assert!(self.machine.is_none(), "the machine has power");
        let now = Timestamp::now();
        if let Some(clock) = clock {
            self.clock_error = clock.duration_since(now);
        }
        assert!(self.clock_error.abs() < FARTHEST, "QEMU can't set a clock to {clock:?}");
        let kernel = self.image.kernel();
        let (options, console) = (self.guard.kernel_line(), self.folder.join("console"));
        let machine = Machine::power_on(&kernel, options, &self.disk, now + self.clock_error, &console);
        self.machine = Some(machine);
        let state = self.within(BOOT, "systemctl is-system-running --wait");
        assert!(matches!(state.stdout.trim(), "running" | "degraded"), "the machine is not up: {state:?}");
    }

    /// Loses power and boots again, as a host does after a power cut.
    pub fn power_cycle(&mut self) {
        self.lose_power();
        self.power_on(None);
    }

    /// Runs a command of QEMU's monitor; gives what it returned.
    pub(crate) fn ask(&mut self, command: &str) -> Value {
        self.machine().ask(command)
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().expect("the machine has power")
    }

    fn within(&mut self, limit: Duration, script: &str) -> Output {
        let answer = self.spawn(script).ended(limit);
        answer.unwrap_or_else(|| panic!("no answer within {limit:?} to {script}\n--- console\n{}", self.console()))
    }

    /// What its kernel and PID 1 printed, and QEMU.
    fn console(&self) -> String {
        let bytes = fs::read(self.folder.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What helps to understand a failure, as far as it still answers.
    fn last_words(&mut self) -> Option<String> {
        let journal = "journalctl --no-pager -o short-precise -b -n 60 _SYSTEMD_UNIT=curfewd.service + _COMM=sshd + _COMM=sshd-session + _COMM=sudo";
        let script = self.machine.as_mut()?.control.start(journal);
        Some(script.ended(PATIENCE)?.stdout)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let words = self.last_words().unwrap_or_else(|| self.console());
            eprintln!("--- journal of the virtual machine\n{words}");
        }
        self.machine = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}
