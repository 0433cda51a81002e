//! What still can't be stopped: full root can outwit any program on its own host. Each sentence here is in the threat model.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, wait_for};

on_every_release! {
    a_service_that_root_started_outlives_sudo_and_is_reported,
    root_that_sheds_its_audit_session_and_its_scope_outlives_the_end,
    root_that_takes_the_wiring_out_is_reported,
}

fn runs(host: &Host, command: &str) -> bool {
    host.processes().iter().any(|process| process.command.ends_with(command))
}

fn a_service_that_root_started_outlives_sudo_and_is_reported(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    host.drop_in();
    host.ssh("alice", "sudo -n systemd-run --quiet --unit=hers sleep 900").expect_ok("a service of root's");
    grant.wait_end();
    let found = host.audited("residue.found", |record| record["grant"] == grant.id.as_str());
    assert!(found["residue"].to_string().contains("transient unit /run/systemd/transient/hers.service"), "{found}");
    assert!(runs(&host, "sleep 900"));
}

fn root_that_sheds_its_audit_session_and_its_scope_outlives_the_end(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 6s --login --sudo --command ALL");
    host.drop_in();
    let shed = "mkdir -p /sys/fs/cgroup/system.slice/hidden.service && echo $$ > /sys/fs/cgroup/system.slice/hidden.service/cgroup.procs \
                && echo 4294967295 > /proc/self/loginuid; setsid sleep 901 </dev/null >/dev/null 2>&1 &";
    host.ssh("alice", &format!("sudo -n bash -c '{shed}'")).expect_ok("shedding");
    wait_for("what is hidden", SOON, || runs(&host, "sleep 901").then_some(()));
    grant.wait_end();
    host.audited("grant.ended", |record| record["grant"] == grant.id.as_str());
    std::thread::sleep(Duration::from_millis(500));
    assert!(runs(&host, "sleep 901"));
    // What root did not hide is dead, and she is out.
    assert!(host.session_processes("alice").is_empty());
    assert!(!host.ssh("alice", "id").success());
}

fn root_that_takes_the_wiring_out_is_reported(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    let grant = host.grant("alice --for 20s --login --sudo --command ALL");
    host.drop_in();
    host.ssh("alice", "sudo -n curfew disable").expect_ok("root takes the wiring out");
    assert_eq!(host.ssh("bob", "id -un").expect_ok("everybody gets in"), "bob");
    let found = host.audited("residue.found", |record| record["grant"] == grant.id.as_str());
    assert!(found["residue"].to_string().contains("access file /etc/pam.d/sshd"), "{found}");
}
