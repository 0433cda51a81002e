//! sshd's own penalties (OpenSSH 9.8 and later): every login that PAM denies counts as a failed authentication of its address.

use std::time::Duration;

use curfew_tests::{Host, Release, assert_refused};

on_one_release! {
    a_grants_first_login_works_within_two_seconds_though_the_person_was_denied_just_before,
}

fn a_grants_first_login_works_within_two_seconds_though_the_person_was_denied_just_before(release: Release) {
    let host = Host::boot(release);
    host.ok("sed -i '/PerSourcePenalties/d' /etc/ssh/sshd_config.d/curfew-tests.conf && systemctl restart ssh");
    let found = host.run("curfew doctor").stdout;
    assert!(found.contains("warn  ssh_penalties") && found.contains("after 4 denied logins"), "{found}");
    // Without the setting, those who have every right are shut out, too.
    (0..4).for_each(|_| assert_refused(&host.ssh("alice", "id")));
    assert!(!host.ssh("root", "id").success(), "sshd drops every connection from there");

    // The line that the doctor names, put where it says.
    let line =
        found.lines().find_map(|line| line.split_once("mend: ")?.1.split_once(" (or sshd)").map(|(line, _)| line));
    host.ok(line.filter(|line| line.contains("PerSourcePenalties min:60s")).expect("a line to run"));
    host.ok("systemctl restart ssh");
    assert!(!host.run("curfew doctor").stdout.contains("warn  ssh_penalties"));
    (0..4).for_each(|_| assert_refused(&host.ssh("alice", "id")));
    host.ssh("root", "id").expect_ok("an exempt user from the same address");
    let _ = host.grant("alice --for 1h --login");
    let begun = std::time::Instant::now();
    host.ssh("alice", "id").expect_ok("the first login of the grant");
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    // Whoever guesses is shut out all the same.
    let guess = "ssh -i /etc/curfew-tests/keys/carol -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null alice@127.0.0.1 id";
    host.ok(&format!("for i in $(seq 20); do ! {guess} || exit 1; done"));
    assert!(host.ok("journalctl --no-pager --boot -u ssh").contains("penalty: failed authentication"));
}
