//! Installing changes nothing, enabling ends nothing, disabling leaves every byte as it was.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_each_release! {
    the_package_comes_and_goes_and_pam_and_sudo_are_as_they_were,
    what_is_installed_has_the_names_and_modes_that_others_count_on,
}

on_every_release! {
    what_is_open_when_it_is_disabled_outlives_its_grant,
    changes_made_meanwhile_outlive_disabling,
    a_service_that_is_not_wired_beside_others_that_are_is_told,
}

/// The services whose person is judged, as far as this host has them.
const SERVICES: &str =
    "for service in sshd login sudo sudo-i su su-l; do [ ! -e /etc/pam.d/$service ] || echo $service; done";

fn the_package_comes_and_goes_and_pam_and_sudo_are_as_they_were(release: Release) {
    let host = Host::builder(release).without_package().boot();
    // A file whose last line has no end must get it back without one.
    host.ok("truncate -s -1 /etc/pam.d/sudo-i; printf '# local\\naccount required pam_permit.so' > /etc/pam.d/su-l");
    let before = host.wiring();
    let mut shell = host.login("bob");

    host.ok("dpkg --install /root/curfew.deb");
    assert_eq!(host.wiring(), before, "installing wired something");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("installed, not enabled"), "alice");

    host.ok("curfew enable");
    for service in host.ok(SERVICES).lines() {
        let stack = host.ok(&format!("cat /etc/pam.d/{service}"));
        let first = stack.lines().find(|line| {
            let line = line.trim_start_matches('-');
            line.starts_with("account") || line.contains("common-account")
        });
        assert!(first.is_some_and(|line| line.contains("pam_curfew.so")), "{service}: {stack}");
    }
    assert_eq!(host.ok("grep -v '^#' /etc/sudoers.d/curfew"), "@includedir /run/curfew/sudoers.d");
    host.ok("visudo --check --quiet");
    host.ok("curfew enable");
    assert_refused(&host.ssh("bob", "id"));
    std::thread::sleep(Duration::from_secs(2));
    assert!(shell.run("echo kept").contains("kept"), "enabling ended a session");
    host.ok("systemctl restart curfewd; curfew status");
    std::thread::sleep(Duration::from_secs(1));
    assert!(shell.run("echo kept").contains("kept"), "a restart ended a session from before");

    host.ok("curfew disable");
    assert_eq!(host.wiring(), before, "disabling did not bring everything back");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("disabled"), "alice");
    host.ok("curfew disable");

    // Whoever forgets to disable it is not locked out.
    host.ok("curfew enable");
    host.ok("dpkg --purge curfew");
    assert_eq!(host.wiring(), before, "purging did not bring everything back");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("purged"), "alice");
    for rest in ["/var/lib/curfew", "/run/curfew", "/etc/curfew"] {
        assert!(!host.has(rest), "{rest} is left");
    }
}

fn a_service_that_is_not_wired_beside_others_that_are_is_told(release: Release) {
    let host = Host::builder(release).not_enabled().boot();
    let problems = || host.status()["problems"].to_string();
    // One that came later, and one whose file its package has exchanged.
    host.ok("cp -a /etc/pam.d/su /root/su && mv /etc/pam.d/su-l /root/su-l && curfew enable");
    assert_eq!(problems(), "[]");
    host.ok("mv /root/su-l /etc/pam.d/su-l && cp -a /root/su /etc/pam.d/su");
    for service in ["su", "su-l"] {
        assert!(problems().contains(&format!("does not ask Curfew about {service}:")), "{}", problems());
    }
    assert!(host.ok("curfew status").contains("to wire it: curfew enable"));
    let doctor = host.run("curfew doctor");
    assert!(!doctor.success() && doctor.stdout.contains("/etc/pam.d/su-l"), "{doctor:?}");
    host.ok("systemctl reload curfewd");
    wait_for("word of it in the journal", SOON, || {
        let errors = host.journal("_SYSTEMD_UNIT=curfewd.service PRIORITY=3");
        errors.iter().any(|entry| entry["MESSAGE"].to_string().contains("about su-l")).then_some(())
    });
    // Also where it is all of them.
    host.ok("sed -i '/pam_curfew/d' /etc/pam.d/*");
    assert!(problems().contains("does not ask Curfew about sshd:"), "{}", problems());
    host.ok("curfew enable");
    assert_eq!(problems(), "[]");
    host.ok("curfew disable");
    assert_eq!(problems(), "[]");
}

fn what_is_open_when_it_is_disabled_outlives_its_grant(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 4s --login");
    let mut shell = host.login("alice");
    host.ok("curfew disable");
    std::thread::sleep(Duration::from_secs(6));
    assert!(shell.run("echo kept").contains("kept"), "what is off ended a session");
}

fn changes_made_meanwhile_outlive_disabling(release: Release) {
    let host = Host::boot(release);
    host.ok("echo '# added later' >> /etc/pam.d/sshd; echo 'carol ALL=(root) /usr/bin/id' > /etc/sudoers.d/later; chmod 440 /etc/sudoers.d/later");
    host.ok("curfew disable");
    assert!(host.ok("tail -n 1 /etc/pam.d/sshd").contains("added later"));
    assert!(!host.ok("cat /etc/pam.d/*").contains("curfew"));
    assert!(host.has("/etc/sudoers.d/later"));
}

fn what_is_installed_has_the_names_and_modes_that_others_count_on(release: Release) {
    let host = Host::boot(release);
    let modes = host.ok("stat --format '%a %U:%G %n' /var/lib/curfew /run/curfew /run/curfew/io.curfew.Pam \
                         /run/curfew/io.curfew.Agent /run/curfew/sudoers.d /etc/curfew/exempt");
    let expected = [
        "700 root:root /var/lib/curfew",
        "755 root:root /run/curfew",
        "600 root:root /run/curfew/io.curfew.Pam",
        "666 root:root /run/curfew/io.curfew.Agent",
        "750 root:root /run/curfew/sudoers.d",
        "644 root:root /etc/curfew/exempt",
    ];
    assert_eq!(modes.lines().collect::<Vec<_>>(), expected);
    for file in
        ["/usr/sbin/curfewd", "/usr/bin/curfew", "/usr/lib/systemd/catalog/curfew.catalog", "/etc/curfew/agent.toml"]
    {
        assert!(host.has(file), "{file}");
    }
    assert_eq!(host.ok("systemctl is-enabled curfewd.socket"), "enabled");
    assert_eq!(
        host.ok("grep -vE '^(#|$)' /etc/curfew/agent.toml | wc -l"),
        "0",
        "a shipped setting is not commented out"
    );
    let before_ssh = host.ok("systemctl show --value --property=Before curfewd.socket");
    assert!(before_ssh.contains("ssh.service"), "{before_ssh}");
}
