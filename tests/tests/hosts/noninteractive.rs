//! `sudo -n` by whoever has a grant: where it would need a password it says so at once, and nothing counts that against the person.

use std::time::Duration;

use curfew_tests::{Host, Output, Release, SOON, wait_for};
use serde_json::Value;

// sudo-rs asks PAM under -n by itself, whoever it is.
on_classic_sudo! {
    with_n_what_no_grant_covers_is_denied_with_a_record_and_no_other_module_is_asked,
    with_n_what_a_grant_gives_as_another_user_is_denied_with_a_record,
    with_n_what_needs_a_password_all_the_same_is_said_and_is_no_denied_command,
    with_n_a_host_that_has_pam_asked_by_itself_is_left_as_it_is,
}

/// What sudo is told.
const TOLD: &str = "/run/curfew/sudoers.d/curfew+noninteractive";

/// How soon a change of the host's own rules is noticed.
const NOTICED: Duration = Duration::from_secs(60);

/// Failures are counted behind pam_unix.
const COUNTS: &str = "sed -i 's/^\\(auth.*\\)success=1\\(.*pam_unix.so.*\\)$/\\1success=2\\2\\nauth [default=die] pam_faillock.so authfail/' \
                      /etc/pam.d/common-auth && grep -q faillock /etc/pam.d/common-auth";

/// How many are counted against somebody.
fn counted(host: &Host, user: &str) -> usize {
    let times = host.ok(&format!("faillock --user {user}"));
    times.lines().filter(|line| line.trim_end().ends_with(" V")).count()
}

fn denials(host: &Host) -> Vec<Value> {
    host.audit("--event sudo.denied --user alice")
}

/// Who holds a grant is told apart by sudo, or is not.
fn holders_are_spared(host: &Host, spared: bool, limit: Duration) {
    wait_for("what sudo is told", limit, || {
        let told = host.run(&format!("cat {TOLD}")).stdout;
        (told.contains("noninteractive_auth") && told.contains("!#1001") == spared).then_some(())
    });
}

fn sudo(host: &Host, typed: &str) -> Output {
    host.run_as("alice", &format!("{typed} </dev/null"))
}

fn with_n_what_no_grant_covers_is_denied_with_a_record_and_no_other_module_is_asked(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).boot();
    host.ok(COUNTS);
    let _grant = host.grant("alice --for 300s --sudo --command /usr/bin/whoami");
    host.drop_in();
    holders_are_spared(&host, false, SOON);
    let denied = |typed: &str| {
        let before = denials(&host).len();
        let output = sudo(&host, typed);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!output.success() && said.contains("no other sudo rule of this host permits it"), "{output:#?}");
        assert!(said.matches("Curfew: ").count() == 1 && !said.contains("assword for"), "{output:#?}");
        let records = denials(&host);
        assert_eq!(records.len(), before + 1, "{typed}: {records:#?}");
        let record = &records[before];
        assert_eq!(record["reason_code"], "wrong_service", "{record}");
        assert!(record["reason"].to_string().contains("without a password"), "{record}");
        assert_eq!(record["command"], typed, "{record}");
    };
    let forms = ["sudo -n id", "sudo --non-interactive -u carol id", "sudo -nu root cat /etc/shadow", "sudo -n -i"];
    forms.iter().for_each(|form| denied(form));
    // A rule of the host's that wants a password changes nothing: there is none.
    host.ok("echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/00-own; chmod 440 /etc/sudoers.d/00-own");
    forms.iter().for_each(|form| denied(form));
    assert_eq!(counted(&host, "alice"), 0);
    // What is granted works, and so does what the host permits, with the password.
    assert_eq!(sudo(&host, "sudo -n whoami").expect_ok("granted"), "root");
    let before = denials(&host).len();
    let own = host.run_as("alice", "echo alice-pw | sudo -S -p '' id -u && sudo -n id -g && echo both");
    assert_eq!(own.expect_ok("the host's own rule, and the password that was just typed"), "0\n0\nboth");
    assert_eq!(denials(&host).len(), before);
    // It would have been counted.
    let _ = host.run_as("alice", "echo wrong | sudo -k -S -p '' id");
    assert_ne!(counted(&host, "alice"), 0, "nothing counts here");
    // Whoever is exempt hears sudo itself.
    let exempt = host.run_as("ops", "sudo -n id");
    assert!(!exempt.success() && !exempt.stderr.contains("Curfew"), "{exempt:#?}");
    assert_eq!(counted(&host, "ops"), 0);
}

