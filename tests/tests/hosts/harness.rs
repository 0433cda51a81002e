//! The harness itself, on hosts without Curfew: what the other tests rely on.

use std::time::Duration;

use curfew_tests::{Host, Release};

on_every_release! {
    a_bare_host_lets_people_in_by_key_and_password_and_out_again,
    a_session_on_a_terminal_is_seen_from_outside_and_root_in_it_too,
    a_host_keeps_its_disk_over_a_reboot_and_a_power_loss,
}

fn a_bare_host_lets_people_in_by_key_and_password_and_out_again(release: Release) {
    let host = Host::builder(release).without_package().boot();
    assert_eq!(host.ok("hostname"), release.code_name());
    for user in ["alice", "first.last", "root"] {
        assert_eq!(host.ssh(user, "id -un").expect_ok("ssh"), user);
    }
    assert_eq!(host.ssh_with_password("bob", "id -un").expect_ok("ssh"), "bob");
    assert!(!host.ssh("alice", "exit 3").success());
    host.scp("alice", "/etc/hostname", "alice@127.0.0.1:here").expect_ok("scp");
    host.sftp("alice", "rename here there").expect_ok("sftp");
    assert!(host.has("/home/alice/there"));
}

fn a_session_on_a_terminal_is_seen_from_outside_and_root_in_it_too(release: Release) {
    let host = Host::builder(release).without_package().boot();
    let mut shell = host.login("ops");
    assert!(host.elevated_processes("ops").is_empty());
    shell.become_root();
    let elevated = host.elevated_processes("ops");
    assert!(elevated.iter().any(|process| process.command.contains("bash")), "{elevated:#?}");
    assert!(elevated.iter().all(|process| process.in_session()), "{elevated:#?}");
    shell.type_text("kill -KILL -1\n");
    let _ = shell.finish(Duration::from_secs(10));
}

fn a_host_keeps_its_disk_over_a_reboot_and_a_power_loss(release: Release) {
    let mut host = Host::builder(release).without_package().boot();
    host.ok("echo kept > /root/kept; echo gone > /run/gone");
    host.reboot();
    assert_eq!(host.ok("cat /root/kept"), "kept");
    assert!(!host.has("/run/gone"));
    host.power_cycle();
    assert_eq!(host.ok("cat /root/kept; journalctl --list-boots -q | wc -l"), "kept\n3");
}
