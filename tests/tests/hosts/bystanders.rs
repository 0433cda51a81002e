//! Those whom a decision must not hit: root and exempt users where sudo names nobody, and what PID 1 opens for a unit. And that nobody passes for them.

use curfew_tests::{Host, Process, Release, SOON, assert_refused, wait_for};

on_every_release! {
    a_unit_with_a_session_of_pams_needs_no_grant_and_outlives_one,
    roots_shell_for_somebody_by_machinectl_needs_no_grant,
}

// sudo-rs always says who invokes it.
on_classic_sudo! {
    root_and_exempt_users_pass_where_sudo_does_not_say_who_invokes_it,
    nobody_passes_for_root_where_sudo_does_not_say_who_invokes_it,
    a_run_of_sudo_that_does_not_say_who_invokes_it_ends_with_its_grant,
}

/// A host whose sudo names nobody, with a rule of its own for alice.
fn host_without_ruser(release: Release) -> Host {
    let host = Host::builder(release).exempt(&["ops"]).config("grace = \"0s\"").boot();
    host.ok("echo 'Defaults !pam_ruser' > /etc/sudoers.d/ruser; echo 'alice ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/own; \
             chmod 440 /etc/sudoers.d/*; visudo -c");
    host
}

/// The processes whose command line ends like this.
fn running(host: &Host, command: &str) -> Vec<Process> {
    host.processes().into_iter().filter(|process| process.command.ends_with(command)).collect()
}

fn root_and_exempt_users_pass_where_sudo_does_not_say_who_invokes_it(release: Release) {
    let host = host_without_ruser(release);
    let works = |when: &str| {
        for script in [
            "sudo id -un",
            "sudo -i id -un",
            "sudo -u root id -un",
            "sudo -b id -un; sleep 1",
            "sudo -l >&2; echo root",
        ] {
            let output = host.run(script);
            assert!(output.success() && output.stdout.contains("root"), "{when}, {script}: {output:#?}");
        }
        assert_eq!(host.ok("sudo -u alice id -un"), "alice", "{when}");
        assert_eq!(host.ok("systemd-run --quiet --wait --pipe sudo -u bob id -un"), "bob", "{when}");
        let ops = host.run_as("ops", "echo ops-pw | sudo -S -p '' id -un");
        assert!(ops.success() && ops.stdout.contains("root"), "{when}: {ops:#?}");
    };
    works("with the agent alive");
    for user in ["root", "ops"] {
        host.audited("exempt.used", |record| record["user"] == user && record["service"] == "sudo");
    }
    // Root's sudo needs no list.
    host.ok("sed -i '/^root$/d' /etc/curfew/exempt");
    works("with root off the list");
    host.stop_agent();
    works("with the agent stopped");
    assert_refused(&host.run_as("alice", "sudo -n id -un"));
}

fn nobody_passes_for_root_where_sudo_does_not_say_who_invokes_it(release: Release) {
    let host = host_without_ruser(release);
    let refused = host.run_as("alice", "sudo -n id -un");
    assert_refused(&refused);
    assert!(refused.stderr.contains("grant"), "does not say what is missing: {refused:#?}");
    let denied = host.audited("sudo.denied", |record| record["service"] == "sudo");
    assert!(denied["user"] == "alice" && denied["reason_code"] == "no_grant", "{denied}");

    // PID 1, which is root's, takes in what has lost its parents, in a session and out of one.
    let _login = host.grant("alice --for 5m --login");
    let orphan = |place: &str| {
        format!("setsid -f sh -c 'sleep 1; sudo -n id -un; sudo -n -u ops id -un; echo done' >{place} 2>&1 </dev/null")
    };
    host.ssh("alice", &orphan("/tmp/of-a-session")).expect_ok("an orphan of a session");
    host.run_as("alice", &format!("({})&", orphan("/tmp/of-none"))).expect_ok("an orphan of none");
    for place in ["/tmp/of-a-session", "/tmp/of-none"] {
        let said = wait_for("the orphan", SOON, || {
            let said = host.run(&format!("cat {place}")).stdout;
            said.contains("done").then_some(said)
        });
        let names = said.lines().any(|line| line == "root" || line == "ops");
        assert!(said.contains("Curfew") && !names, "{place}: {said}");
    }
    let exempt = host.audit("--event exempt.used");
    assert!(exempt.iter().all(|record| record["service"] != "sudo"), "{exempt:#?}");
}