fn with_n_what_a_grant_gives_as_another_user_is_denied_with_a_record(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 300s --sudo --command ALL --run-as bob");
    host.drop_in();
    holders_are_spared(&host, false, SOON);
    for (number, typed) in ["sudo -n whoami", "sudo -n -u carol rm -rf /tmp/x", "sudo -n -g bob id"].iter().enumerate()
    {
        let denied = sudo(&host, typed);
        assert!(!denied.success() && denied.stderr.contains("none of your live grants"), "{denied:#?}");
        let records = denials(&host);
        assert_eq!(records.len(), number + 1, "{typed}: {records:#?}");
        assert_eq!(records[number]["command"], *typed, "{records:#?}");
    }
    assert_eq!(sudo(&host, "sudo -n -u '#1002' whoami").expect_ok("granted"), "bob");
}

fn with_n_what_needs_a_password_all_the_same_is_said_and_is_no_denied_command(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).config("sudo_password = true").boot();
    host.ok(COUNTS);
    let _grant = host.grant("alice --for 300s --sudo --command /usr/bin/whoami");
    host.drop_in();
    holders_are_spared(&host, false, SOON);
    for typed in ["sudo -n whoami", "sudo -nl", "sudo -n -v", "sudo -n --list"] {
        let output = sudo(&host, typed);
        assert!(!output.success() && output.stderr.contains("sudo: a password is required"), "{output:#?}");
        assert!(!output.stderr.contains("none of your live grants"), "{output:#?}");
    }
    assert!(denials(&host).is_empty(), "{:#?}", denials(&host));
    assert_eq!(counted(&host, "alice"), 0);
    let granted = host.run_as("alice", "echo alice-pw | sudo -S -p '' whoami && sudo -nl && echo both");
    let listed = granted.expect_ok("granted, and the password that was just typed");
    assert!(listed.starts_with("root") && listed.contains("/usr/bin/whoami") && listed.ends_with("both"), "{listed}");
}

fn with_n_a_host_that_has_pam_asked_by_itself_is_left_as_it_is(release: Release) {
    let host = Host::boot(release);
    // What needs no input: a key agent, a fingerprint.
    host.ok("sed -i '1i auth sufficient pam_succeed_if.so quiet user = alice' /etc/pam.d/common-auth");
    host.ok("echo 'alice ALL=(ALL) /usr/bin/id' > /etc/sudoers.d/00-own; chmod 440 /etc/sudoers.d/00-own");
    let _grant = host.grant("alice --for 300s --sudo --command /usr/bin/whoami");
    host.drop_in();
    holders_are_spared(&host, false, SOON);
    let by_itself = sudo(&host, "sudo -k -n id -u");
    assert!(!by_itself.success() && by_itself.stderr.contains("Curfew: "), "{by_itself:#?}");
    assert_eq!(denials(&host).len(), 1);
    host.ok("echo 'Defaults:alice noninteractive_auth' > /etc/sudoers.d/00-keys; chmod 440 /etc/sudoers.d/00-keys");
    holders_are_spared(&host, true, NOTICED);
    assert_eq!(sudo(&host, "sudo -k -n id -u").expect_ok("by the host's own setting"), "0");
    assert_eq!(denials(&host).len(), 1);
    host.ok("rm /etc/sudoers.d/00-keys");
    holders_are_spared(&host, false, NOTICED);
    assert!(!sudo(&host, "sudo -k -n id -u").success());
    assert_eq!(denials(&host).len(), 2);
}
