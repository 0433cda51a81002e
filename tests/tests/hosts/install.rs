//! dpkg killed at its work, on a first install, an upgrade and a removal: whoever runs the host gets in at each moment, nobody gets in
//! who should not while Curfew is wired, and the next run finishes it.

use std::time::{Duration, Instant};

use curfew_tests::package::DEB;
use curfew_tests::{Host, Release, assert_refused, report};

on_two_releases! {
    a_first_install_that_is_killed_locks_nobody_out,
    an_upgrade_that_is_killed_opens_no_door_and_shuts_none,
    a_removal_that_is_killed_locks_nobody_out_and_leaves_no_line_of_pam_without_its_module,
}

/// Parts of the time that dpkg takes by itself, after which it is killed.
const PARTS: [f64; 5] = [0.15, 0.35, 0.55, 0.75, 0.9];
/// Renames before which it is killed: the first of the files, later ones, its own records.
const RENAMES: [u32; 4] = [2, 6, 11, 17];

/// How dpkg is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    After(Duration),
    AtRename(u32),
}

fn moments(whole: Duration) -> impl Iterator<Item = Moment> {
    let after = PARTS.into_iter().map(move |part| Moment::After(whole.mul_f64(part)));
    after.chain(RENAMES.into_iter().map(Moment::AtRename))
}

/// Runs dpkg and kills it; whether it was at work still.
fn killed(host: &Host, arguments: &str, moment: Moment) -> bool {
    match moment {
        Moment::After(delay) => host.dpkg_killed_after(arguments, delay),
        Moment::AtRename(number) => host.dpkg_killed_at_rename(arguments, number),
    }
}

/// How long dpkg takes undisturbed.
fn time_of(host: &Host, arguments: &str) -> Duration {
    let begun = Instant::now();
    host.ok(&format!("dpkg {arguments}"));
    begun.elapsed()
}

/// What was begun is finished by dpkg's own means, or by the same command again.
fn finish(host: &Host, arguments: &str) {
    let _ = host.run("dpkg --configure --pending </dev/null");
    host.ok(&format!("dpkg {arguments} </dev/null"));
    assert_eq!(host.ok("dpkg --audit"), "");
}

/// Root and ops always get in; bob, who has no grant, where sshd is not wired, and nowhere else.
fn the_right_people_get_in(host: &Host, when: &str) {
    for user in ["root", "ops"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok(when), user);
    }
    let bob = host.ssh("bob", "id -un");
    if host.run("grep -q '^account.*pam_curfew' /etc/pam.d/sshd").success() {
        assert_refused(&bob);
    } else {
        assert_eq!(bob.expect_ok(when), "bob");
    }
    let wired = host.run("grep -ls '^[^#]*pam_curfew' /etc/pam.d/*").stdout;
    let there = host.run("ls /usr/lib/*/security/pam_curfew.so").success();
    assert!(wired.is_empty() || there, "{when}: the module is gone, and named by {wired}");
}

/// How far dpkg had come, for the report.
fn told(host: &Host, release: Release, work: &str, moment: Moment) -> String {
    let state = host.package_state("curfew");
    let when = format!("{release}: {work}, killed {moment:?}: {}", state.trim());
    report(&when);
    when
}

fn a_first_install_that_is_killed_locks_nobody_out(release: Release) {
    let host = Host::builder(release).without_package().boot();
    let before = host.ok("cat /etc/pam.d/* /etc/sudoers");
    let install = format!("--install {DEB}");
    let whole = time_of(&host, &install);
    let mut at_work = 0;
    for moment in moments(whole) {
        host.ok("dpkg --purge curfew");
        at_work += usize::from(killed(&host, &install, moment));
        let when = told(&host, release, "a first install", moment);
        the_right_people_get_in(&host, &when);
        assert_eq!(host.ok("cat /etc/pam.d/* /etc/sudoers"), before, "{when}");
        finish(&host, &install);
        host.ok("echo ops >>/etc/curfew/exempt; curfew enable && curfew status");
        the_right_people_get_in(&host, &format!("{when}, and finished"));
    }
    assert!(at_work >= PARTS.len(), "it was killed only {at_work} times before its end");
}

fn an_upgrade_that_is_killed_opens_no_door_and_shuts_none(release: Release) {
    let host = Host::boot(release);
    let _grant = host.grant("alice --for 600s --login");
    let mut shell = host.login("alice");
    // There and back again would be refused: each is newer than the last.
    let mut number = 1;
    let mut newer = || {
        number += 1;
        format!("--install {}", host.repack(DEB, &format!("0.{number}.0-1"), "echo >>usr/sbin/curfewd"))
    };
    let whole = time_of(&host, &newer());
    let mut at_work = 0;
    for moment in moments(whole) {
        let upgrade = newer();
        at_work += usize::from(killed(&host, &upgrade, moment));
        let when = told(&host, release, "an upgrade", moment);
        assert_refused(&host.ssh("bob", "id"));
        assert_eq!(host.ssh("alice", "id -un").expect_ok(&when), "alice");
        the_right_people_get_in(&host, &when);
        assert!(shell.run("echo in").contains("in"), "{when}");
        finish(&host, &upgrade);
        assert_refused(&host.ssh("bob", "id"));
        assert_eq!(host.ssh("alice", "id -un").expect_ok(&when), "alice");
        assert!(shell.run("echo in").contains("in"), "{when}, and finished");
    }
    assert!(at_work >= PARTS.len(), "it was killed only {at_work} times before its end");
    host.audit_is_whole();
}

fn a_removal_that_is_killed_locks_nobody_out_and_leaves_no_line_of_pam_without_its_module(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    let before = host.ok("cat /etc/pam.d/* /etc/sudoers");
    host.ok("curfew enable");
    let whole = time_of(&host, "--remove curfew");
    let mut at_work = 0;
    for moment in moments(whole) {
        host.ok(&format!("dpkg --install {DEB} && curfew enable"));
        at_work += usize::from(killed(&host, "--remove curfew", moment));
        let when = told(&host, release, "a removal", moment);
        the_right_people_get_in(&host, &when);
        let _ = host.run("dpkg --configure --pending </dev/null");
        the_right_people_get_in(&host, &format!("{when}, and configured"));
        finish(&host, "--remove curfew");
        assert_eq!(host.ok("cat /etc/pam.d/* /etc/sudoers"), before, "{when}");
        the_right_people_get_in(&host, &format!("{when}, and finished"));
    }
    assert!(at_work >= PARTS.len(), "it was killed only {at_work} times before its end");
}
