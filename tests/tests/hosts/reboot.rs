//! Grants outlive the host's restart, and end when they were to end.

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_every_release! {
    after_a_reboot_access_is_back_until_the_same_end_and_no_longer,
    a_window_that_ended_while_the_host_was_down_stays_closed,
}

fn after_a_reboot_access_is_back_until_the_same_end_and_no_longer(release: Release) {
    let mut host = Host::builder(release).exempt(&["ops"]).config("grace = \"1s\"").boot();
    let grant = host.grant("alice --for 20s --login --sudo --command /usr/bin/id");
    let over = host.grant("bob --for 1s --login");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("before the reboot"), "alice");
    over.wait_end();

    host.reboot();
    the_grant_is_back(&host, &grant.id);
    host.power_cycle();
    the_grant_is_back(&host, &grant.id);
    assert_refused(&host.ssh("bob", "id"));
    assert_eq!(host.ssh("ops", "id -un").expect_ok("an exempt login"), "ops");

    let mut shell = host.login("alice");
    shell.type_text("trap '' TERM HUP; while :; do sleep 0.2; done\n");
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    assert!((0..=250).contains(&gone), "{gone} ms after the end");
    assert!(host.drop_ins().is_empty());
    assert_refused(&host.ssh("alice", "id"));
    assert!(!host.run_as("alice", "sudo -n /usr/bin/id").success());
}

fn a_window_that_ended_while_the_host_was_down_stays_closed(release: Release) {
    let mut host = Host::boot(release);
    let grant = host.grant("alice --for 1s --login --sudo --command ALL");
    host.power_cycle();
    grant.wait_end();
    assert_refused(&host.ssh("alice", "id"));
    assert!(host.drop_ins().is_empty());
    // It is told as over once the clock is believed; right after a boot nobody knows.
    host.ok("curfew clock --accept");
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
}

fn the_grant_is_back(host: &Host, id: &str) {
    let status = host.status();
    let held = status["grants"].as_array().and_then(|grants| grants.iter().find(|grant| grant["id"] == id));
    assert_eq!(held.map(|grant| &grant["state"]), Some(&"live".into()), "{status}");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("after the restart"), "alice");
    wait_for("sudo", SOON, || (host.run_as("alice", "sudo -n /usr/bin/id -u").stdout.trim() == "0").then_some(()));
}
