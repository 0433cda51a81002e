//! Gates in PAM's stacks: a login or a run of sudo waits at a place of the stack until the test lets it go on, so that
//! what happens "in between" happens there each time.

use crate::host::Host;
use crate::wait::{SOON, wait_for};

/// Where gates and those who wait at them are seen, in the host.
const FOLDER: &str = "/run/gates";
/// Waits while there is a gate for the person at this place. PAM_RUSER is sudo's invoker.
const SCRIPT: &str = "#!/bin/sh
who=${PAM_RUSER:-$PAM_USER}
gate=/run/gates/$1-$who
[ \"$PAM_TYPE\" != close_session ] && [ -e \"$gate\" ] || exit 0
: >\"/run/gates/at-$1-$who.$$\"
while [ -e \"$gate\" ]; do sleep 0.02; done
";
/// A line for pam_exec behind, or before, the one that a sed address finds.
const PLACES: &[(&str, &str, &str)] = &[
    ("sshd", "/^account.*pam_nologin/i", "account"),
    ("sshd", "/^session.*pam_loginuid/i", "early"),
    ("sshd", "/^@include common-session$/a", "late"),
    ("sshd", "$a", "behind"),
    ("sudo", "/^@include common-account/a", "account"),
    ("sudo", "/^@include common-session/i", "early"),
    ("sudo", "$a", "behind"),
];

impl Host {
    /// Puts places for gates into PAM's stacks for sshd and sudo, which Curfew is wired into: `account`, behind our
    /// account line; `early`, before anything of a session; `late`, in the session that logind made, before our line
    /// (not in sudo's stack); `behind`, after our line.
    ///
    /// # Panics
    /// When the stacks can't be changed.
    pub fn put_gates(&self) {
        self.write("/usr/local/bin/gate", SCRIPT);
        // Hooks of sudo still run as who called it.
        self.ok(&format!("chmod 755 /usr/local/bin/gate && mkdir -m 777 {FOLDER}"));
        for (service, address, place) in PLACES {
            let kind = if *place == "account" { "account" } else { "session" };
            self.ok(&format!(
                "sed -i '{address} {kind} required pam_exec.so quiet /usr/local/bin/gate {place}' /etc/pam.d/{service} \
                 && grep -q 'gate {place}' /etc/pam.d/{service}"
            ));
        }
    }

    /// From now on, `user` waits at `place`.
    ///
    /// # Panics
    /// When the gate can't be made.
    pub fn close_gate(&self, place: &str, user: &str) {
        self.ok(&format!("rm -f {FOLDER}/at-{place}-{user}.* && touch {FOLDER}/{place}-{user}"));
    }

    /// Waits until `count` of `user` wait at `place`.
    ///
    /// # Panics
    /// When they do not arrive.
    pub fn at_gate(&self, place: &str, user: &str, count: usize) {
        let start = format!("at-{place}-{user}.");
        wait_for(&format!("{count} of {user} at {place}"), SOON, || {
            let there = std::fs::read_dir(self.path(FOLDER)).into_iter().flatten().flatten();
            let there = there.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start)).count();
            (there >= count).then_some(())
        });
    }

    /// Lets everybody pass, at all gates at once.
    ///
    /// # Panics
    /// When the gates can't be removed.
    pub fn open_gates(&self) {
        self.ok(&format!("rm -f {FOLDER}/*"));
    }
}
