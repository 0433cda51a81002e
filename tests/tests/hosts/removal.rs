//! Taken off, Curfew leaves the host as it was; and what would leave PAM with a module that is gone is refused or mended.

use std::time::Duration;

use curfew_tests::package::DEB;
use curfew_tests::{Host, Release, assert_refused};

on_each_release! {
    a_host_is_as_it_was_after_a_removal_and_nothing_is_left_after_a_purge,
}

on_two_releases! {
    blocks_that_somebody_damaged_are_taken_out_all_the_same,
    a_rule_of_ones_own_stops_the_removal_and_says_what_to_do,
    a_package_that_is_only_half_there_takes_its_lines_with_it,
    what_is_deconfigured_stays_in_force,
}

takes_long! {
    it_goes_also_when_its_own_programs_or_files_are_broken: bookworm Bookworm, trixie Trixie;
}

/// What has our name, or names us: but for the tests' own, dpkg's and systemd's records of what happened, and the copy of the package
/// in the host's /root.
const OURS: &str = "
find / -xdev \\( -path /proc -o -path /sys -o -path /root -o -name 'curfew-tests*' -o -path /var/log -o -path /var/lib/dpkg \\) -prune \\
    -o -iname '*curfew*' -print
find /run -xdev -iname '*curfew*' -print
grep -rlIs curfew /etc /run /usr/lib /usr/share /var/lib --exclude-dir=curfew-tests --exclude=curfew-tests.conf --exclude-dir=dpkg
journalctl --list-catalog | grep -i curfew
systemctl list-units --all --plain --no-legend | grep -i curfew
systemctl list-unit-files --no-legend | grep -i curfew
true";

fn a_host_is_as_it_was_after_a_removal_and_nothing_is_left_after_a_purge(release: Release) {
    let host = Host::builder(release).without_package().boot();
    let before = host.wiring();
    host.ok(&format!("dpkg --install {DEB} && echo ops >>/etc/curfew/exempt && curfew enable"));
    let _grant = host.grant("alice --for 600s --login --sudo --command ALL");
    host.drop_in();
    let mut shell = host.login("alice");
    assert!(host.ok("systemctl list-units --plain --no-legend 'curfew-end-*'").contains(".timer"));
    assert_refused(&host.ssh("bob", "id"));

    host.ok("dpkg --remove curfew");
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ok("systemctl list-units --plain --no-legend 'curfew*'"), "");
    assert!(!host.has("/run/curfew"), "a drop-in may be left");
    assert!(host.has("/var/lib/curfew/audit") && host.has("/etc/curfew/exempt"), "a removal keeps state and settings");
    assert!(shell.run("echo still in").contains("still in"));
    for user in ["root", "ops", "bob", "alice"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("by the host's own rules"), user);
    }
    assert_eq!(host.run_as("dave", "sudo -n /usr/bin/id -u").expect_ok("dave's own rule"), "0");
    assert!(!host.run_as("alice", "sudo -n /usr/bin/id").success());

    // Back again it has its grants and its audit; then it goes for good.
    host.ok(&format!("dpkg --install {DEB}"));
    assert_eq!(host.status()["grants"][0]["user"], "alice");
    host.ok("curfew enable");
    assert_refused(&host.ssh("bob", "id"));
    host.audit_is_whole();
    host.ok("dpkg --purge curfew");
    assert_eq!(host.wiring(), before);
    assert_eq!(host.ok(OURS), "");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("purged"), "bob");
}

fn it_goes_also_when_its_own_programs_or_files_are_broken(release: Release) {
    let host = Host::builder(release).without_package().boot();
    // One file without a line break at its end, one that is empty, one that is a link, and one that the distribution keeps elsewhere.
    host.ok("printf '# local\\naccount required pam_permit.so' >/etc/pam.d/su-l; : >/etc/pam.d/sudo-i; \
             mv /etc/pam.d/su /etc/pam.d/su-itself; ln -s su-itself /etc/pam.d/su; \
             mkdir -p /usr/lib/pam.d; mv /etc/pam.d/login /usr/lib/pam.d/login");
    let before = host.wiring();
    for broken in [
        "truncate --size 4096 /usr/bin/curfew",
        ": >/usr/bin/curfew",
        "rm /usr/bin/curfew",
        "printf 'mode = \\0\\0\\0' >/etc/curfew/agent.toml; systemctl stop curfewd.socket curfewd.service",
        "rm /etc/curfew/agent.toml; mkdir /etc/curfew/agent.toml",
        "rm -r /var/lib/curfew; : >/var/lib/curfew; systemctl kill --signal KILL curfewd",
        "systemctl mask --quiet curfewd.socket curfewd.service; systemctl kill --signal STOP curfewd",
    ] {
        host.ok(&format!("dpkg --install {DEB} && curfew enable"));
        assert_refused(&host.ssh("bob", "id"));
        host.ok(broken);
        let said = host.run("dpkg --purge curfew");
        assert!(said.success(), "{broken}: {said:#?}");
        assert_eq!(host.wiring(), before, "{broken}");
        assert_eq!(host.ssh("bob", "id -un").expect_ok(broken), "bob");
        assert_eq!(host.run("systemctl is-active curfewd").stdout.trim(), "inactive", "{broken}");
        host.ok("rm -rf /etc/curfew /var/lib/curfew; systemctl unmask --quiet curfewd.socket curfewd.service");
    }
}

