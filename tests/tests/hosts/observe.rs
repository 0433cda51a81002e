//! Observe mode: decides and writes down, does nothing else.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_every_release! {
    observe_mode_audits_and_touches_nothing_and_enforcing_leaves_who_is_in,
    what_opened_while_curfew_observed_is_no_other_runs_work,
    with_the_agent_dead_observe_mode_still_refuses_nobody,
}

fn observe_mode_audits_and_touches_nothing_and_enforcing_leaves_who_is_in(release: Release) {
    let host = Host::builder(release).config("mode = \"observe\"\ngrace = \"1s\"").exempt(&["ops"]).boot();
    assert_eq!(host.status()["mode"], "observe");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("nothing is refused"), "alice");
    let denied = host.audited("login.denied", |record| record["user"] == "alice");
    assert_eq!(denied["outcome"], "would_deny");
    assert_eq!(denied["mode"], "observe");
    let opened = host.audited("session.opened", |record| record["user"] == "alice");
    assert_eq!(opened["outcome"], "would_deny");
    host.audited("session.closed", |record| record["user"] == "alice" && record["pid"] == opened["pid"]);
    assert_eq!(host.run_as("dave", "sudo -n /usr/bin/id -u").expect_ok("the host's own rule"), "0");
    host.audited("sudo.denied", |record| record["user"] == "dave" && record["outcome"] == "would_deny");

    let grant = host.grant("bob --for 3s --login --sudo --command ALL");
    let mut bob = host.login("bob");
    grant.wait_end();
    std::thread::sleep(Duration::from_secs(1));
    assert!(bob.run("echo kept").contains("kept"), "observe mode ended a session");
    assert!(host.drop_ins().is_empty(), "observe mode wrote a drop-in");
    assert!(host.audit("--event sudoers.written").is_empty());

    let mut alice = host.login("alice");
    host.ok("sed -i 's/^mode = .*/mode = \"enforce\"/' /etc/curfew/agent.toml && systemctl reload curfewd");
    curfew_tests::wait_for("enforce mode", SOON, || (host.status()["mode"] == "enforce").then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    std::thread::sleep(Duration::from_secs(2));
    for shell in [&mut alice, &mut bob] {
        assert!(shell.run("echo kept").contains("kept"), "the switch to enforce ended a session from before");
    }
}

fn what_opened_while_curfew_observed_is_no_other_runs_work(release: Release) {
    let config = "mode = \"observe\"\ngrace = \"0s\"\nresidue_report = false";
    let host = Host::builder(release).config(config).boot();
    host.ok("echo 'alice ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/standing && chmod 440 /etc/sudoers.d/standing");
    let runs = |length: u32| host.elevated_processes("alice").iter().any(|it| it.command == format!("sleep {length}"));
    let mut login = host.ssh_stay("alice", "-T");
    let mut run = |length: u32| {
        login.send(&format!("sudo -n sleep {length} </dev/null >/dev/null 2>&1 &\n"));
        wait_for("a run of sudo", SOON, || runs(length).then_some(()));
    };
    run(901);
    let _login = host.grant("alice --for 5m --login");
    let sudo = host.grant("alice --for 16s --sudo --command ALL");
    run(902);
    host.ok("sed -i 's/^mode = .*/mode = \"enforce\"/' /etc/curfew/agent.toml && systemctl reload curfewd");
    wait_for("enforce mode", SOON, || (host.status()["mode"] == "enforce").then_some(()));
    host.drop_in();
    run(903);
    sudo.wait_end();
    let ended = host.audited("sudo.terminated", |record| record["grant"] == sudo.id.as_str());
    assert_eq!(ended["survivors"], "0", "{ended}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!([901, 902, 903].map(runs), [true, true, false], "{ended}");
    login.kill();
}

fn with_the_agent_dead_observe_mode_still_refuses_nobody(release: Release) {
    let host = Host::builder(release).config("mode = \"observe\"").boot();
    assert_eq!(host.ssh("alice", "id -un").expect_ok("observed"), "alice");
    host.stop_agent();
    assert_eq!(host.ssh("alice", "id -un").expect_ok("observed, with no agent"), "alice");
    host.start_agent();
    host.ok("sed -i 's/observe/enforce/' /etc/curfew/agent.toml && systemctl reload curfewd");
    wait_for("enforcing", SOON, || (host.status()["in_force"] == true).then_some(()));
    host.stop_agent();
    assert_refused(&host.ssh("alice", "id -un"));
}
