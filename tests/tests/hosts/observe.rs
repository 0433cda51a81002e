//! Observe mode: decides and writes down, does nothing else.

use std::time::Duration;

use curfew_tests::{Host, Release, SOON, assert_refused, wait_for};

on_every_release! {
    observe_mode_audits_and_touches_nothing_and_enforcing_leaves_who_is_in,
    with_the_agent_dead_observe_mode_still_refuses_nobody,
}

fn observe_mode_audits_and_touches_nothing_and_enforcing_leaves_who_is_in(release: Release) {
    let host = Host::builder(release).config("mode = \"observe\"\ngrace = \"1s\"").exempt(&["ops"]).boot();
    assert_eq!(host.status()["mode"], "observe");
    assert_eq!(host.ssh("alice", "id -un").expect_ok("nothing is refused"), "alice");
    let denied = host.audited("login.denied", |record| record["user"] == "alice");
    assert_eq!(denied["outcome"], "would_deny");
    assert_eq!(denied["mode"], "observe");
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
