//! One power-on of a virtual machine: a QEMU process, from power to the loss of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::control::Control;

/// How long QEMU may take to answer: it is at the machine's work, too.
const ANSWER: Duration = Duration::from_secs(30);
/// What the kernel is told. Emulated, it gains nothing from mitigations and loses seconds.
const KERNEL_LINE: &str = "root=/dev/nvme0n1 rw console=ttyS0 quiet systemd.show_status=1 mitigations=off";

/// A running QEMU.
#[derive(Debug)]
pub(super) struct Machine {
    qemu: Child,
    monitor: BufReader<UnixStream>,
    pub(super) control: Control,
}

impl Machine {
    /// Powers it on with the hardware clock at `clock`, and `options` for the kernel. It reaches no network.
    pub(super) fn power_on(kernel: &Path, options: &str, disk: &Path, clock: Timestamp, console: &Path) -> Self {
        let (control, inner_control) = UnixStream::pair().expect("sockets can be made");
        let (monitor, inner_monitor) = UnixStream::pair().expect("sockets can be made");
        let said =
            File::options().append(true).create(true).open(console).expect("the machine's folder can be written");
        // Other hosts run beside it, and are looked at to the millisecond.
        let mut command = Command::new("nice");
        command.args(["-n", "10", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]);
        command.args(["-machine", "q35,accel=tcg", "-cpu", "qemu64", "-smp", "1", "-m", "512", "-nic", "none"]);
        // A reset ends the process; who asked for it powers the machine on again.
        command.args(["-no-reboot", "-global", "ICH9-LPC.disable_s3=0"]);
        command.arg("-rtc").arg(format!("base={}", clock.strftime("%Y-%m-%dT%H:%M:%S")));
        command.arg("-kernel").arg(kernel).arg("-append").arg(format!("{KERNEL_LINE} {options}"));
        command.arg("-drive").arg(format!("file={},if=none,id=disk,format=qcow2", disk.display()));
        command.args(["-device", "nvme,drive=disk,serial=disk"]);
        command.arg("-chardev").arg(format!("file,id=console,append=on,path={}", console.display()));
        command.args(["-serial", "chardev:console"]);
        // The two sockets come as its standard input and output: no file to leave behind, nobody else to connect.
        command.args(["-chardev", "socket,id=control,fd=0", "-device", "virtio-serial"]);
        command.args(["-device", "virtserialport,chardev=control,name=control"]);
        command.args(["-chardev", "socket,id=monitor,fd=1", "-mon", "chardev=monitor,mode=control"]);
        command.stdin(OwnedFd::from(inner_control)).stdout(OwnedFd::from(inner_monitor)).stderr(said);
        let qemu = command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        // It holds the inner ends of both sockets: they must close with QEMU.
        drop(command);
        monitor.set_read_timeout(Some(ANSWER)).expect("a socket takes a time limit");
        let mut machine = Self { qemu, monitor: BufReader::new(monitor), control: Control::new(control) };
        machine.ask("qmp_capabilities");
        machine
    }

    /// Runs a command of QEMU's monitor without arguments; gives what it returned.
    pub(super) fn ask(&mut self, command: &str) -> Value {
        let question = json!({ "execute": command, "id": command }).to_string();
        self.monitor.get_mut().write_all(question.as_bytes()).expect("QEMU takes commands");
        loop {
            let mut line = String::new();
            let read = self.monitor.read_line(&mut line);
            assert!(matches!(read, Ok(1..)), "QEMU did not answer to {command}: {read:?}");
            let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            // Others are its greeting, and events.
            if answer["id"] == command {
                assert!(answer.get("return").is_some(), "{command}: {answer}");
                return answer["return"].clone();
            }
        }
    }

    /// Whether it has power.
    pub(super) fn is_on(&mut self) -> bool {
        matches!(self.qemu.try_wait(), Ok(None))
    }
}

/// The loss of power: nothing is stopped in order, what the machine had not yet written is gone.
impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
