//! SELinux and AppArmor: whether what they deny holds us up. A denial that nobody sees looks like an agent that does not answer.

use super::Check;
use crate::host::program::{self, Said};
use std::fs;

const JOURNALCTL: &str = "/usr/bin/journalctl";

/// What is labelled by our SELinux module, where it is loaded.
const LABELLED: &str = "/run/curfew";

/// Our policy, for the host's own.
const POLICY: &str = "/usr/share/selinux/packages/curfew.pp";

pub(super) fn checks() -> Vec<Check> {
    vec![selinux(), denials()]
}

fn selinux() -> Check {
    let enforcing = fs::read_to_string("/sys/fs/selinux/enforce").map(|text| text.trim() == "1");
    let Ok(enforcing) = enforcing else { return Check::pass("selinux", "it is off") };
    let mut label = [0; 256];
    let label = rustix::fs::getxattr(LABELLED, "security.selinux", &mut label).map(|length| {
        String::from_utf8_lossy(label.get(..length).unwrap_or_default()).trim_end_matches('\0').to_owned()
    });
    let ours = label.as_ref().is_ok_and(|label| label.contains(":curfew"));
    let mend = format!(
        "semodule -i {POLICY} && restorecon -RF /usr/sbin/curfewd /etc/curfew /var/lib/curfew /run/curfew && \
         systemctl stop curfewd.service curfewd.socket && systemctl start curfewd.socket curfewd.service"
    );
    match (ours, enforcing) {
        (true, true) => Check::pass("selinux", "it enforces, and our module is loaded"),
        (true, false) => Check::pass("selinux", "it is permissive, and our module is loaded"),
        (false, true) => {
            Check::fail("selinux", "it enforces, and our module is not loaded: sshd may not ask the agent", mend)
        }
        (false, false) => Check::warn(
            "selinux",
            "our module is not loaded: were SELinux to enforce, sshd could not ask the agent",
            mend,
        ),
    }
}

/// What the kernel has denied us since the boot.
fn denials() -> Check {
    let pattern = r#"(avc: +denied|apparmor="DENIED").*(curfewd|io\.curfew\.|/(run|etc)/curfew["/])"#;
    let asked = [
        "--boot",
        "--quiet",
        "--no-pager",
        "--output=cat",
        "--lines=20",
        "--grep",
        pattern,
        "_TRANSPORT=kernel",
        "_TRANSPORT=audit",
    ];
    // No line that fits is exit code 1, and says nothing.
    match program::run_and_wait(JOURNALCTL, &asked) {
        Ok(Said { output, .. }) if !output.trim().is_empty() => {
            let last = output.lines().last().unwrap_or_default();
            // Whoever is confined chooses the names that it is denied, so this is a word and no verdict.
            let detail = format!("{} denials name us since the boot; the last: {last}", output.lines().count());
            Check::warn(
                "denials",
                detail,
                "see journalctl --boot --grep denied; load our SELinux module, or mend the profile",
            )
        }
        Ok(Said { errors, .. }) if !errors.trim().is_empty() => Check::warn(
            "denials",
            format!("the journal can't be searched: {}", errors.trim()),
            "see journalctl --boot --grep denied",
        ),
        Ok(_) => Check::pass("denials", "SELinux and AppArmor denied us nothing since the boot"),
        Err(problem) => Check::warn("denials", problem, "see journalctl --boot --grep denied"),
    }
}
