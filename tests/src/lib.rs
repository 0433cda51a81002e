//! Throwaway Debian hosts for tests: made once, booted for each test, gone with it.
//!
//! - [`root`] makes and keeps the file trees that hosts start from: a bare release, and that with the
//!   `.deb` of this checkout installed in it.
//! - [`host`] boots one of them under `systemd-nspawn` with a scratch overlay on top: real systemd, logind,
//!   journald, sshd and sudo, a private network, its own processes and cgroup.
//! - [`ssh`] logs in to it, [`shell`] types at a terminal in it, [`process`] watches what runs in it,
//!   [`journal`] reads what it wrote down and [`curfew`] speaks to the product under test.
//! - [`vm`] boots a whole virtual machine from the same files, for what takes a kernel of its own: clock steps, suspend,
//!   a wrong hardware clock, power loss.
//! - [`timing`] tells how long each test took.
//! - [`package`] makes other versions of packages and kills dpkg in its work.
//! - [`gate`] halts logins on their way through PAM, [`load`] sets people who mean harm on the agent, [`crash`] kills it at a
//!   chosen step.
//!
//! A test binary must run under `tests/run`, which gives it private mounts and processes: whatever ends the
//! run (a failed test, Ctrl-C, SIGKILL), the hosts end with it.

pub mod builder;
pub mod central;
pub mod cgroup;
pub mod command;
pub mod compile;
pub mod crash;
pub mod curfew;
pub mod endpoint;
pub mod gate;
pub mod host;
pub mod https;
pub mod journal;
pub mod load;
pub mod overlay;
pub mod package;
pub mod process;
pub mod release;
pub mod root;
pub mod shell;
pub mod ssh;
pub mod timing;
pub mod vm;
pub mod wait;

pub use builder::HostBuilder;
pub use command::{Output, Running};
pub use curfew::{Grant, assert_refused};
pub use host::Host;
pub use process::Process;
pub use release::Release;
pub use shell::Shell;
pub use vm::Vm;
pub use wait::{SOON, until, wait_for};

use std::io::Write as _;
use std::panic;
use std::sync::Once;

/// Prints a line at once, also from a test that passes: for figures that a run is to show.
pub fn report(line: &str) {
    // Writing to the stream itself passes by the capture that `println!` in tests is subject to.
    let _ = writeln!(std::io::stderr(), "    {line}");
}

/// How much of why a test fails is said at once, in characters.
const GIST: usize = 1500;

/// Has a test that fails say why when it does, and not only at the end of a run that takes long.
pub fn say_failures_at_once() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |failure| {
            let why: String = failure.to_string().chars().take(GIST).collect();
            report(&format!("{}: {why}", std::thread::current().name().unwrap_or_default()));
            usual(failure);
        }));
    });
}
