//! An agent that dies at a chosen step: killed just before one of the system calls by which it writes something.
//!
//! strace's injector does it (strace(1), "Tampering"). The agent keeps its own PID, which socket activation counts on; the
//! next start by systemd is an undisturbed one.

use std::collections::HashMap;

use crate::host::Host;

/// What changes files and their names. Whatever a crash can leave behind lies between two of these.
const WRITING: &str =
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,ftruncate,fchmod,linkat,mkdirat";
/// The agent; or once one that is watched, and meets what `/run/step` says.
const SCRIPT: &str = "#!/bin/sh
if [ -e /run/step ]; then
    read -r fault </run/step
    rm /run/step
    exec strace -D -q -o /run/steps -e trace=WRITING${fault:+,${fault%%:*} -e inject=$fault} /usr/sbin/curfewd
fi
exec /usr/sbin/curfewd
";
/// ptrace(2) is nothing that the real unit lets its process do.
const DROP_IN: &str = "[Service]
ExecStart=
ExecStart=/usr/local/sbin/curfewd-or-die
NotifyAccess=all
WatchdogSec=0
SystemCallFilter=
NoNewPrivileges=no
CapabilityBoundingSet=
CapabilityBoundingSet=~
LockPersonality=no
MemoryDenyWriteExecute=no
RestrictNamespaces=no
SystemCallArchitectures=
ReadWritePaths=/run
";

/// A system call that writes something.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub call: String,
    /// Its number among those of this name, from 1.
    pub number: u32,
    /// How strace shows it.
    pub line: String,
}

impl Host {
    /// Makes [`Host::die_at`] possible; the host needs the package `strace`.
    ///
    /// # Panics
    /// When the agent does not start again.
    pub fn make_mortal(&self) {
        self.write("/usr/local/sbin/curfewd-or-die", SCRIPT.replace("WRITING", WRITING));
        self.ok("chmod 755 /usr/local/sbin/curfewd-or-die && mkdir -p /run/systemd/system/curfewd.service.d");
        self.write("/run/systemd/system/curfewd.service.d/mortal.conf", DROP_IN);
        self.ok("systemctl daemon-reload && systemctl restart curfewd");
    }

    /// Restarts the agent as one whose writes are listed by [`Host::steps`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn watch_steps(&self) {
        self.ok("echo >/run/step; systemctl restart curfewd");
    }

    /// Restarts the agent as one that dies before this step, which may be while it starts.
    ///
    /// # Panics
    /// When the host can't be written.
    pub fn die_at(&self, step: &Step) {
        self.restart_with_fault(&format!("{}:signal=KILL:when={}", step.call, step.number));
    }

    /// Restarts the agent as one that meets a fault, as strace's `-e inject=` takes it.
    ///
    /// # Panics
    /// When the host can't be written.
    pub fn restart_with_fault(&self, fault: &str) {
        self.write("/run/step", format!("{fault}\n"));
        let _ = self.run("systemctl restart curfewd");
    }

    /// The writes of the last agent that was watched or was to die.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut numbers = HashMap::new();
        let log = self.ok("cat /run/steps");
        let steps = log.lines().filter(|line| !line.starts_with(['-', '+'])).map(|line| {
            let call = line.split('(').next().unwrap_or_default().to_owned();
            let number = numbers.entry(call.clone()).or_insert(0);
            *number += 1;
            Step { call, number: *number, line: line.to_owned() }
        });
        // What wakes a thread (eventfd(2)) or feeds systemd's watchdog changes nothing on a disk.
        let idle = [r#""\1\0\0\0\0\0\0\0", 8)"#, "WATCHDOG=1"];
        steps.filter(|step| idle.iter().all(|idle| !step.line.contains(idle))).collect()
    }

    /// Whether the agent of the last [`Host::die_at`] died there.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.run("grep -q 'killed by SIGKILL' /run/steps").success()
    }
}