fn a_run_of_sudo_that_does_not_say_who_invokes_it_ends_with_its_grant(release: Release) {
    let host = host_without_ruser(release);
    let _login = host.grant("alice --for 5m --login");
    let grant = host.grant("alice --for 8s --sudo --command ALL");
    host.drop_in();
    // Root in her run is not root's own.
    assert_eq!(host.ssh("alice", "sudo -n sh -c 'sudo -n -u bob id -un'").expect_ok("sudo in sudo"), "bob");
    host.audited("sudo.permitted", |record| record["user"] == "alice" && record["run_as"] == "bob");
    host.ssh("alice", "sudo -n -b sleep 740 >/dev/null 2>&1 </dev/null").expect_ok("a run in the background");
    wait_for("the run", SOON, || (!running(&host, "sleep 740").is_empty()).then_some(()));
    grant.wait_end();
    let ended = host.audited("sudo.terminated", |record| record["grant"] == grant.id.as_str());
    assert!(ended["user"] == "alice" && ended["survivors"] == "0", "{ended}");
    assert!(running(&host, "sleep 740").is_empty());
    assert_refused(&host.ssh("alice", "sudo -n id"));
    assert!(host.audit("--event exempt.used").iter().all(|record| record["service"] != "sudo"));
}

fn a_unit_with_a_session_of_pams_needs_no_grant_and_outlives_one(release: Release) {
    let host = Host::builder(release).config("grace = \"0s\"").boot();
    assert_eq!(host.ok("systemd-run --quiet --wait --pipe --uid=alice -p PAMName=login id -un"), "alice");
    assert_eq!(host.ok("systemd-run --quiet --wait --pipe --uid=alice -p PAMName=su id -un"), "alice");
    host.audited("session.opened", |record| record["service"] == "su" && record["user"] == "alice");
    assert!(host.audit("--event sudo.denied").is_empty() && host.audit("--event sudo.permitted").is_empty());
    host.ok("systemd-run --quiet --unit=hers --uid=alice -p PAMName=login sleep 730");
    wait_for("the unit", SOON, || (!running(&host, "sleep 730").is_empty()).then_some(()));
    let opened = host.audited("session.opened", |record| record["service"] == "login");
    assert!(opened["user"] == "alice" && opened["grant"].is_null(), "{opened}");
    assert!(host.audit("--event login.denied").is_empty());

    let grant = host.grant("alice --for 8s --login");
    host.ssh("alice", "systemd-run --user --quiet --collect sleep 731").expect_ok("a unit of her own");
    wait_for("her own unit", SOON, || (!running(&host, "sleep 731").is_empty()).then_some(()));
    host.ok("systemctl restart curfewd");
    grant.wait_end();
    // What is hers ends, though the unit's session goes on.
    wait_for("the end of what is hers", SOON, || running(&host, "sleep 731").is_empty().then_some(()));
    assert_refused(&host.ssh("alice", "id"));
    assert_eq!(running(&host, "sleep 730").len(), 1);
    assert_eq!(host.ok("systemctl is-active hers.service"), "active");
    let ended = host.audit("--event session.terminated --user alice");
    assert!(ended.iter().all(|record| record["service"] != "login"), "{ended:#?}");
}

fn roots_shell_for_somebody_by_machinectl_needs_no_grant(release: Release) {
    let host = Host::builder(release).with_packages(&["systemd-container"]).boot();
    host.ok("script -qec 'machinectl -q shell alice@.host /usr/bin/touch /tmp/by-root' /dev/null");
    wait_for("the shell's command", SOON, || host.has("/tmp/by-root").then_some(()));
    assert_eq!(host.ok("stat -c %U /tmp/by-root"), "alice");
    let opened = host.audited("session.opened", |record| record["service"] == "login");
    assert!(opened["user"] == "alice" && opened["grant"].is_null(), "{opened}");
    assert!(host.audit("--event login.denied").is_empty());
}