fn blocks_that_somebody_damaged_are_taken_out_all_the_same(release: Release) {
    let host = Host::builder(release).without_package().boot();
    let before = host.wiring();
    for damage in [
        "sed -i '0,/^# curfew end/{/^# curfew end/d}' /etc/pam.d/sshd",
        "sed -i '$d' /etc/pam.d/sshd",
        "sed -i '/^# curfew begin/d' /etc/pam.d/sudo",
    ] {
        host.ok(&format!("dpkg --install {DEB} && curfew enable"));
        assert_refused(&host.ssh("bob", "id"));
        host.ok(damage);
        host.ok("dpkg --purge curfew");
        assert_eq!(host.wiring(), before, "{damage}");
        assert_eq!(host.ssh("bob", "id -un").expect_ok(damage), "bob");
    }
}

fn a_rule_of_ones_own_stops_the_removal_and_says_what_to_do(release: Release) {
    let host = Host::boot(release);
    host.ok("echo 'session optional pam_curfew.so login' >>/etc/pam.d/cron");
    let refused = host.run("dpkg --remove curfew");
    assert!(!refused.success(), "{refused:#?}");
    let says = ["Curfew is not removed", "/etc/pam.d/cron", "by hand"];
    assert!(says.iter().all(|said| refused.stderr.contains(said)), "{refused:#?}");
    // Nothing is half gone: the files are there, the agent runs, and everybody gets in.
    assert!(host.package_state("curfew").contains("ok installed"), "{}", host.package_state("curfew"));
    let agent = host.ok("systemctl is-active curfewd.service curfewd.socket curfew-clock.timer | uniq");
    assert_eq!(agent, "active");
    for user in ["root", "ops", "bob"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("not removed"), user);
    }
    // As the message says.
    host.ok("sed -i '/pam_curfew/d' /etc/pam.d/cron && dpkg --remove curfew");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("removed"), "bob");
}

fn a_package_that_is_only_half_there_takes_its_lines_with_it(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    let before = host.wiring();
    host.ok("curfew enable");
    let newer = host.repack(DEB, "0.2.0-1", ":");
    assert!(host.dpkg_killed_at_rename(&format!("--install {newer}"), 4));
    let state = host.package_state("curfew");
    assert!(state.contains("half-installed"), "{state}");
    assert_refused(&host.ssh("bob", "id"));

    // Nothing asks prerm here: dpkg takes the files as they are.
    host.ok("dpkg --purge --force-remove-reinstreq curfew");
    assert_eq!(host.wiring(), before);
    assert_eq!(host.run("systemctl is-active curfewd").stdout.trim(), "inactive");
    for user in ["root", "ops", "bob"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("it is gone"), user);
    }
    assert!(!host.has("/run/curfew") && !host.has("/var/lib/curfew"));
}

/// A package that breaks ours up to a version: dpkg deconfigures ours for it, until there is a newer one.
const BREAKS: &str = "set -e; mkdir -p /root/breaks/DEBIAN; cd /root/breaks
printf 'Package: breaks\\nVersion: 1\\nArchitecture: all\\nMaintainer: n <n@n.invalid>\\nDescription: b\\nBreaks: curfew (<< 0.2)\\n' \
    >DEBIAN/control
dpkg-deb --build . /root/breaks.deb >/dev/null";

fn what_is_deconfigured_stays_in_force(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 300s --login");
    let mut shell = host.login("alice");
    host.ok(BREAKS);
    let newer = host.repack(DEB, "0.2.0-1", ":");
    // As apt does it when it has more to come: unpack one, then the other, then configure both.
    host.ok("dpkg --unpack --auto-deconfigure /root/breaks.deb");
    let state = host.package_state("curfew");
    assert!(!state.contains("ok installed"), "{state}");
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.ssh("alice", "id -un").expect_ok("deconfigured"), "alice");
    host.ok(&format!("dpkg --unpack {newer} && dpkg --configure --pending"));
    assert_eq!(host.package_state("curfew"), "0.2.0-1 install ok installed");
    std::thread::sleep(Duration::from_secs(1));
    assert_refused(&host.ssh("bob", "id"));
    assert!(shell.run("echo still in").contains("still in"));
}
