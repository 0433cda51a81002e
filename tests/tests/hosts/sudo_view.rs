//! What a grant gives, as the host's sudo sees it: rules of others that come behind ours, and other rules altogether.

use std::time::Duration;

use curfew_tests::{Host, Release, wait_for};

on_each_release! {
    a_rule_that_wins_over_a_grants_is_told_by_grant_status_doctor_and_log,
}

on_classic_sudo! {
    a_sudo_that_reads_other_rules_is_told,
}

const A_LOOK: Duration = Duration::from_secs(60);

/// The problems of `curfew status`.
fn problems(host: &Host) -> String {
    host.status()["problems"].to_string()
}

fn a_rule_that_wins_over_a_grants_is_told_by_grant_status_doctor_and_log(release: Release) {
    let host = Host::boot(release);
    // It sorts behind `curfew`, so it wins, and asks for a password.
    host.ok("groupadd devs && gpasswd --add alice devs && echo '%devs ALL=(ALL) ALL' >/etc/sudoers.d/devs && chmod 440 /etc/sudoers.d/devs");
    let granted = host.run("curfew grant alice --for 1h --login --sudo --command /usr/bin/id --reason x");
    assert!(granted.success(), "{granted:?}");
    let asks = "sudo asks alice for a password for /usr/bin/id as root";
    wait_for("what does not work", A_LOOK, || problems(&host).contains(asks).then_some(()));
    let doctor = host.run("curfew doctor").stdout;
    assert!(doctor.contains("warn  sudo_grants") && doctor.contains(asks), "{doctor}");
    assert!(host.ok("journalctl --no-pager --boot -u curfewd").contains(asks));
    assert!(!host.run_as("alice", "sudo -n /usr/bin/id").success(), "it is true");
    // The command that grants says so, too, where sudo answers within a second.
    let granted = wait_for("an answer in time", A_LOOK, || {
        let granted = host.run("curfew grant alice --for 1h --sudo --command /usr/bin/whoami --reason x");
        granted.stderr.contains("sudo asks alice for a password for /usr/bin/whoami").then_some(granted)
    });
    assert!(granted.success(), "{granted:?}");
    // Nobody was refused by that, and nobody used an exemption.
    assert!(
        host.audit("--event sudo.denied").is_empty()
            || host.audit("--event sudo.denied").iter().all(|it| it["user"] == "alice")
    );
    let exempt = host.audit("--event exempt.used");
    assert!(exempt.iter().all(|it| it["service"] != "sudo"), "{exempt:#?}");
    // As it says: the file's name sorts before ours.
    host.ok("mv /etc/sudoers.d/devs /etc/sudoers.d/00-devs");
    assert!(!host.run("curfew doctor").stdout.contains("warn  sudo_grants"));
    host.run_as("alice", "sudo -n /usr/bin/id").expect_ok("by the grant");
    let well = host.run("curfew grant alice --for 1h --sudo --command /usr/bin/uptime --reason x");
    assert!(well.success() && !well.stderr.contains("sudo asks"), "{well:?}");
    wait_for("nothing wrong", A_LOOK, || (!problems(&host).contains("sudo asks")).then_some(()));
}

fn a_sudo_that_reads_other_rules_is_told(release: Release) {
    let host = Host::boot(release);
    host.ok("cp /etc/sudoers /etc/sudoers.alt && sed -i /includedir/d /etc/sudoers.alt && echo 'bob ALL=(ALL) ALL' >>/etc/sudoers.alt");
    host.ok("cp /etc/sudo.conf /root/; echo 'Plugin sudoers_policy sudoers.so sudoers_file=/etc/sudoers.alt' >>/etc/sudo.conf");
    let before = host.run("curfew doctor").stdout;
    assert!(
        before.contains("fail  sudoers ") && before.contains("/etc/sudoers.alt does not read /etc/sudoers.d"),
        "{before}"
    );
    drop(host.grant("alice --for 1h --login --sudo --command /usr/bin/id"));
    wait_for("what does not work", A_LOOK, || {
        problems(&host).contains("sudo has no rule for alice and /usr/bin/id").then_some(())
    });
    assert!(host.run("curfew doctor").stdout.contains("warn  sudo_grants"));
    host.ok("cp /root/sudo.conf /etc/sudo.conf");
    assert!(!host.run("curfew doctor").stdout.contains("sudo_grants  grant"));
}
