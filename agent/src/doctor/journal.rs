//! journald, which has a copy of the audit: whether it outlives a boot, and whether a flood of it is dropped. The audit itself is in
//! `/var/lib/curfew/audit`, whatever journald does.

use super::Check;
use crate::host::program::{self, Said};
use std::path::Path;

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Where journald writes what stays, a folder for each machine (systemd-journald.service(8)).
const PERSISTENT: &str = "/var/log/journal";

/// Where it writes what goes with the boot, or is not flushed yet.
const VOLATILE: &str = "/run/log/journal";

/// machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

pub(super) fn checks() -> Vec<Check> {
    vec![persistent(), unlimited()]
}

fn persistent() -> Check {
    // A folder from before may be there, and written no more.
    let machine = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let is_written = |folder: &str| Path::new(folder).join(machine.trim()).join("system.journal").exists();
    if is_written(PERSISTENT) && !is_written(VOLATILE) {
        Check::pass("journal", format!("it is kept in {PERSISTENT}"))
    } else {
        let mend = format!(
            "mkdir -p {PERSISTENT} && systemctl restart systemd-journald && journalctl --flush; Storage= in journald.conf(5) may keep it from that"
        );
        Check::warn("journal", "it does not outlive a boot; /var/lib/curfew/audit does", mend)
    }
}

fn unlimited() -> Check {
    let asked = ["show", "--property", "LogRateLimitIntervalUSec", "--value", "curfewd.service"];
    match program::run_and_wait(SYSTEMCTL, &asked).and_then(Said::output) {
        Ok(interval) if interval.trim() == "0" => Check::pass("journal_limit", "it drops nothing of the agent's"),
        Ok(interval) => Check::warn(
            "journal_limit",
            format!("it drops records in a flood (LogRateLimitIntervalSec={})", interval.trim()),
            "take the setting out of the drop-in that has it: systemctl cat curfewd",
        ),
        Err(problem) => Check::warn("journal_limit", problem, "see systemctl status curfewd"),
    }
}
