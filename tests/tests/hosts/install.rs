//! dpkg killed at its work, on a first install, an upgrade and a removal: whoever runs the host gets in at each moment, nobody gets in
//! who should not while Curfew is wired, and the next run finishes it.

use std::time::{Duration, Instant};

use curfew_tests::package::DEB;
use curfew_tests::{Host, Release, assert_refused, report};

takes_long! {
    a_first_install_that_is_killed_locks_nobody_out: bookworm Bookworm, trixie Trixie;
    an_upgrade_that_is_killed_opens_no_door_and_shuts_none: bookworm Bookworm, trixie Trixie;
    a_removal_that_is_killed_locks_nobody_out_and_leaves_no_line_of_pam_without_its_module: bookworm Bookworm, trixie Trixie;
}

/// Parts of the time that dpkg takes by itself, after which it is killed.
const PARTS: [f64; 5] = [0.15, 0.35, 0.55, 0.75, 0.9];
/// Renames before which it is killed: the first of the files, later ones, its own records.
const RENAMES: [u32; 4] = [2, 6, 11, 17];

/// When dpkg is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    After(f64),
    AtRename(u32),
}

fn moments() -> impl Iterator<Item = Moment> {
    PARTS.into_iter().map(Moment::After).chain(RENAMES.into_iter().map(Moment::AtRename))
}

/// Kills it, time after time.
struct Killer {
    /// How long it takes undisturbed, at most.
    whole: Duration,
    /// How often it was at work still when it was killed.
    at_work: usize,
}

impl Killer {
    /// Lets it run once, to see how long it takes.
    fn of(host: &Host, arguments: &str) -> Self {
        let begun = Instant::now();
        host.ok(&format!("dpkg {arguments}"));
        Self { whole: begun.elapsed(), at_work: 0 }
    }

    /// Runs dpkg and kills it.
    fn strike(&mut self, host: &Host, arguments: &str, moment: Moment) {
        let killed = match moment {
            Moment::After(part) => host.dpkg_killed_after(arguments, self.whole.mul_f64(part)),
            Moment::AtRename(number) => host.dpkg_killed_at_rename(arguments, number),
        };
        self.at_work += usize::from(killed);
        if let (false, Moment::After(part)) = (killed, moment) {
            // The machine was busier when it was timed.
            self.whole = self.whole.mul_f64(part);
        }
    }

    fn found_it_at_work(&self) {
        assert!(self.at_work >= PARTS.len(), "it was killed only {} times before its end", self.at_work);
    }
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
    let mut killer = Killer::of(&host, &install);
    for moment in moments() {
        host.ok("dpkg --purge curfew");
        killer.strike(&host, &install, moment);
        let when = told(&host, release, "a first install", moment);
        the_right_people_get_in(&host, &when);
        assert_eq!(host.ok("cat /etc/pam.d/* /etc/sudoers"), before, "{when}");
        finish(&host, &install);
        host.ok("echo ops >>/etc/curfew/exempt; curfew enable && curfew status");
        the_right_people_get_in(&host, &format!("{when}, and finished"));
    }
    killer.found_it_at_work();
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
    let mut killer = Killer::of(&host, &newer());
    for moment in moments() {
        let upgrade = newer();
        killer.strike(&host, &upgrade, moment);
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
    killer.found_it_at_work();
    host.audit_is_whole();
}

fn a_removal_that_is_killed_locks_nobody_out_and_leaves_no_line_of_pam_without_its_module(release: Release) {
    let host = Host::builder(release).exempt(&["ops"]).not_enabled().boot();
    let before = host.ok("cat /etc/pam.d/* /etc/sudoers");
    host.ok("curfew enable");
    let mut killer = Killer::of(&host, "--remove curfew");
    for moment in moments() {
        host.ok(&format!("dpkg --install {DEB} && curfew enable"));
        killer.strike(&host, "--remove curfew", moment);
        let when = told(&host, release, "a removal", moment);
        the_right_people_get_in(&host, &when);
        let _ = host.run("dpkg --configure --pending </dev/null");
        the_right_people_get_in(&host, &format!("{when}, and configured"));
        finish(&host, "--remove curfew");
        assert_eq!(host.ok("cat /etc/pam.d/* /etc/sudoers"), before, "{when}");
        the_right_people_get_in(&host, &format!("{when}, and finished"));
    }
    killer.found_it_at_work();
}
